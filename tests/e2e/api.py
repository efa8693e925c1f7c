"""A small client of the lab's API server: quicker than kubectl where a test asks often, and a watch that stamps what it sees."""

import contextlib
import ctypes
import http.client
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse

OURS = "/apis/network.kubesphere.io/v1alpha2"
GROUPS = {"services": "/api/v1", "pods": "/api/v1", "events": "/api/v1", "nodes": "/api/v1", "serviceaccounts": "/api/v1",
          "secrets": "/api/v1", "configmaps": "/api/v1",
          "deployments": "/apis/apps/v1", "endpointslices": "/apis/discovery.k8s.io/v1", "leases": "/apis/coordination.k8s.io/v1",
          "eips": OURS, "bgpconfs": OURS, "bgppeers": OURS, "addressblocks": OURS}
CLUSTER_WIDE = {"nodes", "eips", "bgpconfs", "bgppeers", "addressblocks"}
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class ApiError(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


def path_of(resource, name=None, space="default"):
    scope = "" if resource in CLUSTER_WIDE or space is None else f"/namespaces/{space}"
    return f"{GROUPS[resource]}{scope}/{resource}" + (f"/{name}" if name else "")


@contextlib.contextmanager
def in_namespace(name):
    """This thread in a network namespace. A socket made there stays there."""
    def enter(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")
        finally:
            os.close(descriptor)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(f"/run/netns/{name}")
        yield
    finally:
        enter(f"/proc/self/fd/{home}")
        os.close(home)


class Connection(http.client.HTTPSConnection):
    def __init__(self, namespace, host, port, context, timeout):
        super().__init__(host, port, context=context, timeout=timeout)
        self._namespace, self._tls = namespace, context

    def connect(self):
        with in_namespace(self._namespace):
            plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class Api:
    """As the lab's admin. An instance belongs to one thread."""

    def __init__(self, cluster):
        self._cluster, self._connection = cluster, None

    def connect(self, timeout=10):
        tls = ssl.create_default_context(cafile=str(self._cluster.pki / "ca.crt"))
        tls.load_cert_chain(str(self._cluster.pki / "admin.crt"), str(self._cluster.pki / "admin.key"))
        return Connection(self._cluster.namespace("control"), self._cluster.address("control"), 6443, tls, timeout)

    def call(self, method, path, body=None, content_type="application/json"):
        """The answer's object. Raises ApiError for a refusal, OSError if the server can't be reached."""
        for attempt in (1, 2):
            reused, self._connection = self._connection is not None, self._connection or self.connect()
            try:
                self._connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type})
                answer = self._connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self._connection = None
                if not reused or attempt == 2:   # a kept connection may have ended since
                    raise error if isinstance(error, OSError) else OSError(str(error)) from error
        if answer.status >= 400:
            raise ApiError(answer.status, text.decode(errors="replace")[:2000])
        return json.loads(text) if text else None

    def find(self, resource, name, space="default"):
        """The object, or None if there is none."""
        try:
            return self.call("GET", path_of(resource, name, space))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def get(self, resource, name, space="default"):
        return self.call("GET", path_of(resource, name, space))

    def list(self, resource, space="default", labels=None, fields=None):
        query = urllib.parse.urlencode({key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value})
        return self.call("GET", path_of(resource, None, space) + (f"?{query}" if query else ""))["items"]

    def create(self, resource, body, space="default"):
        return self.call("POST", path_of(resource, None, space), body)

    def patch(self, resource, name, body, space="default"):
        """A merge patch."""
        return self.call("PATCH", path_of(resource, name, space), body, "application/merge-patch+json")

    def delete(self, resource, name, space="default"):
        """Fine if there is none."""
        try:
            self.call("DELETE", path_of(resource, name, space))
        except ApiError as error:
            if error.status != 404:
                raise

    def delete_all(self, resource, space="default", labels=None):
        query = "?" + urllib.parse.urlencode({"labelSelector": labels}) if labels else ""
        self.call("DELETE", path_of(resource, None, space) + query)


class Watch:
    """A bare watch of a collection, from now on. `events` grows: (time, type, object). For use in `with`."""

    def __init__(self, cluster, resource, space="default", labels=None):
        api = Api(cluster)
        query = {"labelSelector": labels} if labels else {}
        path = path_of(resource, None, space)
        version = api.call("GET", f"{path}?{urllib.parse.urlencode(query)}")["metadata"]["resourceVersion"]
        self._connection = api.connect(timeout=None)
        self._connection.request("GET", f"{path}?{urllib.parse.urlencode(dict(query, watch=1, resourceVersion=version))}")
        self._answer = self._connection.getresponse()
        self.events = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                line = self._answer.readline()
            except (OSError, ValueError, AttributeError, http.client.HTTPException):
                line = b""
            now = time.time()
            if not line:
                return
            event = json.loads(line)
            self.events.append((now, event["type"], event["object"]))

    def first(self, question):
        """The first (time, type, object) for which question(type, object) is true; None if there is none yet."""
        return next((event for event in list(self.events) if question(event[1], event[2])), None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()
