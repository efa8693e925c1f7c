"""Keeps N Node objects Ready that have no kubelet: for tests of scale.

usage: fake_nodes.py COUNT PKI-FOLDER SERVER

Nodes are called fake1 ... fakeN, have addresses in 172.29.0.0/16 and a taint that keeps pods away; a lease each is renewed every 15 s.
"""

import datetime
import http.client
import json
import ssl
import sys
import time

RENEW_SECONDS = 15


class Api:
    def __init__(self, folder, server):
        self.host = server.removeprefix("https://")
        self.tls = ssl.create_default_context(cafile=f"{folder}/ca.crt")
        self.tls.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
        self.connection = None

    def call(self, method, path, body, content_type="application/json"):
        """Returns the status; 0 if the server cannot be reached now."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=10)
            self.connection.request(method, path, json.dumps(body), {"Content-Type": content_type})
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            if self.connection:
                self.connection.close()
            self.connection = None
            return 0


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def create(api, number):
    name = f"fake{number}"
    node = {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
            "spec": {"taints": [{"key": "berth.lab/fake", "effect": "NoSchedule"}]}}
    if api.call("POST", "/api/v1/nodes", node) not in (201, 409):
        return False
    seconds = now()[:19] + "Z"
    status = {"status": {
        "addresses": [{"type": "InternalIP", "address": f"172.29.{number // 250}.{number % 250 + 1}"},
                      {"type": "Hostname", "address": name}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Fake", "message": "kept ready by the lab",
                        "lastHeartbeatTime": seconds, "lastTransitionTime": seconds}]}}
    return api.call("PATCH", f"/api/v1/nodes/{name}/status", status, "application/merge-patch+json") == 200


def renew(api, number):
    name, path = f"fake{number}", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now()}
    if api.call("PATCH", f"{path}/{name}", {"spec": spec}, "application/merge-patch+json") == 404:
        api.call("POST", path, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec})


def main(count, folder, server):
    api, made = Api(folder, server), set()
    while True:
        began = time.monotonic()
        for number in range(1, count + 1):
            if number not in made and create(api, number):
                made.add(number)
            renew(api, number)
        time.sleep(max(0.1, RENEW_SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
