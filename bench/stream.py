#!/usr/bin/env python3
"""A stream of UDP packets to a Service, one each millisecond, and which of them were not answered; and what answers, in a pod.

usage: stream.py ask ADDRESS PORT      until standard input ends; then the answer is one JSON object on standard output
       stream.py answer PORT

Each packet comes from a port that was silent for five seconds: a flow of its own to the router, which chooses its next hop by the ports,
and to kube-proxy, whose memory of flows must be made shorter than that. So nothing depends on who had which flow before. Whoever asks says
"ready" once 200 in a row were answered, by all ways that there are, and counts from then on. A late answer is an answer.

Who answers has a TCP port of the same number, for the kubelet to see that it is ready. As PID 1 it does not mind SIGTERM.
"""

import json
import os
import resource
import select
import socket
import struct
import sys
import threading
import time

SPACING_NS = 1_000_000
APART_NS = 100_000_000
PORTS = 5000
ROW = 200               # answers in a row, the newest WAIT packets ago
WAIT = 100
PATIENCE = 60_000       # packets
LAST_SECONDS = 1.0      # for what is still under way at the end
SO_RCVBUFFORCE = 33     # as root beyond the system's bound: a busy machine must not be the one that loses
BUFFER = 4 << 20


def udp_socket(port=0):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", port))
    return made


class Asker:
    def __init__(self, target):
        resource.setrlimit(resource.RLIMIT_NOFILE, (PORTS + 100, PORTS + 100))
        self.target, self.epoll, self.stopping = target, select.epoll(), False
        self.sockets = [udp_socket() for _ in range(PORTS)]
        self.by_descriptor = {one.fileno(): one for one in self.sockets}
        for descriptor in self.by_descriptor:
            self.epoll.register(descriptor, select.EPOLLIN)
        self.epoll.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
        self.sent, self.answered, self.latest = [], bytearray(), 0

    def send(self):
        number = len(self.sent)
        self.sent.append(time.monotonic_ns())
        self.answered.append(0)
        try:
            self.sockets[number % PORTS].sendto(struct.pack("!I", number), self.target)
        except OSError:
            pass   # lost

    def receive(self, seconds=0.0):
        for descriptor, _ in self.epoll.poll(seconds):
            if descriptor == sys.stdin.fileno():
                self.stopping = True
                self.epoll.unregister(descriptor)
            else:
                self.answered[struct.unpack("!I", self.by_descriptor[descriptor].recv(64))[0]] = 1

    def send_until(self, question):
        """One each millisecond; those that could not be sent in time follow at once."""
        due = time.monotonic_ns()
        while not (question() or self.stopping):
            now = time.monotonic_ns()
            if now < due:
                time.sleep((due - now) / 1e9)
            self.latest = max(self.latest, now - due)
            self.send()
            self.receive()
            due += SPACING_NS

    def all_ways_work(self):
        if len(self.sent) > PATIENCE:
            sys.exit("stream.py: some packets are never answered")
        return len(self.sent) > ROW + WAIT and 0 not in self.answered[-ROW - WAIT:-WAIT]

    def run(self):
        self.send_until(self.all_ways_work)
        first, self.latest = len(self.sent), 0
        print("ready", flush=True)
        self.send_until(lambda: False)
        end = time.monotonic() + LAST_SECONDS
        while time.monotonic() < end:
            self.receive(0.05)
        lost = [at for at, answered in zip(self.sent[first:], self.answered[first:]) if not answered]
        return {"sent": len(self.sent) - first, "lost": len(lost), "spans": spans(lost), "latest_seconds": self.latest / 1e9}


def spans(times):
    """Times that are near to each other, as [first, last, how many]."""
    found = []
    for at in times:
        if not found or at - found[-1][1] > APART_NS:
            found.append([at, at, 0])
        found[-1] = [found[-1][0], at, found[-1][2] + 1]
    return found


def answer(port):
    here = udp_socket(port)
    here.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    threading.Thread(target=be_ready, args=(port,), daemon=True).start()
    while True:
        data, peer = here.recvfrom(64)
        try:
            here.sendto(data, peer)
        except OSError:
            pass   # the network of the pod goes before the pod


def be_ready(port):
    with socket.create_server(("", port)) as door:
        while True:
            door.accept()[0].close()


if __name__ == "__main__":
    if sys.argv[1] == "answer":
        answer(int(sys.argv[2]))
    os.nice(-10)
    print(json.dumps(Asker((sys.argv[2], int(sys.argv[3]))).run()))
