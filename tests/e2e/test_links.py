"""Sessions by interface ("unnumbered"): each node has a cable of its own to the router, with link-local addresses alone at its ends."""

import json
import time

from harness import OPT_IN, POOL6, POOL_KEY, E2eTest, bgp_peer, eip, eventually, service
from system import run

UPLINK = "up-link"   # of each node
FAST = {"bfd": {"minTxIntervalMs": 50, "minRxIntervalMs": 50, "detectMultiplier": 3}}
BIRD = """
protocol radv {{ interface "to-*" {{ min ra interval 3; max ra interval 4; }}; }}
{peers}
"""
BIRD_PEER = """protocol bgp links_{node} from node {{
  interface "to-{node}"; local as 65000; neighbor range fe80::/10 external; dynamic name "link_{node}_";
}}
"""


class Links(E2eTest):
    routers = ("bird", "frr")
    berth = "processes"

    # -- once for all tests

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cls.remove)
        for node in cls.lab.cluster.nodes:
            cls.plug(node)
        cls.configure_router()
        cls.start_berths()

    @classmethod
    def plug(cls, node):
        """A cable between the node and the router."""
        cluster = cls.lab.cluster
        cluster.run(node, ["ip", "link", "add", UPLINK, "type", "veth", "peer", "name", f"to-{node}", "netns", cluster.namespace("router")])
        for host, interface in ((node, UPLINK), ("router", f"to-{node}")):
            cluster.run(host, ["sysctl", "-q", f"net/ipv4/conf/{interface}/rp_filter=0"])
            cluster.run(host, ["ip", "link", "set", interface, "up"])

    @classmethod
    def unplug(cls, node):
        cls.lab.cluster.run(node, ["ip", "link", "delete", UPLINK], check=False)

    @classmethod
    def configure_router(cls):
        cluster = cls.lab.cluster
        if cls.lab.router == "bird":
            path = cluster.router_dir / "bird.conf"
            cls.before = path.read_text()
            path.write_text(cls.before + BIRD.format(peers="".join(BIRD_PEER.format(node=node) for node in cluster.nodes)))
            run(["birdc", "-s", cluster.router_dir / "bird.ctl", "configure"])
        else:
            cls.tell_frr("router bgp 65000", *(f"neighbor to-{node} interface peer-group nodes" for node in cluster.nodes))

    @classmethod
    def tell_frr(cls, *lines):
        words = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        run(["vtysh", "--vty_socket", cls.lab.cluster.router_dir, *words])

    @classmethod
    def remove(cls):
        cluster = cls.lab.cluster
        if cls.lab.router == "frr":
            cls.tell_frr("router bgp 65000", *(f"no neighbor to-{node} interface" for node in cluster.nodes))
        elif hasattr(cls, "before"):
            (cluster.router_dir / "bird.conf").write_text(cls.before)
            run(["birdc", "-s", cluster.router_dir / "bird.ctl", "configure"])
        for node in cluster.nodes:
            cls.unplug(node)

    def setUp(self):
        super().setUp()
        self.lab.api.delete("bgppeers", "router")
        self.change()
        self.wait_for_sessions()

    # -- what tests ask

    def change(self, more=None, interface=UPLINK):
        peer = bgp_peer("links", more=more)
        peer["spec"]["conf"] = {"neighborInterface": interface, "peerAs": 65000}
        self.lab.apply(peer)

    def end(self, host, interface):
        """The link-local address at an end of a cable."""
        found = json.loads(self.lab.cluster.run(host, ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"]).stdout)
        return found[0]["addr_info"][0]["local"]

    def router_end(self, node):
        """As the node knows it."""
        return f"{self.end('router', f'to-{node}')}%{UPLINK}"

    def wait_for_sessions(self):
        for node in self.lab.cluster.nodes:
            eventually(f"a session of {node}", lambda: self.lab.session(node, neighbor=self.router_end(node)), 40)   # noqa: B023

    @property
    def hosts(self):
        return self.lab.cluster.nodes

    def hops(self, *nodes):
        return frozenset(self.end(node, UPLINK) for node in nodes or self.hosts)

    def make(self, family, name, **options):
        """A Service; its address."""
        if family == 6:
            self.lab.apply(eip("pool6", POOL6))
            options.update(annotations=dict(OPT_IN, **{POOL_KEY: "pool6"}), ipFamilies=["IPv6"])
        self.lab.api.create("services", service(name, **options))
        return self.lab.address(name)

    def told(self, *words):
        return eventually(f"an Event of the BgpPeer with {words}",
                          lambda: [text for _, text in self.lab.events("BgpPeer", "links") if all(word in text for word in words)], 15)[0]

    def states(self):
        """What the BgpPeer's status says of the nodes' sessions."""
        return {node: state["peerState"] for node, state in
                self.lab.api.get("bgppeers", "links").get("status", {}).get("nodesPeerStatus", {}).items()}

    # -- the stories

    def test_both_families_are_reached(self):
        """IPv4 and IPv6 routes by each node's end of its own cable; the client is answered by both nodes."""
        for family in (4, 6):
            address = self.make(family, f"web{family}", externalTrafficPolicy="Local")
            self.lab.wait_for_hops(address, self.hops())
            seen = set()
            eventually("answers of both nodes", lambda: seen.add(self.lab.ask(address, "/node")) or seen >= set(self.hosts))   # noqa: B023

    def test_a_node_tells_of_itself_alone(self):
        """Policy Local, and the only endpoint on node2: node1 tells the router nothing, though it knows the way."""
        self.lab.api.patch("deployments", "web-node1", {"spec": {"replicas": 0}})
        self.addCleanup(self.lab.apply_baseline)
        eventually("web servers on node2 alone", lambda: self.lab.ready_web_nodes() == {"node2"}, 30)
        address = self.make(4, "web", externalTrafficPolicy="Local")
        self.lab.wait_for_hops(address, self.hops("node2"))
        eventually("the answer of node2", lambda: self.lab.ask(address, "/node") == "node2")

    def test_status(self):
        """Each node's session is told with the address that was found."""
        found = eventually("both sessions in the status", lambda: {node: state["neighborAddress"] for node, state in self.states().items()
                                                                    if state["sessionState"] == "ESTABLISHED"} or None)
        eventually("all of them", lambda: len(self.states()) == len(self.hosts))
        self.figure(found)
        for node, address in found.items():
            self.assertEqual(address, self.router_end(node))

    def test_bfd(self):
        """BFD watches the cable: a router that falls silent is noticed in milliseconds, and the other way round."""
        self.change(FAST)
        for node in self.hosts:
            eventually(f"BFD of {node}", lambda: self.bfd(node).get("state") == "Up", 30)   # noqa: B023
        address = self.make(4, "web")
        self.lab.wait_for_hops(address, self.hops())
        with self.lab.record() as recorder:
            began = time.time()
            self.block("node1")
            self.lab.wait_for_hops(address, self.hops("node2"), 5)
            gone = next(event for event in recorder.events(address) if event.at > began and event.hops == self.hops("node2"))
            self.figure(f"next hop gone {(gone.at - began) * 1000:.0f} ms after the link fell silent")
        eventually("node1 notices", lambda: self.bfd("node1").get("state") == "Down", 5)
        self.unblock("node1")
        self.lab.wait_for_hops(address, self.hops(), 60)

    def block(self, node):
        """Nothing passes the cable any more, and no end of it knows."""
        for chain in ("INPUT", "OUTPUT"):
            way = {"INPUT": "-i", "OUTPUT": "-o"}[chain]
            self.lab.cluster.run(node, ["ip6tables", "-I", chain, way, UPLINK, "-j", "DROP"])
        self.addCleanup(self.unblock, node)

    def unblock(self, node):
        for chain in ("INPUT", "OUTPUT"):
            way = {"INPUT": "-i", "OUTPUT": "-o"}[chain]
            self.lab.cluster.run(node, ["ip6tables", "-D", chain, way, UPLINK, "-j", "DROP"], check=False)

    def bfd(self, node):
        """The node's BFD session with the router."""
        status, text = self.lab.page(node, "/debug/state")
        sessions = json.loads(text)["actual"]["bgp"]["bfd"]["sessions"] if status == 200 else []
        return next((one for one in sessions if one["neighbor"] == self.router_end(node)), {})

    def test_another_cable(self):
        """The cable of a node is taken away and another one comes: a session over it, with other addresses, by itself."""
        address = self.make(4, "web")
        self.lab.wait_for_hops(address, self.hops())
        before = self.hops("node1"), self.router_end("node1")
        self.unplug("node1")
        self.lab.wait_for_hops(address, self.hops("node2"), 20)
        self.figure(self.told("spec.conf.neighborInterface", UPLINK, "node1"))
        self.plug("node1")
        self.assertNotEqual((self.hops("node1"), self.router_end("node1")), before)
        self.lab.wait_for_hops(address, self.hops(), 60)

    def test_cable_is_pulled(self):
        """The cable of a node has no carrier for a while: the routes by it go and come back."""
        address = self.make(4, "web")
        self.lab.wait_for_hops(address, self.hops())
        both = self.hops()
        self.lab.cluster.run("node1", ["ip", "link", "set", UPLINK, "down"])
        self.lab.wait_for_hops(address, self.hops("node2"), 20)
        self.lab.cluster.run("node1", ["ip", "link", "set", UPLINK, "up"])
        began = time.time()
        if self.lab.router == "bird":
            self.lab.wait_for_hops(address, both, 60)
        else:   # FRR 8.4 does not put a next hop back into the kernel whose interface went while its path was kept by graceful restart
            eventually("both paths in FRR's table", lambda: self.frr_hops(address) == both, 60)
        self.figure(f"all next hops {time.time() - began:.1f} s after the cable is back")

    def frr_hops(self, address):
        """Of paths that are valid and not stale."""
        text = run(["vtysh", "--vty_socket", self.lab.cluster.router_dir, "-c", f"show bgp ipv4 unicast {address}/32 json"]).stdout
        return {hop["ip"] for path in json.loads(text).get("paths", []) if path.get("valid") and not path.get("stale")
                for hop in path["nexthops"]}

    def test_what_is_missing_is_told(self):
        """An interface that no node has, and one at whose end nobody is."""
        self.change(interface="nowhere")
        self.figure(self.told("spec.conf.neighborInterface: nowhere: there is no such interface on this node"))
        self.lab.cluster.run("node1", ["ip", "link", "add", "lonely", "type", "veth", "peer", "name", "nobody"])
        self.addCleanup(self.lab.cluster.run, "node1", ["ip", "link", "delete", "lonely"])
        self.lab.cluster.run("node1", ["ip", "link", "set", "lonely", "up"])
        self.change(interface="lonely")
        eventually("the status says so", lambda: self.states().get("node1", {}).get("neighborAddress") == "lonely")
        state = json.loads(self.lab.page("node1", "/debug/state")[1])["actual"]["bgp"]["sessions"]
        self.assertEqual(state, [])
