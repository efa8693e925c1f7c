#!/usr/bin/env python3
"""Asks a web server again and again, each time by a connection of its own, and tells what was lost.

usage: prober.py ADDRESS PORT SPACING-SECONDS

Runs until its standard input ends; then the answer is one JSON object on standard output. The first line, "answered", comes with the first
answer, so that whoever started it knows that it works. Requests overlap: a slow one does not delay the next. A request is lost if it fails,
or if it was late because TCP had to send something again, which means that a packet was dropped on the way.
"""

import collections
import errno
import json
import select
import socket
import struct
import sys
import time

TIMEOUT = 3.0             # seconds
RETRANSMISSION = 0.2      # seconds that TCP waits before it sends again what was lost; a SYN even 1 s
TOTAL_RETRANSMITS = 100   # offset of tcpi_total_retrans in struct tcp_info


class Request:
    def __init__(self, number, address):
        self.number, self.began, self.answer, self.asked = number, time.time(), b"", False
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.connect_ex(address)

    def retransmits(self):
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANSMITS + 4)
        return struct.unpack_from("I", info, TOTAL_RETRANSMITS)[0]

    def step(self):
        """True once the server has said all."""
        if not self.asked:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, errno.errorcode.get(error, "?"))
            self.socket.send(b"GET / HTTP/1.0\r\n\r\n")
            self.asked = True
            return False
        part = self.socket.recv(4096)
        self.answer += part
        return not part

    def body(self):
        head, _, body = self.answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ValueError(f"answer was {self.answer[:60]!r}")
        return body.decode().strip()


class Prober:
    def __init__(self, address, spacing):
        self.address, self.spacing = address, spacing
        self.epoll, self.open = select.epoll(), {}
        self.sent, self.lost, self.bodies = 0, [], collections.Counter()
        self.answered_at, self.longest_gap, self.latest = None, 0.0, 0.0

    def begin(self):
        request = Request(self.sent, self.address)
        self.sent += 1
        self.open[request.socket.fileno()] = request
        self.epoll.register(request.socket, select.EPOLLOUT | select.EPOLLIN)

    def lose(self, request, why):
        self.lost.append({"number": request.number, "at": request.began, "ended": time.time(), "why": why})

    def end(self, request):
        self.epoll.unregister(request.socket)
        del self.open[request.socket.fileno()]
        request.socket.close()

    def progress(self, request):
        try:
            if not request.step():
                if request.asked:
                    self.epoll.modify(request.socket, select.EPOLLIN)
                return
            self.answered(request, request.body())
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self.lose(request, str(error))
        self.end(request)

    def answered(self, request, body):
        again, took = request.retransmits(), time.time() - request.began
        if again and took >= RETRANSMISSION:
            self.lose(request, f"answered by {body} after {took:.2f} s and {again} retransmission(s)")
            return
        self.bodies[body] += 1
        if self.answered_at is None:
            print("answered", flush=True)
        else:
            self.longest_gap = max(self.longest_gap, request.began - self.answered_at)
        self.answered_at = max(request.began, self.answered_at or 0)

    def run(self, stop):
        self.epoll.register(stop, select.EPOLLIN | select.EPOLLHUP)
        due, stopping = time.monotonic(), False
        while self.open or not stopping:
            now = time.monotonic()
            if not stopping and now >= due:
                self.latest = max(self.latest, now - due)
                self.begin()
                due += self.spacing
                continue
            for descriptor, _ in self.epoll.poll(max(0, due - now) if not stopping else 0.05):
                if descriptor == stop.fileno():
                    stopping = True
                    self.epoll.unregister(stop)
                elif descriptor in self.open:
                    self.progress(self.open[descriptor])
            for request in [r for r in self.open.values() if time.time() - r.began > TIMEOUT]:
                self.lose(request, f"no answer within {TIMEOUT} s")
                self.end(request)

    def result(self):
        return {"sent": self.sent, "lost": self.lost, "answers": self.bodies, "longest_gap": self.longest_gap, "latest_start": self.latest}


def main():
    prober = Prober((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    prober.run(sys.stdin)
    print(json.dumps(prober.result()))


if __name__ == "__main__":
    main()
