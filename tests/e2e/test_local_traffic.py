"""externalTrafficPolicy Local: only nodes with a ready endpoint are next hops, and the router follows at once."""

from api import Watch
from harness import ENGINE, E2eTest, eventually, web

REPEATS = 5


def ready_on(slice_object, node):
    return any(endpoint.get("nodeName") == node and endpoint.get("conditions", {}).get("ready", True)
               for endpoint in slice_object.get("endpoints") or [])


class Traffic(E2eTest):
    berth = "pods" if ENGINE == "gobgpd" else "processes"   # the image has gobgpd alone

    @classmethod
    def setUpClass(cls):
        if cls.berth == "processes":
            cls.start_berths()


class Local(Traffic):
    routers = ("bird", "frr")

    def setUp(self):
        super().setUp()
        self.node1, self.node2 = (self.lab.cluster.address(node) for node in ("node1", "node2"))

    def scale(self, deployment, replicas):
        self.lab.api.patch("deployments", deployment, {"spec": {"replicas": replicas}})

    def test_follows_endpoints(self):
        """The node whose last ready endpoint goes leaves the router at once; the other goes on."""
        self.scale("web-node2", 0)
        eventually("web servers on node1 alone", lambda: self.lab.ready_web_nodes() == {"node1"})
        address = self.lab.service("local", externalTrafficPolicy="Local")
        self.lab.wait_for_hops(address, {self.node1})
        self.assertEqual({self.lab.ask(address, "/node") for _ in range(5)}, {"node1"})

        took = []
        with Watch(self.lab.cluster, "endpointslices", labels="kubernetes.io/service-name=local") as slices, self.lab.record() as recorder:
            for _ in range(REPEATS):
                self.scale("web-node2", 2)
                self.lab.wait_for_hops(address, {self.node1, self.node2})
                before = len(slices.events)
                recorded = len(recorder.events(address))
                self.scale("web-node1", 0)
                self.lab.wait_for_hops(address, {self.node2})
                gone = eventually("the watcher's sight of it",
                                  lambda: [at for at, _, found in slices.events[before:] if not ready_on(found, "node1")])[0]
                left = next(event for event in recorder.events(address)[recorded:] if self.node1 not in event.hops)
                took.append((left.at - gone) * 1000)
                # And the other way round, for the next repeat.
                self.scale("web-node1", 2)
                self.lab.wait_for_hops(address, {self.node1, self.node2})
                self.scale("web-node2", 0)
                self.lab.wait_for_hops(address, {self.node1})
            self.assert_no_deletion(recorder, address)
        self.figure(f"watcher saw the last endpoint go -> router's kernel, ms: {', '.join(f'{ms:.1f}' for ms in sorted(took))}")
        self.assertLess(max(took), 5000)

    def test_pod_moves(self):
        """A Deployment moves: its new node is a next hop once kube-proxy there knows it, the old one until then."""
        self.scale("web-node2", 0)
        eventually("web servers on node1 alone", lambda: self.lab.ready_web_nodes() == {"node1"})
        address = self.lab.service("local", externalTrafficPolicy="Local")
        self.lab.wait_for_hops(address, {self.node1})
        with self.lab.record() as recorder, self.lab.prober(address) as prober:
            self.lab.apply(web("web-node1", "node2"))
            self.lab.wait_for_hops(address, {self.node2}, 30)
            states = [sorted(event.hops) for event in recorder.events(address) if not event.deleted]
            self.assert_no_deletion(recorder, address)
        changes = [hops for hops, before in zip(states, [None, *states]) if hops != before]
        self.assertIn(changes, ([[self.node1, self.node2], [self.node2]], [[self.node2]]))
        # A request that is under way just then goes on at a node that does not know its connection, and is reset: one at a time.
        self.figure(prober.summary())
        self.assertGreater(prober.result["sent"], 50)
        self.assertLessEqual(len(prober.result["lost"]), prober.overflowed + len(changes), prober.summary())

    def test_last_endpoint(self):
        """Without any endpoint the address is withdrawn; with the first one it is back."""
        address = self.lab.service("local", externalTrafficPolicy="Local")
        for deployment in ("web-node1", "web-node2"):
            self.scale(deployment, 0)
        self.lab.wait_for_hops(address, ())
        self.assertEqual(self.lab.address("local"), address, "the address stays the Service's")
        self.scale("web-node2", 2)
        self.lab.wait_for_hops(address, {self.node2})
        self.lab.reach(address)


class Cluster(Traffic):
    def test_both_policies(self):
        """A change of the policy changes the next hops and nothing else."""
        api = self.lab.api
        api.patch("deployments", "web-node2", {"spec": {"replicas": 0}})
        eventually("web servers on node1 alone", lambda: self.lab.ready_web_nodes() == {"node1"})
        address = self.lab.service("policy")
        self.lab.wait_for_hops(address, self.lab.all_next_hops())
        with self.lab.record() as recorder:
            api.patch("services", "policy", {"spec": {"externalTrafficPolicy": "Local"}})
            self.lab.wait_for_hops(address, {self.lab.cluster.address("node1")})
            api.patch("services", "policy", {"spec": {"externalTrafficPolicy": "Cluster"}})
            self.lab.wait_for_hops(address, self.lab.all_next_hops())
            self.assert_no_deletion(recorder, address)
        self.assertEqual(self.lab.address("policy"), address)
