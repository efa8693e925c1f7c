"""What Berth shows of itself."""

import json

from api import Watch
from harness import OPT_IN, SPACE, E2eTest, eventually, service


class Pages(E2eTest):
    def test_pages(self):
        """/healthz, /readyz, /metrics and /debug/state answer on each node and agree with what is there."""
        lab = self.lab
        address = lab.service("shown")
        for node in lab.cluster.nodes:
            self.assertEqual(lab.page(node, "/healthz"), (200, "ok\n"))
            status, text = lab.page(node, "/readyz")
            self.assertEqual((status, "bgp: ok" in text), (200, True), text)
            state = json.loads(lab.page(node, "/debug/state")[1])
            self.assertEqual(set(state["actual"]["bgp"]["routes"][address]), lab.all_next_hops())
            self.assertEqual(state["actual"]["bgp"]["sessions"][0]["state"], "ESTABLISHED")
            self.assertEqual(state["desired"]["announcements"][address]["service"], "default/shown")
            self.assertEqual(lab.metric(node, "berth_bgp_routes"), 2)
        self.assertEqual(sorted(lab.metric(node, "berth_leader") for node in lab.cluster.nodes), [0, 1])
        leader = lab.leader()["spec"]["nodeName"]
        self.assertEqual(lab.metric(leader, "berth_services_allocated"), 1)
        self.assertEqual(json.loads(lab.page(leader, "/debug/state")[1])["leading"], True)

        # State is for this machine alone; the rest is for Prometheus.
        other = next(node for node in lab.cluster.nodes if node != leader)
        for path, wanted in (("/debug/state", "403"), ("/metrics", "200")):
            argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{lab.cluster.address(leader)}:50052{path}"]
            self.assertEqual(lab.cluster.run(other, argv).stdout, wanted)

    def test_bgp_command(self):
        """`berth bgp` in a pod shows the session, and each address with its next hops and attributes, or why it has none."""
        lab = self.lab
        address = lab.service("shown", annotations=dict(OPT_IN, **{"berth.kubesphere.io/bgp-med": "7"}))
        lab.api.create("services", service("nobody", selector={"app": "nobody"}))
        without = lab.address("nobody")
        pod = lab.pod_on("node1")["metadata"]["name"]

        def shown():
            text = lab.cluster.kubectl("exec", "-n", SPACE, pod, "--", "berth", "bgp")
            return {line.split()[0]: line.split() for line in text.splitlines() if line}
        rows = eventually("both addresses", lambda: {address, without} <= set(shown()) and shown())
        self.assertEqual(rows["router"][1:3], ["172.30.0.1", "ESTABLISHED"])
        self.assertEqual(rows[address], [address, "default/shown", "node1,node2", "MED", "7", "-"])
        self.assertEqual(rows[without], [without, "default/nobody", "-", "-", "no_endpoints"])

    def test_status(self):
        """BgpConf and BgpPeer tell each node's server and session."""
        lab = self.lab
        conf = eventually("BgpConf's status", lambda: self.nodes_of("bgpconfs", "default", "nodesConfStatus"))
        peer = eventually("sessions established", lambda: self.established())
        for node in lab.cluster.nodes:
            self.assertEqual(conf[node], {"as": 65001, "routerId": lab.cluster.address(node), "nextHops": list(lab.cluster.nodes)})
            self.assertEqual(peer[node]["peerState"]["neighborAddress"], "172.30.0.1")
            self.assertEqual(peer[node]["peerState"]["peerAs"], 65000)

    def nodes_of(self, resource, name, field):
        found = self.lab.api.get(resource, name).get("status", {}).get(field, {})
        return found if set(found) == set(self.lab.cluster.nodes) else None

    def established(self):
        found = self.nodes_of("bgppeers", "router", "nodesPeerStatus")
        return found if found and all(one["peerState"]["sessionState"] == "ESTABLISHED" for one in found.values()) else None

    def test_hand_over(self):
        """A leader that ends gives up its Lease, and the other goes on at once instead of waiting for the Lease to expire."""
        lab = self.lab
        leader = lab.leader()["metadata"]["name"]
        with Watch(lab.cluster, "leases", SPACE) as leases:
            lab.api.delete("pods", leader, SPACE)
            eventually("another leader", lambda: lab.leader()["metadata"]["name"] != leader, 60)
            holders = [(at, lease["spec"].get("holderIdentity", "")) for at, _, lease in leases.events]
        given_up = next((at for at, holder in holders if not holder), None)
        self.assertIsNotNone(given_up, f"it was not given up: {holders}")
        taken = next(at for at, holder in holders if holder and at > given_up)
        self.figure(f"given up, then taken after {taken - given_up:.1f} s")
        lab.service("after")
        lab.wait_for_pods()
