"""Which routers hear of which addresses, and with which attributes; a node that is taken out. Three routers, and what each has in its
table."""

import json
import os
import pathlib
import subprocess

from harness import OPT_IN, POOL6, POOL_KEY, ROUTER6, SPACE, E2eTest, bgp_conf, bgp_peer, eip, eventually, steadily
from small_router import SmallRouter, start_all

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
AS = 65001   # bgp_conf()
KEY = "berth.kubesphere.io/bgp-"
POLICY = """
[[defined-sets.prefix-sets]]
prefix-set-name = "marked"
[[defined-sets.prefix-sets.prefix-list]]
ip-prefix = "{prefix}"
[[defined-sets.neighbor-sets]]
neighbor-set-name = "first"
neighbor-info-list = ["{neighbor}"]
[[policy-definitions]]
name = "mark"
[[policy-definitions.statements]]
name = "mark"
[policy-definitions.statements.conditions.match-prefix-set]
prefix-set = "marked"
[policy-definitions.statements.conditions.match-neighbor-set]
neighbor-set = "first"
[policy-definitions.statements.actions]
route-disposition = "accept-route"
[policy-definitions.statements.actions.bgp-actions.set-community]
options = "add"
[policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]
communities-list = ["{community}"]
[global.apply-policy.config]
export-policy-list = ["mark"]
"""
NO_EXPORT, GRACEFUL_SHUTDOWN = (65535, 65281), (65535, 0)


class Advertisements(E2eTest):
    routers = ("bird", "frr")
    berth = "processes"
    family, pool, other_pool, router, aggregate = 4, "pool", "203.0.113.128/25", "router", "203.0.113.0/24"

    @classmethod
    def setUpClass(cls):
        cls.start_berths("--drain-wait", "3")
        cls.small = {name: SmallRouter(cls.lab.cluster, name, number, family=cls.family, **settings)
                     for name, number, settings in (("first", 131, {}), ("second", 132, {}),
                                                    ("internal", 133, {"as_number": AS, "internal": True}))}
        cls.addClassCleanup(cls.remove)
        start_all(cls.small.values())

    @classmethod
    def remove(cls):
        for router in cls.small.values():
            router.stop()
        cls.lab.apply(bgp_conf())
        for name in cls.small:
            cls.lab.api.delete("bgppeers", name)

    def setUp(self):
        self.lab.reset()
        self.addCleanup(self.lab.clear)
        self.lab.apply(bgp_conf(), *(bgp_peer(name, router.address, router.as_number) for name, router in self.small.items()))
        for name, router in self.small.items():
            eventually(f"sessions of {name}", lambda router=router: router.up() == set(self.lab.cluster.nodes))
            # One of two connections that met is up at the router alone, for a moment.
            eventually(f"sessions with {name}", lambda router=router: all(
                self.lab.session(node, neighbor=router.address) for node in self.lab.cluster.nodes))
        self.began = {name: router.sessions() for name, router in self.small.items()}

    def service(self, name, annotations=OPT_IN):
        """Its address, which a client reaches."""
        return self.lab.service(name, annotations=annotations)

    def node(self, name):
        return self.lab.cluster.address(name, self.family)

    def host(self, address):
        return f"{address}/{32 if self.family == 4 else 128}"

    def advertise(self, *entries, **more):
        self.lab.apply(bgp_conf(advertisements=list(entries), **more))

    def has(self, name, address, **wanted):
        """Whether the router has a path of each node and next hop, and all of them with what is wanted."""
        paths = self.small[name].paths(address)
        return len(paths) == len(self.lab.cluster.nodes) ** 2 and all(getattr(path, key) == value for path in paths
                                                                     for key, value in wanted.items())

    def wait_for(self, name, address, **wanted):
        eventually(f"{name} has {address} with {wanted}", lambda: self.has(name, address, **wanted), 15)

    def wait_for_none(self, name, address):
        eventually(f"{name} has no {address}", lambda: not self.small[name].paths(address), 15)

    def assert_no_flap(self):
        self.assertEqual({name: router.sessions() for name, router in self.small.items()}, self.began)

    # -- the stories

    def test_communities_of_a_pool(self):
        """Standard, large, well-known and named communities reach every router, and go again, without a withdrawal or a flap."""
        address = self.service("web")
        self.wait_for("first", address, communities=frozenset())
        self.advertise({"pools": [self.pool], "communities": ["64512:100", "64512:1:2", "no-export", "backup"]},
                       communityNames={"backup": "64512:7"})
        with self.lab.record(self.family) as recorder:
            for name in self.small:
                self.wait_for(name, address, communities=frozenset({(64512, 100), (64512, 1, 2), NO_EXPORT, (64512, 7)}))
            self.advertise()
            for name in self.small:
                self.wait_for(name, address, communities=frozenset())
            self.assertEqual([event for event in recorder.events(address) if event.hops != self.lab.all_next_hops(self.family)], [])
        self.assert_no_flap()

    def test_med_and_local_preference(self):
        """MED reaches every router, LOCAL_PREF those of our own AS."""
        address = self.service("web")
        self.advertise({"med": 50, "localPref": 70})
        self.wait_for("first", address, med=50)
        self.wait_for("internal", address, med=50, local_pref=70)
        self.assert_no_flap()

    def test_prepend(self):
        """The AS path is longer for routers of other ASs, and as ever for those of our own."""
        address = self.service("web")
        self.advertise({"asPathPrepend": 2})
        self.wait_for("first", address, as_path=(AS, AS, AS))
        self.wait_for("internal", address, as_path=())
        self.assertEqual({path.communities for path in self.small["first"].paths(address)}, {frozenset()})
        self.assert_no_flap()

    def test_pools_to_routers(self):
        """A pool goes to the routers that are named, another one to all; a change reaches those whom it concerns."""
        self.lab.apply(eip("other", self.other_pool))
        self.advertise({"pools": [self.pool], "peers": ["first", self.router]})
        address = self.service("web")
        elsewhere = self.service("web2", annotations=dict(OPT_IN, **{POOL_KEY: "other"}))
        self.wait_for("first", address)
        self.wait_for("second", elsewhere)
        self.wait_for("internal", elsewhere)
        steadily("only the first has it", lambda: not self.small["second"].paths(address) and not self.small["internal"].paths(address), 2)
        self.advertise({"pools": [self.pool], "peers": ["second", self.router]})
        self.wait_for("second", address)
        self.wait_for_none("first", address)
        self.advertise()
        for name in self.small:
            self.wait_for(name, address)
        self.assert_no_flap()

    def test_a_service_says_it_for_itself(self):
        """Annotations of a Service: its routers only, its attributes before those of the pool; what can't be read is told."""
        self.advertise({"communities": ["64512:1"], "med": 5})
        self.service("other")
        address = self.service("web", annotations=dict(OPT_IN, **{KEY + "communities": "64512:2,nonsense", KEY + "med": "9",
                                                                     KEY + "peers": f"first,{self.router}"}))
        self.wait_for("first", address, communities=frozenset({(64512, 1), (64512, 2)}), med=9)
        self.wait_for_none("second", address)
        told = "nonsense"
        eventually("the Event", lambda: any(reason == "InvalidAnnotation" and told in text
                                            for reason, text in self.lab.events("Service", "web")))
        self.assert_no_flap()

    def test_services_by_label(self):
        """serviceSelector: what is said is said of the Services that it takes; a label that comes or goes is enough."""
        label = lambda value: self.lab.api.patch("services", "web", {"metadata": {"labels": {"tier": value}}})
        self.advertise({"communities": ["64512:1"], "serviceSelector": {"matchLabels": {"tier": "front"}}})
        address = self.service("web")
        self.wait_for("first", address, communities=frozenset())
        label("front")
        self.wait_for("first", address, communities=frozenset({(64512, 1)}))
        label(None)
        self.wait_for("first", address, communities=frozenset())
        self.assert_no_flap()

    def test_next_hops_by_label(self):
        """nodeSelector: only nodes that it takes are next hops, at the routers that it is about."""
        address = self.service("web")
        self.wait_for("first", address)
        self.advertise({"peers": ["first"], "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node2"}}},
                       {"peers": ["second", "internal", self.router]})
        only = {self.node("node2")}
        eventually("node2 alone", lambda: {path.next_hop for path in self.small["first"].paths(address)} == only)
        self.wait_for("second", address)
        self.advertise()
        self.wait_for("first", address)
        self.assert_no_flap()

    def test_aggregate(self):
        """aggregates: those routers get the prefix instead of the host routes, as long as one of its addresses is there."""
        self.advertise({"peers": ["first"], "aggregates": [self.aggregate]}, {"peers": ["second", "internal", self.router]})
        addresses = {self.service("web"), self.service("web2")}
        hops = {node: {self.node(hop) for hop in self.lab.cluster.nodes} for node in self.lab.cluster.nodes}
        has = lambda name: self.small[name].hops(self.family)
        eventually("the aggregate", lambda: has("first") == {self.aggregate: hops})
        eventually("host routes", lambda: has("second") == {address: hops for address in addresses})
        self.lab.api.delete("services", "web")
        eventually("one host route", lambda: len(has("second")) == 1)
        steadily("the aggregate stays", lambda: has("first") == {self.aggregate: hops}, 1)
        self.lab.api.delete("services", "web2")
        eventually("nothing", lambda: has("first") == {})
        self.assert_no_flap()

    def policy(self, text):
        put = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e2e-policy"}, "data": {"gobgp.conf": text}}
        if self.lab.api.find("configmaps", "e2e-policy", SPACE):
            self.lab.api.patch("configmaps", "e2e-policy", put, SPACE)
        else:
            self.lab.api.create("configmaps", put, SPACE)
            self.addCleanup(self.lab.api.delete, "configmaps", "e2e-policy", SPACE)

    def test_policy(self):
        """spec.policy: GoBGP's language, as in OpenELB; an edit is in force at once, a wrong one is told and changes nothing."""
        address, other = self.service("web"), self.service("web2")
        self.policy(POLICY.format(prefix=self.host(address), community="64512:40", neighbor=self.small["first"].address))
        self.advertise({"med": 5}, {"peers": ["first", "second", "internal", self.router], "communities": ["64512:9"]}, policy="e2e-policy")
        marked = frozenset({(64512, 9), (64512, 40)})
        self.wait_for("first", address, communities=marked, med=5)
        self.wait_for("first", other, communities=frozenset({(64512, 9)}))
        self.wait_for("second", address, communities=frozenset({(64512, 9)}))
        with self.lab.record() as recorder:
            self.policy("[[policy-definitions]]\nname = 7\n")
            said = lambda words: [text for _, text in self.lab.events("BgpConf", "default") if words in text]
            self.figure(eventually("the Event", lambda: said("spec.policy: line 2: policy-definitions[0].name"))[0])
            # Only gobgpd itself knows that this is no regular expression.
            self.policy(POLICY.format(prefix=self.host(address), community="64512:41", neighbor=self.small["first"].address) + """
[[defined-sets.bgp-defined-sets.as-path-sets]]
as-path-set-name = "wrong"
as-path-list = ["("]
""")
            self.figure(eventually("the other Event", lambda: said("gobgpd refuses it"))[0])
            steadily("the former policy", lambda: self.has("first", address, communities=marked), 1)
            self.policy(POLICY.format(prefix=self.host(other), community="64512:42", neighbor=self.small["first"].address))
            self.wait_for("first", other, communities=frozenset({(64512, 9), (64512, 42)}))
            self.wait_for("first", address, communities=frozenset({(64512, 9)}))
            self.assertEqual([event for event in recorder.events(address) if event.hops != {self.node(hop) for hop in self.berths}], [])
        self.advertise()
        self.wait_for("first", other, communities=frozenset())
        self.assert_no_flap()

    def test_policy_that_rejects(self):
        """default-export-policy: what no policy accepts is told to nobody; without the policy all is told again."""
        address, other = self.service("web"), self.service("web2")
        self.policy(POLICY.format(prefix=self.host(address), community="64512:40", neighbor=self.small["first"].address)
                    + 'default-export-policy = "reject-route"\n')
        self.advertise(policy="e2e-policy")
        self.wait_for("first", address, communities=frozenset({(64512, 40)}))
        self.wait_for_none("first", other)
        self.wait_for_none("second", address)
        self.advertise()
        self.wait_for("second", other)
        self.assert_no_flap()

    def test_engine_is_killed(self):
        """Who must not hear of an address does not hear of it while the engine is started anew."""
        self.advertise({"pools": [self.pool], "peers": ["first", self.router], "communities": ["64512:1"]})
        address = self.service("web")
        self.wait_for("first", address)
        process = self.berths["node1"]
        subprocess.run(["kill", "-9", str(process.engine())], check=True)
        eventually("new sessions", lambda: all(router.sessions().get("node1") not in (None, self.began[name]["node1"])
                                               for name, router in self.small.items()))
        self.wait_for("first", address, communities=frozenset({(64512, 1)}))
        self.assertEqual((self.small["second"].paths(address), self.small["internal"].paths(address)), ([], []))

    def test_drain(self):
        """`berth drain NODE`: its routes are marked first and then withdrawn, while the others stay; it comes back by --undo."""
        lab = self.lab
        address = self.service("web")
        self.wait_for("first", address)
        leaving = self.node("node2")
        argv = [lab.program, "drain", "node2", "--kubeconfig", lab.cluster.kubeconfig]
        self.addCleanup(lab.cluster.kubectl, "label", "node", "node2", EXCLUDE + "-")
        with lab.record(self.family) as recorder, lab.prober(address) as prober:
            process = lab.cluster.popen("control", argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.addCleanup(process.kill)
            marked = lambda: {path.next_hop for path in self.small["first"].paths(address) if GRACEFUL_SHUTDOWN in path.communities}
            eventually("the mark", lambda: marked() == {leaving} or process.poll() is not None, 5)
            self.assertIsNone(process.poll(), process.poll() is not None and process.communicate()[0])
            self.assertEqual({path.next_hop for path in self.small["first"].paths(address)}, lab.all_next_hops(self.family))
            said = process.communicate(timeout=30)[0]
            self.assertEqual(process.returncode, 0, said)
            self.assertIn("no speaker announces it", said)
            eventually("the withdrawal", lambda: {path.next_hop for path in self.small["first"].paths(address)}
                       == {self.node("node1")}, 1)
            self.assert_no_deletion(recorder, address)
        self.figure(prober.summary())
        conf = lab.api.get("bgpconfs", "default")["status"]["nodesConfStatus"]
        self.assertEqual({name: one["nextHops"] for name, one in conf.items()}, {"node1": ["node1"], "node2": ["node1"]})
        lab.cluster.run("control", [*argv, "--undo"])
        self.wait_for("first", address, communities=frozenset())
        self.assert_no_flap()

    def test_taint(self):
        """The taint of a node that is about to be removed: its routes are marked first and then withdrawn; without it they are back."""
        kubectl, taint = self.lab.cluster.kubectl, "ToBeDeletedByClusterAutoscaler"
        address, leaving = self.service("web"), self.node("node2")
        self.wait_for("first", address)
        self.addCleanup(kubectl, "taint", "node", "node2", f"{taint}-", check=False)
        kubectl("taint", "node", "node2", f"{taint}=soon:NoSchedule")
        marked = lambda: {path.next_hop for path in self.small["first"].paths(address) if GRACEFUL_SHUTDOWN in path.communities}
        eventually("the mark", lambda: marked() == {leaving}, 5)
        eventually("the withdrawal", lambda: {path.next_hop for path in self.small["first"].paths(address)} == {self.node("node1")}, 10)
        kubectl("taint", "node", "node2", f"{taint}-")
        self.wait_for("first", address, communities=frozenset())
        self.assert_no_flap()

    def test_nobody_listens(self):
        """listenPort -1: gobgpd has sessions, and listens nowhere."""
        for node in self.lab.cluster.nodes:
            sockets = self.lab.cluster.run(node, ["ss", "-Htnap"]).stdout.splitlines()
            mine = [line for line in sockets if f"pid={self.berths[node].engine()}," in line and '("berth"' not in line]
            states = {line.split()[0] for line in mine}
            self.assertIn("ESTAB", states)
            self.assertNotIn("LISTEN", states)

    def test_gobgpd_inherits_nothing(self):
        """gobgpd has no socket of Berth: not its pages' port, which a new Berth needs, nor connections to the API server."""
        def sockets(pid):
            links = (os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir())
            return {link for link in links if link.startswith("socket:")}
        for process in self.berths.values():
            self.assertEqual(sockets(process.engine()) & sockets(process.process.pid), set())

    def test_drain_of_nobody(self):
        """A node that is none, and a name that is none, are said to be so."""
        for name, words in (("nobody", "not found"), ("../secrets", "is not the name of a Node")):
            argv = [self.lab.program, "drain", name, "--kubeconfig", self.lab.cluster.kubeconfig]
            done = self.lab.cluster.run("control", argv, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)


class AdvertisementsIpv6(Advertisements):
    """The same of IPv6 addresses, by IPv6 sessions."""
    routers = ("frr",)
    family, pool, other_pool, router, aggregate = 6, "pool6", "2001:db8:53:1::/112", "router6", "2001:db8:53::/48"
    # Nothing of a family is in them.
    test_drain_of_nobody = test_engine_is_killed = test_nobody_listens = test_taint = test_services_by_label = None
    test_policy_that_rejects = test_gobgpd_inherits_nothing = None

    def setUp(self):
        super().setUp()
        self.lab.apply(eip("pool6", POOL6), bgp_peer("router6", ROUTER6))

    def service(self, name, annotations=OPT_IN):
        return self.lab.service(name, annotations={POOL_KEY: "pool6", **annotations}, ipFamilies=["IPv6"])
