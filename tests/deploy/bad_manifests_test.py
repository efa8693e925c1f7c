#!/usr/bin/env python3
"""Wrong manifests by the hundred, each refused with a message that names the field and the rule: by the API server, by Berth's webhook, or
by a condition or an Event. On a real API server with a real `berth run`. Needs root, tools/build-go and a Berth.

usage: tests/deploy/bad_manifests_test.py [--help] [--build FOLDER] [WORD...]

  --build FOLDER  whose bin/berth is run; default out/build/asan
  WORD            only rows whose manifest has one of these in it

Each row is one test. bad_manifests.py has them, but for the fields of a wrong type, which are taken from the CRDs. What the webhook refuses
is made once more without it, and then has to be told by a condition. The table of all, with what was said, is written to out/test.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path[:0] = [str(TREE / "tools" / "lab"), str(TREE / "tests" / "e2e"), str(HERE)]

import bad_manifests as bad                                # noqa: E402
from api import Api                                        # noqa: E402
from cluster import RUN, Cluster                           # noqa: E402
from controller import Controller, program                 # noqa: E402
from system import LabError, start_time, wait_until        # noqa: E402

TABLE = (TREE / "out" / "test" / "bad-manifests").with_suffix(".md")
LOG = TABLE.with_name("bad-manifests-berth.log")
GOBGPD = TREE / "out" / "bin" / "gobgpd"
GROUP = f"/apis/{bad.GROUP}"
PLURALS = {"Eip": "eips", "BgpConf": "bgpconfs", "BgpPeer": "bgppeers"}
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
NODE, METRICS_PORT, WEBHOOK_PORT = "node1", 9052, 9443   # no port that the kernel gives to connections
PATIENCE = 30   # seconds for all that Berth has to say
BEGAN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


def path_of(manifest):
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if kind == "Service":
        return f"/api/v1/namespaces/{manifest['metadata']['namespace']}/services", name
    return f"{GROUP}/{PLURALS[kind]}", name


class Server:
    """The lab's API server, as admin."""

    def __init__(self, cluster):
        self.connection = Api(cluster).connect(timeout=60)

    def call(self, method, path, body=None, content_type="application/json"):
        """(status, the answer's object)"""
        self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type})
        answer = self.connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"message": text.decode(errors="replace")}

    def get(self, path):
        status, found = self.call("GET", path)
        if status != 200:
            raise LabError(f"GET {path}: {found.get('message')}")
        return found

    def send(self, row, dry_run):
        """Why it is refused, or None. Strictly, as kubectl does."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        path, name = path_of(row.manifest)
        if row.patch:
            body = {key: row.manifest[key] for key in ("spec",)}
            status, answer = self.call("PATCH", f"{path}/{name}{query}", body, "application/merge-patch+json")
        else:
            status, answer = self.call("POST", f"{path}{query}", row.manifest)
        return None if status < 300 else answer["message"]

    def must(self, manifest, patch=False):
        refusal = self.send(bad.Row("", manifest, (), patch=patch), dry_run=False)
        if refusal is not None:
            raise LabError(f"{manifest['kind']} {manifest['metadata']['name']} is not taken: {refusal}")

    def telling(self):
        """What objects say of themselves: (kind, namespace, name) -> texts of conditions that are not well, and of Warnings."""
        found = collections.defaultdict(list)
        for path, kind in ((f"{GROUP}/eips", "Eip"), ("/api/v1/services", "Service")):
            for item in self.get(path)["items"]:
                key = kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]
                for condition in item.get("status", {}).get("conditions", []):
                    if condition["status"] == ("False" if condition["type"] in ("Ready", "berth.kubesphere.io/Allocated") else "True"):
                        found[key].append((f"condition {condition['type']}", condition["message"]))
        for event in self.get("/api/v1/events")["items"]:
            of = event["involvedObject"]
            if event["type"] == "Warning":
                space = of.get("namespace", "") if of["kind"] == "Service" else ""
                found[of["kind"], space, of["name"]].append((f"Event {event['reason']}", event["message"]))
        return found


class Test:
    def __init__(self, cluster, server, rows):
        self.cluster, self.server, self.rows = cluster, server, rows
        self.said = []       # (row, who, message or None, what is missing)

    def judge(self, row, who, message, words=None):
        missing = ["any word"] if not message else [word for word in words or row.words if word not in message]
        self.said.append((row, who, message, missing))
        if missing:
            say(f"failed: {who} of {shown(row)}\n    said: {clip(message or 'nothing', 600)}\n    without: {missing}")

    def by(self, who, patch=None):
        return [row for row in self.rows if row.by == who and patch in (None, row.patch)]

    # ---- the steps

    def refused_at_once(self, who):
        for row in self.by(who):
            message = self.server.send(row, dry_run=True)
            by_webhook = message is not None and "denied the request" in message
            self.judge(row, who, message if message is None or by_webhook == (who == "webhook") else f"by another: {message}")

    def told(self, rows):
        """Waits until each of the rows' objects tells what it should."""
        waiting, told = list(rows), {}

        def all_told():
            telling = self.server.telling()
            for row in waiting:
                told[id(row)] = self.nearest(row, telling)
            waiting[:] = [row for row in waiting if not all(word in told[id(row)][1] for word in row.told or row.words)]
            return not waiting
        with contextlib.suppress(LabError):   # each that is still waiting is named below
            wait_until(all_told, PATIENCE, "all to be told")
        for row in rows:
            self.judge(row, *told[id(row)], row.told or row.words)

    @staticmethod
    def nearest(row, telling):
        """(who, message): of all that was said of the object, what has the most of the words."""
        kind, metadata = row.manifest["kind"], row.manifest["metadata"]
        said = telling.get((kind, metadata.get("namespace", ""), metadata["name"]), [])
        return max(said, key=lambda one: sum(word in one[1] for word in row.told or row.words), default=("condition", ""))

    def make(self, rows):
        """Objects that are taken by the API server, and told to be wrong afterwards."""
        made = []
        for row in rows:
            refusal = self.server.send(row, dry_run=False)
            if refusal is None:
                made.append(row)
            else:
                self.judge(row, "condition", f"refused before: {refusal}")
        return made

    def with_webhook(self):
        self.refused_at_once("schema")
        self.refused_at_once("webhook")
        self.told(self.make(self.by("condition", patch=False)))
        for row in self.by("condition", patch=True):   # of one object, so one after another
            self.told(self.make([row]))

    def without_webhook(self):
        for configuration in self.server.get(WEBHOOKS)["items"]:
            self.server.call("DELETE", f"{WEBHOOKS}/{configuration['metadata']['name']}")
        probe = bad.Row("webhook", bad.eip("probe", address="192.0.2.9-192.0.2.1"), ())
        wait_until(lambda: self.server.send(probe, dry_run=True) is None, PATIENCE, "the webhook to be gone")
        self.told(self.make(self.by("webhook", patch=True)))   # before others claim their addresses
        self.told(self.make([row for row in self.by("webhook", patch=False) if not row.unseen]))


# ---- the lab

def prepare(cluster, server):
    cluster.kubectl("apply", "-f", TREE / "deploy" / "berth.yaml")
    names = [f"crd/{plural}.network.kubesphere.io" for plural in PLURALS.values()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    wait_until(lambda: server.call("GET", f"{GROUP}/eips")[0] == 200, 30, "the new kinds")
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    server.call("POST", "/api/v1/nodes", node)
    server.call("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {"addresses": [{"type": "InternalIP", "address": "172.30.0.11"}]}},
                "application/merge-patch+json")
    for name in ("bad", "elsewhere"):
        server.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # There is no node that would carry packets to a Service: the API server calls Berth by its address.
    for configuration in server.get(WEBHOOKS)["items"]:
        for webhook in configuration["webhooks"]:
            path = urllib.parse.quote(webhook["clientConfig"].pop("service")["path"])
            webhook["clientConfig"]["url"] = f"https://127.0.0.1:{WEBHOOK_PORT}{path}"
        server.call("PUT", f"{WEBHOOKS}/{configuration['metadata']['name']}", configuration)


def schemas(server):
    for kind, plural in PLURALS.items():
        crd = server.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.network.kubesphere.io")
        stored = next(version for version in crd["spec"]["versions"] if version["storage"])
        yield kind, stored["schema"]["openAPIV3Schema"]["properties"]["spec"]


def settle(server, berth):
    """What the rows presuppose is there, and has its addresses."""
    def ready():
        if berth.process.poll() is not None:
            raise LabError(f"berth ended with {berth.process.returncode}: {berth.log()[-2000:]}")
        probe = bad.Row("webhook", bad.eip("probe", address="192.0.2.9-192.0.2.1"), ())
        return "denied the request" in (server.send(probe, dry_run=True) or "")
    wait_until(ready, PATIENCE, "the webhook to answer", berth.log()[-2000:])
    for manifest in [*bad.FIRST_POOLS, *bad.FIRST_SERVICES, *bad.FIRST_ROUTING]:
        server.must(manifest)

    def served():
        items = server.get("/api/v1/namespaces/bad/services")["items"]
        return len(items) == len(bad.FIRST_SERVICES) and all(item["status"]["loadBalancer"].get("ingress") for item in items)
    wait_until(served, PATIENCE, "the first Services to have addresses", berth.log()[-2000:])
    for kind, name in bad.DELETED:
        server.call("DELETE", f"{GROUP}/{PLURALS[kind]}/{name}")


# ---- what is shown

def clip(text, most=300):
    text = text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


def shown(row):
    """The manifest in short: what is wrong is in its spec or annotations."""
    manifest, metadata = row.manifest, row.manifest["metadata"]
    parts = {"spec": manifest.get("spec")}
    if manifest["kind"] == "Service":
        usual = bad.service("x")["spec"]
        parts = {key: value for key, value in manifest["spec"].items() if usual.get(key) != value}
    notes = {key: value for key, value in metadata.get("annotations", {}).items() if (key, value) != (bad.OPT_IN, "openelb")}
    if notes:
        parts["annotations"] = notes
    return f"{manifest['kind']} {clip(metadata['name'], 40)} {clip(json.dumps(parts, ensure_ascii=False))}"


def write_table(said):
    def cell(text):
        return clip(text).replace("|", "\\|").replace("`", "'")
    lines = ["# Wrong manifests and what is said of them", "",
             "Made by tests/deploy/bad_manifests_test.py. Each is made on an API server that is otherwise well, with Berth beside it.", "",
             "| | manifest | refused by | message |", "|---|---|---|---|"]
    for number, (row, who, message, missing) in enumerate(said, 1):
        lines.append(f"| {number} | `{cell(shown(row))}` | {who}{' **wrong**' if missing else ''} | {cell(message or 'nothing')} |")
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n")


def remove_leftovers():
    """Labs of runs that were killed."""
    for folder in RUN.glob("manifests-*"):
        found = re.fullmatch(r"manifests-(\d+)", folder.name)
        if found and start_time(int(found[1])) is None:
            Cluster(folder.name).down()


def main():
    parser = argparse.ArgumentParser(prog="tests/deploy/bad_manifests_test.py", description=__doc__, usage=argparse.SUPPRESS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=TREE / "out/build/asan", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    binary = program(args.build)
    if not GOBGPD.exists():
        raise LabError(f"{GOBGPD} is not built: tools/build-go gobgp")
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers()
    cluster = Cluster(f"manifests-{os.getpid()}")
    try:
        cluster.up(nodes=0, ipv6=True)
        server = Server(cluster)
        prepare(cluster, server)
        rows = [*(row for kind, schema in schemas(server) for row in bad.wrong_types(kind, schema)),
                *bad.eips(), *bad.services(), *bad.routing()]
        chosen = [row for row in rows if not args.words or any(word in json.dumps(row.manifest) for word in args.words)]
        say(f"the API server is up; {len(chosen)} rows")
        berth = Controller(cluster, binary, NODE, METRICS_PORT, WEBHOOK_PORT, flags=["--gobgpd", GOBGPD], role="run").start()
        try:
            settle(server, berth)
            test = Test(cluster, server, chosen)
            test.with_webhook()
            say("and without the webhook")
            test.without_webhook()
        finally:
            status = berth.end()
            LOG.write_text(berth.log())
    finally:
        cluster.down()
    write_table(test.said)
    failed = sum(bool(missing) for *_, missing in test.said)
    if status != 0:
        say(f"failed: berth ended with {status}: see {LOG.relative_to(TREE)}")
        failed += 1
    if not args.words and len({id(row) for row, *_ in test.said}) < 200:
        say("failed: fewer than 200 manifests")
        failed += 1
    say(f"the table is in {TABLE.relative_to(TREE)}")
    print(f"{len(test.said) - sum(bool(missing) for *_, missing in test.said)} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"tests/deploy/bad_manifests_test.py: {error}\n0 passed, 1 failed, 0 skipped")
        sys.exit(1)
