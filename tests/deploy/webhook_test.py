#!/usr/bin/env python3
"""Tests of the admission webhook: two `berth controller`s beside a real API server that calls them. Needs root, tools/build-go and berth.

usage: tests/deploy/webhook_test.py [--help] [--long] [--build FOLDER] [NAME...]

  --long          also replaces the certificate authority, which takes more than a minute
  --build FOLDER  whose bin/berth is run; default out/build/asan
  NAME            only tests whose name contains one of these

The webhook's configuration is the one of deploy/berth.yaml, but for a URL instead of the Service: nothing here forwards for Services.
"""

import argparse
import base64
import json
import os
import pathlib
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

from cluster import RUN, Cluster                                     # noqa: E402
from controller import SPACE, Controller, program, served_certificate   # noqa: E402
from system import LabError, run, start_time, wait_until             # noqa: E402

MANIFEST = TREE / "deploy" / "berth.yaml"
GROUP = "network.kubesphere.io"
DEFAULT = "eip.openelb.kubesphere.io/is-default-eip"
PATH = "/validate-network-kubesphere-io-v1alpha2-eip"
HOOK = "validate.eip.network.kubesphere.io"
LEASE = ("--lease-duration", 3, "--renew-deadline", 2, "--retry-period", 1)   # a killed leader is soon replaced
SETTINGS = {"long": False, "program": None}


def eip(name, default=None, **spec):
    annotations = {DEFAULT: default} if default else {}
    return {"apiVersion": f"{GROUP}/v1alpha2", "kind": "Eip", "metadata": {"name": name, "annotations": annotations}, "spec": spec}


def service(name, pool):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "shop",
                         "annotations": {"lb.kubesphere.io/v1alpha1": "openelb", "eip.openelb.kubesphere.io/v1alpha2": pool}},
            "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}}


# What an OpenELB that was not removed leaves behind: its server is gone, its policy is Fail.
LEFT_BEHIND = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "openelb-admission", "namespace": SPACE},
     "stringData": {"cert": "of OpenELB", "key": "of OpenELB", "ca": "of OpenELB"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "openelb-controller", "namespace": SPACE},
     "spec": {"selector": {"app": "openelb", "component": "controller"},
              "ports": [{"name": "https-webhook", "port": 443, "targetPort": "webhook"}]}},
    {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "openelb-admission"},
     "webhooks": [{"name": HOOK, "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                   "clientConfig": {"service": {"name": "openelb-controller", "namespace": SPACE, "path": PATH}},
                   "rules": [{"apiGroups": [GROUP], "apiVersions": ["v1alpha2"], "operations": ["CREATE", "UPDATE"],
                              "resources": ["eips"]}]}]},
]


class Writing:
    """Writes that the webhook is asked about, one after another, until the end; each in vain, so that nothing stays."""

    def __init__(self, test):
        self.test, self.refused, self.count = test, [], 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.write)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()

    def write(self):
        while not self.ending.is_set():
            said = self.test.create(eip("written", address="203.0.113.9"), "--dry-run=server")
            self.count += 1
            if "created" not in said:
                self.refused.append(said)


class WebhookTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(f"webhook-{os.getpid()}")
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up(nodes=0)
        cls.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": LEFT_BEHIND}))
        cls.kubectl("apply", "--validate=strict", "-f", MANIFEST)
        cls.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/eips.{GROUP}")
        cls.first = cls.create(eip("lan", address="192.0.2.0/24"))   # as in the first kubectl apply of everything
        cls.shipped = json.loads(cls.kubectl("get", "validatingwebhookconfiguration", "openelb-admission", "-o", "json"))
        cls.configure({"clientConfig": {"url": f"https://127.0.0.1:9443{PATH}", "service": None}})
        cls.replicas = [Controller(cls.cluster, SETTINGS["program"], f"berth{number}", 18050 + number, 9442 + number, LEASE)
                        for number in (1, 2)]
        for replica in cls.replicas:
            cls.addClassCleanup(replica.end)
            replica.start()
        secret = ("get", "secret", "openelb-admission", "-n", SPACE, "-o", "jsonpath={.data}")
        cls.first_secret = json.loads(wait_until(lambda: "tls.crt" in (said := cls.kubectl(*secret)) and said, 60, "a certificate"))

    def setUp(self):
        for replica in self.replicas:
            if replica.process is None:
                replica.start()
            replica.wait_ready()
        wait_until(lambda: "overlap" in self.create(eip("probe", address="192.0.2.255"), "--dry-run=server"), 60,
                   "the webhook to be asked", hint=self.replicas[0].log()[-2000:])
        self.addCleanup(self.clear)

    def clear(self):
        self.configure({"failurePolicy": "Ignore"})
        self.kubectl("delete", "services", "--all", "-n", "shop", "--timeout=60s")
        others = [name for name in self.kubectl("get", f"eips.{GROUP}", "-o", "name").split() if not name.endswith("/lan")]
        if others:
            self.kubectl("delete", *others, "--timeout=60s")

    @classmethod
    def kubectl(cls, *args, **options):
        return cls.cluster.kubectl(*args, **options)

    @classmethod
    def create(cls, found, *flags):
        """What kubectl said, refusal or not."""
        return cls.kubectl("create", "-f", "-", *flags, input=json.dumps(found), check=False)

    def patch(self, name, patch):
        return self.kubectl("patch", f"eip.{GROUP}", name, "--type=merge", "-p", json.dumps(patch), check=False)

    @classmethod
    def configure(cls, change):
        patch = {"webhooks": [{"name": HOOK, **change}]}
        cls.kubectl("patch", "validatingwebhookconfiguration", "openelb-admission", "--type=strategic", "-p", json.dumps(patch))

    def secret(self):
        found = json.loads(self.kubectl("get", "secret", "openelb-admission", "-n", SPACE, "-o", "json"))
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def trusted(self):
        found = json.loads(self.kubectl("get", "validatingwebhookconfiguration", "openelb-admission", "-o", "json"))
        return base64.b64decode(found["webhooks"][0]["clientConfig"].get("caBundle", "")).decode()

    def served(self):
        return [served_certificate(self.cluster, replica.webhook_port).strip() for replica in self.replicas]

    def refused(self, said, *words):
        self.assertIn(f'admission webhook "{HOOK}" denied the request: ', said)
        for word in words:
            self.assertIn(word, said)

    # ---- what it judges

    def test_refusals(self):
        """OpenELB's rules with OpenELB's words, and what to do."""
        self.refused(self.create(eip("a", address="192.0.2.7")), "eip address overlap with lan", "192.0.2.7", "spec.exclude")
        self.assertIn("created", self.create(eip("a", "true", address="198.51.100.0/28")))
        self.refused(self.create(eip("b", "true", address="203.0.113.0/28")), "already exists a default EIP: a", DEFAULT)
        self.refused(self.create(eip("b", "True", address="203.0.113.0/28")), "already exists a default EIP: a", DEFAULT)
        self.refused(self.patch("lan", {"metadata": {"annotations": {DEFAULT: "true"}}}), "already exists a default EIP: a")
        old_form = dict(eip("b", address="192.0.2.7"), apiVersion=f"{GROUP}/v1alpha1")
        self.refused(self.create(old_form), "eip address overlap with lan")
        self.assertIn("patched", self.patch("a", {"spec": {"priority": 3}}))
        self.assertIn("patched", self.patch("a", {"metadata": {"labels": {"colour": "blue"}}}))

    def test_edits(self):
        """A pool may grow, but not over another; it may shrink, but not off what is in use, unless it drains."""
        self.assertIn("created", self.create(eip("a", address="198.51.100.0/29")))
        self.assertIn("created", self.create(service("web", "a")))
        wait_until(lambda: "198.51.100.0" in self.kubectl("get", "service", "web", "-n", "shop", "-o", "json"), 30, "an address",
                   hint=self.replicas[0].log()[-2000:])
        self.assertIn("patched", self.patch("a", {"spec": {"address": "198.51.100.0/28"}}))
        over = {"spec": {"address": "198.51.100.0/28, 192.0.2.8"}}
        self.refused(self.patch("a", over), "eip address overlap with lan: both have 192.0.2.8;")
        words = ("the address field is not allowed to be modified", "198.51.100.0 (shop/web)", "spec.drain")
        self.refused(self.patch("a", {"spec": {"address": "198.51.100.8/29"}}), *words)
        self.refused(self.patch("a", {"spec": {"exclude": ["198.51.100.0"]}}), *words)
        self.assertIn("patched", self.patch("a", {"spec": {"address": "198.51.100.0/30"}}))
        said = self.patch("a", {"spec": {"address": "198.51.100.2/31", "drain": True}})
        self.assertIn("Warning: spec.drain is true: these Services get other addresses: 198.51.100.0 (shop/web)", said)
        self.assertIn("patched", said)

    def test_warnings(self):
        """What is hardly meant is done, and kubectl shows a warning."""
        said = self.create(eip("a", "true", address="198.51.100.0/28", disable=True, namespaces=["nowhere", "shop"]))
        self.assertIn("created", said)
        self.assertIn("Warning: it is the default pool and spec.disable is true", said)
        self.assertIn("Warning: there is no namespace nowhere (", said)
        said = self.create(eip("b", address="203.0.113.0/28", protocol="layer2", interface="eth0"))
        self.assertIn("created", said)
        self.assertIn("Warning: spec.protocol is layer2", said)
        self.assertNotIn("Warning", self.create(eip("c", address="2001:db8::/64", namespaces=["shop"])))

    # ---- that it never stands in the way

    def test_as_shipped(self):
        """It is applied over what OpenELB left, and pools can be made before any Berth runs."""
        self.assertIn("created", self.first)
        hook, = self.shipped["webhooks"]
        self.assertEqual((hook["name"], hook["failurePolicy"], hook["clientConfig"]["service"]["path"]), (HOOK, "Ignore", PATH))
        secret = {key: base64.b64decode(value).decode() for key, value in self.first_secret.items()}
        self.assertEqual({secret.pop(key) for key in ("cert", "key", "ca")}, {"of OpenELB"})
        self.assertEqual(set(secret), {"ca.crt", "ca.key", "tls.crt", "tls.key"})
        port, = json.loads(self.kubectl("get", "service", "openelb-controller", "-n", SPACE, "-o", "json"))["spec"]["ports"]
        self.assertEqual((port["port"], port["targetPort"]), (443, "webhook"))

    def test_a_dead_berth(self):
        """While no Berth runs, pools are made, edited and deleted as if there were no webhook; afterwards they are judged again."""
        for replica in self.replicas:
            replica.end(signal.SIGKILL)
        self.assertIn("created", self.create(eip("a", address="192.0.2.0/25")))
        self.assertIn("patched", self.patch("a", {"spec": {"disable": True}}))
        self.assertIn("deleted", self.kubectl("delete", f"eip.{GROUP}", "a", "--timeout=30s"))
        for replica in self.replicas:
            replica.start()
        wait_until(lambda: "overlap" in self.create(eip("a", address="192.0.2.0/25"), "--dry-run=server"), 60, "the webhook to be asked")

    def test_a_frozen_replica(self):
        """A replica that answers nothing costs a write the time that the configuration says, not the write."""
        os.kill(self.replicas[0].process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.replicas[0].process.pid, signal.SIGCONT)
        self.assertIn("created", self.create(eip("a", address="192.0.2.0/25")))

    def test_what_is_deleted_goes(self):
        """An Eip that goes is not asked about, so its finalizer comes off though it breaks rules, and though a webhook would fail."""
        for replica in self.replicas:
            replica.end(signal.SIGKILL)
        bad = eip("a", address="192.0.2.0/25")
        bad["metadata"]["finalizers"] = ["example.com/mine"]
        self.assertIn("created", self.create(bad))
        self.configure({"failurePolicy": "Fail"})
        wait_until(lambda: "failed calling webhook" in self.patch("a", {"spec": {"priority": 9}}), 30, "the policy Fail")
        self.assertIn("patched", self.patch("a", {"metadata": {"labels": {"colour": "blue"}}}))
        self.kubectl("delete", f"eip.{GROUP}", "a", "--wait=false")
        self.assertIn("patched", self.patch("a", {"metadata": {"finalizers": None}}))
        self.kubectl("wait", "--for=delete", f"eip.{GROUP}/a", "--timeout=30s")

    # ---- its certificates

    def test_certificates(self):
        """Both replicas serve what the Secret says, the API server trusts it, and no key is told to anybody."""
        secret = self.secret()
        self.assertEqual(self.served(), [secret["tls.crt"].strip()] * 2)
        self.assertEqual(self.trusted(), secret["ca.crt"])
        text = self.openssl(["x509", "-noout", "-text"], secret["tls.crt"])
        for word in (f"DNS:openelb-controller.{SPACE}.svc", "IP Address:127.0.0.1", "TLS Web Server Authentication", "CA:FALSE"):
            self.assertIn(word, text)
        for replica in self.replicas:
            expiry = replica.metric("berth_webhook_certificate_expiry_timestamp_seconds")
            self.assertLess(abs(expiry - time.time() - 90 * 86400), 86400)
            self.assertEqual(replica.metric("berth_webhook_listening"), 1)
            for told in (replica.log(), replica.page("/debug/state"), replica.page("/metrics")):
                self.assertNotIn("PRIVATE KEY", told)
                for key in (secret["tls.key"], secret["ca.key"]):
                    self.assertNotIn(key.splitlines()[1], told)

    def test_renewal(self):
        """A certificate that is two thirds through is replaced on both replicas, and no write is refused meanwhile, with policy Fail."""
        secret = self.secret()
        old = self.aged(secret)
        self.configure({"failurePolicy": "Fail"})
        asked = sum(replica.metric('berth_webhook_requests_total{result="allowed"}') for replica in self.replicas)
        with Writing(self) as writing:
            patch = {"stringData": {"tls.crt": old, "tls.key": secret["tls.key"]}}
            self.kubectl("patch", "secret", "openelb-admission", "-n", SPACE, "--type=merge", "-p", json.dumps(patch))
            wait_until(lambda: self.secret()["tls.crt"] not in (old, secret["tls.crt"]), 60, "another certificate in the Secret")
            new = self.secret()["tls.crt"].strip()
            wait_until(lambda: self.served() == [new, new], 60, "both to serve it")
            at = writing.count
            wait_until(lambda: writing.count > at + 3, 30, "more writes")
        self.assertEqual(writing.refused, [])
        self.assertGreaterEqual(sum(replica.metric('berth_webhook_requests_total{result="allowed"}') for replica in self.replicas) - asked,
                                writing.count)
        self.assertEqual(self.secret()["ca.crt"], secret["ca.crt"])

    def test_another_authority(self):
        """A Secret that is deleted comes again with another authority, which is trusted before it signs; with --long until it does."""
        before = self.secret()
        self.configure({"failurePolicy": "Fail"})
        with Writing(self) as writing:
            self.kubectl("delete", "secret", "openelb-admission", "-n", SPACE)
            wait_until(lambda: self.trusted().count("BEGIN CERTIFICATE") == 2, 60, "both authorities to be trusted")
            self.assertTrue(self.trusted().startswith(before["ca.crt"]))
            self.assertEqual(self.secret()["tls.crt"], before["tls.crt"])
            if SETTINGS["long"]:
                wait_until(lambda: self.secret()["tls.crt"] != before["tls.crt"], 150, "a certificate by the new one")
                new = self.secret()["tls.crt"].strip()
                wait_until(lambda: self.served() == [new, new], 60, "both to serve it")
            at = writing.count
            wait_until(lambda: writing.count > at + 3, 30, "more writes")
        self.assertEqual(writing.refused, [])

    def openssl(self, command, text):
        return run(["openssl", *command], input=text).stdout

    def aged(self, secret):
        """The served certificate signed anew by the same authority, as if 61 of its 90 days were over."""
        folder = self.cluster.state_dir / f"ca-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        for name in ("ca.crt", "ca.key", "tls.crt", "tls.key"):
            (folder / name).write_text(secret[name])
            (folder / name).chmod(0o600)
        last = secret["ca.crt"].rpartition("-----BEGIN CERTIFICATE-----")   # the one that signs
        (folder / "ca.crt").write_text(last[1] + last[2])
        (folder / "index").write_text("")
        shown = self.openssl(["x509", "-noout", "-ext", "subjectAltName"], secret["tls.crt"])
        names = ",".join(re.findall(r"(?:DNS|IP Address):[^,\s]+", shown)).replace("IP Address", "IP")
        (folder / "conf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\n"
                                     f"default_md=sha256\npolicy=p\nx509_extensions=e\nunique_subject=no\n[p]\ncommonName=supplied\n"
                                     f"[e]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                                     f"extendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\nsubjectAltName={names}\n")
        run(["openssl", "req", "-new", "-key", folder / "tls.key", "-subj", "/CN=aged", "-out", folder / "csr"])
        day = lambda shift: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + shift * 86400))
        run(["openssl", "ca", "-batch", "-notext", "-config", folder / "conf", "-cert", folder / "ca.crt", "-keyfile", folder / "ca.key",
             "-in", folder / "csr", "-out", folder / "out", "-startdate", day(-61), "-enddate", day(29)])
        return (folder / "out").read_text()


def remove_leftovers():
    """Labs of runs that were killed."""
    for folder in RUN.glob("webhook-*"):
        found = re.fullmatch(r"webhook-(\d+)", folder.name)
        if found and start_time(int(found[1])) is None:
            Cluster(folder.name).down()


def main():
    parser = argparse.ArgumentParser(prog="tests/deploy/webhook_test.py", description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", default=TREE / "out/build/asan", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    SETTINGS.update(long=args.long, program=program(args.build))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    remove_leftovers()
    suite = unittest.TestSuite(test for test in unittest.defaultTestLoader.loadTestsFromTestCase(WebhookTest)
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
        sys.exit(f"tests/deploy/webhook_test.py: {error}")
