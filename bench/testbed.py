"""Where the benchmarks run: a lab with Berth's CRDs and rights, and the programs that are compared.

Berth runs as processes on the lab's hosts, with the rights of deploy/rbac.yaml. Times are nanoseconds of CLOCK_MONOTONIC.

What is compared runs on a host of its own, ASIDE, so that the counters of its one network interface tell what it received and sent.
"""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "tools/lab"))

from cluster import Cluster                           # noqa: E402
from system import LabError, inside, wait_until       # noqa: E402

DEPLOY = TREE / "deploy"
SPACE, OWN_SPACE, ACCOUNT = "bench", "openelb-system", "berth"
GROUP = "network.kubesphere.io/v1alpha2"
OPT_IN = {"lb.kubesphere.io/v1alpha1": "openelb"}
SERVICES, SLICES = f"/api/v1/namespaces/{SPACE}/services", f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices"
ASIDE = "client"
PATIENCE = 600   # seconds for anything; then the benchmark is given up


def service(name, ours=True):
    """A Service that asks for an address. Without a selector and node ports: nobody but Berth has work with it."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": OPT_IN if ours else {}},
            "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}}


def endpoints(name, node="node1"):
    """One ready endpoint of Service `name`, where no pod is: nothing is ever sent there."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "bench"}},
            "ports": [{"port": 80}],
            "endpoints": [{"addresses": ["10.244.1.250"], "nodeName": node, "conditions": {"ready": True, "serving": True}}]}


def spread(values):
    """Median and range, for people and for JSON."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1], "n": len(ordered)}


class Testbed:
    """`with Testbed(...) as bed`: the lab is up and Berth's objects are known; afterwards it is gone."""

    def __init__(self, name, berth, bare, nodes, say):
        self.cluster = Cluster(name)
        self.berth_program, self.bare_program = pathlib.Path(berth).resolve(), pathlib.Path(bare).resolve()
        self.say = say
        self._nodes = nodes

    def __enter__(self):
        self.cluster.down()
        self.say(f"lab {self.cluster.name!r}: control plane, router, {self._nodes} node(s)")
        self.cluster.up(nodes=self._nodes)
        try:
            self._install()
        except BaseException:
            self.cluster.down()
            raise
        return self

    def __exit__(self, *_):
        self.cluster.down()

    def _install(self):
        kubectl = self.cluster.kubectl
        for node in self.cluster.nodes:
            self.cluster.stop(f"proxy-{node}")   # no traffic here: its work would only blur the times
        crds = sorted((DEPLOY / "crds").glob("*.yaml"))
        kubectl("apply", *[word for path in crds for word in ("-f", path)])
        kubectl("create", "namespace", SPACE)
        kubectl("apply", "-f", DEPLOY / "namespace.yaml")
        kubectl("apply", "-f", DEPLOY / "rbac.yaml")
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        config = json.loads(kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        config["users"][0]["user"] = {"token": kubectl("create", "token", ACCOUNT, "-n", OWN_SPACE, "--duration=24h").strip()}
        self.kubeconfig = self.cluster.state_dir / "berth.kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))   # JSON is YAML
        self.kubeconfig.chmod(0o600)

    # ---- objects

    def apply(self, *objects):
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def make_pool(self, addresses):
        self.apply({"apiVersion": GROUP, "kind": "Eip",
                    "metadata": {"name": "bench", "annotations": {"eip.openelb.kubesphere.io/is-default-eip": "true"}},
                    "spec": {"address": addresses, "protocol": "bgp"}})

    def pool_usage(self):
        return int(self.cluster.kubectl("get", "eip", "bench", "-o", "jsonpath={.status.usage}", check=False) or 0)

    def configure_bgp(self, bfd=None, timers=None):
        """Berth's nodes, AS 65001, speak to the lab's router."""
        self.apply({"apiVersion": GROUP, "kind": "BgpConf", "metadata": {"name": "default"}, "spec": {"as": 65001, "listenPort": -1}},
                   {"apiVersion": GROUP, "kind": "BgpPeer", "metadata": {"name": "router"},
                    "spec": {"conf": {"peerAs": 65000, "neighborAddress": self.cluster.address("router")}, **({"bfd": bfd} if bfd else {}),
                             "timers": {"config": dict({"connectRetry": "1"}, **(timers or {}))}}})

    def make_services(self, count, with_endpoints=False, prefix="bench-"):
        if with_endpoints:
            self.bare("send", "POST", SLICES, json.dumps(endpoints(prefix + "{n}")), "--count", count)
        self.bare("send", "POST", SERVICES, json.dumps(service(prefix + "{n}")), "--count", count)

    def remove_services(self, count):
        """Berth must not run: its marks are taken off by force, its records removed."""
        one = SERVICES + "/bench-{n}"
        self.bare("send", "PATCH", one, '{"metadata":{"finalizers":null}}', "--count", count)
        self.bare("send", "DELETE", one, "--count", count)
        for kind in (f"/apis/{GROUP}/addressblocks", f"/api/v1/namespaces/{SPACE}/events", SLICES):
            self.bare("send", "DELETE", kind)
        if self.cluster.kubectl("get", "eip", "bench", "--ignore-not-found", "-o", "name"):
            self.bare("send", "PATCH", f"/apis/{GROUP}/eips/bench", '{"metadata":{"finalizers":null}}')
            self.bare("send", "DELETE", f"/apis/{GROUP}/eips/bench")

    # ---- programs

    def bare_command(self, *arguments, kubeconfig=None, prefix=""):
        return [self.bare_program, "--kubeconfig", kubeconfig or self.cluster.kubeconfig, "--namespace", SPACE,
                *(["--prefix", prefix] if prefix else []), *map(str, arguments)]

    def bare(self, *arguments):
        """Runs the bare client to its end, as the admin."""
        return self.cluster.run("control", self.bare_command(*arguments)).stdout

    def bare_popen(self, host, *arguments, **options):
        return self.cluster.popen(host, self.bare_command(*arguments, **options), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)

    def bare_watching(self, host, *arguments, **options):
        """A bare client that listens already; `finish` gives what it says at its end."""
        bare = self.bare_popen(host, *arguments, **options)
        if bare.stdout.readline() != "ready\n":
            raise LabError(f"`bare {arguments[0]}` did not start")
        return bare

    def watch_addresses(self, count, prefix=""):
        return self.bare_watching("control", "watch", "--count", count, prefix=prefix)

    @staticmethod
    def finish(bare):
        out, _ = bare.communicate(timeout=PATIENCE)
        if bare.returncode != 0:
            raise LabError("the bare client failed, see above")
        return json.loads(out)

    def traffic(self, host=ASIDE):
        """Bytes that the host has received and sent, with the headers of IP, TCP and TLS."""
        for line in self.cluster.run(host, ["cat", "/proc/net/dev"]).stdout.splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "eth0":
                return {"received": int(counters.split()[0]), "sent": int(counters.split()[8])}
        raise LabError(f"host {host} has no eth0")

    def start_berth(self, host, role, flags=()):
        return Berth(self, host, role, flags)

    def cpu_seconds(self, component):
        return sum(cpu_seconds(process.pid()) for process in self.cluster.processes(component))


class Berth:
    """One running Berth. `began` is before its exec."""

    def __init__(self, bed, host, role, flags=()):
        self._cluster, self.host, self.role = bed.cluster, host, role
        run_dir = bed.cluster.state_dir / f"berth-{host}"
        self.log_file = bed.cluster.state_dir / f"berth-{host}.log"
        argv = [bed.berth_program, role, "--kubeconfig", bed.kubeconfig, "--node-name", host, "--run-dir", run_dir,
                "--metrics-addr", ":50052", *flags]
        if role != "speaker":
            argv += ["--webhook-port", "0"]   # nobody would ask it
        if role != "controller":
            argv += ["--gobgpd", TREE / "out/bin/gobgpd"]
        with open(self.log_file, "ab") as log:
            self.began = time.monotonic_ns()
            self.process = bed.cluster.popen(host, argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        return [int(pid) for pid in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def metrics(self):
        """Name with labels -> value."""
        text = self._page("metrics")
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line and line[0] != "#"}

    def sessions(self):
        """Since when its sessions are established: {neighbour: time}, of those that are."""
        sessions = json.loads(self._page("debug/state") or "{}").get("actual", {}).get("bgp", {}).get("sessions", [])
        return {one["neighbor"]: one["uptime"] for one in sessions if one["state"] == "ESTABLISHED"}

    def session(self):
        """Since when its one session is established; None if it is not."""
        return next(iter(self.sessions().values()), None)

    def _page(self, path):
        return self._cluster.run(self.host, ["curl", "-sf", f"http://127.0.0.1:50052/{path}"], check=False).stdout

    def wait_leading(self):
        """It leads, has read the cluster, and has nothing to do."""
        self.wait_for(lambda m: m["berth_leader"] == 1 and all(value == 1 for name, value in m.items() if "_watch_synced" in name)
                      and m.get("berth_controller_plans_total", 0) > 0, "Berth to lead")

    def wait_told(self, count):
        """All Events of `count` allocations are written, or given up."""
        self.wait_for(lambda m: m["berth_events_written_total"] + m["berth_events_dropped_total"] >= count, "the Events")

    def wait_for(self, question, what):
        """Until `question(metrics)` is true."""
        def asked():
            if self.process.poll() is not None:
                raise LabError(f"Berth ended with {self.process.returncode}; see {self.log_file}")
            metrics = self.metrics()
            return bool(metrics) and question(metrics)
        wait_until(asked, PATIENCE, what, f"See {self.log_file}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid, file, field):
    """VmRSS of `status`, Pss of `smaps_rollup`."""
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise LabError(f"/proc/{pid}/{file} has no {field}")
