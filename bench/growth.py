"""One Service, and 100 at once, with ever more addresses allocated in the same pool.

One: its POST is sent -> a bare watcher sees its address. Against what nobody can do without: the time of a bare POST, plus from
sending a bare PATCH of its status to the same watcher's event. One after the other, in turn, with a pause between.

100: made by a bare client, 32 in flight -> all have addresses, from before its exec. Against the bare client that follows a watch.

Berth runs all the time, and hears of the bare Services, which do not ask it.
"""

import json
import time

from system import wait_until
from talk import Talk
from testbed import ASIDE, PATIENCE, SERVICES, memory_kib, service, spread

POOL, BARE_ADDRESS = "198.18.0.0/15", "203.0.113.1"
LEVELS, AT_ONCE, PAIRS = (1, 1000, 10_000, 20_000), 100, 5
PAUSE_SECONDS, WARM_UP = 0.1, 2
TARGETS = {"one": 2.0, "flat": 1.5, "at_once": 1.5}


def measure(bed, repeats, levels=LEVELS):
    bed.make_pool(POOL)
    berth = bed.start_berth(ASIDE, "controller")
    rows, have = [], 0
    try:
        berth.wait_leading()
        fill(bed, berth, "warm-", 50, 0)
        empty(bed, "warm-", 50)
        for level in levels:
            fill(bed, berth, f"fill-{level}-", level - have, have)
            rss = memory_kib(berth.pid, "status", "VmRSS") * 1024 / 1e6
            row = {"allocated": level, "berth_rss_mb": rss, **singles(bed, level, repeats)}
            have = level + repeats + WARM_UP
            row["at_once"] = [at_once(bed, level, number) for number in range(PAIRS)]
            have += AT_ONCE * PAIRS
            rows.append(row)
            bed.say(f"{level} allocated: one {row['berth']['median'] * 1000:.1f} ms, bare {row['bare']['median'] * 1000:.1f} ms")
    finally:
        berth.stop()
    return {"repeats": repeats, "at_once": AT_ONCE, "targets": TARGETS,
            "levels": [dict(row, at_once=summary(row["at_once"])) for row in rows]}


def summary(pairs):
    return {"berth": spread([pair["berth"] for pair in pairs]), "bare": spread([pair["bare"] for pair in pairs]),
            "ratio": spread([pair["berth"] / pair["bare"] for pair in pairs])}


def fill(bed, berth, prefix, count, have):
    """Until all is told, and nothing is left to do."""
    watcher = bed.watch_addresses(count, prefix)
    bed.make_services(count, prefix=prefix)
    bed.finish(watcher)
    wait_until(lambda: bed.pool_usage() >= have + count, PATIENCE, "the Eip's status")
    berth.wait_told(have + count)


def empty(bed, prefix, count):
    bed.bare("send", "DELETE", SERVICES + "/" + prefix + "{n}", "--count", count)
    wait_until(lambda: bed.pool_usage() == 0, PATIENCE, "the Eip's status")


def singles(bed, level, repeats):
    ours, bare = [], []
    with Talk(bed) as talk:
        for number in range(-WARM_UP, repeats):
            time.sleep(PAUSE_SECONDS)
            mine = one_of_berth(talk, f"one-{level}-{number + WARM_UP}")
            time.sleep(PAUSE_SECONDS)
            lowest = one_bare(talk, f"bare-{level}-{number + WARM_UP}")
            if number >= 0:
                ours.append(mine)
                bare.append(lowest)
    return {"berth": spread(ours), "bare": spread(bare), "ratio": spread([a / b for a, b in zip(ours, bare)]),
            "samples": {"berth": ours, "bare": bare}}


def one_of_berth(talk, name):
    created = talk.request("POST", SERVICES, service(name))
    return (talk.wait_seen(name, lambda event, address: address) - created.began) / 1e9


def one_bare(talk, name):
    created = talk.request("POST", SERVICES, service(name, ours=False))
    shown = talk.request("PATCH", f"{SERVICES}/{name}/status", {"status": {"loadBalancer": {"ingress": [{"ip": BARE_ADDRESS}]}}})
    seen = talk.wait_seen(name, lambda event, address: address)
    return (created.ended - created.began + seen - shown.began) / 1e9


def at_once(bed, level, number):
    """One pair; the order alternates."""
    times = {}
    for subject in ("berth", "bare") if number % 2 else ("bare", "berth"):
        time.sleep(1)
        prefix = f"{subject}-{level}-{number}-"
        watcher = bed.watch_addresses(AT_ONCE, prefix)
        if subject == "bare":
            follower = bed.bare_watching(ASIDE, "follow", "--count", AT_ONCE, prefix=prefix, kubeconfig=bed.kubeconfig)
        began = time.monotonic_ns()
        bed.bare("send", "POST", SERVICES, json.dumps(service(prefix + "{n}", ours=subject == "berth")), "--count", AT_ONCE)
        times[subject] = (bed.finish(watcher)["last"] - began) / 1e9
        if subject == "bare":
            bed.finish(follower)
    return times
