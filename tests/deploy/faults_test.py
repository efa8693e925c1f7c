#!/usr/bin/env python3
"""Tests of controllers that are killed or that work against each other, on a real API server. Needs root, tools/build-go and berth.

usage: tests/deploy/faults_test.py [--help] [--long] [--build FOLDER] [NAME...]

  --long          1,000 Services for two leaders; 100 kills with a write under way, and 2,000 Services made meanwhile; three minutes
  --build FOLDER  whose bin/berth is run; default out/build/asan
  NAME            only tests whose name contains one of these

An onlooker sees every version of every Service the whole time. What was found is printed before the last line.
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
from onlooker import Api, Onlooker, Relay               # noqa: E402
from system import LabError, start_time, wait_until     # noqa: E402

DEPLOY = TREE / "deploy"
GROUP = "network.kubesphere.io"
FINALIZER, POOL_KEY = "finalizer.lb.kubesphere.io/v1alpha1", "eip.openelb.kubesphere.io/v1alpha2"
ALLOCATED = "berth.kubesphere.io/allocated"
SERVICES, BLOCKS = "/api/v1/namespaces/shop/services", f"/apis/{GROUP}/v1alpha2/addressblocks"
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
        self._ending.set()
        self.join()
        if self.failure:
            raise self.failure

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
        self.onlooker = self.enterContext(Onlooker(self.api, "shop", FINALIZER))

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
        items = {item["metadata"]["name"]: item for item in self.api.must("GET", SERVICES)["items"]}
        if set(items) != live | retired:
            return f"there should not be, or should be: {set(items) ^ (live | retired)}"
        showing = {}
        for name, item in items.items():
            meta, ingress = item["metadata"], item["status"]["loadBalancer"].get("ingress", [])
            marks = (FINALIZER in meta.get("finalizers", []), meta.get("labels", {}).get(POOL_KEY),
                     meta.get("annotations", {}).get(ALLOCATED), [entry["ip"] for entry in ingress])
            if name in retired and marks != (False, None, None, []):
                return f"{name} wants no address and has {marks}"
            if name in live and (len(ingress) != 1 or marks != (True, "lan", ingress[0]["ip"], [ingress[0]["ip"]])):
                return f"{name} has {marks}"
            if name in live:
                showing[ingress[0]["ip"]] = [(f"shop/{name}", meta["uid"], "held")]
        recorded = {ip: [(holder["service"], holder["uid"], holder["state"]) for holder in entry["holders"]]
                    for block in self.api.must("GET", BLOCKS)["items"] for ip, entry in block["spec"]["addresses"].items()}
        if recorded != showing:
            return f"shown or recorded, not both: {sorted(set(showing) ^ set(recorded)) or 'with other holders'}"
        status = self.api.must("GET", f"/apis/{GROUP}/v1alpha2/eips/lan").get("status", {})
        used = {ip: [services] for ip, services in status.get("used", {}).items()}
        if used != {ip: [holder[0][0]] for ip, holder in showing.items()}:
            return "Eip.status.used says something else"
        return ""

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
        pair = [self.controller(f"leader{number}", 50050 + number, "--leader-elect=false").start() for number in (1, 2)]
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
        controller = self.controller("node1", 50051).start()
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
        controller = self.controller("node1", 50051, server=relay.server)
        users = Users(self.api, self.onlooker, most=created_wanted // 4)
        users.start()
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    remove_leftovers()
    suite = unittest.TestSuite(test for test in unittest.defaultTestLoader.loadTestsFromTestCase(FaultsTest)
                               if not args.names or any(name in test.id() for name in args.names))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
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
