#!/usr/bin/env python3
"""Tests of deploy/ on a real API server: objects, rights and the manifest as a whole. Needs root, tools/build-go and 10 s a version.

usage: tests/deploy/crds_test.py [--help] [--kubernetes 1.34|newest] [NAME...]

  --kubernetes VERSION  only this API server; default 1.34, and newest too if tools/build-go has built it
  NAME                  only tests whose name contains one of these

openelb/*.yaml are objects that OpenELB accepts: none may be refused, nothing of them may be lost.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path.insert(0, str(TREE / "tools" / "lab"))

from cluster import RUN, Cluster                       # noqa: E402
from system import LabError, start_time, wait_until    # noqa: E402

GROUP = "network.kubesphere.io"
V1, V2 = f"{GROUP}/v1alpha1", f"{GROUP}/v1alpha2"
PLURALS = {"Eip": "eips", "BgpConf": "bgpconfs", "BgpPeer": "bgppeers", "AddressBlock": "addressblocks"}
LEASES, ADMISSION = "coordination.k8s.io", "admissionregistration.k8s.io"
SERVED = [(kind, version) for version in (V1, V2) for kind in PLURALS if (kind, version) != ("AddressBlock", V1)]
MANIFEST = TREE / "deploy" / "berth.yaml"
SPACE = "openelb-system"
ACCOUNT, NOBODY = (f"system:serviceaccount:{SPACE}:{name}" for name in ("berth", "default"))

# What Berth may do, complete: more is too much, less stops it.
EVERYWHERE = {
    ("", "services"): {"get", "list", "watch"},
    ("", "services/status"): {"patch"},
    ("", "nodes"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
    ("", "events"): {"create", "patch"},
    ("discovery.k8s.io", "endpointslices"): {"list", "watch"},
    (GROUP, "eips"): {"list", "watch", "patch"},
    (GROUP, "eips/status"): {"patch"},
    (GROUP, "bgpconfs"): {"list", "watch", "patch"},
    (GROUP, "bgpconfs/status"): {"patch"},
    (GROUP, "bgppeers"): {"list", "watch", "patch"},
    (GROUP, "bgppeers/status"): {"patch"},
    (GROUP, "addressblocks"): {"get", "list", "watch", "create", "update", "delete"},
    (ADMISSION, "validatingwebhookconfigurations", "openelb-admission"): {"get", "patch"},
}
IN_ITS_NAMESPACE = {
    ("", "pods"): {"get"},
    ("apps", "replicasets"): {"get"},
    ("apps", "deployments"): {"get"},
    ("apps", "daemonsets"): {"get"},
    ("apps", "statefulsets"): {"get"},
    (LEASES, "leases"): {"create"},
    (LEASES, "leases", "openelb-controller"): {"get", "update"},
    ("", "secrets"): {"create", "list", "watch"},
    ("", "configmaps"): {"list", "watch"},
    ("", "secrets", "openelb-admission"): {"get", "patch"},
}
# (verb, group, resource/subresource, namespace or None for all, name): as a person would ask.
ALLOWED = [
    ("list", "", "services", None), ("patch", "", "services/status", "shop"), ("watch", GROUP, "eips", None),
    ("patch", GROUP, "eips/status", None), ("update", GROUP, "addressblocks", None), ("create", "", "events", "shop"),
    ("create", LEASES, "leases", SPACE), ("update", LEASES, "leases", SPACE, "openelb-controller"), ("get", "", "pods", SPACE),
    ("list", "", "secrets", SPACE), ("watch", "", "configmaps", SPACE),
    ("get", "apps", "deployments", SPACE, "berth"), ("get", "", "secrets", SPACE, "openelb-admission"),
    ("patch", ADMISSION, "validatingwebhookconfigurations", None, "openelb-admission"),
]
FORBIDDEN = [
    ("update", "", "services", "shop"), ("patch", "", "services", "shop"), ("update", "", "services/status", "shop"),
    ("create", "", "services", "shop"), ("delete", "", "services", "shop"), ("get", "", "secrets", SPACE), ("list", "", "secrets", None),
    ("get", "", "configmaps", SPACE), ("get", "", "pods", "shop"), ("list", "", "pods", SPACE), ("create", "", "pods", SPACE),
    ("create", "", "pods/exec", SPACE), ("patch", "", "nodes", None), ("patch", "", "nodes/status", None),
    ("delete", "", "events", "shop"), ("get", "", "secrets", SPACE, "memberlist"), ("list", "", "secrets", "shop"),
    ("list", "", "configmaps", None),
    ("create", "", "secrets", "shop"), ("get", "", "secrets", "shop", "openelb-admission"),
    ("delete", "", "secrets", SPACE, "openelb-admission"), ("update", ADMISSION, "validatingwebhookconfigurations", None, "another"),
    ("patch", ADMISSION, "validatingwebhookconfigurations", None, "another"),
    ("patch", ADMISSION, "mutatingwebhookconfigurations", None, "openelb-admission"),
    ("get", LEASES, "leases", SPACE, "another"), ("create", LEASES, "leases", "kube-system"),
    ("create", GROUP, "eips", None), ("update", GROUP, "eips", None), ("delete", GROUP, "eips", None), ("delete", GROUP, "bgppeers", None),
    ("patch", "apps", "deployments", SPACE, "berth"), ("create", "rbac.authorization.k8s.io", "clusterrolebindings", None),
    ("update", "apiextensions.k8s.io", "customresourcedefinitions", None), ("create", "", "serviceaccounts/token", SPACE),
]
# OpenELB's v1alpha1 has these where v1alpha2, the stored form, has others: they are accepted, and gone, there as here.
NOT_KEPT = {".spec.port", ".spec.routerID", ".spec.config", ".spec.addPaths", ".spec.usingPortForward"}


# Fields that OpenELB's have not.
OURS = {f".spec.{name}" for name in ("exclude", "avoidBuggyIPs", "allocationOrder", "quarantineSeconds", "serviceSelector", "drain",
                                     "enforceNamespaces", "implicitSharing", "namespaceQuotas", "reservations")}
OURS |= {f".spec.{name}" for name in (
    "extendedNextHops", "ttlSecurity", "conf.passwordSecret", "conf.neighborAddressAnnotation", "conf.maximumPrefixes",
    "transport.localAddress", "transport.bindInterface")}
OURS |= {".spec.advertisements", ".spec.communityNames", ".spec.bfd", ".status.free", ".status.conditions",
         ".status.nodesConfStatus.*.nextHops", ".status.nodesPeerStatus.*.bfdState", ".status.nodesPeerStatus.*.peerState.prefixes",
         ".status.sessions", ".status.since", ".status.prefixes"}
STATUS_MAP = {"BgpConf": "nodesConfStatus", "BgpPeer": "nodesPeerStatus"}


def an_object(kind, name, version=V2, **rest):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def eip(name, version=V2, **spec):
    return an_object("Eip", name, version, spec=spec)


def peer(name, version=V2, **spec):
    return an_object("BgpPeer", name, version, spec=spec)


def conf(name, version=V2, **spec):
    return an_object("BgpConf", name, version, spec=spec)


def entry(**more):
    """What an address block says of one address: JSON, the members in this order."""
    values = {"pool": "pool", "protocol": "bgp", "holders": [{"service": "shop/web", "uid": "8e3c", "state": "held"}], **more}
    return json.dumps({key: values[key] for key in ENTRY if key in values}, separators=(",", ":"))


ENTRY = ("pool", "protocol", "interface", "sharingKey", "reservedFor", "freedAt", "holders")


def block(addresses, name="v4-192.0.2.0-26"):
    return an_object("AddressBlock", name, spec={"addresses": addresses})


# What OpenELB's API took, though no speaker could work with any of it.
ODD_NAMES = peer("names", conf={"neighborAddress": "192.0.2.1", "peerAs": 1, "removePrivateAs": "none"},
                 afiSafis=[{"config": {"family": {"afi": "IPv4", "safi": "SAFI_UNICAST"}}}],
                 nodeSelector={"matchExpressions": [{"key": "example.com/zone", "operator": "Like"}]})
ODD_VALUES = peer("values", conf={"neighborAddress": "router.example.com", "peerAs": 0}, transport={"remoteAddress": "router.example.com"},
                  timers={"config": {"holdTime": "90s", "keepaliveInterval": "-1", "connectRetry": "65536",
                                     "minimumAdvertisementInterval": "x"}},
                  afiSafis=[{"config": {"family": {"afi": "AFI_IP", "safi": "unicast"}}}],
                  nodeSelector={"matchExpressions": [{"key": "example.com/zone", "operator": "In"}]})
# OpenELB's words.
BAD_ADDRESS = "invalid eip address format"
NO_INTERFACE = "if protocol is layer2 or vip, interface should not be empty"
# What can never have been valid, and words of the refusal: the field, and what it should be.
REFUSED = [
    (an_object("Eip", "no-spec"), ["spec", "Required"]),
    (eip("no-address", protocol="bgp"), ["spec.address", "Required"]),
    (eip("empty", address=""), ["spec.address", BAD_ADDRESS]),
    (eip("word", address="pool"), ["spec.address", BAD_ADDRESS]),
    (eip("three", address="192.0.2"), ["spec.address", BAD_ADDRESS]),
    (eip("five", address="192.0.2.1.5"), ["spec.address", BAD_ADDRESS]),
    (eip("byte", address="192.0.2.256"), ["spec.address", BAD_ADDRESS]),
    (eip("prefix", address="192.0.2.0/33"), ["spec.address", BAD_ADDRESS]),
    (eip("prefix6", address="2001:db8::/129"), ["spec.address", BAD_ADDRESS]),
    (eip("mask", address="192.0.2.0/255.255.255.0"), ["spec.address", BAD_ADDRESS]),
    (eip("blanks", address="192.0.2.1 - 192.0.2.9"), ["spec.address", BAD_ADDRESS]),
    (eip("short-range", address="192.0.2.1-9"), ["spec.address", BAD_ADDRESS]),
    (eip("two-ranges", address="192.0.2.1-192.0.2.2-192.0.2.3"), ["spec.address", BAD_ADDRESS]),
    (eip("comma", address="192.0.2.1,"), ["spec.address", BAD_ADDRESS]),
    (eip("families", address="192.0.2.1-2001:db8::1"), ["spec.address", BAD_ADDRESS]),
    (eip("many", address=",".join(f"10.0.{n // 256}.{n % 256}" for n in range(257))), ["spec.address", "at most 256 ranges"]),
    (eip("zone", address="fe80::1%eth0"), ["spec.address", BAD_ADDRESS]),
    (eip("number", address=42), ["spec.address", "string"]),
    (eip("protocol", address="192.0.2.1", protocol="ospf"), ["spec.protocol", '"bgp"', '"layer2"', '"vip"']),
    (eip("layer2", address="192.0.2.1", protocol="layer2"), ["spec", NO_INTERFACE]),
    (eip("vip", address="192.0.2.1", protocol="vip", interface=""), ["spec", NO_INTERFACE]),
    (eip("priority", address="192.0.2.1", priority="high"), ["spec.priority", "integer"]),
    (eip("namespaces", address="192.0.2.1", namespaces="shop"), ["spec.namespaces", "array"]),
    (eip("old-layer2", V1, address="192.0.2.1", protocol="layer2"), ["spec", NO_INTERFACE]),
    (eip("old-address", V1, address="192.0.2.300"), ["spec.address", BAD_ADDRESS]),
    (conf("negative", **{"as": -1}), ["spec.as", "greater than or equal to 0"]),
    (conf("large", **{"as": 4294967296}), ["spec.as", "less than or equal to 4294967295"]),
    (conf("asdot", **{"as": "1.10"}), ["spec.as", "integer"]),
    (conf("rack", asPerRack={"a": 4294967296}), ["spec.asPerRack.a", "4294967295"]),
    (conf("port", listenPort=65536), ["spec.listenPort", "less than or equal to 65535"]),
    (conf("id", routerId="router-one"), ["spec.routerId", "write an IPv4 address"]),
    (conf("addresses", listenAddresses=["0.0.0.0", "eth0"]), ["spec.listenAddresses[1]", "write an IP address"]),
    (conf("advertisements", advertisements=[{"communities": ["65536:1"], "localPref": -1, "med": 4294967296, "asPathPrepend": 11}]),
     ["spec.advertisements[0].communities[0]", "numbers up to 65535", "spec.advertisements[0].localPref", "greater than or equal to 0",
      "spec.advertisements[0].med", "less than or equal to 4294967295", "spec.advertisements[0].asPathPrepend", "equal to 10"]),
    (conf("names", communityNames={"backup": "1:65536"}), ["spec.communityNames[backup]", "numbers up to 65535"]),
    (conf("time", gracefulRestart={"restartTime": -1}), ["spec.gracefulRestart.restartTime", "0"]),
    (conf("old-none", V1, port=179, routerID="192.0.2.1"), ["spec.as", "Required"]),
    (conf("old-port", V1, **{"as": 65000, "port": 0, "routerID": "192.0.2.1"}), ["spec.port", "greater than or equal to 1"]),
    (conf("old-id", V1, **{"as": 65000, "port": 179, "routerID": "me"}), ["spec.routerID"]),
    (peer("as", conf={"peerAs": -5}), ["spec.conf.peerAs", "0"]),
    (peer("large-as", conf={"peerAs": 4294967296}), ["spec.conf.peerAs", "4294967295"]),
    (peer("number", timers={"config": {"holdTime": 90}}), ["spec.timers.config.holdTime", "string"]),
    (peer("port", transport={"remotePort": 70000}), ["spec.transport.remotePort", "65535"]),
    (peer("ttl", ebgpMultihop={"multihopTtl": 256}), ["spec.ebgpMultihop.multihopTtl", "255"]),
    (peer("bfd", bfd={"minTxIntervalMs": 9, "minRxIntervalMs": 60001, "detectMultiplier": 1, "minimumTtl": 255}),
     ["spec.bfd.minTxIntervalMs", "greater than or equal to 10", "spec.bfd.minRxIntervalMs", "less than or equal to 60000",
      "spec.bfd.detectMultiplier", "greater than or equal to 2", "spec.bfd.minimumTtl", "less than or equal to 254"]),
    (peer("annotation", conf={"neighborAddressAnnotation": "example.com/tor"}),
     ["spec.conf.neighborAddressAnnotation", "whose domain is kubesphere.io"]),
    (peer("secret", conf={"passwordSecret": {}}), ["spec.conf.passwordSecret.name", "Required"]),
    (peer("interface", transport={"bindInterface": "a name/blank", "localAddress": "eth0"}),
     ["spec.transport.bindInterface", "spec.transport.localAddress", "write an IP address"]),
    (peer("far", ttlSecurity={"minimumTtl": 256}), ["spec.ttlSecurity.minimumTtl", "less than or equal to 255"]),
    (conf("aggregates", advertisements=[{"aggregates": ["0.0.0.0/0"],
                                         "nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]),
     ["spec.advertisements[0].aggregates[0]", "at least 8 (IPv4) or 16 (IPv6)",
      "spec.advertisements[0].nodeSelector.matchExpressions[0]", "values are needed for In and NotIn"]),
    (peer("families", afiSafis={"config": {}}), ["spec.afiSafis", "array"]),
    (peer("selector", nodeSelector={"matchExpressions": [{"key": "a"}]}), ["spec.nodeSelector.matchExpressions[0].operator", "Required"]),
    (ODD_NAMES, ["spec.conf.removePrivateAs", '"REPLACE"', "spec.afiSafis[0].config.family.afi", '"AFI_IP6"',
                 "spec.nodeSelector.matchExpressions[0].operator", '"DoesNotExist"']),
    (ODD_VALUES, ["spec.conf.neighborAddress", "write an IP address", "spec.transport.remoteAddress",
                  "spec.timers.config.holdTime", "whole seconds from 3 to 65535", "spec.timers.config.keepaliveInterval",
                  "spec.timers.config.connectRetry", "spec.timers.config.minimumAdvertisementInterval",
                  "spec.afiSafis[0].config.family.safi", "write SAFI_UNICAST",
                  "spec.nodeSelector.matchExpressions[0]", "values are needed for In and NotIn"]),
    (peer("old", V1, config={"peerAs": 1}), ["spec.config.neighborAddress", "Required"]),
    (peer("old-address", V1, config={"peerAs": 1, "neighborAddress": "2001:db8::1"}), ["spec.config.neighborAddress"]),
    (block({}, name="some-block"), ["metadata.name"]),
    (block({"a web server": entry()}), ["spec.addresses", "IP address"]),
    (block({"192.0.2.1": entry(protocol="ospf")}), ["spec.addresses.192.0.2.1", "bgp|layer2|vip"]),
    (block({"192.0.2.1": entry(holders=[{"service": "a/b", "uid": "1", "state": "lost"}])}), ["spec.addresses.192.0.2.1", "held|freeing"]),
    (block({"192.0.2.1": entry(holders=[{"service": "a/b", "state": "held"}])}), ["spec.addresses.192.0.2.1", '"uid":']),
    (block({"192.0.2.1": entry() + "}"}), ["spec.addresses.192.0.2.1"]),
    (block({"192.0.2.1": entry(pool='a"b').replace("\\", "")}), ["spec.addresses.192.0.2.1"]),
    (block({"192.0.2.1": {"protocol": "bgp", "holders": []}}), ["spec.addresses.192.0.2.1", "string"]),
    (block({f"192.0.2.{number}": entry() for number in range(65)}), ["spec.addresses", "64"]),
]


def documents(text):
    """The JSON values that follow one another in a text."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found += value["items"] if value["kind"] == "List" else [value]
    return found


def is_below(path, others):
    """Whether a path is one of the others, or within one."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in others)


def lost(sent, got, path=""):
    """Paths of what is in `sent` and not, or differently, in `got`."""
    if isinstance(sent, dict) and isinstance(got, dict):
        return [one for key, value in sent.items() for one in
                (lost(value, got[key], f"{path}.{key}") if key in got else [f"{path}.{key} is gone"])]
    if isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        return [one for index, value in enumerate(sent) for one in lost(value, got[index], f"{path}[{index}]")]
    return [] if sent == got else [f"{path} was {sent!r} and is {got!r}"]


class DeployTest(unittest.TestCase):
    kubernetes = None   # the subclasses say which

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(f"objects-{os.getpid()}-{cls.kubernetes.replace('.', '')}")
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up(nodes=0, kubernetes=cls.kubernetes)
        cls.first_apply = cls.kubectl("apply", "--validate=strict", "-f", MANIFEST)
        cls.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{plural}.{GROUP}" for plural in PLURALS.values()))
        wait_until(cls.discovered, 30, "the new kinds in discovery")

    @classmethod
    def discovered(cls):
        listed = {version: cls.kubectl("get", "--raw", f"/apis/{version}", check=False) for version in (V1, V2)}
        return all(f'"{PLURALS[kind]}"' in listed[version] for kind, version in SERVED)

    @classmethod
    def kubectl(cls, *args, **options):
        return cls.cluster.kubectl(*args, **options)

    def setUp(self):
        self.addCleanup(self.clear)

    def clear(self):
        kinds = ",".join(f"{plural}.{GROUP}" for plural in PLURALS.values())
        for found in json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]:
            if found["metadata"].get("finalizers"):
                self.patch(found["kind"], found["metadata"]["name"], {"metadata": {"finalizers": None}})
        self.kubectl("delete", kinds, "--all", "--timeout=30s")

    def apply(self, *found, validate="strict"):
        return self.kubectl("apply", f"--validate={validate}", "-f", "-",
                            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(found)}))

    def refused(self, words, act, *args):
        """`act` fails with all of these words in its message."""
        with self.assertRaises(LabError) as caught:
            act(*args)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def resource(self, kind, version=V2):
        """The name by which kubectl takes no other version: eips.v1alpha2.network.kubesphere.io."""
        return f"{PLURALS[kind]}.{version.removeprefix(GROUP + '/')}.{GROUP}"

    def all(self, kind, version=V2):
        return json.loads(self.kubectl("get", self.resource(kind, version), "-o", "json"))["items"]

    def get(self, kind, name, version=V2):
        return json.loads(self.kubectl("get", self.resource(kind, version), name, "-o", "json", "--show-managed-fields"))

    def patch(self, kind, name, patch, version=V2):
        self.kubectl("patch", self.resource(kind, version), name, "--type=merge", "-p", json.dumps(patch))

    def patch_status(self, kind, name, patch, version=V2):
        self.kubectl("patch", self.resource(kind, version), name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))

    def as_json(self, *files):
        """The objects of YAML files, as kubectl reads them."""
        arguments = [argument for file in files for argument in ("-f", file)]
        return documents(self.kubectl("create", "--dry-run=client", "--validate=ignore", "-o", "json", *arguments))

    # ---- the manifest

    def test_manifest(self):
        """It is up to date; applied twice it changes nothing; the Deployment's pods pass admission."""
        checked = subprocess.run([TREE / "tools/manifest", "--check"], capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertNotIn("Warning", self.first_apply)
        before = self.generations()
        again = self.kubectl("apply", "--validate=strict", "-f", MANIFEST).splitlines()
        self.assertEqual(len(again), 14)
        # kubectl sends the selector of a PodDisruptionBudget each time; the object stays as it is all the same.
        self.assertEqual([line for line in again if not line.endswith(" unchanged")], ["poddisruptionbudget.policy/berth configured"])
        self.assertEqual(self.generations(), before)
        pods = ("get", "pods", "-n", SPACE, "-l", "app=openelb,component=berth", "-o", "json")
        wait_until(lambda: len(json.loads(self.kubectl(*pods))["items"]) == 2, 30, "two pods")
        for pod in json.loads(self.kubectl(*pods))["items"]:
            self.assertEqual(pod["spec"]["priority"], 2000000000)
        budget = json.loads(self.kubectl("get", "poddisruptionbudget", "berth", "-n", SPACE, "-o", "json"))
        self.assertEqual(budget["spec"]["minAvailable"], 1)

    def generations(self):
        found = json.loads(self.kubectl("get", "-f", MANIFEST, "-o", "json"))["items"]
        return {(one["kind"], one["metadata"]["name"]): one["metadata"].get("generation") for one in found}

    def test_image(self):
        """tools/manifest --image puts a name in the one place, and changes nothing else."""
        image = "registry.example.com:5000/a/berth@sha256:0f"
        made = subprocess.run([TREE / "tools/manifest", "--image", image], capture_output=True, text=True, check=True)
        committed = MANIFEST.read_text().splitlines()
        changed = [new for old, new in zip(committed, made.stdout.splitlines(), strict=True) if old != new]
        self.assertEqual([line.strip() for line in changed], [f"image: {image}"])
        wrong = subprocess.run([TREE / "tools/manifest", "--image", "two words"], capture_output=True, text=True)
        self.assertIn("no image name", wrong.stderr)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))

    # ---- objects

    def test_openelb_objects(self):
        """Every object of OpenELB's is accepted, strictly, and nothing of it is lost; its status neither."""
        files = sorted((HERE / "openelb").glob("*.yaml"))
        sent = self.as_json(*files)
        self.assertGreater(len(sent), 20)
        self.kubectl("apply", "--validate=strict", *(argument for file in files for argument in ("-f", file)))
        for one in sent:
            if "status" in one:
                self.patch_status(one["kind"], one["metadata"]["name"], {"status": one["status"]}, one["apiVersion"])
        stored = {(version, kind, one["metadata"]["name"]): one for kind, version in SERVED for one in self.all(kind, version)}
        for one in sent:
            with self.subTest(kind=one["kind"], name=one["metadata"]["name"], version=one["apiVersion"]):
                gone = lost(one, stored[one["apiVersion"], one["kind"], one["metadata"]["name"]])
                allowed = {f"{path} is gone" for path in NOT_KEPT} if one["apiVersion"] == V1 else set()
                self.assertEqual(set(gone) - allowed, set())
        kinds = {(one["apiVersion"], one["kind"]) for one in sent}
        self.assertEqual(kinds, {(version, kind) for version in (V1, V2) for kind in ("Eip", "BgpConf", "BgpPeer")})

    def test_every_field_is_sent(self):
        """The objects above have every field that the schemas know: so none is untried."""
        sent = self.as_json(*sorted((HERE / "openelb").glob("*.yaml")))
        for version in (V1, V2):
            for kind in ("Eip", "BgpConf", "BgpPeer"):
                known = set(self.properties(self.schema(kind, version)))
                tried = {re.sub(r"\[\d+\]", "[]", path) for one in sent if (one["apiVersion"], one["kind"]) == (version, kind)
                         for path in self.paths(one, self.schema(kind, version))}
                ours = {".status", ".spec.interface"} if version == V1 else OURS   # OpenELB's has not
                untried = {path for path in known - tried if not is_below(path, ours | {".metadata.name"})}
                self.assertEqual(untried, set(), f"{kind} {version}")

    def test_wrong_objects(self):
        """What can't be valid is refused, with the field and what it should be."""
        objects = [wrong for wrong, _ in REFUSED]
        said = self.cluster.run("control", self.cluster.kubectl_command(["create", "--validate=ignore", "-f", "-"]), check=False,
                                input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self.assertEqual(said.stdout, "")
        answers = re.split(r"(?m)^(?=The \w+ \"|Error from server)", said.stderr)[1:]
        self.assertEqual(len(answers), len(REFUSED), said.stderr)
        for (wrong, words), answer in zip(REFUSED, answers):
            with self.subTest(kind=wrong["kind"], name=wrong["metadata"]["name"]):
                for word in [f'"{wrong["metadata"]["name"]}"', *words]:
                    self.assertIn(word, answer)

    def create(self, found):
        return self.kubectl("create", "-f", "-", input=json.dumps(found))

    def test_our_fields(self):
        """Objects with every field that OpenELB's have not are taken, strictly, at their largest too, and nothing is lost."""
        full = eip("ours", address="192.0.2.0/28 , 192.0.2.100-192.0.2.120,2001:db8::/64",
                   exclude=["192.0.2.1-192.0.2.3", "2001:db8::/127", "192.0.2.9"], avoidBuggyIPs=True,
                   allocationOrder="leastRecentlyUsed", quarantineSeconds=604800, enforceNamespaces=True, implicitSharing=True, drain=True,
                   namespaceQuotas={"shop": 3, "*": 0}, reservations={"192.0.2.7": "shop/web"},
                   serviceSelector={"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]},
                                                                                       {"key": "c", "operator": "Exists"}]})
        full["status"] = {"free": 2 ** 63 - 1, "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1, "message": "",
                                                               "lastTransitionTime": "2026-03-01T10:00:00Z", "reason": "Ready"}]}
        router = peer("ours", conf={"peerAs": 65000, "neighborAddressAnnotation": "berth.kubesphere.io/router",
                                    "maximumPrefixes": 2 ** 32 - 1, "passwordSecret": {"name": "router"}},
                      ttlSecurity={"enabled": True, "minimumTtl": 254},
                      transport={"localAddress": "2001:db8::2", "bindInterface": "vrf-blue"},
                      bfd={"minTxIntervalMs": 10, "minRxIntervalMs": 60000, "detectMultiplier": 255, "minimumTtl": 1, "multihop": True,
                           "passive": True, "strict": True})
        router["status"] = {"sessions": "1/1", "since": "2026-03-01T10:00:00Z", "prefixes": 2 ** 32 - 1}
        router["status"]["nodesPeerStatus"] = {"node1": {"peerState": {"prefixes": 2 ** 32 - 1},
                                                         "bfdState": {"state": "Up", "remoteState": "Up", "lastDown": "",
                                                                      "detectionTimeMs": 150, "downs": 2 ** 32}}}
        selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
        server = conf("ours", extendedNextHops=True, communityNames={"backup": "large:4200000000:1:2", "far": "no-export"},
                      advertisements=[{"name": "n", "pools": ["lan"], "peers": ["tor"], "communities": ["65535:65535", "1:2:3", "backup"],
                                       "localPref": 2 ** 32 - 1, "med": 0, "asPathPrepend": 10, "serviceSelector": selector,
                                       "nodeSelector": selector, "aggregates": ["192.0.2.0/24", "2001:db8::/64"]}])
        server["status"] = {"nodesConfStatus": {"node1": {"routerId": "192.0.2.9", "as": 65001, "nextHops": ["node1", "node2"]}}}
        for one in (full, router, server):
            known, tried = set(self.properties(self.schema(one["kind"], V2))), self.paths(one, self.schema(one["kind"], V2))
            self.assertEqual({path for path in known - tried if is_below(path, OURS)}, set())
        long = "2001:db8:ffff:ffff:ffff:ffff:ffff:"
        largest = eip("n" * 63, address=" , ".join(f"{long}{n:02x}00-{long}{n:02x}0f" for n in range(256)),
                      exclude=[f"{long}{n:02x}00-{long}{n:02x}0e" for n in range(256)],
                      namespaceQuotas={f"{n:063d}": 2 ** 63 - 1 for n in range(1024)},
                      reservations={f"{long}{n // 4:02x}0{n % 4}": f"{n:063d}/{n:063d}" for n in range(1024)})
        all_of = {"pools": [f"{n:063d}" for n in range(64)], "peers": [f"{n:063d}" for n in range(64)],
                  "communities": [f"6{n:04d}:65535" for n in range(32)], "aggregates": [f"2001:db8:ffff:{n:x}::/64" for n in range(32)]}
        largest_server = conf("largest", advertisements=[all_of] * 64, communityNames={f"n{n}": "65535:65535" for n in range(256)})
        for one in (full, largest, router, server, largest_server):
            self.kubectl("create", "--validate=strict", "-f", "-", input=json.dumps(one))
            if "status" in one:
                self.patch_status(one["kind"], one["metadata"]["name"], {"status": one["status"]})
            self.assertEqual(lost(one, self.get(one["kind"], one["metadata"]["name"])), [])

    def test_recipes(self):
        """What docs/addresses.md tells people to write is taken, strictly."""
        recipes = re.findall(r"```yaml\n(.*?)```", (TREE / "docs" / "addresses.md").read_text(), re.S)
        self.assertGreater(len(recipes), 8)
        for space in ("shop", "mail"):
            self.kubectl("create", "namespace", space)
            self.addCleanup(self.kubectl, "delete", "namespace", space, "--wait=false")
        said = self.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input="---\n".join(recipes))
        self.assertEqual(said.count(" created"), sum(recipe.count("\nkind:") for recipe in recipes))

    def test_eip_edits(self):
        """All of an Eip may change, its address too: what that does to addresses in use is told by who knows them."""
        self.apply(eip("pool", address="192.0.2.0/24"))
        self.assertEqual(self.get("Eip", "pool")["spec"]["protocol"], "bgp")
        self.patch("Eip", "pool", {"spec": {"address": "192.0.2.0/24,198.51.100.0/24"}})
        self.apply(eip("pool", V1, address="192.0.2.0/25"))
        self.assertEqual(self.get("Eip", "pool")["spec"]["address"], "192.0.2.0/25")
        self.refused([BAD_ADDRESS], self.patch, "Eip", "pool", {"spec": {"address": "192.0.2.0/25;192.0.3.0/25"}})
        self.patch("Eip", "pool", {"spec": {"address": "192.0.2.0/24"}})
        self.refused([NO_INTERFACE], self.patch, "Eip", "pool", {"spec": {"protocol": "layer2"}})
        more = {"disable": True, "priority": 3, "namespaces": ["a"]}
        self.patch("Eip", "pool", {"spec": {"protocol": "layer2", "interface": "eth0", **more}})
        self.patch("Eip", "pool", {"metadata": {"annotations": {"eip.openelb.kubesphere.io/is-default-eip": "true"}}})
        self.patch("Eip", "pool", {"spec": {"protocol": None, "interface": None}})
        self.assertEqual(self.get("Eip", "pool")["spec"], {"address": "192.0.2.0/24", "protocol": "bgp", **more})

    def test_old_form_keeps_the_new(self):
        """An edit in v1alpha1 keeps the fields that only v1alpha2 has, and the status."""
        self.apply(eip("pool", address="192.0.2.0/24", protocol="layer2", interface="eth0", priority=7, namespaces=["a"]),
                   conf("default", **{"as": 65000, "listenPort": 17900, "asPerRack": {"a": 65001}}),
                   peer("router", conf={"peerAs": 65002, "neighborAddress": "192.0.2.1"}, transport={"passiveMode": True, "tcpMss": 1400}))
        status = {"used": {"192.0.2.1": "a/b"}, "usage": 1, "firstIP": "192.0.2.0"}
        self.patch_status("Eip", "pool", {"status": status})
        for kind, name, change in (("Eip", "pool", {"disable": True}), ("BgpConf", "default", {"as": 65009}),
                                   ("BgpPeer", "router", {"usingPortForward": False})):
            before, old = self.get(kind, name), self.get(kind, name, V1)
            self.assertEqual(old["apiVersion"], V1)
            old["spec"].update(change)
            old.pop("status", None)
            said = self.kubectl("replace", "-f", "-", input=json.dumps(old), check=False)
            self.assertIn(f"{V1} {kind} is OpenELB's old form", said)
            after = self.get(kind, name)
            expected = before["spec"] | {key: value for key, value in change.items() if f".spec.{key}" not in NOT_KEPT}
            self.assertEqual(after["spec"], expected)
        self.assertEqual(self.get("Eip", "pool")["status"], status)

    def test_taking_over(self):
        """Applied over OpenELB's kinds, all objects stay, and of those that are refused by now, status and finalizers can be written."""
        odd = [eip("no-interface", address="192.0.2.1", protocol="layer2"), eip("mask", address="192.0.2.0/255.255.255.0"),
               eip("a-name-that-is-too-long-for-the-value-of-a-label-on-any-of-its-services", address="192.0.2.9"),
               conf("too-large", **{"as": 2 ** 40, "listenPort": 70000, "routerId": "me"}), ODD_NAMES, ODD_VALUES]
        self.addCleanup(self.take_over)
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": self.openelb_crds()}))
        wait_until(lambda: "created" in self.try_create(odd[0]), 20, "OpenELB's schemas in use")
        for one in odd:
            one["metadata"]["finalizers"] = ["finalizer.ipam.kubesphere.io/v1alpha1"]
        self.apply(*odd)
        self.kubectl("apply", "-f", HERE / "openelb")
        before = {(kind, one["metadata"]["name"]): one["metadata"]["uid"] for kind, _ in SERVED for one in self.all(kind)}
        self.assertGreater(len(before), 20)
        self.take_over()
        after = {(kind, one["metadata"]["name"]): one["metadata"]["uid"] for kind, _ in SERVED for one in self.all(kind)}
        self.assertEqual(after, before)
        for one in odd:
            kind, name = one["kind"], one["metadata"]["name"]
            self.patch_status(kind, name, {"status": {"usage": 3} if kind == "Eip" else {STATUS_MAP[kind]: {"node": {}}}})
            self.assertEqual(lost(one["spec"], self.get(kind, name)["spec"]), [])
            self.patch(kind, name, {"metadata": {"finalizers": None}})

    def take_over(self):
        self.kubectl("apply", "-f", MANIFEST)
        wait_until(lambda: BAD_ADDRESS in self.try_create(eip("probe", address="word")), 20, "Berth's schemas in use")

    def try_create(self, found):
        return self.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(found), check=False)

    def openelb_crds(self):
        """As OpenELB has them: the same fields, without rules, defaults and descriptions; no status subresource in v1alpha1."""
        ours = {"description", "minimum", "maximum", "maxLength", "maxItems", "default", "x-kubernetes-validations",
                "x-kubernetes-preserve-unknown-fields"}

        def bare(schema, path=""):
            kept = {key: value for key, value in schema.items() if key not in ours and (key != "enum" or path == ".spec.protocol")}
            if "properties" in kept:
                kept["properties"] = {name: bare(inner, f"{path}.{name}") for name, inner in kept["properties"].items()
                                      if f"{path}.{name}" not in OURS | {".metadata.name"}}
            for key in {"items", "additionalProperties"} & kept.keys():
                kept[key] = bare(kept[key], f"{path}.*")
                kept.pop("x-kubernetes-map-type", None)
            return kept

        found = [one for one in self.as_json(TREE / "deploy" / "crds") if one["spec"]["names"]["kind"] != "AddressBlock"]
        for version in (version for one in found for version in one["spec"]["versions"]):
            version["schema"]["openAPIV3Schema"] = bare(version["schema"]["openAPIV3Schema"])
            version["schema"]["openAPIV3Schema"].pop("required", None)
            if version["name"] == "v1alpha1":
                del version["subresources"], version["deprecated"], version["deprecationWarning"]
        return found

    def test_unknown_fields(self):
        """Unknown fields are pruned, or refused where kubectl is asked to be strict."""
        odd = eip("pool", address="192.0.2.0/24", colour="blue")
        self.refused(["unknown field", "colour"], self.apply, odd)
        self.apply(odd, validate="ignore")
        self.assertNotIn("colour", self.get("Eip", "pool")["spec"])

    def test_status_is_apart(self):
        """Writing an object does not touch its status, writing its status not the rest."""
        self.apply(an_object("Eip", "pool", spec={"address": "192.0.2.0/24"}, status={"usage": 7}))
        self.assertNotIn("status", self.get("Eip", "pool"))
        self.patch_status("Eip", "pool", {"status": {"usage": 1}, "spec": {"priority": 9}})
        found = self.get("Eip", "pool")
        self.assertEqual((found["status"], "priority" in found["spec"]), ({"usage": 1}, False))

    def test_used_is_one_value(self):
        """The API server keeps no list of the addresses in managedFields, which is what would make writes slow."""
        self.apply(eip("pool", address="192.0.2.0/24"))
        self.patch_status("Eip", "pool", {"status": {"used": {f"192.0.2.{n}": "a/b" for n in range(200)}}})
        found = self.get("Eip", "pool")
        self.assertEqual(len(found["status"]["used"]), 200)
        owned = json.dumps(found["metadata"]["managedFields"])
        self.assertIn("f:used", owned)
        self.assertNotIn("192.0.2.", owned)
        self.create(block({f"192.0.2.{n}": entry() for n in range(64)}))
        owned = json.dumps(self.get("AddressBlock", "v4-192.0.2.0-26")["metadata"]["managedFields"])
        self.assertIn("f:addresses", owned)
        self.assertNotIn("192.0.2.", owned)

    def test_blocks(self):
        """An address block as Berth writes it keeps every field, is replaced as a whole, and only at the version that was read."""
        full = {"192.0.2.1": entry(protocol="layer2", interface="eth0", sharingKey='"dns" \\ }', reservedFor="a/b",
                                   freedAt="2026-03-01T10:00:00Z",
                                   holders=[{"service": "a/b", "uid": "1", "state": "held"},
                                            {"service": "a/c", "uid": "2", "state": "freeing", "mark": "x-1"}]),
                "192.0.2.2": '{"protocol":"bgp","holders":[]}'}
        self.create(block(full))
        six = f"v6-{0x20010db8 << 96:032x}-122"
        self.create(block({"2001:db8::3f": entry()}, name=six))
        first = self.get("AddressBlock", "v4-192.0.2.0-26")
        self.assertEqual(first["spec"]["addresses"], full)
        self.assertEqual(self.get("AddressBlock", six)["spec"]["addresses"], {"2001:db8::3f": entry()})
        changed = json.loads(json.dumps(first))
        changed["spec"]["addresses"] = {"192.0.2.63": entry()}
        self.kubectl("replace", "-f", "-", input=json.dumps(changed))
        self.assertEqual(self.get("AddressBlock", "v4-192.0.2.0-26")["spec"]["addresses"], {"192.0.2.63": entry()})
        self.refused(["the object has been modified"], lambda: self.kubectl("replace", "-f", "-", input=json.dumps(first)))

    def test_columns(self):
        """kubectl get shows OpenELB's columns first, then ours."""
        self.apply(eip("pool", address="192.0.2.0/24"), conf("default", **{"as": 65000}),
                   peer("router", conf={"peerAs": 65002, "neighborAddress": "192.0.2.1"}))
        self.patch("Eip", "pool", {"metadata": {"annotations": {"eip.openelb.kubesphere.io/is-default-eip": "true"}}})
        self.patch_status("Eip", "pool", {"status": {"usage": 1, "poolSize": 256}})
        self.patch_status("BgpPeer", "router", {"status": {"sessions": "1/2", "since": "2026-03-01T10:00:00Z", "prefixes": 7}})
        rows = {kind: [line.split() for line in self.kubectl("get", self.resource(kind)).splitlines()]
                for kind in ("Eip", "BgpConf", "BgpPeer")}
        self.assertEqual(rows["Eip"][0], ["NAME", "CIDR", "USAGE", "TOTAL", "PROTOCOL", "DEFAULT", "DISABLED", "AGE"])
        self.assertEqual(rows["Eip"][1][:6], ["pool", "192.0.2.0/24", "1", "256", "bgp", "true"])
        self.assertEqual(rows["BgpConf"][0], ["NAME", "AS", "AGE"])
        self.assertEqual(rows["BgpConf"][1][:2], ["default", "65000"])
        self.assertEqual(rows["BgpPeer"][0], ["NAME", "NEIGHBOR", "AS", "SESSIONS", "SINCE", "PREFIXES", "AGE"])
        self.assertEqual(rows["BgpPeer"][1][:4] + rows["BgpPeer"][1][5:6], ["router", "192.0.2.1", "65002", "1/2", "7"])
        self.assertRegex(rows["BgpPeer"][1][4], r"^\d+d$")
        self.assertIn(f"eip.{GROUP}/pool", self.kubectl("get", "networking", "-o", "name"))

    # ---- what is told of the fields

    def schema(self, kind, version):
        crd = json.loads(self.kubectl("get", f"crd/{PLURALS[kind]}.{GROUP}", "-o", "json"))
        return next(one["schema"]["openAPIV3Schema"] for one in crd["spec"]["versions"] if f"{GROUP}/{one['name']}" == version)

    def properties(self, schema, path=""):
        """Every property, as path and schema: `.spec.afiSafis[].config`, `.status.used.*` for the values of a map."""
        found = {}
        for name, inner in schema.get("properties", {}).items():
            found[f"{path}.{name}"] = inner
            found.update(self.properties(inner, f"{path}.{name}"))
        if "items" in schema:
            found.update(self.properties(schema["items"], f"{path}[]"))
        if "additionalProperties" in schema:
            found.update(self.properties(schema["additionalProperties"], f"{path}.*"))
        return found

    def paths(self, value, schema, path=""):
        """The same paths, of what is in a value."""
        found = set()
        if isinstance(value, dict):
            in_map = "additionalProperties" in schema
            for key, inner in value.items():
                below = f"{path}.{'*' if in_map else key}"
                found.add(below)
                inner_schema = schema["additionalProperties"] if in_map else schema.get("properties", {}).get(key, {})
                found |= self.paths(inner, inner_schema, below)
        if isinstance(value, list):
            for inner in value:
                found |= self.paths(inner, schema.get("items", {}), f"{path}[]")
        return found

    def test_explain(self):
        """Every field of every kind and version has a description, and kubectl explain shows it."""
        for kind, version in SERVED:
            schema = self.schema(kind, version)
            self.assertTrue(schema.get("description"))
            silent = [path for path, one in self.properties(schema).items() if not one.get("description") and path != ".metadata"]
            self.assertEqual(silent, [], f"{kind} {version} has fields without a description")
        self.assertIn("192.0.2.10-192.0.2.20", self.kubectl("explain", "eip.spec.address", f"--api-version={V2}"))
        self.assertIn("AFI_IP6", self.kubectl("explain", "bgppeer.spec.afiSafis.config.family.afi", f"--api-version={V2}"))
        self.assertIn("minimumAdvertisementInterval", self.kubectl("explain", "bgppeer", "--recursive", f"--api-version={V2}"))

    # ---- rights

    def ask(self, *questions, account=ACCOUNT):
        """Reviews as the service account; the answers."""
        asked = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(questions)})
        return documents(self.kubectl("create", f"--as={account}", "--validate=ignore", "-o", "json", "-f", "-", input=asked))

    def rights(self, space, account):
        """What an account may do in a namespace: {(group, resource[, name]): verbs}."""
        asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": space}}
        status = self.ask(asked, account=account)[0]["status"]
        self.assertFalse(status.get("incomplete"))
        found = {}
        for rule in status["resourceRules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames") or [None]:
                        found.setdefault((group, resource, *([name] if name else [])), set()).update(rule["verbs"])
        return found

    def own_rights(self, space):
        """Those of Berth that not every service account has."""
        common = self.rights(space, NOBODY)
        return {what: verbs for what, verbs in self.rights(space, ACCOUNT).items() if common.get(what) != verbs}

    def test_rights(self):
        """The service account may do what Berth does, and nothing else."""
        self.assertEqual(self.own_rights("shop"), EVERYWHERE)
        self.assertEqual(self.own_rights(SPACE), EVERYWHERE | IN_ITS_NAMESPACE)
        for expected, questions in ((True, ALLOWED), (False, FORBIDDEN)):
            answers = self.ask(*(self.may(*question) for question in questions))
            self.assertEqual(len(answers), len(questions))
            for question, answer in zip(questions, answers):
                with self.subTest(question=question):
                    self.assertEqual(answer["status"]["allowed"], expected)
        self.assertEqual(self.kubectl("auth", "can-i", "patch", "services", "-A", f"--as={ACCOUNT}", check=False).split("\n")[0][:2], "no")

    def may(self, verb, group, resource, space, name=None):
        base, _, sub = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": base, "subresource": sub, "namespace": space or "", "name": name or ""}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}


def remove_leftovers():
    """Labs of runs that were killed."""
    for folder in RUN.glob("objects-*"):
        found = re.fullmatch(r"objects-(\d+)-\w+", folder.name)
        if found and start_time(int(found[1])) is None:
            Cluster(folder.name).down()


def versions():
    return ["1.34", *(["newest"] if (TREE / "out/k8s/newest/kube-apiserver").exists() else [])]


def main():
    parser = argparse.ArgumentParser(prog="tests/deploy/crds_test.py", description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubernetes", choices=("1.34", "newest"), help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    remove_leftovers()
    suite = unittest.TestSuite()
    for version in [args.kubernetes] if args.kubernetes else versions():
        one = type(f"Kubernetes_{version.replace('.', '_')}", (DeployTest,), {"kubernetes": version, "__module__": "deploy"})
        tests = unittest.defaultTestLoader.loadTestsFromTestCase(one)
        suite.addTests(test for test in tests if not args.names or any(name in test.id() for name in args.names))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = {test.id().split(" ")[0] for test, _ in result.failures + result.errors}   # a subtest's id has its values behind
    passed = result.testsRun - len(failed - {"setUpClass"}) - len(result.skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
