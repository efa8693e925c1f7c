"""Every field of BgpConf and BgpPeer with BIRD and FRR: what a router sees of it, and that nobody else does.

All routers are there at once, each for one setting, and each test looks at its own: sessions, tables and connections are the routers'.
Berth runs on both nodes, so each router has two sessions with two next hops for each address. A session is the same as before if the
router never had another.
"""

import contextlib
import json
import pathlib
import re
import statistics
import time
import unittest

from harness import (ENGINE, GOBGPD, OPT_IN, POOL_KEY, SPACE, E2eTest, bgp_conf, bgp_peer, eip, eventually, only_with_gobgpd, service,
                     steadily)
from small_router import (SmallRouter, Trap, address_of, announce_without_end, answer_slowly, break_what_is_up,
                          change_all_the_time, reset, say_nothing, send_garbage, start_all)
from system import run

SECRET = "s3cr3t-of-the-peer-settings"
CNI_LABEL, RACK_LABEL = "openelb.kubesphere.io/cni", "openelb.kubesphere.io/rack"
ROUTER_KEY = "berth.kubesphere.io/e2e-router"
AS, LISTEN_PORT = 65001, 1790
GROUP = "fabric"
FAR = "198.18.0.4"     # on no net; the way there is by the lab's router
ANNOUNCED = ["0.0.0.0/0", "10.99.0.0/24", "203.0.113.200/32"]
BOTH = [{"config": {"family": {"afi": afi, "safi": "SAFI_UNICAST"}, "enabled": True}, "addPaths": {"config": {"sendMax": 10}}}
        for afi in ("AFI_IP", "AFI_IP6")]

# Name, the last number of its address, what it is (SmallRouter), and what its BgpPeer has besides address and AS number
# (None: it has none of its own).
ROUTERS = [
    ("plain", 101, {}, {}),
    ("locked", 102, {"password": SECRET}, {"conf": {"authPassword": SECRET}}),
    ("wrong-password", 103, {"password": SECRET + "?"}, {"conf": {"authPassword": SECRET}}),
    ("far", 104, {"loopback": FAR, "multihop": 9}, {"ebgpMultihop": {"enabled": True, "multihopTtl": 9}}),
    ("dials", 105, {"dial": LISTEN_PORT}, {"transport": {"passiveMode": True}}),
    ("port", 106, {"port": 1179}, {"transport": {"remotePort": 1179}}),
    ("timers", 107, {}, {"timers": {"config": {"connectRetry": "1", "holdTime": "12", "keepaliveInterval": "1"}}}),
    ("mss", 108, {}, {"transport": {"tcpMss": 1000}}),
    ("local-as", 109, {}, {"conf": {"localAs": 65099}}),
    ("internal", 110, {"as_number": AS, "internal": True}, {}),
    ("as-path", 111, {}, {"conf": {"removePrivateAs": "ALL", "replacePeerAs": True, "allowOwnAs": 3}}),
    ("six", 112, {"family": 6}, {}),
    ("both", 113, {}, {"afiSafis": BOTH}),
    ("selected", 114, {}, {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node2"}}}),
    ("labelled", 115, {}, {"labels": {CNI_LABEL: "calico"}}),
    ("elsewhere", 116, {}, {"conf": {"neighborAddress": "198.18.0.99"}, "transport": {"remoteAddress": address_of(116)}}),
    ("changing", 117, {}, {}),
    ("announcer", 118, {"announces": ANNOUNCED}, {}),
    ("secret", 120, {"password": SECRET}, {"conf": {"passwordSecret": {"name": "secret-router"}}}),
    ("annotated", 121, {}, {"conf": {"neighborAddress": "", "neighborAddressAnnotation": ROUTER_KEY}}),
    ("source", 122, {"from": 222}, {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node1"}},
                                    "transport": {"localAddress": address_of(222)}}),
    ("through", 123, {}, {"transport": {"bindInterface": "eth0"}}),
    ("near", 124, {"near": True}, {"ttlSecurity": {"enabled": True}}),
    ("extended", 125, {"extended": True}, {}),
    ("patient", 126, {}, {"gracefulRestart": {"enabled": True, "restartTime": 77, "deferralTime": 1}}),
    ("impatient", 127, {}, {"gracefulRestart": {"enabled": False}}),
    ("grouped", 128, {"password": SECRET}, {"conf": {"peerAs": 0, "peerGroup": GROUP}}),
    # A range of eight addresses.
    ("called", 241, {"dial": LISTEN_PORT, "as_number": 65229}, {"conf": {"neighborAddress": f"{address_of(240)}/29"}}),
    ("called-too", 242, {"dial": LISTEN_PORT, "as_number": 65229}, None),
    ("single", 119, {}, {"afiSafis": [{"config": {"family": {"afi": "AFI_IP", "safi": "SAFI_UNICAST"}, "enabled": True}}]}),
]


def peer_of(router, more):
    """The BgpPeer for a router."""
    more = json.loads(json.dumps(more))
    labels, conf = more.pop("labels", {}), more.pop("conf", {})
    # A gobgpd that was started anew does not wait long for routers of whom nothing comes.
    spec = {"timers": {"config": {"connectRetry": "1"}}, "gracefulRestart": {"deferralTime": 1}, **more,
            "conf": {"neighborAddress": router.address, "peerAs": router.as_number, **conf}}
    return dict(bgp_peer(), metadata={"name": router.name, "labels": labels}, spec=spec)


class PeerSettings(E2eTest):
    routers = ("bird", "frr")
    berth = "processes"

    # -- once for all tests

    @classmethod
    def setUpClass(cls):
        lab = cls.lab
        cls.some_nodes = {"wrong-password": set(), "labelled": set(), "elsewhere": set(), "selected": {"node2"},
                          "source": {"node1"}}   # not all of them
        cls.start_berths()
        cls.small = {}
        cls.addClassCleanup(cls.remove)
        lab.api.create("secrets", cls.secret(SECRET), SPACE)
        for node in lab.cluster.nodes:
            lab.api.patch("nodes", node, {"metadata": {"annotations": {ROUTER_KEY: address_of(121)}}})
        lab.cluster.run("node1", ["ip", "address", "replace", f"{address_of(222)}/24", "dev", "eth0"])
        lab.cluster.run("router", ["ip", "route", "replace", FAR, "via", address_of(104)])
        cls.small = {name: SmallRouter(lab.cluster, name, number, **settings) for name, number, settings, _ in ROUTERS}
        start_all(cls.small.values())
        peers = [peer_of(cls.small[name], more) for name, _, _, more in ROUTERS if more is not None]
        peers.append({**bgp_peer(), "metadata": {"name": GROUP}, "spec": {
            "conf": {"peerAs": cls.small["grouped"].as_number, "authPassword": SECRET}, "timers": {"config": {"holdTime": "15"}}}})
        lab.apply(cls.conf(), eip("pool6", "2001:db8:53::/112"), *peers)
        for name in ("a", "b", "c"):
            lab.api.create("services", service(name))
        lab.api.create("services", service("six", annotations=dict(OPT_IN, **{POOL_KEY: "pool6"}), ipFamilies=["IPv6"]))
        cls.addresses = {4: {lab.address(name) for name in ("a", "b", "c")}, 6: {lab.address("six")}}

    @classmethod
    def remove(cls):
        lab = cls.lab
        for router in cls.small.values():
            router.stop()
        lab.cluster.run("router", ["ip", "route", "delete", FAR], check=False)
        lab.api.delete("secrets", "secret-router", SPACE)
        for node in lab.cluster.nodes:
            lab.api.patch("nodes", node, {"metadata": {"annotations": {ROUTER_KEY: None}}})
        lab.cluster.run("node1", ["ip", "address", "delete", f"{address_of(222)}/24", "dev", "eth0"], check=False)
        lab.clear()
        for peer in lab.api.list("bgppeers"):
            if peer["metadata"]["name"] != "router":
                lab.api.delete("bgppeers", peer["metadata"]["name"])
        lab.api.patch("bgpconfs", "default", {"spec": {"useMultiplePaths": None}})
        lab.apply(bgp_conf())

    @staticmethod
    def conf(**more):
        return bgp_conf(listenPort=LISTEN_PORT, asPerRack={"a": 65011}, **more)

    @staticmethod
    def secret(password):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret-router"}, "type": "kubernetes.io/basic-auth",
                "stringData": {"username": "", "password": password}}

    def setUp(self):
        """As it was before: every session that should be is there."""
        try:
            eventually("all sessions", lambda: not self.missing(), 30)
        except AssertionError as error:
            raise AssertionError(f"{error}; missing: {self.missing()}") from None
        self.engines = {node: process.engine() for node, process in self.berths.items()}

    # -- what tests ask

    def nodes_of(self, name):
        """With which nodes the router has a session."""
        return self.some_nodes.get(name, set(self.lab.cluster.nodes))

    def missing(self):
        """Sessions that should be there: {router: nodes}."""
        return {name: nodes for name, router in self.small.items() if (nodes := self.nodes_of(name) - router.up())}

    def sessions(self, name):
        return self.small[name].sessions()

    def wait_for_sessions(self, name, nodes=None, seconds=15):
        nodes = set(self.lab.cluster.nodes if nodes is None else nodes)
        return eventually(f"sessions of router {name} with {', '.join(sorted(nodes)) or 'nobody'}",
                          lambda: self.small[name].up() == nodes and (self.sessions(name) or True), seconds)

    def wait_for_routes(self, name, family=4, nodes=None, addresses=None, seconds=15):
        """Until the router has all addresses from each of the nodes, with the next hops of all nodes, and no others."""
        hops = {self.lab.cluster.address(node, family) for node in self.lab.cluster.nodes}
        wanted = {address: {node: hops for node in nodes or self.lab.cluster.nodes} for address in addresses or self.addresses[family]}
        router = self.small[name]
        try:
            eventually(f"routes of router {name}", lambda: router.hops(family) == wanted, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it has {router.hops(family)}, and should have {wanted}") from None
        return [path for paths in router.routes(family).values() for path in paths]

    def change(self, name, spec, **metadata):
        """Changes fields of the router's BgpPeer; None takes one out."""
        self.lab.api.patch("bgppeers", name, {"metadata": metadata, "spec": spec})

    def change_conf(self, **spec):
        self.lab.api.patch("bgpconfs", "default", {"spec": spec})

    @contextlib.contextmanager
    def others_stay(self, *concerned):
        """Every other router has the same sessions afterwards, and both engines are the same processes."""
        def now():
            return {name: {node: session.number for node, session in router.sessions().items()}
                    for name, router in self.small.items() if name not in concerned}
        before = now()
        yield
        self.assertEqual(now(), before)
        self.assertEqual({node: process.engine() for node, process in self.berths.items()}, self.engines)

    def without_session(self, name, seconds=2.5):
        """Nothing comes of the attempts, of which there is one each two seconds."""
        steadily(f"no session of router {name}", lambda: not self.small[name].up(), seconds)

    def status(self, name):
        return self.lab.api.get("bgppeers", name).get("status", {}).get("nodesPeerStatus", {})

    def told(self, kind, name, *words):
        """Waits for an Event of the object with these words."""
        return eventually(f"an Event of {kind} {name} with {words}",
                          lambda: [text for _, text in self.lab.events(kind, name) if all(word in text for word in words)], 10)[0]

    def gobgp(self, node, *words):
        """What gobgpd's own command line tool says, as JSON."""
        sockets = pathlib.Path(self.berths[node].folder).rglob("gobgpd.sock")
        return json.loads(run([GOBGPD.with_name("gobgp"), "--target", f"unix://{next(sockets)}", "-j", *words]).stdout or "null")

    def table(self, node):
        """IPv4 prefixes in the engine's table."""
        if ENGINE == "gobgpd":
            return set(self.gobgp(node, "global", "rib"))
        return set(re.findall(r"^(\d\S+)", self.berths[node].bird("show route table master4"), re.M))

    def memory(self):
        """Resident memory in MB: {"berth": of the larger one, "engine": of the larger one}"""
        def of(pid):
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            return int(next((line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:")), 0)) / 1024   # none: it ends
        return {"berth": max(of(process.process.pid) for process in self.berths.values()),
                "engine": max(of(process.engine()) for process in self.berths.values())}

    def new_service_is_announced(self, *names):
        """Routers hear of a new Service, and that it is gone. Returns how long each of the two took, in seconds."""
        self.lab.api.create("services", service("new"))
        address, waits = self.lab.address("new"), []
        for addresses in (self.addresses[4] | {address}, self.addresses[4]):
            began = time.monotonic()
            for name in names:
                self.wait_for_routes(name, nodes=self.nodes_of(name), addresses=addresses)
            waits.append(time.monotonic() - began)
            self.lab.api.delete("services", "new")
        return waits

    # -- the stories: one peer

    @unittest.skipUnless(ENGINE == "bird", "gobgpd can do all of it")
    def test_what_bird_can_not_do(self):
        """A field that BIRD has nothing for is told by an Event of its BgpPeer; the session is there."""
        self.figure(self.told("BgpPeer", "mss", "spec.transport.tcpMss has no effect", "BIRD"))
        self.figure(self.told("BgpPeer", "through", "spec.transport.bindInterface has no effect", "BIRD"))
        self.addCleanup(self.change_conf, listenAddresses=None)
        self.change_conf(listenAddresses=["127.0.0.1"])
        self.figure(self.told("BgpConf", "default", "spec.listenAddresses has no effect", "BIRD"))
        self.wait_for_routes("mss")

    def test_password(self):
        """authPassword: with the router's password there is a session, and routes."""
        self.wait_for_routes("locked")

    def test_wrong_password(self):
        """authPassword: with another password there is no session, others stay, and it is shown nowhere; the right one helps."""
        with self.others_stay("wrong-password"):
            self.without_session("wrong-password")
            states = eventually("status", lambda: self.status("wrong-password"))
            self.assertEqual(set(states), set(self.lab.cluster.nodes))
            for state in states.values():
                self.assertIn(state["peerState"]["sessionState"], ("IDLE", "CONNECT", "ACTIVE"))
            state = json.loads(self.lab.page("node1", "/debug/state")[1])["actual"]["bgp"]["sessions"]
            why = next(one["lastError"] for one in state if one["neighbor"] == self.small["wrong-password"].address)
            self.assertIn("a password that is not the router's looks the same", why)
            shown = [self.lab.berth_log(), json.dumps([peer.get("status") for peer in self.lab.api.list("bgppeers")]),
                     json.dumps(self.lab.api.list("events")), *(self.lab.page(node, path)[1] for node in self.berths
                                                                for path in ("/metrics", "/readyz", "/debug/state"))]
            for text in shown:
                self.assertNotIn(SECRET, text)
            self.change("wrong-password", {"conf": {"authPassword": SECRET + "?"}})
            self.addCleanup(self.wait_for_sessions, "wrong-password", [])
            self.addCleanup(self.change, "wrong-password", {"conf": {"authPassword": SECRET}})
            self.wait_for_routes("wrong-password")

    def test_password_secret(self):
        """passwordSecret: the session has the password of the Secret; another one is in force at once; without one the session stays."""
        self.wait_for_routes("secret")
        put = lambda password: self.lab.api.patch("secrets", "secret-router", {"stringData": {"password": password}}, SPACE)
        with self.others_stay("secret"):
            put("another")
            self.addCleanup(self.wait_for_sessions, "secret")
            self.addCleanup(put, SECRET)
            self.wait_for_sessions("secret", [])
            self.without_session("secret")
            put(SECRET)
            self.wait_for_routes("secret")
        sessions = self.sessions("secret")
        self.lab.api.delete("secrets", "secret-router", SPACE)
        self.addCleanup(self.lab.api.create, "secrets", self.secret(SECRET), SPACE)
        self.figure(self.told("BgpPeer", "secret", "passwordSecret", "there is no Secret"))
        steadily("the session stays", lambda: self.sessions("secret") == sessions, 1)
        self.assertNotIn(SECRET, self.lab.berth_log())

    def test_neighbor_address_of_an_annotation(self):
        """neighborAddressAnnotation: each node's router is in its Node's annotation; without it there is none, and an Event says so."""
        self.wait_for_routes("annotated")
        put = lambda value: self.lab.api.patch("nodes", "node2", {"metadata": {"annotations": {ROUTER_KEY: value}}})
        with self.others_stay("annotated"):
            put("198.18.0.77")
            self.addCleanup(self.wait_for_sessions, "annotated")
            self.addCleanup(put, address_of(121))
            self.wait_for_sessions("annotated", ["node1"])
            put(None)
            self.figure(self.told("BgpPeer", "annotated", "node2", f'has no annotation "{ROUTER_KEY}"'))

    def test_local_address(self):
        """localAddress: the connection comes from it, and the next hops are as ever."""
        self.wait_for_routes("source", nodes=["node1"])
        self.assertEqual(set(self.small["source"].connections()), {"node1"})   # by its source address

    @only_with_gobgpd
    def test_bind_interface(self):
        """bindInterface: through that interface there is a session; through another there is none, and it is said why it may be."""
        self.wait_for_routes("through")
        with self.others_stay("through"):
            self.change("through", {"transport": {"bindInterface": "lo"}})
            self.addCleanup(self.wait_for_sessions, "through")
            self.addCleanup(self.change, "through", {"transport": {"bindInterface": "eth0"}})
            self.wait_for_sessions("through", [])
            self.without_session("through")
            state = json.loads(self.lab.page("node1", "/debug/state")[1])["actual"]["bgp"]["sessions"]
            why = next(one["lastError"] for one in state if one["neighbor"] == self.small["through"].address)
            self.assertIn("through lo", why)

    def test_ttl_security(self):
        """ttlSecurity: a router that drops packets from afar has a session; without it there is none."""
        self.wait_for_routes("near")
        with self.others_stay("near"):
            self.change("near", {"ttlSecurity": None})
            self.addCleanup(self.wait_for_sessions, "near")
            self.addCleanup(self.change, "near", {"ttlSecurity": {"enabled": True}})
            self.wait_for_sessions("near", [], 30)

    def test_maximum_prefixes(self):
        """maximumPrefixes: who sends more is cut off, and told why; with a higher limit the session is back."""
        with self.others_stay("announcer"):
            self.change("announcer", {"conf": {"maximumPrefixes": 2}})
            self.addCleanup(self.wait_for_sessions, "announcer")
            self.addCleanup(self.change, "announcer", {"conf": {"maximumPrefixes": None}})
            self.wait_for_sessions("announcer", [])
            self.figure(self.told("BgpPeer", "announcer", "more routes than maximumPrefixes"))
            self.change("announcer", {"conf": {"maximumPrefixes": 3}})
            self.wait_for_routes("announcer", seconds=20)

    def test_families_of_conf(self):
        """families of the BgpConf: peers that name none have these; those that do have their own."""
        self.change_conf(families=[0, 1])
        self.addCleanup(eventually, "no IPv6 routes", lambda: not self.small["plain"].routes(6), 20)
        self.addCleanup(self.change_conf, families=None)
        self.wait_for_routes("plain", 6, seconds=20)
        self.wait_for_routes("plain", 4)
        self.assertEqual(self.small["single"].routes(6), {})

    @only_with_gobgpd
    def test_extended_next_hops(self):
        """extendedNextHops (RFC 8950): a node without an IPv4 address is an IPv6 next hop of IPv4 addresses, for routers that take it."""
        only6 = address_of(77, 6)
        self.lab.api.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "only6"}})
        self.addCleanup(self.wait_for_routes, "extended")
        self.addCleanup(self.change_conf, extendedNextHops=None)
        self.addCleanup(self.lab.api.delete, "nodes", "only6")
        self.lab.cluster.kubectl("patch", "node", "only6", "--subresource=status", "--type=merge", "-p", json.dumps({"status": {
            "addresses": [{"type": "InternalIP", "address": only6}], "conditions": [{"type": "Ready", "status": "True"}]}}))
        hops = {self.lab.cluster.address(node) for node in self.lab.cluster.nodes}
        with self.others_stay():
            steadily("no IPv6 next hop", lambda: self.small["extended"].hops() == {
                address: {node: hops for node in self.lab.cluster.nodes} for address in self.addresses[4]}, 1)
            self.change_conf(extendedNextHops=True)
            eventually("the IPv6 next hop", lambda: self.small["extended"].hops() == {
                address: {node: hops | {only6} for node in self.lab.cluster.nodes} for address in self.addresses[4]})

    def test_multihop(self):
        """ebgpMultihop: a router behind another is reached; without it there is no session."""
        self.wait_for_routes("far")
        with self.others_stay("far"):
            self.change("far", {"ebgpMultihop": None})
            self.wait_for_sessions("far", [])
            self.without_session("far")
            self.change("far", {"ebgpMultihop": {"enabled": True, "multihopTtl": 2}})
            self.wait_for_routes("far")

    def test_passive(self):
        """transport.passiveMode and listenPort of the BgpConf: Berth waits, the router dials."""
        self.wait_for_routes("dials")
        connections = self.small["dials"].connections()
        self.assertEqual(set(connections), set(self.lab.cluster.nodes))
        for connection in connections.values():
            self.assertEqual(connection["remote_port"], LISTEN_PORT)
            self.assertNotEqual(connection["local_port"], 179)

    def test_range_of_neighbors(self):
        """neighborAddress with a prefix: the routers of it that connect are peers; an edit is for all of them; one goes and comes back."""
        routers = ("called", "called-too")
        for name in routers:
            self.wait_for_routes(name)
        with self.others_stay(*routers):
            self.change("called", {"conf": {"localAs": 65096}})
            self.addCleanup(self.change, "called", {"conf": {"localAs": None}})
            for name in routers:
                eventually("AS 65096", lambda: [one.peer_as for one in self.sessions(name).values()] == [65096, 65096])   # noqa: B023
                self.wait_for_routes(name)
        with self.others_stay("called-too"):
            self.small["called-too"].kill()
            self.told("BgpPeer", "called", f"session with {self.small['called-too'].address} is down")
            self.small["called-too"].start().wait()
            self.wait_for_routes("called-too")
        self.assertEqual({one["peerState"]["sessionState"] for one in self.status("called").values()}, {"ESTABLISHED"})
        shown = json.loads(self.lab.page("node1", "/debug/state")[1])["desired"]["bgp"]
        addresses = {one["neighbor"] for one in shown["peers"] if one["object"] == "called"}
        self.assertEqual(addresses, {self.small[name].address for name in routers})

    def test_remote_port(self):
        """transport.remotePort: the router listens at another port than 179."""
        self.wait_for_routes("port")
        connections = self.small["port"].connections()
        self.assertEqual({node: connection["local_port"] for node, connection in connections.items()}, {"node1": 1179, "node2": 1179})

    def test_remote_address(self):
        """transport.remoteAddress: GoBGP connects to neighborAddress all the same, and an Event says so."""
        self.figure(self.told("BgpPeer", "elsewhere", "remoteAddress", "has no effect"))
        self.assertEqual(self.small["elsewhere"].up(), set())

    def test_timers(self):
        """timers: the router is held to the hold time, and gets a KEEPALIVE as often as was asked for."""
        for session in self.sessions("timers").values():
            self.assertEqual((session.hold, session.keepalive), (12, 4))   # a third of the hold time is the router's own choice
        for session in self.sessions("plain").values():
            self.assertEqual(session.hold, 90)
        received = lambda: self.small["timers"].connections()["node1"]["bytes_received"]
        before = received()
        # Five of 19 bytes. If they came every four seconds, a third of the hold time, it would take 16.
        eventually("five KEEPALIVE messages", lambda: received() >= before + 5 * 19, 12)

    def test_timers_change(self):
        """timers: another hold time is in force from the next session on; the one that is up is not ended for it, but by BIRD."""
        self.addCleanup(self.change, "changing", {"timers": {"config": {"holdTime": None}}, "conf": {"adminDown": False}})
        with self.others_stay(*(["changing"] if ENGINE == "bird" else [])):
            self.change("changing", {"timers": {"config": {"holdTime": "21"}}})
            self.new_service_is_announced("changing")   # heard after it
        self.change("changing", {"conf": {"adminDown": True}})
        self.wait_for_sessions("changing", [])
        self.change("changing", {"conf": {"adminDown": False}})
        self.wait_for_sessions("changing")
        self.assertEqual([one.hold for one in self.sessions("changing").values()], [21, 21])

    def test_graceful_restart(self):
        """gracefulRestart of a BgpPeer: the router hears the restart time, or that there is no graceful restart."""
        for name, seconds in (("patient", 77), ("impatient", None), ("plain", 120)):
            self.assertEqual({self.small[name].restart_time(node) for node in self.lab.cluster.nodes}, {seconds}, name)

    @only_with_gobgpd
    def test_tcp_mss(self):
        """transport.tcpMss: the router sends no larger segments."""
        for connection in self.small["mss"].connections().values():
            self.assertLessEqual(connection["mss"], 1000)
            self.assertGreater(connection["mss"], 900)   # options take some
        for connection in self.small["plain"].connections().values():
            self.assertGreater(connection["mss"], 1000)

    def test_local_as(self):
        """conf.localAs: this router sees that AS, in the session and as the whole AS path; others see the BgpConf's."""
        for name, number in (("local-as", 65099), ("plain", AS)):
            self.assertEqual({session.peer_as for session in self.sessions(name).values()}, {number})
            self.assertEqual({path.as_path for path in self.wait_for_routes(name)}, {(number,)})

    def test_internal(self):
        """A router of our own AS (iBGP): nodes are the next hops, LOCAL_PREF is there, the AS path is empty."""
        self.assertEqual({session.peer_as for session in self.sessions("internal").values()}, {AS})
        self.assertEqual({(path.as_path, path.local_pref) for path in self.wait_for_routes("internal")}, {((), 100)})

    def test_as_path(self):
        """removePrivateAs, replacePeerAs and allowOwnAs are about routes that come from others: ours have our AS in their path, always."""
        self.assertEqual({path.as_path for path in self.wait_for_routes("as-path")}, {(AS,)})

    def test_remove_private_as_of_internal(self):
        """removePrivateAs of an iBGP session makes no sense: it is told, the session stays, and nobody waits for it."""
        self.addCleanup(self.change, "internal", {"conf": {"removePrivateAs": None}})
        with self.others_stay():
            self.change("internal", {"conf": {"removePrivateAs": "ALL"}})
            waits = [wait for _ in range(5) for wait in self.new_service_is_announced("plain", "internal")]   # longer and longer?
            self.figure(f"a Service's route came or went after {statistics.median(waits):.2f} s, at most {max(waits):.2f} s")
            self.assertLess(statistics.median(waits), 1)
            self.figure(self.told("BgpPeer", "internal", "removePrivateAs"))

    def test_admin_down(self):
        """conf.adminDown: the session ends and its routes go; with false both are back."""
        with self.others_stay("changing"):
            self.addCleanup(self.change, "changing", {"conf": {"adminDown": False}})
            self.change("changing", {"conf": {"adminDown": True}})
            self.wait_for_sessions("changing", [])
            eventually("routes gone", lambda: not self.small["changing"].routes())
            eventually("status DOWN", lambda: {one["peerState"]["adminState"] for one in self.status("changing").values()} == {"DOWN"})
            self.without_session("changing")
            self.change("changing", {"conf": {"adminDown": False}})
            self.wait_for_routes("changing")

    def test_one_peer_changes(self):
        """A change of one BgpPeer is a new session with that router, and with no other. A description is not even that."""
        with self.others_stay("changing"):
            self.change("plain", {"conf": {"description": "the router in the cellar"}})
            self.change("changing", {"conf": {"localAs": 65098}})   # heard after the description
            eventually("AS 65098", lambda: [one.peer_as for one in self.sessions("changing").values()] == [65098, 65098])
            self.assertEqual({path.as_path for path in self.wait_for_routes("changing")}, {(65098,)})

    def test_peer_group(self):
        """peerGroup: what a BgpPeer leaves out is as its group says; an edit there is one of its routers', which kubectl shows."""
        self.assertEqual({session.hold for session in self.wait_for_sessions("grouped").values()}, {15})
        self.assertEqual(self.status(GROUP), {})
        with self.others_stay("grouped"):
            self.change(GROUP, {"conf": {"localAs": 65097}})
            self.addCleanup(self.change, GROUP, {"conf": {"localAs": None}})
            eventually("AS 65097", lambda: [one.peer_as for one in self.sessions("grouped").values()] == [65097, 65097])
            self.wait_for_routes("grouped")
        self.assertEqual({one["peerState"]["peerGroup"] for one in self.status("grouped").values()}, {GROUP})
        columns = lambda: self.lab.cluster.kubectl("get", "bgppeers", "grouped", "-o", "wide", "--no-headers").split()
        eventually("SESSIONS and PREFIXES", lambda: [columns()[at] for at in (3, 5, 6)] == ["2/2", str(len(self.addresses[4])), GROUP])
        self.figure(" ".join(columns()))
        self.assertRegex(columns()[4], r"^\d+[ms]")

    def test_ipv6_session(self):
        """A router with an IPv6 address gets IPv6 routes with IPv6 next hops, and nothing else."""
        self.wait_for_routes("six", 6)
        self.assertEqual(self.small["six"].routes(4), {})

    def test_ipv6_over_ipv4(self):
        """afiSafis with both families over an IPv4 session: IPv6 routes have IPv6 next hops."""
        self.wait_for_routes("both", 6)
        self.wait_for_routes("both", 4)
        self.assertEqual(self.small["plain"].routes(6), {})

    def test_single_path(self):
        """afiSafis without addPaths: one next hop for each address."""
        hops = self.small["single"].hops()
        self.assertEqual(set(hops), self.addresses[4])
        for of_session in hops.values():
            self.assertEqual({node: len(found) for node, found in of_session.items()}, {"node1": 1, "node2": 1})

    def test_node_selector(self):
        """nodeSelector: only the node that it selects has a session; another selection moves it."""
        self.wait_for_routes("selected", nodes=["node2"])
        select = lambda node: self.change("selected", {"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": node}}})
        with self.others_stay("selected"):
            select("node1")
            self.some_nodes["selected"] = {"node1"}
            self.wait_for_sessions("selected", ["node1"])
            self.wait_for_routes("selected", nodes=["node1"])
            eventually("one status", lambda: set(self.status("selected")) == {"node1"})

    def test_cni_label(self):
        """A BgpPeer with the label of a CNI is not ours: no session; without the label there is one; with it, it ends."""
        with self.others_stay("labelled"):
            self.without_session("labelled", 1)
            self.assertEqual(self.status("labelled"), {})
            self.change("labelled", {}, labels={CNI_LABEL: None})
            self.addCleanup(self.change, "labelled", {}, labels={CNI_LABEL: "calico"})
            self.wait_for_routes("labelled")
            self.change("labelled", {}, labels={CNI_LABEL: "calico"})
            self.wait_for_sessions("labelled", [])
            eventually("no status", lambda: not self.status("labelled"))

    @contextlib.contextmanager
    def with_another_as(self, number):
        """The router `changing` is started anew with another AS, and in the end with its own."""
        router = self.small["changing"]
        former = router.as_number

        def start_as(number):
            router.kill()
            router.as_number = number
            router.start().wait()
        self.addCleanup(lambda: router.as_number == former or start_as(former))
        start_as(number)
        yield
        start_as(former)
        self.wait_for_sessions("changing", seconds=30)
        self.wait_for_routes("changing")

    def test_router_changes_its_as(self):
        """A router comes back with another AS: no session, others stay, memory too; with the former one it is back, with all routes."""
        before = self.memory()
        with self.others_stay("changing"):
            with self.with_another_as(65299):
                self.without_session("changing", 8)   # there were some attempts
                self.new_service_is_announced("plain")
        for program, megabytes in self.memory().items():
            self.assertLess(megabytes - before[program], 20)

    def test_wrong_as_is_told(self):
        """A router with another AS than its BgpPeer says: lastError, `berth bgp` and an Event speak of the AS that was expected."""
        neighbor, words = self.small["changing"].address, ("AS", str(self.small["changing"].as_number))   # gobgpd keeps the other to itself
        with self.with_another_as(65299):
            told = lambda text: all(word in (text or "") for word in words)
            try:
                eventually("it is told", lambda: told(self.last_error("node1", neighbor)), 20)
            except AssertionError as error:
                raise AssertionError(f"{error}; lastError: {self.last_error('node1', neighbor)}") from None
            self.figure(self.last_error("node1", neighbor))
            argv = [self.lab.program, "bgp", "--run-dir", self.berths["node1"].folder]
            line = next(line for line in self.lab.cluster.run("node1", argv).stdout.splitlines() if neighbor in line)
            self.assertTrue(told(line), line)
            self.figure(self.told("BgpPeer", "changing", *words))

    def last_error(self, node, neighbor):
        """Of the node's session with a router; None if there is no such session."""
        state = json.loads(self.lab.page(node, "/debug/state")[1])["actual"]["bgp"]["sessions"]
        return next((one["lastError"] for one in state if one["neighbor"] == neighbor), None)

    # -- BgpConf

    def test_cni_label_of_conf(self):
        """A BgpConf `default` with the label of a CNI is not ours: no session at all; without the label all are back, with all routes."""
        label = lambda value: self.lab.api.patch("bgpconfs", "default", {"metadata": {"labels": {CNI_LABEL: value}}})
        label("calico")
        self.addCleanup(label, None)
        for name in ("plain", "internal", "six"):
            self.wait_for_sessions(name, [])
        label(None)
        for name in ("plain", "internal"):
            self.wait_for_routes(name)
        self.wait_for_routes("six", 6)

    def test_as_of_conf(self):
        """Another `as`: every router sees it, and has all routes again."""
        self.change_conf(**{"as": 65002})
        self.addCleanup(self.wait_for_routes, "internal")
        self.addCleanup(self.change_conf, **{"as": AS})
        for name in ("plain", "dials", "far"):
            eventually(f"AS 65002 at router {name}", lambda: [one.peer_as for one in self.sessions(name).values()] == [65002, 65002], 20)
            self.assertEqual({path.as_path for path in self.wait_for_routes(name)}, {(65002,)})

    @unittest.skipUnless(ENGINE == "gobgpd", "BIRD has nothing to do for it")
    def test_multiple_paths(self):
        """useMultiplePaths: gobgpd is started anew and routers have all routes again; one with graceful restart lost none meanwhile."""
        before = {name: self.sessions(name) for name in ("plain", "locked", "internal")}
        self.change_conf(useMultiplePaths=True)
        with self.lab.record() as recorder:
            for name, sessions in before.items():
                eventually(f"new sessions of router {name}", lambda: all(
                    session != sessions[node] for node, session in self.wait_for_sessions(name).items()), 20)
                self.wait_for_routes(name)
            for address in self.addresses[4]:
                self.lab.wait_for_hops(address, self.lab.all_next_hops())
                self.assert_no_deletion(recorder, address)

    @only_with_gobgpd
    def test_listen_addresses(self):
        """listenAddresses: gobgpd listens there and nowhere else; who is dialled has all routes again."""
        def listens(node):
            text = self.lab.cluster.run(node, ["ss", "-Hltn", "sport", "=", f":{LISTEN_PORT}"]).stdout
            return {line.split()[3] for line in text.splitlines()}
        self.addCleanup(self.wait_for_routes, "dials")
        self.addCleanup(self.change_conf, listenAddresses=None)
        self.change_conf(listenAddresses=["127.0.0.1"])
        for node in self.lab.cluster.nodes:
            eventually("one address", lambda node=node: listens(node) == {f"127.0.0.1:{LISTEN_PORT}"})
        for name in ("plain", "internal"):
            self.wait_for_routes(name)
        self.wait_for_sessions("dials", [])

    def test_router_id(self):
        """routerId in a cluster of several nodes: an Event says why not, routers see each node's own, no session ends."""
        self.addCleanup(self.change_conf, routerId=None)
        with self.others_stay():
            self.change_conf(routerId="192.0.2.1")
            self.figure(self.told("BgpConf", "default", "spec.routerId 192.0.2.1", "leave the field empty"))
            for name in ("plain", "six"):
                self.assertEqual({node: session.router_id for node, session in self.sessions(name).items()},
                                 {node: self.lab.cluster.address(node) for node in self.lab.cluster.nodes})

    def test_rack(self):
        """asPerRack: a node of a rack has the rack's AS, and announces nodes of its rack alone; other nodes are as they were."""
        def put(rack):
            self.lab.api.patch("nodes", "node1", {"metadata": {"labels": {RACK_LABEL: rack}}})
        before, mine, other = self.sessions("plain"), self.lab.cluster.address("node1"), self.lab.all_next_hops()
        put("a")
        self.addCleanup(self.wait_for_routes, "internal")
        self.addCleanup(put, None)
        eventually("AS 65011", lambda: (one := self.small["plain"].session("node1")) and one.peer_as == 65011, 20)
        wanted = {address: {"node1": {mine}, "node2": set(other)} for address in self.addresses[4]}
        eventually("next hops of the rack", lambda: self.small["plain"].hops() == wanted)
        paths = {(path.node, path.as_path) for paths in self.small["plain"].routes().values() for path in paths}
        self.assertEqual(paths, {("node1", (65011,)), ("node2", (AS,))})
        self.assertEqual(self.small["plain"].session("node2"), before["node2"])

    # -- many at once

    def test_every_router_has_every_route(self):
        """All routers have all addresses with all next hops, and hear of a new Service and of its end."""
        names = [name for name in self.small if self.nodes_of(name) and name not in ("six", "single")]
        with self.others_stay():
            self.new_service_is_announced(*names)
        self.wait_for_routes("six", 6)
        for address in self.addresses[4]:
            self.lab.wait_for_hops(address, self.lab.all_next_hops())   # the lab's router, in its kernel

    def test_nothing_is_imported(self):
        """What a router announces (a default route, a load balancer's address) is neither kept nor passed on nor used."""
        for node in self.lab.cluster.nodes:
            eventually(f"announced to {node}", lambda: self.small["announcer"].sent(node) == len(ANNOUNCED))
            eventually(f"heard by {node}", lambda: self.received(node, self.small["announcer"]) == len(ANNOUNCED))
            self.assertEqual(self.table(node), {f"{address}/32" for address in self.addresses[4]})
            kernel = self.lab.cluster.run(node, ["ip", "route"]).stdout
            self.assertNotIn(self.small["announcer"].address, kernel)
            self.assertNotIn("10.99.0.0/24", kernel)
        for name in ("plain", "internal"):
            self.wait_for_routes(name)

    def test_flood(self):
        """A router announces 20,000 routes: sessions of others stay, memory stays within bounds, a new Service is announced."""
        before = self.memory()
        prefixes = [f"10.{number // 256}.{number % 256}.0/24" for number in range(20000)]
        flood = SmallRouter(self.lab.cluster, "flood", 130, announces=prefixes)
        self.addCleanup(flood.stop)
        self.addCleanup(self.lab.api.delete, "bgppeers", "flood")
        with self.others_stay():
            flood.start().wait()
            self.lab.apply(peer_of(flood, {}))
            for node in self.lab.cluster.nodes:
                eventually(f"20,000 routes sent to {node}", lambda: flood.session(node) and flood.sent(node) == len(prefixes), 30)
            self.new_service_is_announced("plain")
            eventually("20,000 routes at the nodes", lambda: all(self.received(node, flood) == len(prefixes) for node in self.berths), 30)
            after = self.memory()
            self.assertEqual(len(flood.sessions()), 2)
        for program, limit in (("berth", 20), ("engine", 200)):
            self.figure(f"{program}: {before[program]:.0f} MB before, {after[program]:.0f} MB with 2 × 20,000 routes")
            self.assertLess(after[program] - before[program], limit)
        for node in self.lab.cluster.nodes:
            self.assertEqual(len(self.table(node)), len(self.addresses[4]))

    def test_flood_of_changes(self):
        """A router announces and withdraws as fast as it is let: sessions of others stay, memory stays within bounds."""
        with self.flooded_by(change_all_the_time, 150) as trap:
            eventually("100,000 changes", lambda: trap.sent > 100_000, 60)

    def test_flood_without_end(self):
        """A router announces a million routes to each node: sessions of others stay, memory stays within bounds."""
        with self.flooded_by(announce_without_end, 151) as trap:
            eventually("all sent, or the nodes hung up", lambda: trap.sent >= 2_000_000 or trap.left >= 2, 120)

    @contextlib.contextmanager
    def flooded_by(self, deed, number):
        before = self.memory()
        trap = Trap(self.lab.cluster, number, deed).start()
        # What it announced takes gobgpd a while to forget.
        self.addCleanup(eventually, "no flood", lambda: all(self.last_error(node, trap.address) is None for node in self.berths), 60)
        self.addCleanup(trap.stop)
        self.addCleanup(self.lab.api.delete, "bgppeers", "flood")
        with self.others_stay():
            self.lab.apply(dict(peer_of(self.small["plain"], {"conf": {"neighborAddress": trap.address, "peerAs": trap.as_number}}),
                                metadata={"name": "flood"}))
            yield trap
            waits = self.new_service_is_announced("plain")
            after = self.memory()
        self.figure(f"{trap.sent:,} changes sent in {trap.met} connections; a Service's route came and went in "
                    + ", ".join(f"{wait:.2f} s" for wait in waits))
        for program, limit in (("berth", 20), ("engine", 200)):
            self.figure(f"{program}: {before[program]:.0f} MB before, {after[program]:.0f} MB now")
            self.assertLess(after[program] - before[program], limit)

    def received(self, node, router):
        """How many routes the node's engine has heard from a router."""
        if ENGINE == "bird":
            said = self.berths[node].bird(f"show protocols all peer_{router.address.replace('.', '_')}")
            return sum(map(int, re.findall(r"Import updates: +(\d+)", said)))
        peers = self.gobgp(node, "neighbor")
        mine = next((peer for peer in peers if peer["conf"]["neighbor_address"] == router.address), {})
        return sum(family.get("state", {}).get("received", 0) for family in mine.get("afi_safis", []))

    def test_routers_that_misbehave(self):
        """Garbage, resets, silence, slowness, and sessions that break as soon as they are up: sessions of others stay."""
        deeds = [send_garbage, reset, say_nothing, answer_slowly, break_what_is_up]
        traps = [Trap(self.lab.cluster, 140 + number, deed) for number, deed in enumerate(deeds)]
        for trap in traps:
            self.addCleanup(trap.stop)
            trap.start()
            self.addCleanup(self.lab.api.delete, "bgppeers", f"trap{trap.number}")
        with self.others_stay():
            self.lab.apply(*(dict(bgp_peer(f"trap{trap.number}", trap.address, trap.as_number),
                                  spec=peer_of(self.small["plain"], {})["spec"] | {
                                      "conf": {"neighborAddress": trap.address, "peerAs": trap.as_number}}) for trap in traps))
            eventually("all were met, and most again", lambda: all(
                trap.met >= (2 if deed in (say_nothing, answer_slowly, break_what_is_up) else 3) for trap, deed in zip(traps, deeds)), 30)
            self.new_service_is_announced("plain", "internal", "locked")
            for process in self.berths.values():
                self.assertTrue(process.ready())
        self.figure(", ".join(f"{deed.__name__}: {trap.met} connections" for trap, deed in zip(traps, deeds)))
