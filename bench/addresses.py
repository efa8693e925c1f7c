"""N Services made before the controller starts -> all have an address, as a bare watcher sees it.

Against a bare client that PATCHes N statuses, 32 in flight, and does nothing else. Both are measured from before their exec to
the event of the last address; rounds are interleaved, each on Services made anew.
"""

import json
import time

from system import LabError, wait_until
from testbed import PATIENCE, SERVICES, cpu_seconds, spread

POOL, FIRST_ADDRESS = "198.18.0.0/15", "198.18.0.0"
BARE_PATCH = '{"status":{"loadBalancer":{"ingress":[{"ip":"{ip}"}]}}}'
TARGET_RATIO = 1.5


def measure(bed, count, pairs, roles=("controller", "run")):
    """`roles`: what is compared with the bare client in each round."""
    round_of(bed, "bare", min(count, 100))   # the API server's own first times are not measured
    round_of(bed, roles[0], min(count, 100))
    rounds = []
    for pair in range(pairs):
        subjects = ["bare", *roles]
        if pair % 2:
            subjects.reverse()
        rounds.append({subject: round_of(bed, subject, count) for subject in subjects})
        bed.say(f"round {pair + 1} of {pairs}: " + ", ".join(f"{s} {r['seconds']:.2f} s" for s, r in sorted(rounds[-1].items())))
    return {"count": count, "rounds": rounds,
            "bare_seconds": spread([r["bare"]["seconds"] for r in rounds]),
            "roles": {role: summary(rounds, role) for role in roles}, "target_ratio": TARGET_RATIO}


def summary(rounds, role):
    of = lambda key: spread([r[role][key] for r in rounds])
    return {"seconds": of("seconds"), "first_to_last_seconds": of("first_to_last_seconds"),
            "ratio": spread([r[role]["seconds"] / r["bare"]["seconds"] for r in rounds]),
            "ratio_first_to_last": spread([r[role]["first_to_last_seconds"] / r["bare"]["first_to_last_seconds"] for r in rounds]),
            "cpu_seconds": of("cpu_seconds"), "eip_status_seconds": of("eip_status_seconds"), "events_seconds": of("events_seconds")}


def round_of(bed, subject, count):
    bed.make_pool(POOL)
    bed.make_services(count)
    time.sleep(1)   # the API server's rubbish of making them is its own affair
    watcher = bed.watch_addresses(count)
    before = control_plane_cpu(bed)
    result = bare_round(bed, watcher, count) if subject == "bare" else berth_round(bed, subject, watcher, count)
    result["control_plane_cpu_seconds"] = {name: after - before[name] for name, after in result["control_plane_cpu_seconds"].items()}
    bed.remove_services(count)
    return result


def control_plane_cpu(bed):
    return {component: bed.cpu_seconds(component) for component in ("etcd", "apiserver", "controller-manager")}


def bare_round(bed, watcher, count):
    began = time.monotonic_ns()
    bare = bed.bare_popen("control", "send", "PATCH", SERVICES + "/bench-{n}/status", BARE_PATCH, "--count", count,
                          "--first-address", FIRST_ADDRESS, kubeconfig=bed.kubeconfig)
    seen = bed.finish_watch(watcher)
    control_plane = control_plane_cpu(bed)
    said, _ = bare.communicate(timeout=PATIENCE)
    if bare.returncode != 0:
        raise LabError("the bare client failed, see above")
    return dict(times(began, seen), cpu_seconds=json.loads(said)["cpu_seconds"], control_plane_cpu_seconds=control_plane)


def berth_round(bed, role, watcher, count):
    berth = bed.start_berth("control", role)
    try:
        seen = bed.finish_watch(watcher)
        result = dict(times(berth.began, seen), cpu_seconds=cpu_seconds(berth.pid), control_plane_cpu_seconds=control_plane_cpu(bed))
        since_start = lambda: (time.monotonic_ns() - berth.began) / 1e9
        wait_until(lambda: bed.pool_usage() == count, PATIENCE, "the Eip's status")
        result["eip_status_seconds"] = since_start()
        berth.wait_for(lambda m: m["berth_events_written_total"] + m["berth_events_dropped_total"] >= count, "the Events")
        result["events_seconds"] = since_start()
        result["metrics"] = {name: value for name, value in berth.metrics().items() if "_controller_" in name or "_events_" in name}
    finally:
        berth.stop()
    return result


def times(began, seen):
    return {"seconds": (seen["last"] - began) / 1e9, "to_first_seconds": (seen["first"] - began) / 1e9,
            "first_to_last_seconds": (seen["last"] - seen["first"]) / 1e9}
