"""BFD with the router: a dead node leaves the next hops within milliseconds, and nothing else takes a route with it."""

import json
import signal
import time

from harness import ROUTER, ROUTER6, E2eTest, Process, bgp_peer, eventually, steadily
from system import run, send

FAST = {"bfd": {"minTxIntervalMs": 50, "minRxIntervalMs": 50, "detectMultiplier": 3}}


class Bfd(E2eTest):
    """A speaker on each node, which announces its own node: a dead one is missed by nobody but the router."""
    routers = ("bird", "frr")
    berth = "processes"
    family, neighbor, peer = 4, ROUTER, "router"

    def prepare(self):
        lease = ("--lease-duration", "5", "--renew-deadline", "3", "--retry-period", "1")
        self.controller = Process(self.lab, "control", role="controller", flags=(*lease, "--webhook-port", "0")).start()
        self.addCleanup(self.controller.end)
        self.speakers = {node: Process(self.lab, node, role="speaker").start() for node in self.lab.cluster.nodes}
        for speaker in self.speakers.values():
            self.addCleanup(speaker.end)
        for process in (self.controller, *self.speakers.values()):
            eventually(f"{process.name} ready", process.ready, 40)

    def setUp(self):
        super().setUp()
        self.change(FAST)
        self.addCleanup(self.lab.apply_baseline)
        self.address = self.lab.service_of(self.family, "web")
        self.lab.wait_for_hops(self.address, self.lab.all_next_hops(self.family))
        for node in self.lab.cluster.nodes:
            self.wait_for_bfd(node)

    def change(self, more=None):
        """The BgpPeer, and what it has besides."""
        self.lab.apply(bgp_peer(self.peer, self.neighbor, more=more))

    # -- what each side says

    def session(self, node):
        return self.lab.session(node, neighbor=self.neighbor)

    def bfd(self, node):
        status, text = self.speakers[node].page("/debug/state")
        sessions = json.loads(text)["actual"]["bgp"]["bfd"]["sessions"] if status == 200 else []
        return next((one for one in sessions if one["neighbor"] == self.neighbor), None)

    def router_says(self, node):
        """Whether the router's session with the node is up."""
        address, folder = self.lab.cluster.address(node, self.family), self.lab.cluster.router_dir
        if self.lab.router == "bird":
            lines = run(["birdc", "-s", folder / "bird.ctl", "show", "bfd", "sessions"]).stdout.splitlines()
            return any(line.split()[:1] == [address] and "Up" in line for line in lines)
        peers = json.loads(run(["vtysh", "--vty_socket", folder, "-c", "show bfd peers json"]).stdout)
        return any(peer["peer"] == address and peer["status"] == "up" for peer in peers)

    def is_up(self, node):
        mine = self.bfd(node)
        return mine is not None and mine["state"] == "Up" and self.router_says(node)

    def wait_for_bfd(self, node, seconds=30):
        eventually(f"BFD of {node} up", lambda: self.is_up(node), seconds)

    def hop(self, node):
        return frozenset([self.lab.cluster.address(node, self.family)])

    # -- the stories

    def test_both_sides_are_up(self):
        """Negotiated with the router, shown in the status and as metrics."""
        eventually("150 ms", lambda: self.bfd("node1")["detectionSeconds"] == 0.15)   # when the first poll is answered
        labels = f'{{peerIP="{self.neighbor}",nodeName="node1"}}'
        self.assertEqual(self.lab.metric("node1", f"berth_bfd_up{labels}"), 1)

        def shown():
            peer = self.lab.api.get("bgppeers", self.peer)
            return peer.get("status", {}).get("nodesPeerStatus", {}).get("node1", {}).get("bfdState", {})
        eventually("bfdState of the BgpPeer", lambda: (shown().get("state"), shown().get("detectionTimeMs")) == ("Up", 150))
        downs = [self.bfd(node)["lastDown"] for node in self.lab.cluster.nodes]
        steadily("BFD up", lambda: all(self.is_up(node) for node in self.lab.cluster.nodes), 5)
        self.assertEqual([self.bfd(node)["lastDown"] for node in self.lab.cluster.nodes], downs)

    def test_node_cut_off(self):
        """A node is cut off: the router stops using it in milliseconds; it comes back by itself."""
        with self.lab.record(self.family) as recorder:
            began = time.time()
            self.lab.cluster.cut("node1")
            self.addCleanup(self.lab.cluster.heal, "node1")
            self.lab.wait_for_hops(self.address, self.hop("node2"), 5)
            gone = next(event for event in recorder.events(self.address) if event.at > began and event.hops == self.hop("node2"))
            self.assertEqual(gone.hops, self.hop("node2"))
            self.figure(f"next hop gone {(gone.at - began) * 1000:.0f} ms after the cut")
        eventually("node1 notices", lambda: self.bfd("node1")["state"] == "Down", 5)
        self.assertIn("nothing was heard", self.bfd("node1")["lastDown"])
        self.assertEqual(self.bfd("node2")["state"], "Up")
        self.lab.cluster.heal("node1")
        self.lab.wait_for_hops(self.address, self.lab.all_next_hops(self.family), 60)
        self.wait_for_bfd("node1")

    def test_restart_is_not_seen(self):
        """Berth is stopped and started: routers were asked to wait for it, so no next hop goes and nothing is lost."""
        speaker = self.speakers["node1"]
        before = self.session("node1")
        with self.lab.record(self.family) as recorder, self.lab.prober(self.address) as prober:
            self.assertEqual(speaker.end(), 0)
            steadily("the router waits", lambda: self.router_says("node1"), 1)
            speaker.start()
            self.lab.wait_for_session("node1", before, neighbor=self.neighbor)
            self.wait_for_bfd("node1")
            self.assert_no_deletion(recorder, self.address)
            changes = [event for event in recorder.events(self.address) if event.hops != self.lab.all_next_hops(self.family)]
        self.assertEqual(changes, [], "a next hop went")
        self.assert_nothing_lost(prober)
        ups = [line for line in speaker.text().splitlines() if "event=bfd_session_up" in line]
        self.assertIn("resumed=yes", ups[-1])
        self.assertEqual(self.bfd("node1")["detectionSeconds"], 0.15)

    def test_frozen_berth(self):
        """Berth is stopped by SIGSTOP for a while: the router does without the node and takes it again; Berth blames itself."""
        speaker = self.speakers["node1"]
        send(speaker.process.pid, signal.SIGSTOP)
        try:
            self.lab.wait_for_hops(self.address, self.hop("node2"), 5)
        finally:
            send(speaker.process.pid, signal.SIGCONT)
        self.wait_for_bfd("node1")
        self.lab.wait_for_hops(self.address, self.lab.all_next_hops(self.family), 30)
        self.assertEqual(self.bfd("node1")["lastDown"], "the neighbour says that its session is down")
        told = f"node1: BFD with {self.neighbor} went down: the neighbour says that its session is down"
        eventually("the Event", lambda: ("BfdDown", told) in self.lab.events("BgpPeer", self.peer))

    def test_settings_change_without_a_flap(self):
        """Other intervals are agreed upon by a poll."""
        before = {node: self.bfd(node)["lastDown"] for node in self.lab.cluster.nodes}
        began = self.session("node1"), self.session("node2")
        slower = {"bfd": {"minTxIntervalMs": 200, "minRxIntervalMs": 300, "detectMultiplier": 5}}
        self.change(slower)
        eventually("300 ms", lambda: abs(self.bfd("node1")["detectionSeconds"] - 0.9) < 1e-6 and self.is_up("node1"))
        steadily("BFD up", lambda: self.is_up("node1") and self.is_up("node2"), 3)
        self.assertEqual({node: self.bfd(node)["lastDown"] for node in self.lab.cluster.nodes}, before)
        self.assertEqual((self.session("node1"), self.session("node2")), began)

    def test_taken_away(self):
        """BFD is taken off the BgpPeer: the session ends, BGP goes on without."""
        before = {node: self.session(node) for node in self.lab.cluster.nodes}
        self.change()
        eventually("no BFD", lambda: self.bfd("node1") is None and self.bfd("node2") is None)
        # FRR 8.4 and BIRD 2.0.12 take the AdminDown for a failure, and set BGP up again.
        eventually("new BGP sessions", lambda: all(self.session(node) not in (None, before[node]) for node in before), 40)
        self.lab.wait_for_hops(self.address, self.lab.all_next_hops(self.family))


class BfdIpv6(Bfd):
    """The same by IPv6: the BGP session, BFD and the addresses; the IPv4 session of the same router has no BFD, and stays."""
    routers, family, neighbor, peer = ("frr",), 6, ROUTER6, "router6"
    test_settings_change_without_a_flap = test_taken_away = test_frozen_berth = None   # of the session, whatever it runs on
