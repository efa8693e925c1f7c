"""Looking at a lab's API server from outside Berth: a client, a watcher of all Services of a namespace, and a relay for a controller."""

import asyncio
import collections
import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import threading
import time

import pki
from system import LabError, entered

HOST, PORT = "172.30.0.2", 6443
FINALIZER, POOL_KEY = "finalizer.lb.kubesphere.io/v1alpha1", "eip.openelb.kubesphere.io/v1alpha2"
ALLOCATED = "berth.kubesphere.io/allocated"


class Api:
    """The admin's requests; each thread has a connection of its own."""

    def __init__(self, cluster):
        self._namespace = cluster.namespace("control")
        self._context = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
        self._context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        self._own = threading.local()

    def connect(self):
        with entered(self._namespace):
            made = http.client.HTTPSConnection(HOST, PORT, context=self._context, timeout=60)
            made.connect()
        return made

    def ask(self, method, path, body=None):
        """(status, answer)"""
        if time.monotonic() > getattr(self._own, "good_until", 0):
            self._own.connection = self.connect()
        self._own.good_until = time.monotonic() + 30   # the server closes what was idle for long
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self._own.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        answer = self._own.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def must(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        if not 200 <= status < 300:
            raise LabError(f"{method} {path}: {status} {answer.get('message')}")
        return answer


Seen = collections.namedtuple("Seen", "uid addresses wants deleting marked")


class Onlooker:
    """Sees every version of every Service of a namespace, in order, and notes what must never be: one address shown by two Services
    (`duplicates`), an address that is changed or taken away though its Service wants it (`moves`)."""

    def __init__(self, api, space):
        self._api, self._path = api, f"/api/v1/namespaces/{space}/services"
        self._changed = threading.Condition()
        self._seen, self._shown_by = {}, collections.defaultdict(set)
        self.duplicates, self.moves, self.trouble, self.events = [], [], [], 0
        self._ending = False

    def __enter__(self):
        version = self._api.must("GET", self._path)
        if version["items"]:
            raise LabError(f"{self._path} is not empty")
        self._connection = self._api.connect()
        self._connection.sock.settimeout(None)
        self._connection.request("GET", f"{self._path}?watch=1&resourceVersion={version['metadata']['resourceVersion']}")
        self._answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending = True
        self._connection.sock.shutdown(2)
        self._thread.join()

    def open(self):
        """How many Services wait for something: an address, or to be rid of it."""
        with self._changed:
            return sum(self._is_open(seen) for seen in self._seen.values())

    def shown(self):
        with self._changed:
            return {name: seen.addresses for name, seen in self._seen.items()}

    def wait_change(self, seconds):
        with self._changed:
            self._changed.wait(seconds)

    @staticmethod
    def _is_open(seen):
        return seen.deleting or (not seen.addresses if seen.wants else seen.marked or bool(seen.addresses))

    def _watch(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in self._answer:
                event = json.loads(line)
                if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
                    self.trouble.append(line)
                    break
                with self._changed:
                    self.take(event["type"], event["object"])
                    self._changed.notify_all()
        if not self._ending:
            self.trouble.append("the watch ended, so something may have gone unseen")

    def take(self, what, found):
        """One line of a watch: its type and its Service."""
        self.events += 1
        name, meta = found["metadata"]["name"], found["metadata"]
        old = self._seen.pop(name, None)
        for address in old.addresses if old else ():
            self._shown_by[address].discard(name)
        if what == "DELETED":
            return
        ingress = found["status"]["loadBalancer"].get("ingress", [])
        new = Seen(meta["uid"], tuple(entry["ip"] for entry in ingress), found["spec"]["type"] == "LoadBalancer",
                   "deletionTimestamp" in meta, FINALIZER in meta.get("finalizers", []))
        self._seen[name] = new
        for address in new.addresses:
            self._shown_by[address].add(name)
            if len(self._shown_by[address]) > 1:
                self.duplicates.append((address, sorted(self._shown_by[address]), meta["resourceVersion"]))
        if old and old.uid == new.uid and old.addresses not in ((), new.addresses) and new.wants and not new.deleting:
            self.moves.append((name, old.addresses, new.addresses))


def left_over(services, blocks, pool, live, retired):
    """Compares what there is (lists of Services and AddressBlocks, and the Eip that gives all addresses) with what there should be: the
    Services `live` have one address each, `retired` have none, and nothing is left of others. The first thing that is wrong; empty if
    all is well."""
    items = {item["metadata"]["name"]: item for item in services}
    if set(items) != live | retired:
        return f"there should not be, or should be: {sorted(set(items) ^ (live | retired))}"
    showing = {}
    for name, item in items.items():
        meta, ingress = item["metadata"], item["status"]["loadBalancer"].get("ingress", [])
        marks = (FINALIZER in meta.get("finalizers", []), meta.get("labels", {}).get(POOL_KEY),
                 meta.get("annotations", {}).get(ALLOCATED), [entry["ip"] for entry in ingress])
        if name in retired and marks != (False, None, None, []):
            return f"{name} wants no address and has {marks}"
        if name in live and (len(ingress) != 1 or marks != (True, pool["metadata"]["name"], ingress[0]["ip"], [ingress[0]["ip"]])):
            return f"{name} has {marks}"
        if name in live:
            if ingress[0]["ip"] in showing:
                return f"{ingress[0]['ip']} is shown twice: by {name} as well"
            showing[ingress[0]["ip"]] = [(f"{meta['namespace']}/{name}", meta["uid"], "held")]
    recorded = {}
    for block in blocks:
        if not block["spec"]["addresses"]:
            return f"{block['metadata']['name']} is empty and still there"
        for ip, entry in block["spec"]["addresses"].items():
            recorded[ip] = [(holder["service"], holder["uid"], holder["state"]) for holder in json.loads(entry)["holders"]]
    if recorded != showing:
        return f"shown or recorded, not both: {sorted(set(showing) ^ set(recorded)) or 'with other holders'}"
    if pool.get("status", {}).get("used", {}) != {ip: holder[0][0] for ip, holder in showing.items()}:
        return "Eip.status.used says something else"
    return ""


class Relay:
    """Stands between one controller and the API server and speaks TLS with both, so it knows which writes are under way: those it has
    passed on and whose answer it has not. Reads, the Lease, Events and the status of Eips do not count."""

    WRITE = re.compile(rb"(POST|PUT|PATCH|DELETE) \S*/(services/\S+/status|addressblocks\S*) HTTP/1")

    def __init__(self, cluster, port):
        self._namespace, self._port = cluster.namespace("control"), port
        self.server = f"https://{HOST}:{port}"
        pki.issue(cluster.pki, "relay", "relay", alternative_names=[f"IP:{HOST}"])
        self._inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._inside.load_cert_chain(cluster.pki / "relay.crt", cluster.pki / "relay.key")
        self._outside = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
        self._under_way, self._begun = {}, threading.Event()
        self.wrote = threading.Event()   # since forget()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._begun.wait(30):
            raise LabError("the relay did not begin")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def forget(self):
        self.wrote.clear()

    def kill(self, pid):
        """SIGKILL. Says which writes were under way; no answer was passed on between the look and the kill."""
        async def look_and_kill():
            found = [write.decode() for write in self._under_way.values()]
            os.kill(pid, signal.SIGKILL)
            return found
        return asyncio.run_coroutine_threadsafe(look_and_kill(), self._loop).result(30)

    def _run(self):
        with entered(self._namespace):
            asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)   # of connections that a kill cut
        server = await asyncio.start_server(self._connection, HOST, self._port, ssl=self._inside)
        self._begun.set()
        await self._end.wait()
        server.close()

    async def _connection(self, reader, writer):
        try:
            answers, requests = await asyncio.open_connection(HOST, PORT, ssl=self._outside)
        except OSError:
            writer.transport.abort()
            return
        key = object()
        ways = [asyncio.create_task(way) for way in (self._pass_requests(key, reader, requests), self._pass_answers(key, answers, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self._under_way.pop(key, None)
        requests.transport.abort()
        writer.transport.abort()

    async def _pass_requests(self, key, source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                if found := self.WRITE.match(data):
                    self._under_way[key] = found[0]
                    self.wrote.set()
                sink.write(data)
                await sink.drain()

    async def _pass_answers(self, key, source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                self._under_way.pop(key, None)
                sink.write(data)
                await sink.drain()
