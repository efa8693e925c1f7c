#!/usr/bin/env python3
"""Tests of controllers that are killed or that work against each other, on a real API server. Needs root, tools/build-go and berth.

usage: tests/deploy/faults_test.py [--help] [--long] [--build FOLDER] [NAME...]

  --long          1,000 Services for two leaders; 100 kills with a write under way, and 2,000 Services made meanwhile; three minutes
  --build FOLDER  whose bin/berth is run; default out/build/asan
  NAME            only tests whose name contains one of these

An onlooker sees every version of every Service the whole time; that it would notice what must never be is tested first. What was found is
printed before the last line.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path[:0] = [str(TREE / "tools" / "lab"), str(HERE)]

from cluster import RUN, Cluster                        # noqa: E402
from controller import SPACE, Controller, program       # noqa: E402
from onlooker import ALLOCATED, FINALIZER, POOL_KEY, Api, Onlooker, Relay, left_over   # noqa: E402
from system import LabError, start_time, wait_until     # noqa: E402

DEPLOY = TREE / "deploy"
GROUP = "network.kubesphere.io"
SERVICES, BLOCKS = "/api/v1/namespaces/shop/services", f"/apis/{GROUP}/v1alpha2/addressblocks"
POOL = f"/apis/{GROUP}/v1alpha2/eips/lan"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SPACE}/leases/openelb-controller"
SETTINGS = {"long": False, "program": None}
FOUND = []   # for people


def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": {"lb.kubesphere.io/v1alpha1": "openelb"}},
            "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}}


class Users(threading.Thread):
    """Make Services, delete them, and make some into what needs no address, whatever state they are in. They wait only while `BACKLOG`
    Services have not got what they wait for, so a controller that works always has work."""

    BACKLOG = 100

    def __init__(self, api, onlooker, most):
        super().__init__(daemon=True)
        self._api, self._onlooker, self._most, self._ending = api, onlooker, most, threading.Event()
        self.live, self.retired = set(), set()   # that want an address, and that do not any more
        self.created = self.deleted = 0
        self.failure = None

    def end(self):
        self.stop()
        if self.failure:
            raise self.failure

    def stop(self):
        self._ending.set()
        self.join()

    def run(self):
        try:
            while not self._ending.is_set():
                if self._onlooker.open() >= self.BACKLOG:
                    self._onlooker.wait_change(0.1)
                else:
                    self._act()
        except Exception as failure:   # told by end()
            self.failure = failure

    def _act(self):
        number = random.randrange(self._most)
        if number > len(self.live) + len(self.retired):
            name = f"web-{self.created}"
            self._api.must("POST", SERVICES, service(name))
            self.created += 1
            self.live.add(name)
        elif self.live and number % 4:
            self._remove(self.live, random.choice(sorted(self.live)))
        elif self.live:
            name = random.choice(sorted(self.live))
            self._api.must("PATCH", f"{SERVICES}/{name}", {"spec": {"type": "ClusterIP"}})
            self.live.remove(name)
            self.retired.add(name)
        if len(self.retired) > self._most / 4:
            self._remove(self.retired, random.choice(sorted(self.retired)))

    def _remove(self, where, name):
        self._api.must("DELETE", f"{SERVICES}/{name}")
        where.remove(name)
        self.deleted += 1


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(f"faults-{os.getpid()}")
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up(nodes=0)
        kubectl = cls.cluster.kubectl
        kubectl("apply", *[word for path in sorted((DEPLOY / "crds").glob("*.yaml")) for word in ("-f", path)])
        kubectl("apply", "-f", DEPLOY / "namespace.yaml", "-f", DEPLOY / "rbac.yaml")
        kubectl("create", "namespace", "shop")
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        pool = {"apiVersion": f"{GROUP}/v1alpha2", "kind": "Eip",
                "metadata": {"name": "lan", "annotations": {"eip.openelb.kubesphere.io/is-default-eip": "true"}},
                "spec": {"address": "198.18.0.0/20"}}
        kubectl("create", "-f", "-", input=json.dumps(pool))
        cls.api = Api(cls.cluster)

    def setUp(self):
        self.addCleanup(self.sweep)
        self.onlooker = self.enterContext(Onlooker(self.api, "shop"))

    def sweep(self):
        """What a test that failed left behind; no controller runs any more."""
        for item in self.api.must("GET", SERVICES)["items"]:
            path = f"{SERVICES}/{item['metadata']['name']}"
            self.api.ask("PATCH", path, {"metadata": {"finalizers": None}})
            self.api.ask("DELETE", path)
        for item in self.api.must("GET", BLOCKS)["items"]:
            self.api.must("DELETE", f"{BLOCKS}/{item['metadata']['name']}")

    def controller(self, name, port, *flags, **options):
        made = Controller(self.cluster, SETTINGS["program"], name, port, flags=flags, **options)
        self.addCleanup(made.end)
        return made

    # ---- what must be so in the end

    def settled(self, live, retired, controller):
        """Waits until the Services `live` have what they want and nothing else is left anywhere; and nothing wrong was seen on the way."""
        wait_until(lambda: not self.unsettled(live, retired), 120, "all Services served, all addresses of others given back",
                   hint=Late(lambda: f"{self.unsettled(live, retired)}\n{controller.log()[-3000:]}"))
        self.assertEqual(self.onlooker.trouble, [])
        self.assertEqual(self.onlooker.duplicates, [])
        self.assertEqual(self.onlooker.moves, [])
        self.assertEqual(set(self.onlooker.shown()), live | retired)

    def unsettled(self, live, retired):
        """The first thing that is not as it should be; empty if all is well."""
        listed = [self.api.must("GET", path)["items"] for path in (SERVICES, BLOCKS)]
        return left_over(*listed, self.api.must("GET", POOL), live, retired)

    def all_deleted(self, names, controller):
        self.each(names, lambda name: self.api.must("DELETE", f"{SERVICES}/{name}"))
        self.settled(set(), set(), controller)

    @staticmethod
    def each(names, work):
        """Several at a time."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(work, sorted(names)))

    # ---- the tests

    def test_two_leaders(self):
        """Two controllers that both lead: every Service gets one address, no address goes to two, and all go when they are deleted."""
        count = 1000 if SETTINGS["long"] else 200
        pair = [self.controller(f"leader{number}", 18050 + number, "--leader-elect=false").start() for number in (1, 2)]
        for controller in pair:
            controller.wait_ready()
        names = {f"web-{number}" for number in range(count)}
        began = time.monotonic()
        self.each(names, lambda name: self.api.must("POST", SERVICES, service(name)))
        self.settled(names, set(), pair[0])
        took = time.monotonic() - began
        conflicts = [controller.metric("berth_controller_conflicts_total") for controller in pair]
        assigned = [controller.metric("berth_addresses_assigned_total") for controller in pair]
        self.assertGreater(min(assigned), 0, "one of them did all the work")
        self.assertGreater(sum(conflicts), 0, "they never met")
        self.all_deleted(names, pair[0])
        FOUND.append(f"two leaders: {count} Services made and served in {took:.1f} s, {assigned[0]:.0f} by one and {assigned[1]:.0f} by "
                     f"the other, {sum(conflicts):.0f} conflicts; {self.onlooker.events} versions seen, 0 duplicates")

    def test_a_restarted_holder(self):
        """A holder of the Lease that is killed and started again on its node leads before its old Lease would have ended."""
        controller = self.controller("node1", 18051).start()
        wait_until(lambda: controller.metric("berth_leader") == 1, 60, "the first to lead", hint=controller.log()[-2000:])
        old = self.api.must("GET", LEASE)["spec"]
        controller.end(signal.SIGKILL)
        began = time.monotonic()
        controller.start()
        wait_until(lambda: controller.metric("berth_leader") == 1, 60, "the second to lead", hint=Late(controller.log))
        took = time.monotonic() - began
        new = self.api.must("GET", LEASE)["spec"]
        self.assertRegex(old["holderIdentity"], r"^node1_[0-9a-f]{16}$")
        self.assertRegex(new["holderIdentity"], r"^node1_[0-9a-f]{16}$")
        self.assertNotEqual(new["holderIdentity"], old["holderIdentity"])
        self.assertEqual(new["leaseTransitions"], old["leaseTransitions"] + 1)
        waited = moment(new["acquireTime"]) - moment(old["renewTime"])
        self.assertLess(waited.total_seconds(), old["leaseDurationSeconds"])
        FOUND.append(f"a restarted holder: leads {took:.2f} s after its start; a Lease lasts {old['leaseDurationSeconds']} s")

    def test_kills(self):
        """A controller is killed again and again, 50 to 500 ms after its first write, while Services come and go: no address is shown
        twice, none is lost, and in the end nothing is left over."""
        kills_wanted, created_wanted = (100, 2000) if SETTINGS["long"] else (10, 100)
        relay = self.enterContext(Relay(self.cluster, 6444))
        controller = self.controller("node1", 18051, server=relay.server)
        users = Users(self.api, self.onlooker, most=created_wanted // 4)
        users.start()
        self.addCleanup(users.stop)
        kills, writing, writes = 0, 0, []
        while writing < kills_wanted or users.created < created_wanted:
            relay.forget()
            controller.start()
            self.assertTrue(relay.wrote.wait(60), controller.log()[-3000:])
            time.sleep(random.uniform(0.05, 0.5))   # the point of the kill
            self.assertIsNone(controller.process.poll(), controller.log()[-3000:])
            under_way = relay.kill(controller.process.pid)
            controller.process.wait(30)
            kills += 1
            writing += bool(under_way)
            writes += under_way
            if not users.is_alive():
                break
        users.end()
        controller.start()
        self.settled(users.live, users.retired, controller)
        self.all_deleted(users.live | users.retired, controller)
        blocks = sum("addressblocks" in write for write in writes)
        FOUND.append(f"kills: {kills}, {writing} with a write under way ({blocks} of blocks, {len(writes) - blocks} of Services); "
                     f"{users.created} Services made, {users.deleted} deleted meanwhile; {self.onlooker.events} versions seen, "
                     "0 duplicates, 0 moves, nothing left over")


def seen(name, *addresses, **more):
    """A Service as the API server shows it when everything of Berth's is on it; `more`: uid, type, and what is otherwise in metadata."""
    found = service(name) | {"status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"} for ip in addresses]}}}
    found["spec"]["type"] = more.pop("type", "LoadBalancer")
    found["metadata"] |= {"namespace": "shop", "uid": f"{name}-uid", "resourceVersion": "7"}
    if addresses:
        found["metadata"] |= {"finalizers": [FINALIZER], "labels": {POOL_KEY: "lan"}, "annotations": {ALLOCATED: ",".join(addresses)}}
    found["metadata"] |= more
    return found


class CheckersTest(unittest.TestCase):
    """Whatever must never be is noticed by those who look: shown with observations that are made up."""

    LIVE, RETIRED = {"a", "b"}, {"c"}

    def look(self, *lines):
        onlooker = Onlooker(None, "shop")
        for what, found in lines:
            onlooker.take(what, found)
        return onlooker

    def test_duplicates(self):
        found = self.look(("ADDED", seen("a", "198.18.0.1")), ("ADDED", seen("b")), ("MODIFIED", seen("b", "198.18.0.9", "198.18.0.1")))
        self.assertEqual(found.duplicates, [("198.18.0.1", ["a", "b"], "7")])
        for last in ("MODIFIED", seen("a")), ("DELETED", seen("a", "198.18.0.1")):   # one after the other is fine
            found = self.look(("ADDED", seen("a", "198.18.0.1")), last, ("MODIFIED", seen("b", "198.18.0.1")))
            self.assertEqual(found.duplicates, [])

    def test_moves(self):
        before = ("ADDED", seen("a", "198.18.0.1"))
        for after in seen("a", "198.18.0.2"), seen("a"), seen("a", "198.18.0.1", "198.18.0.2"):
            self.assertEqual([name for name, *_ in self.look(before, ("MODIFIED", after)).moves], ["a"])
        for after in (seen("a", "198.18.0.1"), seen("a", type="ClusterIP"), seen("a", deletionTimestamp="now"), seen("a", uid="another")):
            self.assertEqual(self.look(before, ("MODIFIED", after)).moves, [])

    def test_what_is_waited_for(self):
        for waits in seen("a"), seen("a", "198.18.0.1", deletionTimestamp="now"), seen("a", "198.18.0.1", type="ClusterIP"):
            self.assertEqual(self.look(("ADDED", waits)).open(), 1)
        self.assertEqual(self.look(("ADDED", seen("a", "198.18.0.1")), ("ADDED", seen("c", type="ClusterIP"))).open(), 0)

    def wrong(self, break_it):
        """What is said of a world in which all is well, after `break_it(services, addresses, pool)`."""
        services = {"a": seen("a", "198.18.0.1"), "b": seen("b", "198.18.0.2"), "c": seen("c", type="ClusterIP")}
        addresses = {f"198.18.0.{number}": {"holders": [{"service": f"shop/{name}", "uid": f"{name}-uid", "state": "held"}]}
                     for number, name in enumerate("ab", 1)}
        pool = {"metadata": {"name": "lan"}, "status": {"used": {"198.18.0.1": "shop/a", "198.18.0.2": "shop/b"}}}
        break_it(services, addresses, pool)
        written = {ip: json.dumps(entry) for ip, entry in addresses.items()}
        blocks = [{"metadata": {"name": "v4-198.18.0.0-26"}, "spec": {"addresses": written}}]
        return left_over(list(services.values()), blocks, pool, self.LIVE, self.RETIRED)

    def test_leaks_and_losses(self):
        self.assertEqual(self.wrong(lambda services, addresses, pool: None), "")
        freed = {"holders": [], "reservedFor": "shop/gone"}
        gone = {"service": "shop/gone", "uid": "gone-uid", "state": "held"}
        for what, expected, break_it in (
                ("a Service is gone", "should be: ['b']", lambda s, a, p: s.pop("b")),
                ("one that was deleted hangs", "should not be", lambda s, a, p: s.update(d=seen("d", deletionTimestamp="now"))),
                ("one has nothing", "b has (False, None, None, [])", lambda s, a, p: s.update(b=seen("b"))),
                ("one has two", "b has", lambda s, a, p: s.update(b=seen("b", "198.18.0.2", "198.18.0.3"))),
                ("one has lost its finalizer", "b has (False", lambda s, a, p: s.update(b=seen("b", "198.18.0.2", finalizers=[]))),
                ("one has lost its label", "b has (True, None", lambda s, a, p: s.update(b=seen("b", "198.18.0.2", labels={}))),
                ("two show one address", "is shown twice", lambda s, a, p: s.update(b=seen("b", "198.18.0.1"))),
                ("a finalizer is left", "c wants no address", lambda s, a, p: s["c"]["metadata"].update(finalizers=[FINALIZER])),
                ("an annotation is left", "c wants no address", lambda s, a, p: s["c"]["metadata"].update(annotations={ALLOCATED: "x"})),
                ("an address is left", "c wants no address", lambda s, a, p: s.update(c=seen("c", "198.18.0.3", finalizers=[]))),
                ("a record is lost", "not both: ['198.18.0.2']", lambda s, a, p: a.pop("198.18.0.2")),
                ("a record is left", "not both: ['198.18.0.3']", lambda s, a, p: a.update({"198.18.0.3": {"holders": [gone]}})),
                ("a quarantine does not end", "not both: ['198.18.0.3']", lambda s, a, p: a.update({"198.18.0.3": freed})),
                ("a second holder", "with other holders", lambda s, a, p: a["198.18.0.2"]["holders"].append(gone)),
                ("a record of one with another uid", "with other holders", lambda s, a, p: a["198.18.0.2"]["holders"][0].update(uid="x")),
                ("a giving back hangs", "with other holders", lambda s, a, p: a["198.18.0.2"]["holders"][0].update(state="freeing")),
                ("a block is left", "empty and still there",
                 lambda s, a, p: (a.clear(), s.update(a=seen("a", "198.18.0.1"), b=seen("b", "198.18.0.2")))),
                ("the Eip's view is old", "status.used", lambda s, a, p: p["status"]["used"].pop("198.18.0.2"))):
            with self.subTest(what):
                self.assertIn(expected, self.wrong(break_it))


class Late:
    """A text that is made when it is needed."""

    def __init__(self, make):
        self._make = make

    def __str__(self):
        return self._make()


def moment(text):
    return datetime.datetime.fromisoformat(text)


def remove_leftovers():
    """Labs of runs that were killed."""
    for folder in RUN.glob("faults-*"):
        found = re.fullmatch(r"faults-(\d+)", folder.name)
        if found and start_time(int(found[1])) is None:
            Cluster(folder.name).down()


def main():
    parser = argparse.ArgumentParser(prog="tests/deploy/faults_test.py", description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", default=TREE / "out/build/asan", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    SETTINGS.update(long=args.long, program=program(args.build))
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # unittest takes any other exception for a failure, and goes on
    remove_leftovers()
    suite = unittest.TestSuite(test for kind in (CheckersTest, FaultsTest)
                               for test in unittest.defaultTestLoader.loadTestsFromTestCase(kind)
                               if not args.names or any(name in test.id() for name in args.names))
    try:
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    except KeyboardInterrupt:
        return 143
    finally:
        FaultsTest.doClassCleanups()
    print("\n".join(FOUND))
    failed = {test.id().split(" ")[0] for test, _ in result.failures + result.errors}
    passed = result.testsRun - len(failed - {"setUpClass"}) - len(result.skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"tests/deploy/faults_test.py: {error}")
