#!/usr/bin/env python3
"""Taking over from OpenELB, on a real API server: what `berth migrate --check` says before, and what `berth controller` then does.

usage: tests/deploy/takeover_test.py [--help] [--build FOLDER] [NAME...]

  --build FOLDER  whose bin/berth is run; default out/build/asan
  NAME            only tests whose name contains one of these

The objects are those of tests/migrate/openelb, as OpenELB's controller leaves them. Needs root, tools/build-go and berth.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path[:0] = [str(TREE / "tools" / "lab"), str(HERE)]

from cluster import RUN, Cluster                        # noqa: E402
from controller import SPACE, Controller, program       # noqa: E402
from system import LabError, start_time, wait_until     # noqa: E402

MANIFEST = TREE / "deploy" / "berth.yaml"
EXAMPLES = TREE / "tests" / "migrate" / "openelb"
GROUP = "network.kubesphere.io"
LEASE = ("--lease-duration", 3, "--renew-deadline", 2, "--retry-period", 1)
SETTINGS = {"program": None}
# Of OpenELB's own, a few: the check has to find these and no others.
INSTALLED = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "memberlist", "namespace": SPACE}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "openelb-images", "namespace": SPACE}},
    {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "openelb-admission"},
     "webhooks": []},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "openelb-speaker"}, "rules": []},
]


def addresses_of(service):
    return [entry.get("ip") for entry in (service.get("status", {}).get("loadBalancer", {}) or {}).get("ingress", [])]


class TakeoverTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(f"takeover-{os.getpid()}")
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up(nodes=0)
        cls.kubectl("apply", "-f", MANIFEST)
        cls.kubectl("wait", "--for=condition=Established", "--timeout=30s",
                    *(f"crd/{plural}.{GROUP}" for plural in ("eips", "bgpconfs", "bgppeers", "addressblocks")))
        cls.apply(*INSTALLED)
        cls.berth = Controller(cls.cluster, SETTINGS["program"], "berth", 18051, 0, LEASE)
        cls.addClassCleanup(cls.berth.end)

    @classmethod
    def kubectl(cls, *args, **options):
        return cls.cluster.kubectl(*args, **options)

    @classmethod
    def apply(cls, *found):
        cls.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(found)}))

    def load(self, example):
        """Makes the objects of an example, with their statuses; returns the Services' addresses."""
        self.addCleanup(self.clear)
        text = self.kubectl("create", "--dry-run=client", "--validate=ignore", "-o", "json", "-f", EXAMPLES / f"{example}.yaml")
        decoder, found = json.JSONDecoder(), []
        while text.strip():
            value, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            found += value["items"] if value["kind"] == "List" else [value]
        objects = [one for one in found if one["kind"] != "Node"]
        by_age = {}
        for one in objects:
            for key in ("uid", "resourceVersion"):
                one["metadata"].pop(key, None)
            by_age.setdefault(one["metadata"].pop("creationTimestamp", None) or "", []).append(one)
        for age in sorted(by_age):
            self.apply(*({key: value for key, value in one.items() if key != "status"} for one in by_age[age]))
            made = int(time.time())
            wait_until(lambda: int(time.time()) > made or age == max(by_age), 5, "another second, so that the others are younger")
        for one in objects:
            if "status" in one:
                where = ["-n", one["metadata"]["namespace"]] if "namespace" in one["metadata"] else []
                kind = {"Eip": f"eips.v1alpha2.{GROUP}", "Service": "service"}[one["kind"]]
                self.kubectl("patch", kind, one["metadata"]["name"], *where, "--subresource=status", "--type=merge",
                             "-p", json.dumps({"status": one["status"]}))
        return {name: addresses_of(one) for name, one in self.services().items()}

    def services(self):
        found = json.loads(self.kubectl("get", "services", "-A", "-o", "json"))["items"]
        return {f"{one['metadata']['namespace']}/{one['metadata']['name']}": one for one in found
                if one["metadata"]["namespace"] in ("shop", "dns")}

    def recorded(self):
        """Who holds which address, by the record."""
        found = json.loads(self.kubectl("get", f"addressblocks.{GROUP}", "-o", "json"))["items"]
        return {(holder["service"], ip) for block in found for ip, entry in block["spec"].get("addresses", {}).items()
                for holder in json.loads(entry)["holders"] if holder["state"] == "held"}

    def clear(self):
        if self.berth.process is None:
            self.berth.start()
        for space in ("shop", "dns"):
            self.kubectl("delete", "services", "--all", "-n", space, "--timeout=60s", "--ignore-not-found")
        self.kubectl("delete", f"eips.{GROUP}", "--all", "--timeout=60s")
        self.kubectl("patch", f"bgpconf.{GROUP}", "default", "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
        for name in self.kubectl("get", f"bgppeers.{GROUP}", "-o", "name").split():
            self.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        self.kubectl("delete", f"bgpconfs.{GROUP},bgppeers.{GROUP}", "--all", "--timeout=30s")
        wait_until(lambda: not self.recorded(), 30, "an empty record")
        self.berth.end()

    def check(self):
        """Exit status and what was said."""
        command = [SETTINGS["program"], "migrate", "--check", "--kubeconfig", self.cluster.kubeconfig]
        done = self.cluster.run("control", command, check=False)
        return done.returncode, done.stdout + done.stderr

    def watch(self):
        """Every version of every Service from now on, as a stream of JSON."""
        path = self.cluster.state_dir / "services.watch"
        with open(path, "wb") as out:
            process = subprocess.Popen(self.cluster.kubectl_command(["get", "services", "-A", "--watch", "-o", "json"]), stdout=out,
                                       stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return path

    @staticmethod
    def versions(path):
        decoder, text, out = json.JSONDecoder(), path.read_text(), []
        while text.strip():
            try:
                value, end = decoder.raw_decode(text.lstrip())
            except ValueError:
                break   # the last one is not all there yet
            text = text.lstrip()[end:]
            out.append(value)
        return out

    def keeps_everything(self, example, extra=()):
        before = self.load(example)
        status, said = self.check()
        self.assertEqual(status, 0, said)
        self.assertIn("Nothing would change.", said)
        watched = self.watch()
        wait_until(lambda: len(self.versions(watched)) >= len(before), 20, "a watch")
        self.berth.start()
        expected = {(name, ip) for name, found in before.items() for ip in found} | set(extra)
        wait_until(lambda: self.recorded() == expected, 60, "everything in the record", hint=self.berth.log()[-3000:])
        shown = {name: [ip for service, ip in expected if service == name] for name in before}
        wait_until(lambda: {name: addresses_of(one) for name, one in self.services().items()} == shown, 30, "all addresses shown")
        marked = lambda one: "finalizer.lb.kubesphere.io/v1alpha1" in one["metadata"].get("finalizers", []) and \
            "eip.openelb.kubesphere.io/v1alpha2" in one["metadata"].get("labels", {})
        wait_until(lambda: all(marked(one) for name, one in self.services().items() if shown[name]), 30, "labels and finalizers")
        # Not for a moment did one show another address, or none.
        for one in self.versions(watched):
            name = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
            if before.get(name):
                self.assertEqual(addresses_of(one), before[name], name)
        self.assertEqual(self.check()[0], 0)
        return said

    def test_no_option(self):
        """A mistake on the command line is exit status 2, so that 1 always means: something would change."""
        done = self.cluster.run("control", [SETTINGS["program"], "migrate", "--kubeconfig", self.cluster.kubeconfig], check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--check", done.stderr)

    def test_ordinary(self):
        """Labels, finalizers, statuses, `used`: all is adopted, no address changes; of OpenELB's own what is there is named."""
        said = self.keeps_everything("ordinary", extra=[("shop/silent", "192.0.2.8")])   # its status was lost, `used` has it
        removals = re.findall(r"(?m)^  (kubectl delete .*)$", said)
        self.assertEqual(removals, ["kubectl delete mutatingwebhookconfiguration openelb-admission",
                                    f"kubectl delete secret memberlist -n {SPACE}", f"kubectl delete configmap openelb-images -n {SPACE}",
                                    "kubectl delete clusterrole openelb-speaker"])

    def test_bruised(self):
        """A lost label, a record that is missing, a better pool, `disable`: where OpenELB would renumber, nothing moves."""
        self.keeps_everything("bruised")

    def test_of_0_5(self):
        """As 0.5 leaves it: spec.loadBalancerIP, the protocol's annotation, the default pool's name in every Service."""
        said = self.keeps_everything("of_0_5")
        self.assertIn("protocol.openelb.kubesphere.io/v1alpha1: layer2 means nothing", said)

    def test_shared(self):
        """Who would lose a shared address is named with the cure; with the cure only a clash of ports is left, and so it comes."""
        before = self.load("shared")
        status, said = self.check()
        self.assertEqual(status, 1, said)
        named = re.findall(r"(?m)^  Service (\S+): has ", said)
        self.assertEqual(len(named), 3, said)
        self.assertIn("spec.implicitSharing: true in Eip lan", said)
        self.kubectl("patch", f"eip.{GROUP}", "lan", "--type=merge", "-p", '{"spec":{"implicitSharing":true}}')
        status, said = self.check()
        self.assertEqual(status, 1, said)
        clash = re.findall(r"(?m)^  Service (\S+): has ", said)
        self.assertEqual(len(clash), 1, said)
        self.assertIn(clash[0], ("shop/one", "shop/two"))
        self.berth.start()
        kept = {name: found for name, found in before.items() if name != clash[0]}
        wait_until(lambda: {(name, ip) for name, found in kept.items() for ip in found} <= self.recorded(), 60, "the others in the record",
                   hint=self.berth.log()[-3000:])
        wait_until(lambda: addresses_of(self.services()[clash[0]]) != before[clash[0]], 30, "what was foretold")
        self.assertEqual({name: addresses_of(one) for name, one in self.services().items() if name != clash[0]}, kept)


def remove_leftovers():
    """Labs of runs that were killed."""
    for folder in RUN.glob("takeover-*"):
        found = re.fullmatch(r"takeover-(\d+)", folder.name)
        if found and start_time(int(found[1])) is None:
            Cluster(folder.name).down()


def main():
    parser = argparse.ArgumentParser(prog="tests/deploy/takeover_test.py", description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=TREE / "out/build/asan", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    SETTINGS.update(program=program(args.build))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    remove_leftovers()
    suite = unittest.TestSuite(test for test in unittest.defaultTestLoader.loadTestsFromTestCase(TakeoverTest)
                               if not args.names or any(name in test.id() for name in args.names))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = {test.id() for test, _ in result.failures + result.errors}
    passed = result.testsRun - len(failed - {"setUpClass"}) - len(result.skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"tests/deploy/takeover_test.py: {error}")
