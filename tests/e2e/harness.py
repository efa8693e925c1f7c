"""What every end-to-end test stands on: a lab with Berth in it, and ways to ask and to wait.

One lab serves many tests. Between them `Lab.reset` brings back the same objects: BgpConf `default`, BgpPeer `router`, Eip `pool` (the
default pool), Deployments `web-node1` and `web-node2` (web servers, label app=web) and no Service of type LoadBalancer.

Berth runs as a user would install it, from image and manifest ("pods"), or as plain processes in the nodes' network namespaces
("processes"), for what pods do not take well: Kubernetes waits longer and longer before it starts a container that was killed often.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(TREE / "tools/lab")]

from api import Api, ApiError                     # noqa: E402
from observe import Prober, RouteRecorder, routes, stale_in_frr   # noqa: E402
from small_router import ask_bird                # noqa: E402
from system import LabError, pids_in_cgroup, send   # noqa: E402

SPACE = "openelb-system"
OPT_IN = {"lb.kubesphere.io/v1alpha1": "openelb"}
POOL_KEY, WANTED_KEY = "eip.openelb.kubesphere.io/v1alpha2", "eip.openelb.kubesphere.io/v1alpha1"
FINALIZER = "finalizer.lb.kubesphere.io/v1alpha1"
ROUTER, ROUTER6 = "172.30.0.1", "fd00:30::1"
POOL6 = "2001:db8:53::/112"
PORT = 50052
MANIFEST, IMAGE, PROGRAM, GOBGPD = (TREE / path for path in ("deploy/berth.yaml", "out/image/berth.tar", "out/bin/berth", "out/bin/gobgpd"))
GROUP = "network.kubesphere.io/v1alpha2"
ENGINE = os.environ.get("BERTH_BGP_ENGINE", "gobgpd")   # what speaks BGP in Berth: gobgpd or bird
only_with_gobgpd = unittest.skipUnless(ENGINE == "gobgpd", f"{ENGINE} can't do that")


def eventually(what, question, seconds=30):
    """Asks until the answer is true and returns it; fails with the last answer if it never is. An API server that refuses or can't be
    reached has not answered yet."""
    deadline, answer = time.monotonic() + seconds, None
    while True:
        try:
            answer = question()
            if answer:
                return answer
        except (OSError, ApiError) as error:
            answer = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {answer!r}")
        time.sleep(0.05)


def steadily(what, question, seconds):
    """Asks for that long; fails as soon as the answer is not true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if not answer:
            raise AssertionError(f"{what}: not so after {seconds - (deadline - time.monotonic()):.1f} s: {answer!r}")
        time.sleep(0.1)


def require(program):
    """Raises LabError if something is not built."""
    for path, maker in ((MANIFEST, "the repository"), (IMAGE, "tools/image"), (program or PROGRAM, "tools/build"), (GOBGPD, "tools/build")):
        if not pathlib.Path(path).exists():
            raise LabError(f"{path} is missing: it comes from {maker}")


# ---- objects


def service(name, annotations=OPT_IN, **spec):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "labels": {"e2e": "1"}, "annotations": dict(annotations or {})},
            "spec": dict({"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}, **spec)}


def eip(name, address, default=False, **spec):
    annotations = {"eip.openelb.kubesphere.io/is-default-eip": "true"} if default else {}
    return {"apiVersion": GROUP, "kind": "Eip", "metadata": {"name": name, "annotations": annotations},
            "spec": dict({"address": address, "protocol": "bgp"}, **spec)}


def bgp_conf(**spec):
    return {"apiVersion": GROUP, "kind": "BgpConf", "metadata": {"name": "default"}, "spec": dict({"as": 65001, "listenPort": -1}, **spec)}


def bgp_peer(name="router", neighbor=ROUTER, peer_as=65000, more=None, **conf):
    return {"apiVersion": GROUP, "kind": "BgpPeer", "metadata": {"name": name},
            "spec": {**(more or {}), "conf": dict({"neighborAddress": neighbor, "peerAs": peer_as}, **conf),
                     "timers": {"config": {"connectRetry": "1", "holdTime": "9", "keepaliveInterval": "3"}},
                     "gracefulRestart": {"enabled": True, "restartTime": 60}}}


def web(name, node, replicas=2):
    """Web servers on one node; two, since one that waits for a busy machine lets few wait in its queue. They serve while they terminate:
    PID 1 does not mind SIGTERM."""
    field = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    container = {"name": "web", "image": "localhost/web:lab", "imagePullPolicy": "Never",
                 "env": [{"name": "NODE_NAME", "valueFrom": field}],
                 "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5}}
    labels = {"app": "web", "web": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default", "labels": {"e2e": "1"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"web": name}},
                     "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"nodeSelector": {"kubernetes.io/hostname": node}, "terminationGracePeriodSeconds": 3,
                                           "automountServiceAccountToken": False, "containers": [container]}}}}


def bracketed(address):
    """As it is written in a URL."""
    return f"[{address}]" if ":" in address else address


def addresses_of(found):
    return [entry.get("ip") for entry in (found.get("status", {}).get("loadBalancer", {}) or {}).get("ingress", [])]


# ---- Berth


class Process:
    """`berth run`, or another role, in a node's network namespace."""

    def __init__(self, lab, node, kubeconfig=None, port=PORT, name=None, flags=(), role="run"):
        self.lab, self.node, self.port = lab, node, port
        self.name = name or f"berth-{node}"
        self.folder = lab.scratch / self.name
        self.log = lab.scratch / f"{self.name}.log"
        engine = () if role == "controller" else ("--gobgpd", GOBGPD, "--bgp-engine", ENGINE)
        self.argv = [lab.program, role, "--kubeconfig", kubeconfig or lab.kubeconfig(), "--node-name", node, "--run-dir", self.folder,
                     "--metrics-addr", f":{port}", *engine, *flags]
        self.process = None

    def start(self):
        self.lab.processes[self.name] = self
        with open(self.log, "ab") as log:
            self.process = self.lab.cluster.popen(self.node, self.argv, stdout=log, stderr=log, start_new_session=True,
                                                  env=dict(os.environ, NODE_NAME="", POD_NAME=""))
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self, how=signal.SIGTERM, seconds=20):
        """Returns the exit status."""
        if self.process is None:
            return None
        self.lab.processes.pop(self.name, None)
        send(self.process.pid, how)
        return self.process.wait(seconds)

    def engine(self):
        """PID of the BGP engine, its child."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return next((int(pid) for pid in children.read_text().split() if program_of(pid) == ENGINE), None)

    def bird(self, question):
        """What its BIRD says, as birdc would print it."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.folder / "bird" / "bird.ctl"))
            return ask_bird(control, question)

    def has_told_all(self):
        """Whether routers have all routes again after a start: BIRD first waits until they said what they have. Routers delete what is
        still stale from one restart when the next one comes (RFC 4724)."""
        return ENGINE != "bird" or "recovery in progress" not in self.bird("show status")

    def page(self, path):
        return self.lab.page(self.node, path, self.port)

    def ready(self):
        status, text = self.page("/readyz")
        return status == 200 and text

    def text(self):
        return self.log.read_text(errors="replace")


def program_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


# ---- the lab


class Lab:
    def __init__(self, cluster, program=None):
        self.cluster, self.api = cluster, Api(cluster)
        self.router = cluster.options["router"]
        self.program = pathlib.Path(program or PROGRAM).resolve()
        self.scratch = cluster.state_dir / "e2e"
        self.scratch.mkdir(exist_ok=True)
        self.processes = {}   # of Berth, that nobody ended
        self._installed = None

    # -- Berth, installed or not

    def install(self, what):
        """Makes Berth run as "pods", or makes room for "processes" with everything of the manifest but the Deployment."""
        if self._installed == what and (what != "pods" or self.api.find("deployments", "berth", SPACE)):
            return
        if self._installed is None:
            self.cluster.load_image(IMAGE)
        self.cluster.kubectl("apply", "-f", MANIFEST)
        if what == "processes":
            self.cluster.kubectl("delete", "deployment", "berth", "-n", SPACE, "--wait=true")
            eventually("Berth's pods go", lambda: not self.berth_pods(), 60)
        self._installed = what
        self.apply_baseline()
        if what == "pods":
            self.wait_for_pods()
        eventually("web servers Ready", self.web_is_ready, 60)

    def wait_for_pods(self, seconds=90):
        """Until the Deployment's rollout is done and both pods are Ready."""
        def done():
            found = self.api.get("deployments", "berth", SPACE)
            status, wanted = found["status"], found["spec"]["replicas"]
            return (status.get("observedGeneration", 0) >= found["metadata"]["generation"] and status.get("updatedReplicas") == wanted
                    and status.get("readyReplicas") == wanted and status.get("replicas") == wanted and len(self.berth_pods()) == wanted)
        eventually("Berth's pods Ready", done, seconds)

    def berth_pods(self):
        return self.api.list("pods", SPACE, labels="app=openelb")

    def pod_on(self, node):
        return next(pod for pod in self.berth_pods() if pod["spec"].get("nodeName") == node and "deletionTimestamp" not in pod["metadata"])

    def leader(self):
        """The pod that is the controller."""
        def found():
            holder = (self.api.find("leases", "openelb-controller", SPACE) or {}).get("spec", {}).get("holderIdentity") or ""
            here = [pod for pod in self.berth_pods() if holder.startswith(f"{pod['spec'].get('nodeName')}_")]
            return min(here, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)
        return eventually("a leader", found, 40)

    def pids(self, node, program):
        """Processes of a program in the node's pods."""
        return sorted(pid for pid in pids_in_cgroup(f"{self.cluster.cgroup}/{node}") if program_of(pid) == program)

    def kubeconfig(self, account="berth", space=SPACE, name=None):
        """A kubeconfig of a service account, with its rights alone."""
        path = self.scratch / f"{name or account}.kubeconfig"
        if not path.exists():
            token = self.cluster.kubectl("create", "token", account, "-n", space, "--duration=24h").strip()
            path.write_text(self.kubeconfig_text(f"token: {token}"))
            path.chmod(0o600)
        return path

    def kubeconfig_text(self, user, authority=None):
        authority = authority or self.cluster.pki / "ca.crt"
        return f"""apiVersion: v1
kind: Config
current-context: lab
contexts: [{{name: lab, context: {{cluster: lab, user: me}}}}]
clusters: [{{name: lab, cluster: {{server: "https://{self.cluster.address('control')}:6443", certificate-authority: "{authority}"}}}}]
users:
- name: me
  user:
    {user}
"""

    # -- objects

    def apply(self, *objects):
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                             input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def apply_baseline(self):
        self.apply(bgp_conf(), bgp_peer(), eip("pool", "203.0.113.0/25", default=True),
                   web("web-node1", "node1"), web("web-node2", "node2"))

    def clear(self):
        """No Service, and nothing left of one."""
        self.api.delete_all("services", labels="e2e=1")
        eventually("Services gone", lambda: not self.api.list("services", labels="e2e=1"), 30)
        eventually("routes gone", lambda: not self.all_routes() or self.clear_stale_frr(), 30)
        eventually("address blocks gone", lambda: not self.api.list("addressblocks"), 30)

    def clear_stale_frr(self):
        """FRR before 9.1.2 forgets to clear stale paths at End-of-RIB where a session had several of one prefix (its issue 17372)."""
        left = set(self.all_routes())
        if self.router != "frr" or not left or left != stale_in_frr(self.cluster):
            return False
        print(f"    FRR kept stale paths of {', '.join(sorted(left))}: restarting it", flush=True)
        before = {node: self.session(node) for node in self.cluster.nodes}
        self.cluster.stop("router")
        self.cluster.start("router")
        for node, since in before.items():
            if since:
                self.wait_for_session(node, since)
        return not self.all_routes()

    def reset(self):
        """The same beginning for every test, also after one that left something behind."""
        try:
            self.clear()
        except AssertionError:
            self.cluster.stop("router")
            self.cluster.start("router")
            self.clear()
        for resource, kept in (("eips", "pool"), ("bgppeers", "router"), ("bgpconfs", "default")):
            for found in self.api.list(resource):
                if found["metadata"]["name"] != kept:
                    self.api.delete(resource, found["metadata"]["name"])
        self.apply_baseline()
        eventually("web servers Ready", self.web_is_ready, 60)

    def web_is_ready(self):
        """All that should run do, and nothing of former ones is left."""
        wanted = sum(found["spec"]["replicas"] for found in self.api.list("deployments", labels="e2e=1"))
        return len(self.ready_web_nodes()) == 2 and len(self.api.list("pods", labels="app=web")) == wanted

    def ready_web_nodes(self):
        """Nodes with a web server that is Ready."""
        return {pod["spec"]["nodeName"] for pod in self.api.list("pods", labels="app=web") if "deletionTimestamp" not in pod["metadata"]
                and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))}

    def service(self, name, **options):
        """Makes a Service, waits until a client is answered, and returns its address."""
        self.api.create("services", service(name, **options))
        address = self.address(name)
        eventually(f"a route to {address}", lambda: self.hops(address), 20)
        self.reach(address)
        return address

    def service_of(self, family, name):
        """The same, with an address of that family."""
        if family == 4:
            return self.service(name)
        self.apply(eip("pool6", POOL6))
        return self.service(name, annotations=dict(OPT_IN, **{POOL_KEY: "pool6"}), ipFamilies=["IPv6"])

    def address(self, name, seconds=20):
        return eventually(f"an address for Service {name}", lambda: addresses_of(self.api.get("services", name)), seconds)[0]

    def reach(self, address, seconds=20):
        """Until the client is answered by way of each next hop: kube-proxy follows at most once a second, each node's on its own. The host
        `control` asks in the client's stead, since it can choose the way."""
        for hop in sorted(self.hops(address)):
            self.cluster.run("control", ["ip", "route", "replace", address, "via", hop])
            eventually(f"an answer of {address} by way of {hop}", lambda: self.ask(address, host="control"), seconds)
        self.cluster.run("control", ["ip", "route", "delete", address], check=False)
        eventually(f"the client reaches {address}", lambda: self.ask(address), seconds)

    def ask(self, address, path="/", host="client"):
        done = self.cluster.run(host, ["curl", "-s", "--max-time", "2", f"http://{bracketed(address)}{path}"], check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def all_next_hops(self, family=4):
        return frozenset(self.cluster.address(node, family) for node in self.cluster.nodes)

    def routes(self, family=4):
        return routes(self.cluster, family)

    def all_routes(self):
        return {**self.routes(4), **self.routes(6)}

    def hops(self, address):
        """The address's next hops in the router's kernel."""
        return self.routes(6 if ":" in address else 4).get(address, frozenset())

    def wait_for_hops(self, address, hops, seconds=20):
        eventually(f"{address} by {', '.join(sorted(hops)) or 'nobody'}",
                   lambda: self.hops(address) == frozenset(hops), seconds)

    def events(self, kind, name, space="default"):
        """(reason, message) of all events of an object. Those of objects without a namespace are in `default`."""
        found = self.api.list("events", space, fields=f"involvedObject.kind={kind},involvedObject.name={name}")
        return [(event["reason"], event["message"]) for event in found]

    def page(self, node, path, port=PORT):
        """(status, text) of one of Berth's own pages, asked on its node; (0, "") if nobody answers."""
        argv = ["curl", "-s", "--max-time", "5", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"]
        text, _, status = self.cluster.run(node, argv, check=False).stdout.rpartition("\n")
        return int(status or 0), text

    def metric(self, node, line, port=PORT):
        """The value of a metric; `line` is its name with its labels as written on the page. None if it is not there."""
        for found in self.page(node, "/metrics", port)[1].splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        return None

    def session(self, node, port=PORT, neighbor=ROUTER):
        """Since when the node's session with the router is established; None if it is not."""
        status, text = self.page(node, "/debug/state", port)
        sessions = json.loads(text).get("actual", {}).get("bgp", {}).get("sessions", []) if status == 200 else []
        return next((one["uptime"] for one in sessions if one["neighbor"] == neighbor and one["state"] == "ESTABLISHED"), None)

    def wait_for_session(self, node, before, seconds=60, neighbor=ROUTER):
        """Until a session is up that is another than that of `before`."""
        eventually(f"a new session of {node}", lambda: self.session(node, neighbor=neighbor) not in (None, before), seconds)

    def record(self, family=4):
        return RouteRecorder(self.cluster, family)

    def prober(self, address, spacing=0.01):
        """Asks again and again, once it is answered by way of each next hop."""
        self.reach(address)
        return Prober(self.cluster, address, spacing=spacing)

    def berth_log(self):
        """What all Berth pods and processes said."""
        texts = [self.cluster.kubectl("logs", "-n", SPACE, pod["metadata"]["name"], *previous, check=False)
                 for pod in self.berth_pods() for previous in ((), ("--previous",))]
        return "\n".join(texts + [path.read_text(errors="replace") for path in sorted(self.scratch.glob("*.log"))])

    def crashes(self):
        """Berths that ended though nobody ended them: how, and their last words."""
        for process in self.processes.values():
            if not process.alive():
                yield f"{process.name} ended with status {process.process.returncode}; its last words:"
                yield from process.text().splitlines()[-12:]

    def save_evidence(self, folder):
        """What is needed to understand a failure."""
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(LabError, OSError):
            (folder / "routes.txt").write_text(self.cluster.run("router", ["ip", "route"]).stdout)
            kinds = "eips,bgpconfs,bgppeers,addressblocks,services,endpointslices,pods,nodes,events"
            (folder / "objects.yaml").write_text(self.cluster.kubectl("get", kinds, "-A", "-o", "yaml", check=False))
            (folder / "berth.log").write_text(self.berth_log())
            for path in (*self.cluster.router_dir.glob("*.log"), *self.scratch.glob("*.log")):
                shutil.copy(path, folder / path.name)
            for node in self.cluster.nodes:
                (folder / f"state-{node}.json").write_text(self.page(node, "/debug/state")[1])


class E2eTest(unittest.TestCase):
    """A story. `routers` says with which it is told, `berth` how Berth runs."""

    lab = None           # set by `run`
    outage = 20          # seconds; set by `run`
    routers = ("bird",)
    berth = "pods"

    @classmethod
    def start_berths(cls, *flags):
        """For a class that starts Berth once for all its tests: `berth run` on each node, in cls.berths; ends with the class."""
        cls.lab.install(cls.berth)
        lease = ("--lease-duration", "5", "--renew-deadline", "3", "--retry-period", "1", "--webhook-port", "0")
        cls.berths = {node: Process(cls.lab, node, flags=(*lease, *flags)) for node in cls.lab.cluster.nodes}
        for process in cls.berths.values():
            cls.addClassCleanup(process.start().end)
        for process in cls.berths.values():
            eventually(f"{process.name} ready", process.ready, 40)
        cls.lab.reset()

    def setUp(self):
        self.lab.install(self.berth)
        self.prepare()
        self.lab.reset()
        self.addCleanup(self.lab.clear)

    def prepare(self):
        """Starts what gives back addresses, where Berth does not run in pods."""

    def figure(self, text):
        """Tells what was measured. Nothing depends on it."""
        print(f"    {text}", flush=True)

    def assert_nothing_lost(self, prober):
        self.figure(prober.summary())
        self.assertGreater(prober.result["sent"], 50)
        self.assertLessEqual(len(prober.result["lost"]), prober.overflowed, prober.summary())

    def assert_no_deletion(self, recorder, address):
        self.assertEqual(recorder.deletions(address), [], f"all that happened: {recorder.events(address)}")
