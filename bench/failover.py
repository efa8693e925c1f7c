"""A node dies -> the router's kernel does without it.

With BFD: a speaker on each node, BFD 50 ms x 3 with BIRD; a node's cable is pulled and its Berth killed. Beside it what no speaker can
beat, the detection time that both sides agreed on.

By probes: one `berth run`, on node1, announces both nodes; node2, on which nothing of Berth's runs, loses its cable.

The cable is pulled at the switch: silence, without a word to anybody. Each time at another moment of the intervals.
"""

import random
import signal
import time

from route import RouteMonitor
from system import wait_until
from testbed import ASIDE, endpoints, service, spread

POOL = "203.0.113.0/25"
INTERVAL_MS, MULTIPLIER = 50, 3
TARGETS = {"bfd": 0.17, "probes": 0.5}
BACK_SECONDS = 60


def measure(bed, repeats):
    peer = {"minTxIntervalMs": INTERVAL_MS, "minRxIntervalMs": INTERVAL_MS, "detectMultiplier": MULTIPLIER}
    kernel = RouteMonitor(bed.cluster.namespace("router"))
    bed.make_pool(POOL)
    controller = bed.start_berth(ASIDE, "controller")
    try:
        controller.wait_leading()
        bed.apply(endpoints("web"), service("web"))
        bed.configure_bgp(bfd=peer)
        with_bfd = list(by_bfd(bed, kernel, repeats))
        controller.stop()
        bed.configure_bgp()
        by_probe = list(by_probes(bed, kernel, repeats))
    finally:
        if controller.process.poll() is None:
            controller.stop()
    return {"repeats": repeats, "detection_seconds": INTERVAL_MS * MULTIPLIER / 1000, "targets": TARGETS,
            **{name: dict(spread(values), p99=percentile(values), samples=values)
               for name, values in (("bfd", with_bfd), ("probes", by_probe))}}


def percentile(values):
    """The 99th, where there are enough to say it."""
    return sorted(values)[int(len(values) * 0.99)] if len(values) >= 100 else None


def by_bfd(bed, kernel, repeats):
    node1, node2 = bed.cluster.nodes
    speakers = {node: bed.start_berth(node, "speaker") for node in (node1, node2)}
    try:
        for repeat in range(repeats):
            wait_for_bfd(speakers[node1])
            wait_for_bfd(speakers[node2])
            seconds = cut_and_wait(bed, kernel, node1, node2)
            speakers[node1].process.send_signal(signal.SIGKILL)
            speakers[node1].process.wait()
            bed.cluster.heal(node1)
            speakers[node1] = bed.start_berth(node1, "speaker")
            tell(bed, "with BFD", repeat, repeats, seconds)
            yield seconds
    finally:
        bed.cluster.heal(node1)
        for speaker in speakers.values():
            speaker.stop()


def by_probes(bed, kernel, repeats):
    node1, node2 = bed.cluster.nodes
    berth = bed.start_berth(node1, "run")
    try:
        for repeat in range(repeats):
            berth.wait_for(lambda m: m.get(f'berth_node_answers{{node="{node2}"}}') == 1, "node2 to answer")
            seconds = cut_and_wait(bed, kernel, node2, node1)
            bed.cluster.heal(node2)
            tell(bed, "by probes", repeat, repeats, seconds)
            yield seconds
    finally:
        bed.cluster.heal(node2)
        berth.stop()


def wait_for_bfd(speaker):
    def up(metrics):
        return any(value == 1 for name, value in metrics.items() if name.startswith("berth_bfd_up{")) and any(
            abs(value - INTERVAL_MS * MULTIPLIER / 1000) < 1e-6 for name, value in metrics.items() if "bfd_detection" in name)
    speaker.wait_for(up, "BFD")


def cut_and_wait(bed, kernel, victim, other):
    """Seconds from the cut to the router's kernel without it."""
    both = sorted(bed.cluster.address(node) for node in (victim, other))
    left = [bed.cluster.address(other)]
    wait_until(lambda: both in kernel.routes().values(), BACK_SECONDS, "both next hops")
    time.sleep(0.3 + random.random() * 0.2)
    mark, began = kernel.now(), time.monotonic_ns()
    bed.cluster.cut(victim)
    _, gone = kernel.wait(lambda prefix, hops: hops == left, "the route without the dead node", mark)
    return (gone - began) / 1e9


def tell(bed, how, repeat, repeats, seconds):
    if repeat % 10 == 9:
        bed.say(f"{how}: {repeat + 1} of {repeats}, the last {seconds * 1000:.0f} ms")
