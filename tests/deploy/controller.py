"""`berth controller` (or another role) as a process beside a lab's API server, with the rights of the manifest's service account and no
more."""

import json
import os
import pathlib
import re
import signal
import subprocess

from system import LabError, send, wait_until

SPACE = "openelb-system"
API = "https://172.30.0.2:6443"


class Controller:
    """Ports are best below 32768: above, a connection of the API server's may have taken one."""

    def __init__(self, cluster, program, name, metrics_port, webhook_port=0, flags=(), role="controller", server=API):
        self.cluster, self.metrics_port, self.webhook_port = cluster, metrics_port, webhook_port
        self.folder = cluster.state_dir / name
        self.log_file = cluster.state_dir / f"{name}.log"
        kubeconfig = cluster.state_dir / f"{name}.kubeconfig"
        token = cluster.kubectl("create", "token", "berth", "--namespace", SPACE, "--duration", "1h").strip()
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "berth"}}],
            "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": f"{cluster.pki}/ca.crt"}}],
            "users": [{"name": "berth", "user": {"token": token}}]}))
        kubeconfig.chmod(0o600)
        self.argv = [program, role, "--kubeconfig", kubeconfig, "--node-name", name, "--run-dir", self.folder,
                     "--metrics-addr", f"127.0.0.1:{metrics_port}", "--webhook-port", webhook_port, *flags]
        self.process = None

    def start(self):
        with open(self.log_file, "ab") as log:
            self.process = self.cluster.popen("control", self.argv, stdout=log, stderr=log, start_new_session=True,
                                              env=dict(os.environ, NODE_NAME="", POD_NAME=""))
        return self

    def end(self, how=signal.SIGTERM, seconds=30):
        """Returns the exit status."""
        if self.process is None:
            return None
        send(self.process.pid, how)
        status, self.process = self.process.wait(seconds), None
        return status

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def page(self, path):
        """Empty while it does not answer."""
        asked = ["curl", "-s", "--max-time", "5", f"http://127.0.0.1:{self.metrics_port}{path}"]
        return self.cluster.run("control", asked, check=False).stdout

    def metric(self, name):
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", self.page("/metrics"))
        return float(found[1]) if found else None

    def wait_ready(self):
        wait_until(lambda: "watches" in self.page("/readyz") and "not listed" not in self.page("/readyz"), 60,
                   "Berth to have read the cluster", hint=self.log()[-2000:])


def program(arguments_build):
    """The binary of a build folder; LabError if it is not there."""
    found = pathlib.Path(arguments_build).resolve() / "bin/berth"
    if not found.exists():
        raise LabError(f"{found} is not built: tools/compile asan berth")
    return found


def served_certificate(cluster, port):
    """In PEM, as a client gets it; empty if nobody serves."""
    asked = ["sh", "-c", f"openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 2>/dev/null"]
    return cluster.run("control", asked, check=False, stdin=subprocess.DEVNULL).stdout
