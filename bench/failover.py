"""Something dies or is replaced -> how many packets of a client are lost, and when the router's kernel has the route that is right then.

The client's packets go through the router to a Service, one each millisecond, each a flow of its own (stream.py). Two nodes are next hops,
node1 and node2; each has one pod that answers, and policy Local makes a node answer by its own, so that what is lost was sent to a node
that is no way to the Service, or nowhere: of a dead node's that is every second packet until the router does without it. kube-proxy works
as in any cluster. node3 is there for a replica that announces nodes other than its own.

CASES is the list. An act is a generator: up to its `yield`, which gives the seconds, the stream runs; after it, all is mended again. A
cable is pulled at the switch: silence, without a word to anybody. Each time at another moment of the intervals.
"""

import collections
import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time

from route import RouteMonitor
from system import LabError, set_sysctls, wait_until
from testbed import ASIDE, DEPLOY, OPT_IN, OWN_SPACE, PATIENCE, SPACE, TREE, spread

POOL = "203.0.113.0/25"
NODES = 3
NEXT_HOPS = ("node1", "node2")
BFD = {"minTxIntervalMs": 50, "minRxIntervalMs": 50, "detectMultiplier": 3}
DETECTION_SECONDS = 0.15
TIMERS = {"holdTime": "9", "keepaliveInterval": "3"}
BACK_SECONDS = 60
LINGER_SECONDS = 1.0     # of the stream, after an act
LEAST_SECONDS = 3.0      # of the stream, over all repeats of a case
PORT, STREAM = 7000, TREE / "bench/stream.py"
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"

# Who runs where, as processes; PODS: as deploy/berth.yaml says.
EACH_NODE = {ASIDE: "controller", "node1": "speaker", "node2": "speaker"}
REPLICAS = {"node1": "run", "node2": "run"}
REPLICA_AND_OTHER = {"node1": "run", "node3": "run"}
ALONE = {"node1": "run"}
PODS = {}


# ---- acts


def node_dies(scene, victim):
    began = scene.now()
    scene.bed.cluster.cut(victim)
    yield scene.until(began, [node for node in NEXT_HOPS if node != victim])
    if victim in scene.berths:
        scene.kill(victim)
    scene.bed.cluster.heal(victim)
    if victim in scene.berths:
        scene.start(victim)


def killed(scene, programs):
    """Berth is started again at once, gobgpd is by Berth."""
    berth = scene.berths["node1"]
    before, began = berth.session(), time.monotonic()
    if "gobgpd" in programs:
        os.kill(berth.children()[0], signal.SIGKILL)
    if "berth" in programs:
        scene.kill("node1")
        scene.start("node1")
    wait_until(lambda: scene.berths["node1"].session() not in (None, before), BACK_SECONDS, "a new session")
    yield time.monotonic() - began


def rolling_update(scene):
    yield scene.roll_out("deployment/berth", OWN_SPACE)


def node_is_drained(scene):
    began = scene.now()
    scene.bed.cluster.kubectl("label", "node", "node1", f"{EXCLUDE}=")
    seconds = scene.until(began, ["node2"])
    time.sleep(LINGER_SECONDS)
    back = scene.now()
    scene.bed.cluster.kubectl("label", "node", "node1", f"{EXCLUDE}-")
    scene.until(back, NEXT_HOPS)
    yield seconds


def workload_is_updated(scene, surge):
    """With a surge the node's new pod is ready before the old one goes; without one the node has none for a while."""
    yield scene.roll_out("daemonset/answer", SPACE, {"maxSurge": surge, "maxUnavailable": 1 - surge})


def router_restarts(scene):
    began = scene.now()
    scene.bed.cluster.stop("router")
    gone = scene.now()
    scene.bed.cluster.start("router")
    scene.until(gone, NEXT_HOPS)
    yield scene.seconds_since(began)


def nothing(scene):
    time.sleep(LINGER_SECONDS)
    yield 0.0


# ---- cases

# `timed` says what the seconds are; a harmless case should lose nothing; a slow one is repeated a fifth of the times.
Case = collections.namedtuple("Case", "what timed berths act bfd harmless slow target", defaults=(False, False, False, None))
GONE, DONE = "cable pulled -> router's kernel without it, ms", "until it is done, ms"
SESSION = "kill -> a new session, asked each 100 ms, ms"
LABELLED = "kubectl label -> router's kernel without it, ms"
CASES = {
    "nothing": Case("nothing happens (what the instrument loses)", None, REPLICAS, nothing, harmless=True),
    "death-bfd": Case("node death, a speaker on each node, BFD 50 ms x 3", GONE, EACH_NODE,
                      functools.partial(node_dies, victim="node1"), bfd=True, target=0.17),
    "death-replica": Case("node death, two replicas announce all, one on it, BFD", GONE, REPLICAS,
                          functools.partial(node_dies, victim="node2"), bfd=True, target=0.5),
    "death-no-replica": Case("node death, two replicas announce all, none on it, BFD", GONE, REPLICA_AND_OTHER,
                             functools.partial(node_dies, victim="node2"), bfd=True, target=0.5),
    "death-hold-timer": Case("node death, a speaker on each node, hold timer 9 s", GONE, EACH_NODE,
                             functools.partial(node_dies, victim="node1"), slow=True),
    "kill-berth": Case("kill -9 of Berth, the only speaker", SESSION, ALONE,
                       functools.partial(killed, programs=["berth"]), harmless=True),
    "kill-gobgpd": Case("kill -9 of gobgpd, of the only speaker", SESSION, ALONE,
                        functools.partial(killed, programs=["gobgpd"]), harmless=True),
    "kill-both": Case("kill -9 of both, of the only speaker", SESSION, ALONE,
                      functools.partial(killed, programs=["gobgpd", "berth"]), harmless=True),
    "kill-berth-bfd": Case("kill -9 of Berth, one of two replicas, BFD", SESSION, REPLICAS,
                           functools.partial(killed, programs=["berth"]), bfd=True, harmless=True),
    "rolling-update": Case("kubectl rollout restart of Berth", DONE, PODS, rolling_update, harmless=True, slow=True),
    "drain": Case("exclude label on a node, and off again", LABELLED, REPLICAS, node_is_drained, harmless=True),
    "workload-surge": Case("rolling update of the pods, maxSurge 1", DONE, REPLICAS,
                           functools.partial(workload_is_updated, surge=1), harmless=True, slow=True),
    "workload-replace": Case("rolling update of the pods, maxUnavailable 1", DONE, REPLICAS,
                             functools.partial(workload_is_updated, surge=0), harmless=True, slow=True),
    "router-restart": Case("BIRD ends by SIGTERM and starts", "SIGTERM -> all next hops back, ms", REPLICAS, router_restarts),
}


# ---- measuring


def measure(bed, repeats, names=()):
    scene = Scene(bed)
    return {"cases": {name: measure_case(scene, name, CASES[name], repeats) for name in names or CASES},
            "detection_seconds": DETECTION_SECONDS}


def measure_case(scene, name, case, repeats):
    if case.slow:
        repeats = min(repeats, max(3, repeats // 5))
    samples, began = [], time.monotonic()
    with scene.of(case):
        for _ in range(repeats):
            samples.append(once(scene, case, max(LINGER_SECONDS, LEAST_SECONDS / repeats)))
    seconds, lost = [s["seconds"] for s in samples], [s["lost"] for s in samples]
    scene.bed.say(f"{name}: {repeats} times in {time.monotonic() - began:.0f} s, packets lost: {', '.join(map(str, lost[-20:]))}")
    return {"seconds": dict(spread(seconds), p99=percentile(seconds)), "lost": dict(spread(lost), p99=percentile(lost)),
            "sent": sum(s["sent"] for s in samples), "lost_in_all": sum(lost),
            "fewest_next_hops": min((len(hops) for s in samples for _, hops in s["routes"]), default=len(NEXT_HOPS)),
            "latest_seconds": max(s["latest_seconds"] for s in samples), "samples": samples}


def once(scene, case, linger):
    scene.settle()
    mark, act = scene.kernel.now(), case.act(scene)
    with Stream(scene) as stream:
        time.sleep(0.3 + random.random() * 0.2)
        began = time.monotonic_ns()
        seconds = next(act)
        time.sleep(linger)
    next(act, None)
    after = lambda when: round((when - began) / 1e9, 4)   # seconds after the beginning of the act
    spans = [[after(first), after(last), count] for first, last, count in stream.result["spans"]]
    routes = [[after(when), hops] for hops, when in scene.kernel.changes(scene.address, mark)]
    return dict(stream.result, spans=spans, routes=routes, seconds=seconds)


def percentile(values):
    """The 99th, where there are enough to say it."""
    return sorted(values)[int(len(values) * 0.99)] if len(values) >= 100 else None


class Scene:
    """A Service that is answered on two nodes, and who announces it."""

    def __init__(self, bed):
        self.bed, self.kernel, self.berths, self.address = bed, RouteMonitor(bed.cluster.namespace("router")), {}, None
        for node in bed.cluster.nodes:
            # The answer to one packet, and a port is used again after five seconds: see stream.py.
            set_sysctls(bed.cluster.namespace(node), net__netfilter__nf_conntrack_udp_timeout=2,
                        net__netfilter__nf_conntrack_udp_timeout_stream=2)
            bed.cluster.start(f"proxy-{node}")
        bed.make_pool(POOL)
        bed.apply(answering_pods(), answered_service())
        self._status("daemonset/answer", SPACE)

    @contextlib.contextmanager
    def of(self, case):
        """Berth runs as the case says; the router knows nothing of the case before."""
        self._case = case
        self.bed.configure_bgp(bfd=BFD if case.bfd else None, timers=TIMERS)
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget_routes)
            if not case.berths:
                stack.enter_context(self._pods())
            for host in case.berths:
                self.start(host)
            stack.callback(lambda: [berth.stop() for berth in self.berths.values()])
            self.address = wait_until(self._find_address, PATIENCE, "the Service's address")
            yield
        self.berths = {}

    def settle(self):
        """Until everything is as it should be before an act."""
        for berth in self.berths.values():
            berth.wait_for(functools.partial(self._is_well, berth), f"Berth on {berth.host}")
        hops = self._addresses(NEXT_HOPS)
        wait_until(lambda: self.kernel.routes().get(self.address) == hops, BACK_SECONDS, "both next hops")

    # -- what acts need

    def now(self):
        return self.kernel.now(), time.monotonic_ns()

    @staticmethod
    def seconds_since(began):
        return (time.monotonic_ns() - began[1]) / 1e9

    def until(self, began, nodes):
        """Seconds until these are the next hops in the router's kernel."""
        hops = self._addresses(nodes)
        _, when = self.kernel.wait(lambda prefix, at: (prefix, at) == (self.address, hops), f"the route by {', '.join(nodes)}", began[0])
        return (when - began[1]) / 1e9

    def start(self, host):
        self.berths[host] = self.bed.start_berth(host, self._case.berths[host])

    def kill(self, host):
        self.berths[host].process.kill()
        self.berths[host].process.wait()

    def roll_out(self, what, space, strategy=None):
        """Seconds until all pods are new ones."""
        kubectl = self.bed.cluster.kubectl
        if strategy:
            kubectl("patch", what, "-n", space, "-p", json.dumps({"spec": {"updateStrategy": {"rollingUpdate": strategy}}}))
        began = time.monotonic()
        kubectl("rollout", "restart", what, "-n", space)
        self._status(what, space)
        return time.monotonic() - began

    # -- the rest

    def _status(self, what, space):
        self.bed.cluster.kubectl("rollout", "status", what, "-n", space, f"--timeout={PATIENCE}s")

    def _addresses(self, nodes):
        return sorted(self.bed.cluster.address(node) for node in nodes)

    def _find_address(self):
        return self.bed.cluster.kubectl("get", "service", "answer", "-n", SPACE, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")

    def _is_well(self, berth, metrics):
        """Sessions are up, and those that it probes, the other nodes, answer."""
        wanted = {"berth_bgp_session_established{": [1] if berth.role != "controller" else [],
                  "berth_bfd_detection_seconds{": [DETECTION_SECONDS] if self._case.bfd and berth.role != "controller" else [],
                  "berth_bfd_up{": [1] if self._case.bfd and berth.role != "controller" else [],
                  "berth_node_answers{": [1] * (NODES - 1) if berth.role == "run" else []}
        return all([round(value, 6) for name, value in metrics.items() if name.startswith(start)] == values
                   for start, values in wanted.items())

    @contextlib.contextmanager
    def _pods(self):
        cluster = self.bed.cluster
        cluster.load_image(TREE / "out/image/berth.tar")
        cluster.kubectl("apply", "-f", DEPLOY / "berth.yaml")
        try:
            self._status("deployment/berth", OWN_SPACE)
            yield
        finally:
            cluster.kubectl("delete", "validatingwebhookconfiguration", "openelb-admission")
            cluster.kubectl("delete", "deployment", "berth", "-n", OWN_SPACE, "--cascade=foreground", "--timeout=120s")

    def _forget_routes(self):
        """A process that is stopped says that it comes back, and the router would wait for it."""
        self.bed.cluster.stop("router")
        self.bed.cluster.start("router")
        wait_until(lambda: self.address not in self.kernel.routes(), BACK_SECONDS, "the router without routes")


class Stream:
    """The client's packets, from `with` to its end; then `result` has what stream.py tells."""

    def __init__(self, scene):
        self._cluster, self._argv = scene.bed.cluster, [sys.executable, STREAM, "ask", scene.address, PORT]

    def __enter__(self):
        self._process = self._cluster.popen("client", self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "ready\n":
            raise LabError("the stream of packets ended without an answer")
        return self

    def __exit__(self, *_):
        self.result = json.loads(self._process.communicate(timeout=30)[0])


# ---- objects


def answering_pods():
    """stream.py in a pod on each node that is to be a next hop. The machine's own Python: its root is the pod's."""
    container = {"name": "answer", "image": "localhost/web:lab", "imagePullPolicy": "Never",
                 "command": ["/bin/busybox", "chroot", "/machine", sys.executable, str(STREAM), "answer", str(PORT)],
                 "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
                 "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
                 "volumeMounts": [{"name": "machine", "mountPath": "/machine", "readOnly": True}]}
    here = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(NEXT_HOPS)}]}]}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "answer", "namespace": SPACE},
            "spec": {"selector": {"matchLabels": {"app": "answer"}},
                     "template": {"metadata": {"labels": {"app": "answer"}},
                                  "spec": {"containers": [container], "volumes": [{"name": "machine", "hostPath": {"path": "/"}}],
                                           "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": here}},
                                           "terminationGracePeriodSeconds": 3, "automountServiceAccountToken": False}}}}


def answered_service():
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "answer", "namespace": SPACE, "annotations": OPT_IN},
            "spec": {"type": "LoadBalancer", "selector": {"app": "answer"}, "externalTrafficPolicy": "Local",
                     "allocateLoadBalancerNodePorts": False, "ports": [{"protocol": "UDP", "port": PORT}]}}
