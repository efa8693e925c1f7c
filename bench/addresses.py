"""N Services, made before the controller starts or while it runs -> all have an address, as a bare watcher sees it.

Before: against a bare client that PATCHes N statuses, 32 in flight, and does nothing else. Both are measured from before their exec
to the event of the last address.

Running: a bare client makes N Services, 32 in flight. Against a bare client that hears of each by a watch and PATCHes its status, 32
in flight. Both run and listen already; both are measured from before the exec of the one that makes the Services.

Rounds are interleaved, each on Services made anew. What is compared runs on a host of its own, whose traffic is counted.
"""

import json
import time

from system import wait_until
from testbed import ASIDE, PATIENCE, SERVICES, cpu_seconds, memory_kib, service, spread

POOL, FIRST_ADDRESS = "198.18.0.0/15", "198.18.0.0"
BARE_PATCH = '{"status":{"loadBalancer":{"ingress":[{"ip":"{ip}"}]}}}'
# What a Service that Berth serves has besides. Who sends this decides and records nothing either; what it takes longer than the bare
# PATCH is the API server's work on the label, annotation, finalizer and condition.
FULL_PATCH = json.dumps({
    "metadata": {"labels": {"eip.openelb.kubesphere.io/v1alpha2": "bench"}, "annotations": {"berth.kubesphere.io/allocated": "{ip}"},
                 "finalizers": ["finalizer.lb.kubesphere.io/v1alpha1"]},
    "status": {"loadBalancer": {"ingress": [{"ip": "{ip}"}]},
               "conditions": [{"type": "berth.kubesphere.io/Allocated", "status": "True", "reason": "Allocated",
                               "message": "{ip} from bench", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
TARGET_RATIO, TARGET_RSS_MB = 1.2, 60


def measure(bed, count, pairs, roles=("controller", "run"), parts=("before", "running")):
    """`roles`: what is compared with the bare client in each round."""
    round_of(bed, parts[0], "bare", min(count, 100))   # the API server's own first times are not measured
    round_of(bed, parts[0], roles[0], min(count, 100))
    return {"count": count, "target_ratio": TARGET_RATIO, "target_rss_mb": TARGET_RSS_MB,
            **{part: compare(bed, part, count, pairs, roles) for part in parts}}


def compare(bed, part, count, pairs, roles):
    rounds = []
    for pair in range(pairs):
        subjects = ["bare", *(["full"] if part == "before" else []), *roles]
        if pair % 2:
            subjects.reverse()
        rounds.append({subject: round_of(bed, part, subject, count) for subject in subjects})
        bed.say(f"{part}: round {pair + 1} of {pairs}: " + ", ".join(f"{s} {r['seconds']:.2f} s" for s, r in sorted(rounds[-1].items())))
    return {"rounds": rounds, "bare_seconds": spread([r["bare"]["seconds"] for r in rounds]),
            "bare_bytes": {way: spread([r["bare"]["bytes"][way] for r in rounds]) for way in ("received", "sent")},
            "bare_cpu_seconds": spread([r["bare"]["cpu_seconds"] for r in rounds]),
            **({"full_ratio": spread([r["full"]["seconds"] / r["bare"]["seconds"] for r in rounds])} if "full" in rounds[0] else {}),
            "roles": {role: summary(rounds, role) for role in roles}}


def summary(rounds, role):
    of = lambda key: spread([r[role][key] for r in rounds])
    bytes_of = lambda key: {way: spread([r[role][key][way] for r in rounds]) for way in ("received", "sent")}
    return {"seconds": of("seconds"), "first_to_last_seconds": of("first_to_last_seconds"),
            "ratio": spread([r[role]["seconds"] / r["bare"]["seconds"] for r in rounds]),
            "ratio_first_to_last": spread([r[role]["first_to_last_seconds"] / r["bare"]["first_to_last_seconds"] for r in rounds]),
            "cpu_seconds": of("cpu_seconds"), "cpu_seconds_settled": of("cpu_seconds_settled"), "rss_mb": of("rss_mb"),
            "bytes": bytes_of("bytes"), "bytes_settled": bytes_of("bytes_settled"),
            "eip_status_seconds": of("eip_status_seconds"), "events_seconds": of("events_seconds")}


def round_of(bed, part, subject, count):
    bed.make_pool(POOL)
    result = {"before": before_start, "running": while_running}[part](bed, subject, count)
    bed.remove_services(count)
    return result


# ---- one round


def before_start(bed, subject, count):
    bed.make_services(count)
    time.sleep(1)   # the API server's rubbish of making them is its own affair
    watcher, use = bed.watch_addresses(count), Use(bed)
    if subject not in ("bare", "full"):
        berth = bed.start_berth(ASIDE, subject)
        return berth_result(bed, berth, watcher, use, berth.began, count)
    began = time.monotonic_ns()
    patch = FULL_PATCH if subject == "full" else BARE_PATCH
    bare = bed.bare_popen(ASIDE, "send", "PATCH", SERVICES + "/bench-{n}/status", patch, "--count", count,
                          "--first-address", FIRST_ADDRESS, kubeconfig=bed.kubeconfig)
    return bare_result(bed, bare, watcher, use, began)


def while_running(bed, subject, count):
    if subject == "bare":
        bare = bed.bare_watching(ASIDE, "follow", "--count", count, "--first-address", FIRST_ADDRESS, kubeconfig=bed.kubeconfig)
    else:
        berth = bed.start_berth(ASIDE, subject)
        berth.wait_leading()
    watcher, use = bed.watch_addresses(count), Use(bed)
    began = time.monotonic_ns()
    maker = bed.bare_popen("control", "send", "POST", SERVICES, json.dumps(service("bench-{n}")), "--count", count)
    if subject == "bare":
        result = bare_result(bed, bare, watcher, use, began)
    else:
        result = berth_result(bed, berth, watcher, use, began, count)
    return dict(result, making_seconds=bed.finish(maker)["seconds"])


def bare_result(bed, bare, watcher, use, began):
    result = dict(times(began, bed.finish(watcher)), **use.so_far())
    return dict(result, cpu_seconds=bed.finish(bare)["cpu_seconds"])


def berth_result(bed, berth, watcher, use, began, count):
    cpu_before = cpu_seconds(berth.pid) if began != berth.began else 0
    try:
        result = dict(times(began, bed.finish(watcher)), cpu_seconds=cpu_seconds(berth.pid) - cpu_before, **use.so_far())
        since = lambda: (time.monotonic_ns() - began) / 1e9
        wait_until(lambda: bed.pool_usage() == count, PATIENCE, "the Eip's status")
        result["eip_status_seconds"] = since()
        berth.wait_told(count)
        result.update(events_seconds=since(), bytes_settled=use.so_far()["bytes"],
                      rss_mb=memory_kib(berth.pid, "status", "VmRSS") * 1024 / 1e6, cpu_seconds_settled=cpu_seconds(berth.pid) - cpu_before,
                      metrics={name: value for name, value in berth.metrics().items() if "_controller_" in name or "_events_" in name})
    finally:
        berth.stop()
    return result


class Use:
    """What is used from now on: the control plane's processors, the compared program's network."""

    def __init__(self, bed):
        self._bed, self._cpu, self._bytes = bed, control_plane_cpu(bed), bed.traffic()

    def so_far(self):
        cpu, moved = control_plane_cpu(self._bed), self._bed.traffic()
        return {"control_plane_cpu_seconds": {name: cpu[name] - self._cpu[name] for name in cpu},
                "bytes": {way: moved[way] - self._bytes[way] for way in moved}}


def control_plane_cpu(bed):
    return {component: bed.cpu_seconds(component) for component in ("etcd", "apiserver", "controller-manager")}


def times(began, seen):
    return {"seconds": (seen["last"] - began) / 1e9, "to_first_seconds": (seen["first"] - began) / 1e9,
            "first_to_last_seconds": (seen["last"] - seen["first"]) / 1e9}
