"""Eyes outside Berth: the router's kernel, and a client. Times are the machine's wall clock, which all of them share."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

from system import LabError, pids_in_cgroup, run, set_sysctls, wait_until

POOL_PREFIXES = {4: "203.0.113.", 6: "2001:db8:53:"}   # addresses that tests give out
MARKS = {4: "198.51.100.1", 6: "2001:db8:6d::1"}   # routes that only mark a moment in the monitor's output
AT_ONCE = 0.05   # seconds


def next_hops(text):
    return frozenset(re.findall(r"via (?:inet6 )?(\S+)", text))


def routes(cluster, family=4):
    """The router's kernel routes to load balancers: {address: next hops}."""
    found = {}
    for route in json.loads(cluster.run("router", ["ip", "-j", f"-{family}", "route", "show"]).stdout):
        if route["dst"].startswith(POOL_PREFIXES[family]):
            hops = route.get("nexthops", [route])
            ways = (hop.get("gateway") or hop.get("via", {}).get("host") for hop in hops)   # `via`: of another family
            found[re.sub("/(32|128)$", "", route["dst"])] = frozenset(way for way in ways if way)
    return found


def stale_in_frr(cluster):
    """Addresses of which FRR has nothing but stale paths of sessions that are up again."""
    found = set()
    for family in POOL_PREFIXES:
        text = run(["vtysh", "--vty_socket", cluster.router_dir, "-c", f"show bgp ipv{family} unicast json"]).stdout
        prefixes = json.loads(text).get("routes", {})
        found |= {re.sub("/(32|128)$", "", prefix) for prefix, paths in prefixes.items() if all(path.get("stale") for path in paths)}
    return found


class RouteEvent:
    def __init__(self, at, address, hops, deleted):
        self.at, self.address, self.hops, self.deleted = at, address, hops, deleted

    def __repr__(self):
        stamp = datetime.datetime.fromtimestamp(self.at).strftime("%H:%M:%S.%f")
        return f"{stamp} {'Deleted ' if self.deleted else ''}{self.address} via {', '.join(sorted(self.hops)) or '-'}"


class RouteRecorder:
    """`ip monitor route` on the router, from `with` to its end. `events` has what happened to load balancers' routes, in order."""

    def __init__(self, cluster, family=4):
        self._cluster, self._family, self._mark_address = cluster, family, MARKS[family]
        self._events, self._marks = [], 0

    def __enter__(self):
        argv = ["ip", "-ts", "-o", f"-{self._family}", "monitor", "route"]
        self._process = self._cluster.popen("router", argv, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._mark()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def events(self, address=None):
        """All that happened up to now."""
        self._mark()
        return [event for event in self._events if address in (None, event.address)]

    def deletions(self, address=None):
        """Those that leave no route. An IPv6 route with several next hops is replaced by taking it out and putting in another, at once."""
        events = self.events(address)
        return [event for event in events if event.deleted and not (self._family == 6 and any(
            other.address == event.address and not other.deleted and 0 <= other.at - event.at < AT_ONCE for other in events))]

    def _mark(self):
        """Returns once the monitor has shown what happened before now."""
        seen = self._marks

        def shown():
            self._cluster.run("router", ["ip", "route", "replace", "blackhole", self._mark_address])
            self._cluster.run("router", ["ip", "route", "delete", "blackhole", self._mark_address])
            return self._marks > seen
        wait_until(shown, 10, "`ip monitor` on the router")

    def _read(self):
        for line in self._process.stdout:
            stamp, deleted, address, rest = re.fullmatch(r"\[(\S+)\] (Deleted )?(?:blackhole )?(\S+)(.*)\n?", line).groups()
            if address == self._mark_address:
                self._marks += 1
            elif address.startswith(POOL_PREFIXES[self._family]):
                at = datetime.datetime.fromisoformat(stamp).timestamp()
                self._events.append(RouteEvent(at, address, next_hops(rest), bool(deleted)))


def overflows(cluster):
    """How many connections the web servers did not take because their queue was full, which is no fault of the way to them."""
    total, seen = 0, set()
    for pid in pids_in_cgroup(cluster.cgroup):
        with contextlib.suppress(OSError):
            process = pathlib.Path(f"/proc/{pid}")
            namespace = os.readlink(process / "ns/net")
            if (process / "comm").read_text().strip() == "httpd" and namespace not in seen:
                names, values = [line.split() for line in (process / "net/netstat").read_text().splitlines() if line.startswith("TcpExt:")]
                total += int(dict(zip(names, values))["ListenOverflows"])
                seen.add(namespace)
    return total


class Prober:
    """A client that requests all the time, from `with` to its end; then `result` has what prober.py tells, and `overflowed` how many
    connections a web server did not take."""

    def __init__(self, cluster, address, port=80, spacing=0.01):
        self._cluster, self.address = cluster, address
        self._argv = [sys.executable, pathlib.Path(__file__).with_name("prober.py"), address, port, spacing]

    def __enter__(self):
        argv = [str(part) for part in self._argv]
        self._overflows = overflows(self._cluster)
        # Flows that came before kube-proxy knew the address are remembered as such; a new one from the same port would be led astray too.
        for node in self._cluster.nodes:
            self._cluster.run(node, ["conntrack", "-D", "-d", self.address], check=False)
        # No tail loss probe: on a busy machine it sends again what was only late.
        set_sysctls(self._cluster.namespace("client"), net__ipv4__tcp_early_retrans=0)
        self._process = self._cluster.popen("client", argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "answered\n":
            raise LabError(f"the prober of {self.address} ended without an answer")
        return self

    def __exit__(self, *_):
        self.result = json.loads(self._process.communicate(timeout=15)[0])
        self.overflowed = overflows(self._cluster) - self._overflows

    def summary(self):
        of = self.result
        lost = "".join(f"\n      {one['why']} (request {one['number']} at {one['at']:.3f})" for one in of["lost"][:5])
        busy = f" ({self.overflowed} not taken by a busy web server)" if self.overflowed else ""
        return (f"{of['sent']} requests, {len(of['lost'])} lost{busy}, longest gap {of['longest_gap'] * 1000:.0f} ms, "
                f"answers from {len(of['answers'])} pods{lost}")
