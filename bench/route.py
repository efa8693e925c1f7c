"""Service create -> its route, with both nodes as next hops, in the router's kernel.

Beside it the floor, measured in turn with it: create -> ADDED at a bare watcher, plus one bare write of an address block, plus
AddPath by a bare gobgpd client -> kernel. Berth runs on two nodes; the bare gobgpd is a third neighbour of the same router.

The floor's Service does not ask Berth for an address, and its block is of a kind with the same schema that Berth does not know,
so that Berth has no work with them.
"""

import contextlib
import json
import socket
import statistics
import struct
import threading
import time

from system import LabError, entered
from talk import Talk
from testbed import DEPLOY, GROUP, PATIENCE, SERVICES, SLICES, TREE, endpoints, service, spread

POOL = "203.0.113.0/25"
BARE_ADDRESS = "203.0.113.200"
TARGET_RATIO = 1.3
WARM_UP = 3
# Before each measurement. Berth frees an address a second after its Service went; that write is over then.
PAUSE_SECONDS = 1.3
BLOCKS = f"/apis/{GROUP}/bareblocks"


def measure(bed, repeats):
    bed.configure_bgp()
    bed.make_pool(POOL)
    make_bare_kind(bed)
    hops = sorted(bed.cluster.address(node) for node in bed.cluster.nodes)
    kernel = RouteMonitor(bed.cluster.namespace("router"))
    with contextlib.ExitStack() as stack:
        berths = [bed.start_berth(node, "run") for node in bed.cluster.nodes]
        for berth in berths:
            stack.callback(berth.stop)
        bare = stack.enter_context(BareNeighbour(bed))
        for berth in berths:
            berth.wait_for(lambda m: any(value == 1 for name, value in m.items() if name.startswith("berth_bgp_session_established")),
                           "the BGP session")
        # A resident keeps its block in being: writes replace it, as in a cluster in use.
        bed.apply(endpoints("resident"), service("resident"))
        kernel.wait(lambda prefix, at: at == hops, "the first route")
        bare.wait_for_session(kernel, hops)
        block = bare_block(bare)
        ours, floor = [], []
        for repeat in range(-WARM_UP, repeats):
            mine = one_route(bare, kernel, hops, f"route-{repeat + WARM_UP}")
            lowest = one_floor(bare, kernel, hops, f"floor-{repeat + WARM_UP}", block)
            if repeat < 0:
                continue
            ours.append(mine)
            floor.append(lowest)
            if repeat % 10 == 9:
                bed.say(f"repeat {repeat + 1} of {repeats}: median {statistics.median(r['route'] for r in ours) * 1000:.2f} ms")
        metrics = [berth.metrics() for berth in berths]
    return summary(ours, floor, metrics)


def summary(ours, floor, metrics):
    of = lambda rows, key: spread([row[key] for row in rows])
    parts = {key: of(floor, key) for key in ("added", "block_write", "route")}
    sum_of_medians = sum(part["median"] for part in parts.values())
    sums = [sum(row.values()) for row in floor]
    return {"repeats": len(ours), "route_seconds": of(ours, "route"), "first_next_hop_seconds": of(ours, "first"),
            "created_seconds": of(ours, "answered"), "address_shown_seconds": of(ours, "shown"), "withdrawn_seconds": of(ours, "withdrawn"),
            "floor_seconds": parts, "floor_sum_of_medians": sum_of_medians, "floor_sum_seconds": spread(sums),
            "ratio_of_medians": statistics.median(row["route"] for row in ours) / sum_of_medians,
            "ratio_by_repeat": spread([mine["route"] / lowest for mine, lowest in zip(ours, sums)]), "target_ratio": TARGET_RATIO,
            "samples": {"berth": ours, "floor": floor}, "metrics": metrics}


def one_route(bare, kernel, hops, name):
    time.sleep(PAUSE_SECONDS)
    bare.request("POST", SLICES, endpoints(name))
    known = kernel.prefixes()
    mark = kernel.now()
    created = bare.request("POST", SERVICES, service(name))
    prefix, first = kernel.wait(lambda prefix, at: prefix not in known and at, "a route", mark)
    _, complete = kernel.wait(lambda at_prefix, at: at_prefix == prefix and at == hops, "both next hops", mark)
    shown = bare.wait_seen(name, lambda event, address: address)
    mark = kernel.now()
    removed = bare.request("DELETE", f"{SERVICES}/{name}")
    _, gone = kernel.wait(lambda at_prefix, at: at_prefix == prefix and not at, "the withdrawal", mark)
    bare.wait_seen(name, lambda event, address: event == "DELETED")
    bare.request("DELETE", f"{SLICES}/{name}")
    return {"answered": (created.ended - created.began) / 1e9, "first": (first - created.began) / 1e9,
            "route": (complete - created.began) / 1e9, "shown": (shown - created.began) / 1e9, "withdrawn": (gone - removed.began) / 1e9}


def one_floor(bare, kernel, hops, name, block):
    time.sleep(PAUSE_SECONDS)
    bare.request("POST", SLICES, endpoints(name))
    created = bare.request("POST", SERVICES, service(name, ours=False))
    added = bare.wait_seen(name, lambda event, address: event == "ADDED")
    written = block(name)
    mark = kernel.now()
    announced = bare.routes("announce", BARE_ADDRESS, *hops)
    _, complete = kernel.wait(lambda prefix, at: prefix == BARE_ADDRESS and at == hops, "the bare route", mark)
    mark = kernel.now()
    bare.routes("withdraw", BARE_ADDRESS, *hops)
    kernel.wait(lambda prefix, at: prefix == BARE_ADDRESS and not at, "the bare withdrawal", mark)
    bare.request("DELETE", f"{SERVICES}/{name}")
    bare.wait_seen(name, lambda event, address: event == "DELETED")
    bare.request("DELETE", f"{SLICES}/{name}")
    return {"added": (added - created.began) / 1e9, "block_write": (written.ended - written.began) / 1e9,
            "route": (complete - announced) / 1e9}


# ---- the bare write


def make_bare_kind(bed):
    """The address block's CRD under another name."""
    for path in (DEPLOY / "crds").glob("*.yaml"):
        text = path.read_text()
        if "kind: AddressBlock" in text:
            bed.cluster.kubectl("apply", "-f", "-", input=text.replace("addressblock", "bareblock").replace("AddressBlock", "BareBlock"))
            bed.cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/bareblocks.{GROUP.split('/')[0]}")
            return
    raise LabError(f"no file in {DEPLOY}/crds has the kind AddressBlock")


def bare_block(bare, block_name="v4-192.0.2.0-26"):
    """Makes a block with one entry; returns what writes a second one into it, whatever its version."""
    def entry(name):
        return json.dumps({"pool": "bench", "protocol": "bgp", "holders": [{"service": f"bench/{name}", "uid": "0", "state": "held"}]},
                          separators=(",", ":"))
    block = {"apiVersion": GROUP, "kind": "BareBlock", "metadata": {"name": block_name},
             "spec": {"addresses": {"192.0.2.0": entry("resident")}}}
    block["metadata"]["resourceVersion"] = bare.request("POST", BLOCKS, block).version

    def write(name):
        block["spec"]["addresses"]["192.0.2.1"] = entry(name)
        answer = bare.request("PUT", f"{BLOCKS}/{block['metadata']['name']}", block)
        block["metadata"]["resourceVersion"] = answer.version
        return answer
    return write


class BareGobgpd:
    """A gobgpd without Berth, on `control`; `flags` tell a bare client of it, and of the router that is to be its peer."""

    def __init__(self, bed):
        self._bed, self._socket = bed, bed.cluster.state_dir / "bare-gobgpd.sock"
        self.flags = ("--gobgpd", self._socket, "--router", "172.30.0.1", "--router-id", bed.cluster.address("control"))

    def __enter__(self):
        with open(self._bed.cluster.state_dir / "bare-gobgpd.log", "ab") as log:
            self._process = self._bed.cluster.popen("control", [TREE / "out/bin/gobgpd", "--api-hosts", f"unix://{self._socket}",
                                                                "--pprof-disable", "--metrics-path="], stdout=log, stderr=log)
        while not self._socket.exists():
            if self._process.poll() is not None:
                raise LabError("the bare gobgpd ended; see bare-gobgpd.log of the lab")
            time.sleep(0.002)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)


class BareNeighbour(Talk):
    """A bare client that is a BGP neighbour of the router, too, by a gobgpd of its own."""

    def __init__(self, bed):
        self._gobgpd = BareGobgpd(bed)
        super().__init__(bed, *self._gobgpd.flags)

    def __enter__(self):
        self._gobgpd.__enter__()
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self._gobgpd.__exit__()

    def routes(self, verb, address, *hops):
        self._say(verb, address, *hops)
        return int(self._answer("routes")[0])

    def wait_for_session(self, kernel, hops):
        """Announces once; from then on the session is up."""
        mark = kernel.now()
        self.routes("announce", BARE_ADDRESS, *hops)
        kernel.wait(lambda prefix, at: prefix == BARE_ADDRESS and at == hops, "the bare gobgpd's route", mark)
        self.routes("withdraw", BARE_ADDRESS, *hops)
        kernel.wait(lambda prefix, at: prefix == BARE_ADDRESS and not at, "its withdrawal", mark)


# ---- the kernel's routes

NEW, DELETE, DESTINATION, GATEWAY, MULTIPATH = 24, 25, 1, 5, 9   # RTM_*, RTA_*


def route_socket(namespace):
    """On which the kernel tells of IPv4 routes."""
    with entered(namespace):
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)   # SO_RCVBUFFORCE
    made.bind((0, 0x40))                               # RTMGRP_IPV4_ROUTE
    return made


class RouteMonitor:
    """Hears of IPv4 host routes of a namespace by netlink, with the time of each change."""

    def __init__(self, namespace):
        self._socket = route_socket(namespace)
        self._changes, self._routes, self._changed = [], {}, threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def now(self):
        """A mark: what comes later counts."""
        with self._changed:
            return len(self._changes)

    def prefixes(self):
        return set(self.routes())

    def routes(self):
        with self._changed:
            return dict(self._routes)

    def changes(self, prefix, mark):
        """The next hops that it had since, and when, in turn."""
        with self._changed:
            return [(hops, when) for at, hops, when in self._changes[mark:] if at == prefix]

    def wait(self, question, what, mark=0, seconds=60):
        """The first change since `mark` for which `question(prefix, next hops)` is true: its prefix and time."""
        with self._changed:
            def found():
                return next((c for c in self._changes[mark:] if question(c[0], c[1])), None)
            if not self._changed.wait_for(found, timeout=seconds):
                raise LabError(f"{what}: not in the router's kernel within {seconds} s")
            prefix, _, when = found()
            return prefix, when

    def _read(self):
        while True:
            data = self._socket.recv(1 << 18)
            when = time.monotonic_ns()
            with self._changed:
                for prefix, now in route_changes(data):
                    if now:
                        self._routes[prefix] = now
                    else:
                        self._routes.pop(prefix, None)
                    self._changes.append((prefix, now, when))
                self._changed.notify_all()


class RouteCounter:
    """Keeps what the kernel says of routes, with the time of each message, and reads it afterwards: nothing is to hold up the router."""

    def __init__(self, namespace):
        self._socket = route_socket(namespace)
        self._socket.settimeout(0.5)
        self._heard, self._read, self._with, self._open = [], 0, set(), True
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        self._open = False

    def wait(self, count, hops):
        """When as many prefixes had these next hops."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            time.sleep(0.25)
            heard = self._heard[self._read:]
            self._read += len(heard)
            for when, data in heard:
                for prefix, at in route_changes(data):
                    (self._with.add if at == hops else self._with.discard)(prefix)
                if len(self._with) >= count:
                    return when
        raise LabError(f"{len(self._with)} of {count} routes are in the router's kernel after {PATIENCE} s")

    def _listen(self):
        while self._open:
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(1 << 18)
                self._heard.append((time.monotonic_ns(), data))
        self._socket.close()


def route_changes(data):
    """(prefix, next hops) of each host route in a netlink message; without next hops: it is gone."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        message, data = data[16:length], data[(length + 3) & ~3:]
        if kind not in (NEW, DELETE) or message[1] != 32:        # host routes
            continue
        found = dict(attributes(message[12:]))
        if found.get(15, b"\xfe") != struct.pack("=I", 254):     # RTA_TABLE: main
            continue
        hops = [found[GATEWAY]] if GATEWAY in found else next_hops(found.get(MULTIPATH, b""))
        if DESTINATION in found:
            # The kernel replaces a route by an announcement alone: the newest word is what holds.
            yield socket.inet_ntoa(found[DESTINATION]), sorted({socket.inet_ntoa(hop) for hop in hops}) if kind == NEW else []


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3:]


def next_hops(data):
    while len(data) >= 8:
        length = struct.unpack_from("=H", data)[0]
        if length < 8:
            return
        yield from (value for kind, value in attributes(data[8:length]) if kind == GATEWAY)
        data = data[(length + 3) & ~3:]
