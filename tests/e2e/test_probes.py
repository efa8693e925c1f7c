"""Next hops without a speaker of their own: a dead one is noticed by those that announce it."""

import time

from harness import E2eTest, Process, eventually, steadily


class Probes(E2eTest):
    """One speaker, on node1, announces both nodes; nothing of Berth's runs on node2."""
    routers = ("bird",)
    berth = "processes"

    def prepare(self):
        lease = ("--lease-duration", "5", "--renew-deadline", "3", "--retry-period", "1")
        self.process = Process(self.lab, "node1", flags=lease).start()
        self.addCleanup(self.process.end)
        eventually("Berth ready", self.process.ready, 40)

    def test_node_cut_off(self):
        """A node without a speaker is cut off: it is no next hop half a second later, and is again when it is back."""
        address = self.lab.service("web")
        node1, node2 = (self.lab.cluster.address(node) for node in ("node1", "node2"))
        self.lab.wait_for_hops(address, (node1, node2))
        eventually("node2 answers", lambda: self.lab.metric("node1", 'berth_node_answers{node="node2"}') == 1)
        with self.lab.record() as recorder:
            began = time.time()
            self.lab.cluster.cut("node2")
            self.addCleanup(self.lab.cluster.heal, "node2")
            self.lab.wait_for_hops(address, (node1,), 10)
            gone = next(event for event in recorder.events(address) if event.at > began)
        self.figure(f"next hop gone {(gone.at - began) * 1000:.0f} ms after the cut; the Node was still Ready")
        ready = {c["type"]: c["status"] for c in self.lab.api.get("nodes", "node2")["status"]["conditions"]}["Ready"]
        self.assertEqual(ready, "True")
        self.lab.cluster.heal("node2")
        self.lab.wait_for_hops(address, (node1, node2), 20)
        steadily("both", lambda: self.lab.routes().get(address) == {node1, node2}, 3)
