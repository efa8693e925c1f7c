"""A day's work in minutes: 100,000 route changes and 1,000 lost sessions, and what they leave behind in Berth and gobgpd.

One `berth run` has sessions with 20 routers, BIRDs of their own, and announces 1,000 Services by two nodes. In each round every router
loses its session once, each in one of three ways in turn (TCP reset, killed and started again, NOTIFICATION), while

  - the other node is excluded: its 1,000 routes are marked and withdrawn, and come back afterwards;
  - 50 Services are made, announced, deleted: addresses, blocks, Events, finalizers.

A round ends when all sessions are up again and all routers have all routes. Then, and only then, memory is read: each sample is of the
same state. The slope is that of the second half: in the first one Go's heap and the allocator's grow to their size.

A session that is up, by which the router does not have what it should within seconds, is counted as one that went wrong ("short" of routes,
or with some that are "stale"), and is lost once more, until all is right.
"""

import concurrent.futures
import contextlib
import os
import re
import sys
import time

from testbed import GROUP, SERVICES, SLICES, TREE, memory_kib

sys.path.insert(0, str(TREE / "tests/e2e"))

from api import Api                              # noqa: E402
from small_router import SmallRouter, start_all  # noqa: E402
from system import LabError, wait_until                    # noqa: E402

HOST, OTHER = "node1", "node2"
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
POOL = "198.18.0.0/15"
ROUTERS, FIRST = 20, 101       # the last numbers of their addresses
CHURN = 50                     # Services that come and go in a round
DAY = 24                       # hours that the whole stands for
WARM_UP, FILLING = 0.5, 0.2    # of the rounds: what is left out of the slope, and of the one that is shown beside it
PATIENCE = 120
TABLE_SECONDS = 5              # from the last session's return until all routers have all routes, or something is wrong
WAYS = (SmallRouter.reset_connections, lambda router: (router.kill(), router.start().wait()), SmallRouter.end_sessions)
PROGRAMS = ("berth", "gobgpd")
FIGURES = ("rss_kib", "heap_kib", "files", "threads")


def measure(bed, count, changes, flaps, minutes=0):
    with Scene(bed, count) as scene:
        samples = [scene.sample()]
        least, early = -(-flaps // ROUTERS), ""
        try:
            while samples[-1]["changes"] < changes or samples[-1]["flaps"] < flaps or samples[-1]["seconds"] < minutes * 60:
                scene.round(len(samples))
                samples.append(scene.sample())
                if len(samples) % 5 == 0:
                    tell(bed, samples[-1], least)
        except (LabError, OSError, KeyboardInterrupt) as error:   # what was measured so far took its time
            early = str(error) or "interrupted"
            bed.say(f"it ends early: {early}")
        return dict(result(samples), services=count, routers=ROUTERS, samples=samples, peak_kib=scene.peaks, ended_early=early,
                    wrong=dict(scene.wrong), trouble=scene.trouble())


def tell(bed, sample, least):
    bed.say(f"round {sample['round']} of {least} or more: {sample['changes']:,.0f} changes, {sample['flaps']} sessions lost, RSS of "
            + ", of ".join(f"{program} {sample[program]['rss_kib'] / 1024:.1f} MiB" for program in PROGRAMS))


class Scene:
    """Berth with its routers and Services, and what happens to them."""

    def __init__(self, bed, count):
        self.bed, self.count, self.api = bed, count, Api(bed.cluster)
        self.routers = [SmallRouter(bed.cluster, f"soak-{number}", number) for number in range(FIRST, FIRST + ROUTERS)]
        self._flaps = self._rounds = 0
        self.wrong, self.peaks = {"short": 0, "stale": 0}, {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            bed = self.bed
            bed.make_pool(POOL)
            bed.apply({"apiVersion": GROUP, "kind": "BgpConf", "metadata": {"name": "default"}, "spec": {"as": 65001, "listenPort": -1}},
                      *(peer_of(router) for router in self.routers))
            for router in self.routers:
                stack.callback(router.stop)
            start_all(self.routers)
            self.berth = bed.start_berth(HOST, "run", ["--drain-wait", "1"])
            stack.callback(self.berth.stop)
            self.berth.wait_leading()
            bed.make_services(self.count, with_endpoints=True)
            self._wait_for_routes(2 * self.count)
            self._wait_for_sessions({})
            if wrong := self._wrong_tables():
                raise LabError(f"router {wrong[0].name} does not have all routes to begin with")
            self._began, self._changes = time.monotonic(), self._count_changes()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    # ---- a round

    def round(self, number):
        before = self.berth.sessions()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            lost = [pool.submit(WAYS[(number + at) % len(WAYS)], router) for at, router in enumerate(self.routers)]
            self._change_routes()
            for one in lost:
                one.result()
        self._wait_for_sessions(before)
        self._flaps += len(before)
        while wrong := self._wrong_tables():
            before = self.berth.sessions()
            for router in wrong:
                router.reset_connections()
            self._wait_for_sessions({router.address: before[router.address] for router in wrong})
            self._flaps += len(wrong)
        self._rounds += 1

    def _change_routes(self):
        self._exclude("")
        self._wait_for_routes(self.count)
        self.bed.make_services(CHURN, with_endpoints=True, prefix="churn-")
        self._wait_for_routes(self.count + CHURN)
        self._exclude(None)
        self._wait_for_routes(2 * (self.count + CHURN))
        for kind in (SERVICES, SLICES):
            self.bed.bare("send", "DELETE", kind + "/churn-{n}", "--count", CHURN)
        self._wait_for_routes(2 * self.count)

    def _exclude(self, label):
        self.api.patch("nodes", OTHER, {"metadata": {"labels": {EXCLUDE: label}}})

    def _wait_for_routes(self, wanted):
        self.berth.wait_for(lambda metrics: metrics.get("berth_bgp_routes") == wanted, f"{wanted} routes in gobgpd")

    def _wait_for_sessions(self, before):
        """Until all sessions are up, and are others than before."""
        def all_new():
            now = self.berth.sessions()
            return len(now) == ROUTERS and all(now[neighbor] != since for neighbor, since in before.items())
        wait_until(all_new, PATIENCE, "all sessions to be back")

    def _wrong_tables(self):
        """Routers that do not have the routes that they should, when there was time for it."""
        wanted, wrong = 2 * self.count, list(self.routers)
        deadline = time.monotonic() + TABLE_SECONDS
        while wrong and time.monotonic() < deadline:
            wrong = [router for router in wrong if table_size(router) != wanted]
            time.sleep(0.1)
        for router in wrong:
            self.wrong["short" if table_size(router) < wanted else "stale"] += 1
        return wrong

    def _count_changes(self):
        metrics = self.berth.metrics()
        return metrics["berth_bgp_routes_added_total"] + metrics["berth_bgp_routes_withdrawn_total"]

    # ---- what is left

    def sample(self):
        pids = {"berth": self.berth.pid, "gobgpd": self.berth.children()[0]}
        found = {"round": self._rounds, "seconds": time.monotonic() - self._began, "changes": self._count_changes() - self._changes,
                 "flaps": self._flaps, "wrong": dict(self.wrong), "starts": self.berth.metrics()["berth_bgp_engine_starts_total"]}
        for program, pid in pids.items():
            found[program] = footprint(pid)
            self.peaks[program] = max(self.peaks.get(program, 0), memory_kib(pid, "status", "VmHWM"))
        return found

    def trouble(self):
        """What Berth's log says of gobgpd's ends."""
        words = ("event=gobgpd_hangs", "event=gobgpd_ended", "panic:")
        return [line for line in self.berth.log_file.read_text(errors="replace").splitlines() if any(word in line for word in words)][:20]


def peer_of(router):
    spec = {"conf": {"peerAs": router.as_number, "neighborAddress": router.address}, "timers": {"config": {"connectRetry": "1"}},
            "gracefulRestart": {"deferralTime": 1}}
    return {"apiVersion": GROUP, "kind": "BgpPeer", "metadata": {"name": router.name}, "spec": spec}


def table_size(router):
    return int(re.search(r"(\d+) of \d+ routes", router.ask("show route table master4 count"))[1])


def footprint(pid):
    """What a process has of the machine: resident memory, what of it is of no file, open files, threads."""
    return dict(zip(FIGURES, (memory_kib(pid, "status", "VmRSS"), memory_kib(pid, "status", "RssAnon"), len(os.listdir(f"/proc/{pid}/fd")),
                              len(os.listdir(f"/proc/{pid}/task")))))


# ---- the slope


def slope(xs, ys):
    """Least squares: (slope, its standard error). Neighbouring samples are taken for independent of each other."""
    n = len(xs)
    mean_x, mean_y = sum(xs) / n, sum(ys) / n
    square = sum((x - mean_x) ** 2 for x in xs)
    found = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / square
    rest = sum((y - mean_y - found * (x - mean_x)) ** 2 for x, y in zip(xs, ys))
    return found, (rest / (n - 2) / square) ** 0.5


def result(samples):
    last = samples[-1]
    warm, longer = (of_one_gobgpd(samples[max(1, int(len(samples) * part)):]) for part in (WARM_UP, FILLING))
    found = {"changes": last["changes"], "flaps": last["flaps"], "rounds": last["round"], "seconds": last["seconds"],
             "left_out": len(samples) - len(warm), "programs": {}}
    if len(warm) < 8:
        return found
    for program in PROGRAMS:
        rss, grows = [sample[program]["rss_kib"] for sample in warm], slope_of(warm, program)
        found["programs"][program] = {
            "per_1000": grows, "per_hour": [value * last["changes"] / 1000 / DAY for value in grows],
            "per_1000_longer": slope_of(longer, program),
            "mean_kib": sum(rss) / len(rss), "least_kib": min(rss), "most_kib": max(rss),
            "verdict": verdict(*grows, last["changes"] / 1000, sum(rss) / len(rss))}
    return found


def of_one_gobgpd(samples):
    return [sample for sample in samples if sample["starts"] == samples[-1]["starts"]]


def slope_of(samples, program):
    return slope([sample["changes"] / 1000 for sample in samples], [sample[program]["rss_kib"] for sample in samples])


def verdict(grows, error, thousands, mean):
    """In words. Flat is what can't be told from noise, or would add less than a hundredth in a day."""
    most = max(0.0, (grows + 2 * error) * thousands)
    bound = f"a day of this adds {most:.0f} KiB at most ({100 * most / mean:.1f} %; two standard errors)"
    if grows <= 2 * error:
        return f"flat: no growth that could be told from noise; {bound}"
    if grows * thousands < mean / 100:
        return f"flat: it grows, by less than a hundredth in a day; {bound}"
    return f"GROWS: {grows * thousands:.0f} KiB in a day of this; {bound}"
