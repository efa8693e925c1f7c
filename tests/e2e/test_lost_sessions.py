"""Sessions are lost again and again, at many routers at once, while routes change: each new session has all routes, and nothing else; who
lost none has none of it. `bench/run soak` does the same a thousand times, and looks at memory."""

import concurrent.futures
import os

from harness import OPT_IN, POOL6, POOL_KEY, E2eTest, addresses_of, bgp_peer, eip, eventually, service
from small_router import SmallRouter, start_all

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
WAYS = (SmallRouter.reset_connections, lambda router: (router.kill(), router.start().wait()), SmallRouter.end_sessions)
ROUTERS, SERVICES, ROUNDS = 10, 60, 3


class LostSessions(E2eTest):
    routers = ("bird",)
    berth = "processes"
    family, pool = 4, "pool"

    @classmethod
    def setUpClass(cls):
        cls.start_berths("--drain-wait", "1")
        names = ["calm", *(f"lost{number}" for number in range(ROUTERS))]
        cls.small = {name: SmallRouter(cls.lab.cluster, name, 160 + at, family=cls.family) for at, name in enumerate(names)}
        cls.addClassCleanup(cls.remove)
        start_all(cls.small.values())

    @classmethod
    def remove(cls):
        for router in cls.small.values():
            router.stop()
        for name in cls.small:
            cls.lab.api.delete("bgppeers", name)

    def setUp(self):
        self.lab.reset()
        self.addCleanup(self.lab.clear)
        self.addCleanup(self.exclude, None)
        self.lab.apply(eip("pool6", POOL6), *(bgp_peer(name, router.address, router.as_number) for name, router in self.small.items()))
        for number in range(SERVICES):
            annotations = dict(OPT_IN, **{POOL_KEY: self.pool})
            self.lab.api.create("services", service(f"web-{number}", annotations, ipFamilies=[f"IPv{self.family}"]))
        found = eventually("addresses", lambda: len(self.known_addresses()) == SERVICES and self.known_addresses(), 60)
        self.addresses = set(found)
        self.wait_for_tables("at first")

    def known_addresses(self):
        return [address for one in self.lab.api.list("services", labels="e2e=1") for address in addresses_of(one)]

    def exclude(self, label):
        self.lab.api.patch("nodes", "node2", {"metadata": {"labels": {EXCLUDE: label}}})

    def wrong_tables(self):
        """{router: how many paths it has too many or too few} where that is not none."""
        hops = self.lab.all_next_hops(self.family)
        wanted = {(address, node, hop) for address in self.addresses for node in self.lab.cluster.nodes for hop in hops}
        found = {}
        for name, router in self.small.items():
            paths = [(address, path.node, path.next_hop) for address, paths in router.routes(self.family).items() for path in paths]
            if len(paths) != len(wanted) or set(paths) != wanted:
                found[name] = f"{len(wanted - set(paths))} missing, {len(paths) - len(wanted & set(paths))} too many"
        return found

    def wait_for_tables(self, when):
        try:
            eventually("tables", lambda: not self.wrong_tables(), 10)
        except AssertionError:
            raise AssertionError(f"{when}, with all sessions up, routers have other routes than they should: "
                                 f"{self.wrong_tables()}") from None

    def footprint(self):
        """Open files and threads of all Berths and engines."""
        pids = [pid for process in self.berths.values() for pid in (process.process.pid, process.engine())]
        return [(len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))) for pid in pids]

    def lose_all(self, number):
        """Every router but one loses its sessions, in three ways, while one node's routes go and come."""
        before = {name: router.sessions() for name, router in self.small.items()}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.exclude("")
            lost = [pool.submit(WAYS[(number + at) % len(WAYS)], router) for at, (name, router) in enumerate(self.small.items())
                    if name != "calm"]
            for one in lost:
                one.result()
        eventually("one node's routes at the calm one", lambda: len(
            {path.next_hop for paths in self.small["calm"].routes(self.family).values() for path in paths}) == 1)
        self.exclude(None)

        def all_new():
            if not all(router.up() == set(before[name]) for name, router in self.small.items()):   # the quicker question
                return False
            now = {name: router.sessions() for name, router in self.small.items()}
            return all(len(now[name]) == len(sessions) and (name == "calm" or all(now[name][node] != sessions[node] for node in sessions))
                       for name, sessions in before.items())
        eventually("new sessions", all_new, 60)
        self.assertEqual(self.small["calm"].sessions(), before["calm"])

    def test_every_session_has_all_routes(self):
        """Each of many lost sessions comes back with all routes and no others; one that was not lost stays; files and threads too."""
        engines, first = [process.engine() for process in self.berths.values()], None
        for number in range(ROUNDS):
            self.lose_all(number)
            self.wait_for_tables(f"after {number + 1} rounds")
            first = first or self.footprint()
        last = self.footprint()
        self.figure(f"{ROUNDS * ROUTERS * 2} lost sessions; open files and threads: {first} after the first round, {last} at the end")
        self.assertEqual([process.engine() for process in self.berths.values()], engines)
        for (files, threads), (files_now, threads_now) in zip(first, last):
            self.assertLessEqual(files_now, files + 4)
            self.assertLessEqual(threads_now, threads + 4)


class LostSessionsIpv6(LostSessions):
    """The same by IPv6."""
    routers, family, pool = ("frr",), 6, "pool6"
