"""Hosts and wires: every host is a network namespace, joined to one of two bridges in a namespace of their own ("fabric").

    nodes' net    172.30.0.0/24, fd00:30::/64    router .1, control .2, node N .(10+N)
    clients' net  172.31.0.0/24, fd00:31::/64    router .1, client .2
    pods          10.244.N.0/24, fd00:10:244:N::/64 on node N;  Services 10.96.0.0/16, fd00:10:96::/112

Addresses of load balancers belong to no link (203.0.113.0/24 is free for BGP); for layer 2 take from the nodes' net (.200-.249).
The two ends of a wire are HOST's eth0 and the fabric's interface of the host's name: taking that one down cuts the host off.
"""

from system import add_namespace, ip, set_sysctls

POD_RANGE, POD_RANGE6 = "10.244.0.0/16", "fd00:10:244::/48"
SERVICE_RANGE, SERVICE_RANGE6 = "10.96.0.0/16", "fd00:10:96::/112"
FORWARDING = dict(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1, net__ipv4__conf__all__rp_filter=0,
                  net__ipv4__conf__default__rp_filter=0)


def number_of(host):
    """The last byte of the host's address in the nodes' net."""
    return {"router": 1, "control": 2}.get(host) or 10 + node_number(host)


def node_number(host):
    return int(host.removeprefix("node"))


def address(host):
    return "172.31.0.2" if host == "client" else f"172.30.0.{number_of(host)}"


def address6(host):
    return "fd00:31::2" if host == "client" else f"fd00:30::{number_of(host)}"


def pod_range(node):
    return f"10.244.{node_number(node)}.0/24"


def pod_range6(node):
    return f"fd00:10:244:{node_number(node)}::/64"


class Network:
    """The namespaces of lab `name`. `hosts` are control, router, client, node1, ..."""

    def __init__(self, name, ipv6):
        self.name, self.ipv6 = name, ipv6

    def namespace(self, host):
        return f"{self.name}-{host}"

    def build(self, nodes):
        fabric = self.namespace("fabric")
        add_namespace(fabric)
        set_sysctls(fabric, **{f"net__bridge__bridge-nf-call-{kind}": 0 for kind in ("arptables", "iptables", "ip6tables")})
        for bridge in ("nodes", "clients"):
            ip(fabric, "link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
            ip(fabric, "link", "set", bridge, "up")
        for host in ("router", "control", *nodes):
            self._add_host(host)
            self._wire(host, host, "eth0", "nodes", f"{address(host)}/24", f"{address6(host)}/64")
        self._add_host("client")
        self._wire("client", "client", "eth0", "clients", "172.31.0.2/24", "fd00:31::2/64")
        self._wire("router", "router-clients", "eth1", "clients", "172.31.0.1/24", "fd00:31::1/64")
        for host in ("control", *nodes):
            self._route(host, "default", "172.30.0.1", "fd00:30::1")
        self._route("client", "default", "172.31.0.1", "fd00:31::1")
        self._route_pods(nodes)
        for host in ("router", *nodes):
            set_sysctls(self.namespace(host), **FORWARDING)
        # A flow keeps its next hop, flows of one client spread: hash on ports too.
        set_sysctls(self.namespace("router"), net__ipv4__fib_multipath_hash_policy=1, net__ipv6__fib_multipath_hash_policy=1)

    def set_wire(self, host, state):
        ip(self.namespace("fabric"), "link", "set", host, state)

    def _add_host(self, host):
        add_namespace(self.namespace(host))
        set_sysctls(self.namespace(host), net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)

    def _wire(self, host, port, interface, bridge, ipv4, ipv6):
        fabric, namespace = self.namespace("fabric"), self.namespace(host)
        ip(fabric, "link", "add", port, "type", "veth", "peer", "name", interface, "netns", namespace)
        ip(fabric, "link", "set", port, "master", bridge, "up")
        ip(namespace, "link", "set", interface, "up")
        ip(namespace, "address", "add", ipv4, "dev", interface)
        if self.ipv6:
            ip(namespace, "address", "add", ipv6, "dev", interface, "nodad")

    def _route(self, host, target, via, via6, target6=None):
        ip(self.namespace(host), "route", "replace", target, "via", via)
        if self.ipv6:
            ip(self.namespace(host), "-6", "route", "replace", target6 or target, "via", via6)

    def _route_pods(self, nodes):
        for node in nodes:
            for host in ("router", "control", *nodes):
                if host != node:
                    self._route(host, pod_range(node), address(node), address6(node), pod_range6(node))
