"""What Berth keeps in memory: RSS of Berth alone, and PSS of Berth and its gobgpd, idle and with N Services announced."""

import contextlib
import time

from route import RouteCounter
from testbed import memory_kib

POOL = "198.18.0.0/15"
TARGET_MB = {"idle": 30, "loaded": 40}   # RSS of Berth alone
SETTLE_SECONDS = 5


def measure(bed, count):
    bed.configure_bgp()
    bed.make_pool(POOL)
    counter = RouteCounter(bed.cluster.namespace("router"))
    hops = sorted(bed.cluster.address(node) for node in bed.cluster.nodes)
    with contextlib.ExitStack() as stack:
        leader, other = [start_and_wait(bed, stack, node) for node in bed.cluster.nodes]   # the first takes the Lease
        time.sleep(SETTLE_SECONDS)
        result = {"count": count, "target_mb": TARGET_MB, "idle": snapshot(leader), "idle_other": snapshot(other)}
        bed.say("idle measured; " + f"{count} Services")
        bed.make_services(count, with_endpoints=True)
        counter.wait(count, hops)
        counter.close()
        leader.wait_for(lambda m: m["berth_events_written_total"] + m["berth_events_dropped_total"] >= count, "the Events")
        time.sleep(SETTLE_SECONDS)
        result.update(loaded=snapshot(leader), loaded_other=snapshot(other))
    return result


def start_and_wait(bed, stack, node):
    berth = bed.start_berth(node, "run")
    stack.callback(berth.stop)
    berth.wait_for(lambda m: any(value == 1 for name, value in m.items() if name.startswith("berth_bgp_session_established")),
                   "the BGP session")
    return berth


def snapshot(berth):
    """In MB of 10^6 bytes."""
    mb = lambda kib: kib * 1024 / 1e6
    children = berth.children()
    return {"berth_rss_mb": mb(memory_kib(berth.pid, "status", "VmRSS")), "berth_peak_rss_mb": mb(memory_kib(berth.pid, "status", "VmHWM")),
            "berth_pss_mb": mb(memory_kib(berth.pid, "smaps_rollup", "Pss")),
            "gobgpd_rss_mb": mb(sum(memory_kib(pid, "status", "VmRSS") for pid in children)),
            "gobgpd_pss_mb": mb(sum(memory_kib(pid, "smaps_rollup", "Pss") for pid in children))}
