"""A cold start with 10,000 Services that have addresses -> all their routes, with both nodes as next hops, in the router's kernel.

Beside it, in turn, what no speaker can do without: a bare list of the same kinds, the start of a bare gobgpd, and from the exec of a bare
client, which gives it the same routes and then the router as a peer, to the last route. Before each the router is started anew, so that it
has nothing. And the time of one Service's route beside its floor, with 10 and with all of them present.
"""

import contextlib
import time

from route import BareGobgpd, BareNeighbour, RouteCounter, RouteMonitor, bare_block, make_bare_kind, one_floor, one_route
from system import wait_until
from testbed import GROUP, spread

POOL, FIRST = "198.18.0.0/15", "198.18.0.0"
FEW, SINGLES = 10, 20
TARGETS = {"ratio": 1.2}
KINDS = ["/api/v1/services", "/api/v1/nodes", "/api/v1/namespaces", "/apis/discovery.k8s.io/v1/endpointslices",
         *(f"/apis/{GROUP}/{kind}" for kind in ("eips", "addressblocks", "bgpconfs", "bgppeers"))]


def measure(bed, count, rounds):
    bed.configure_bgp()
    bed.make_pool(POOL)
    make_bare_kind(bed)
    hops = sorted(bed.cluster.address(node) for node in bed.cluster.nodes)
    singles = {}
    kernel = RouteMonitor(bed.cluster.namespace("router"))
    berth = bed.start_berth("node1", "run")
    have = 0
    for level in (FEW, count):
        with counted(bed) as counter:
            bed.make_services(level - have, with_endpoints=True, prefix=f"upto{level}-")
            counter.wait(level - have, hops)
        have = level
        berth.wait_told(level)
        singles[level] = one_by_one(bed, kernel, hops, level)
        bed.say(f"{level} present: one route {singles[level]['seconds']['median'] * 1000:.1f} ms")
    berth.stop()
    ours, floor = [], []
    for number in range(rounds):
        for work, rows in ((cold_berth, ours), (cold_bare, floor))[::-1 if number % 2 else 1]:
            restart_router(bed)
            with counted(bed) as counter:
                rows.append(work(bed, counter, count, hops))
        bed.say(f"round {number + 1} of {rounds}: {ours[-1]['seconds']:.2f} s, bare {floor[-1]['seconds']:.2f} s")
    of = lambda rows, key: spread([row[key] for row in rows])
    return {"count": count, "rounds": rounds, "seconds": of(ours, "seconds"), "floor_seconds": of(floor, "seconds"),
            "parts": {key: of(floor, key) for key in ("list", "start", "routes")},
            "ratio": spread([mine["seconds"] / lowest["seconds"] for mine, lowest in zip(ours, floor)]),
            "singles": {str(level): one for level, one in singles.items()}, "targets": TARGETS, "samples": {"berth": ours, "floor": floor}}


def one_by_one(bed, kernel, hops, level):
    """One Service's route, in turn with its floor, as in `route`: the API server has more work, too, with more Services."""
    with BareNeighbour(bed) as bare:
        bare.wait_for_session(kernel, hops)
        block = bare_block(bare, f"v4-192.0.2.{level % 256}-26")
        ours, floor = [], []
        for repeat in range(SINGLES):
            ours.append(one_route(bare, kernel, hops, f"one-{level}-{repeat}")["route"])
            floor.append(sum(one_floor(bare, kernel, hops, f"floor-{level}-{repeat}", block).values()))
    return {"seconds": spread(ours), "floor_seconds": spread(floor), "ratio": spread(ours)["median"] / spread(floor)["median"]}


def restart_router(bed):
    """Afterwards it has no route."""
    bed.cluster.stop("router")
    bed.cluster.start("router")
    listens = ["ss", "-Htln", "sport", "=", ":179"]
    wait_until(lambda: bed.cluster.run("router", listens).stdout.strip(), 20, "the router's port")


@contextlib.contextmanager
def counted(bed):
    counter = RouteCounter(bed.cluster.namespace("router"))
    try:
        yield counter
    finally:
        counter.close()


def cold_berth(bed, counter, count, hops):
    berth = bed.start_berth("node1", "run")
    try:
        return {"seconds": (counter.wait(count, hops) - berth.began) / 1e9}
    finally:
        berth.stop()


def cold_bare(bed, counter, count, hops):
    began = time.monotonic_ns()
    bed.bare("list", *KINDS)
    listed = time.monotonic_ns()
    with BareGobgpd(bed) as gobgpd:
        started = time.monotonic_ns()
        bed.bare("routes", *hops, "--count", count, "--first-address", FIRST, *gobgpd.flags)
        last = counter.wait(count, hops)
    return {"seconds": (last - began) / 1e9, "list": (listed - began) / 1e9, "start": (started - listed) / 1e9,
            "routes": (last - started) / 1e9}
