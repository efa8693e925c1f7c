"""The demo, behind tools/demo: makes what is missing, installs Berth as a user would, and looks whether it works.

Nothing is said that was not looked at: a step ends when the thing itself was seen (pods and the image they run, the Service's address, the
router's kernel route, the pods that answered the client), or the demo fails with what there is to know.
"""

import argparse
import collections
import contextlib
import ipaddress
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
import images                                        # noqa: E402
from cluster import PROGRAMS, TREE, Cluster          # noqa: E402
from system import LabError, run, wait_until         # noqa: E402

IMAGE = TREE / "out/image/berth.tar"
MANIFEST = TREE / "deploy/berth.yaml"
SPACE, SELECTOR = "openelb-system", "app=openelb,component=berth"
POOL = ("203.0.113.10", "203.0.113.200")
CLUSTER_AS, ROUTER_AS, ROUTER = 65001, 65000, "172.30.0.1"
REQUESTS = 40

BGP = f"""
apiVersion: network.kubesphere.io/v1alpha2
kind: BgpConf
metadata: {{name: default}}
spec: {{as: {CLUSTER_AS}}}
---
apiVersion: network.kubesphere.io/v1alpha2
kind: BgpPeer
metadata: {{name: router}}
spec:
  conf: {{neighborAddress: {ROUTER}, peerAs: {ROUTER_AS}}}
  gracefulRestart: {{enabled: true}}
---
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata:
  name: public
  annotations: {{eip.openelb.kubesphere.io/is-default-eip: "true"}}
spec: {{address: {POOL[0]}-{POOL[1]}, protocol: bgp}}
"""

# With `Local` a node answers by its own pods only: an answer's pod tells which next hop the router took.
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      terminationGracePeriodSeconds: 5
      containers:
        - name: web
          image: localhost/web:lab
          imagePullPolicy: Never
          env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {lb.kubesphere.io/v1alpha1: openelb}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""


class Screen:
    """Numbered steps with the time since the start; what a tool is doing, in one line that the next replaces."""

    def __init__(self):
        self.began = time.monotonic() - int(os.environ.get("BERTH_DEMO_SPENT", 0))   # by tools/demo before Python was there
        self.number = 0
        self.terminal = sys.stdout.isatty()
        self.passing = False

    def _print(self, text):
        if self.passing:
            print("\r\033[K", end="")
            self.passing = False
        print(text, flush=True)

    def elapsed(self):
        return time.monotonic() - self.began

    def step(self, text):
        self.number += 1
        self._print(f"[{self.elapsed():6.1f} s] {self.number}. {text}")

    def show(self, text):
        for line in str(text).rstrip().splitlines():
            self._print(f"            {line}")

    def command(self, text, output):
        self.show(f"$ {text}")
        self.show(output)

    def progress(self, text):
        if self.terminal:
            print(f"\r\033[K            {text[:100]}", end="", flush=True)
            self.passing = True
        else:
            self.show(f"... {text[:100]}")


class Demo:
    def __init__(self, args):
        self.name = args.name
        self.screen = Screen()
        self.cluster = Cluster(args.name, say=self.screen.progress if self.screen.terminal else None)
        self.nodes, self.router = args.nodes, args.router
        self.log = TREE / "out/demo" / f"{args.name}.log"

    # ---- the story

    def tell(self):
        self.make()
        self.bring_up()
        self.install()
        self.configure()
        address = self.serve()
        self.routed(address)
        self.answered(address)

    def make(self):
        self.screen.step("Packages, Berth, Kubernetes, image: built, or taken from the cache")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        self.tool("setup", "build", "image", "lab")
        self.tool("build")
        if not all((self.cluster.programs / name).exists() for name in PROGRAMS):
            self.tool("build-go", "etcd", "kubernetes")
        self.screen.show(self.tool("image").splitlines()[-1].removeprefix("image: "))

    def bring_up(self):
        self.screen.step(f"A cluster of {self.nodes} nodes, a router ({self.router}, AS {ROUTER_AS}), a client")
        if not self.cluster.up(nodes=self.nodes, router=self.router):
            self.screen.show("is up already and well: used as it is")

    def install(self):
        self.screen.step("Berth, as its users install it: kubectl apply -f deploy/berth.yaml")
        self.cluster.load_image(IMAGE)
        self.cluster.kubectl("apply", "-f", MANIFEST)
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/name=berth", "--timeout=30s")
        built = image_id(IMAGE)
        if any(pod["image"] not in (None, built) for pod in self.pods(SPACE, SELECTOR)):
            self.screen.show("Berth was built anew since: kubectl rollout restart")
            self.cluster.kubectl("-n", SPACE, "rollout", "restart", "deployment/berth")

        def both_run():
            pods = self.pods(SPACE, SELECTOR)
            well = [pod for pod in pods if pod["ready"] and pod["image"] == built]
            return len(pods) == len(well) == 2 and len({pod["node"] for pod in well}) == 2
        wait_until(both_run, 90, "two ready pods of the built image, on two nodes")
        self.kubectl("get", "pods", "-n", SPACE, "-o",
                     "custom-columns=NAME:.metadata.name,STATUS:.status.phase,READY:.status.containerStatuses[0].ready,"
                     "NODE:.spec.nodeName,IMAGE:.spec.containers[0].image")

    def configure(self):
        self.screen.step(f"BGP: AS {CLUSTER_AS}, the router as peer, the addresses {POOL[0]} to {POOL[1]}")
        self.cluster.kubectl("apply", "-f", "-", input=BGP)

        def established():
            status = json.loads(self.cluster.kubectl("get", "bgppeer", "router", "-o", "json")).get("status", {}).get("nodesPeerStatus", {})
            states = {node: one.get("peerState", {}).get("sessionState") for node, one in status.items()}
            speakers = {pod["node"] for pod in self.pods(SPACE, SELECTOR)}
            return speakers <= {node for node, state in states.items() if state == "ESTABLISHED"} and sorted(speakers)
        speakers = wait_until(established, 60, "sessions with the router ESTABLISHED")
        self.screen.show(f"sessions with {ROUTER} from {' and '.join(speakers)}: ESTABLISHED")

    def serve(self):
        self.screen.step("A Service of type LoadBalancer, with a pod behind it on each node")
        self.cluster.kubectl("apply", "-f", "-", input=WEB % self.nodes)

        def spread():
            pods = [pod for pod in self.pods("default", "app=web") if pod["ready"]]
            return len(pods) >= self.nodes and {pod["node"] for pod in pods} == set(self.cluster.nodes)
        wait_until(spread, 60, f"{self.nodes} web pods, one on each node")
        address = wait_until(self.service_address, 30, "an address for the Service")
        low, high = map(ipaddress.ip_address, POOL)
        if not low <= ipaddress.ip_address(address) <= high:
            raise LabError(f"the Service has {address}, which is not of {POOL[0]}-{POOL[1]}")
        self.kubectl("get", "service", "web")
        return address

    def routed(self, address):
        self.screen.step("The router's kernel sends the address to every node (ECMP)")
        wanted = {self.cluster.address(node) for node in self.cluster.nodes}
        wait_until(lambda: self.next_hops(address) == wanted, 30, f"a route to {address} with the next hops {', '.join(sorted(wanted))}")
        command = ["ip", "route", "show", address]
        self.screen.command(f"tools/cluster exec --name {self.name} router {' '.join(command)}", self.cluster.run("router", command).stdout)

    def answered(self, address):
        self.screen.step(f"A client beyond the router asks {REQUESTS} times, a connection each")
        url = f"http://{address}/cgi-bin/all"
        # kube-proxy follows Services at most once a second.
        wait_until(lambda: self.ask(url, 4) is not None, 20, f"an answer from {url}")
        answers = self.ask(url, REQUESTS)
        if answers is None:
            raise LabError(f"not all of {REQUESTS} requests to {url} were answered")
        pods = {(pod["name"], pod["node"]) for pod in self.pods("default", "app=web")}
        count = collections.Counter()
        for answer in answers:
            pod, node, peer = answer.split()
            if (pod, node) not in pods or peer != self.cluster.address("client"):
                raise LabError(f"an answer of nobody we know, or to another client: {answer!r}")
            count[pod, node] += 1
        silent = set(self.cluster.nodes) - {node for _, node in count}
        if silent:
            raise LabError(f"no answer from a pod on {', '.join(sorted(silent))}: {dict(count)}")
        self.screen.show(f"$ tools/cluster exec --name {self.name} client curl -s {url}")
        for (pod, node), times in sorted(count.items(), key=lambda item: item[0][1]):
            self.screen.show(f"{times:3} answers from {pod} on {node}")

    def what_next(self):
        name = self.name
        look = " ".join(f"'{word}'" if " " in word else word for word in self.router_look())
        print(f"""
Seen: all of it, in {self.screen.elapsed():.0f} s. It stays up. What you might do now, the first in a terminal of its own:

  watch the router's routes             tools/cluster exec --name {name} router ip -ts monitor route
  one pod: one next hop is left         tools/cluster kubectl --name {name} scale deployment web --replicas=1
  Berth starts anew, no route is lost   tools/cluster kubectl --name {name} delete pods -n {SPACE} -l {SELECTOR}
  what Berth did, as events             tools/cluster kubectl --name {name} describe service web
  what Berth says                       tools/cluster kubectl --name {name} logs -n {SPACE} -l {SELECTOR} --prefix
  what the router says                  tools/cluster exec --name {name} router {look}
  the end                               tools/demo down{'' if name == 'demo' else f' --name {name}'}""")

    # ---- looking

    def pods(self, space, selector):
        """Pods that are not ending: name, node, ready, and the image that runs."""
        found = json.loads(self.cluster.kubectl("get", "pods", "-n", space, "-l", selector, "-o", "json"))["items"]
        return [{"name": pod["metadata"]["name"], "node": pod["spec"].get("nodeName"), "ready": is_ready(pod), "image": image_of(pod)}
                for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def service_address(self):
        service = json.loads(self.cluster.kubectl("get", "service", "web", "-o", "json"))
        ingress = service["status"].get("loadBalancer", {}).get("ingress") or [{}]
        return ingress[0].get("ip")

    def next_hops(self, address):
        routes = json.loads(self.cluster.run("router", ["ip", "-json", "route", "show", address]).stdout or "[]")
        return {hop["gateway"] for route in routes for hop in route.get("nexthops", [route]) if "gateway" in hop}

    def ask(self, url, times):
        """The answers to so many requests; None if any failed. The server closes each connection, so each has a port of its own."""
        done = self.cluster.run("client", ["curl", "-sSf", "--max-time", "2", "--no-keepalive", f"{url}?[1-{times}]"], check=False)
        lines = done.stdout.split("\n")[:-1]
        return lines if done.returncode == 0 and len(lines) == times else None

    def kubectl(self, *args):
        """Runs it and shows it, as a person would type it."""
        shown = " ".join(word for word in args if not word.startswith("custom-columns")).removesuffix(" -o")
        self.screen.command(f"tools/cluster kubectl --name {self.name} {shown}", self.cluster.kubectl(*args))

    # ---- running tools

    def tool(self, name, *arguments):
        """Runs tools/NAME; its output goes to the log, its last line to the screen now and then. Answers the output."""
        command = [str(TREE / "tools" / name), *arguments]
        lines, shown = [], time.monotonic()
        with open(self.log, "a") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                     errors="replace")
            for line in child.stdout:
                log.write(line)
                log.flush()
                lines.append(line)
                if time.monotonic() - shown > (0.2 if self.screen.terminal else 20):
                    self.screen.progress(line.strip())
                    shown = time.monotonic()
        if child.wait() != 0:
            raise LabError(f"tools/{name} failed; {self.log} has all it said:\n{''.join(lines[-15:])}")
        return "".join(lines)

    # ---- the end

    def down(self):
        self.cluster.down()
        if self.cluster.exists():
            raise LabError(f"something of lab {self.name!r} is left: see `ip netns`, {self.cluster.state_dir}")

    def explain(self):
        """What a person needs who wants to know why it failed."""
        if not self.cluster.exists():
            return
        logs = [("kubectl", "logs", "-n", SPACE, f"pod/{pod}", "--tail=25") for pod in self.pod_names()]
        looks = [("kubectl", "get", "pods", "-A", "-o", "wide"),
                 ("kubectl", "get", "services,eips,bgppeers,bgpconfs,addressblocks", "-o", "wide"),
                 ("kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp"), *logs,
                 ("kubectl", "describe", "pods", "-n", SPACE), ("router", "ip", "route"), ("router", *self.router_look())]
        for where, *words in looks:
            host = "control" if where == "kubectl" else where
            argv = [str(self.cluster.programs / "kubectl"), "--kubeconfig", str(self.cluster.kubeconfig), "--request-timeout=5s", *words] \
                if where == "kubectl" else words
            with contextlib.suppress(LabError, subprocess.TimeoutExpired, OSError):
                done = self.cluster.run(host, argv, check=False, timeout=10)
                said = (done.stdout + done.stderr).splitlines()
                with open(self.log, "a") as log:
                    log.write("\n".join([f"\n$ {where} {' '.join(words)}", *said]) + "\n")
                if words[0] != "describe":
                    self.screen.show("\n".join([f"-- {where} {' '.join(words)}", *said[-25:]]))
        self.screen.show(f"-- all of it, and the pods described, is in {self.log}")

    def pod_names(self):
        with contextlib.suppress(LabError, ValueError):
            return [pod["name"] for pod in self.pods(SPACE, SELECTOR)]
        return []

    def router_look(self):
        if self.router == "bird":
            return ["birdc", "-s", str(self.cluster.router_dir / "bird.ctl"), "show", "protocols"]
        return ["vtysh", "--vty_socket", str(self.cluster.router_dir), "-c", "show bgp summary"]


def is_ready(pod):
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return pod["status"].get("phase") == "Running" and conditions.get("Ready") == "True"


def image_of(pod):
    """The digest of the configuration of the image that the pod's container runs; None before it does."""
    states = pod["status"].get("containerStatuses") or [{}]
    return states[0].get("imageID", "").rpartition("@")[2] or None


def image_id(tar):
    with tarfile.open(tar) as archive:
        config = json.load(archive.extractfile("manifest.json"))[0]["Config"]
    return "sha256:" + pathlib.PurePosixPath(config).name


@contextlib.contextmanager
def alone(name):
    """One demo of a name at a time. The lock is a name that ends with this process."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0berth-demo-{name}")
    except OSError:
        lock.close()
        raise LabError(f"another tools/demo --name {name} is running: wait for it to end") from None
    with lock:
        yield


def options():
    parser = argparse.ArgumentParser(prog="tools/demo", add_help=False)
    parser.add_argument("what", nargs="?", choices=("down",))
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--router", choices=("bird", "frr"), default="bird")
    parser.add_argument("--nodes", type=int, default=2, metavar="N")
    parser.add_argument("--name")
    args = parser.parse_args()
    if not 2 <= args.nodes <= 9:
        raise LabError(f"--nodes is 2 to 9, not {args.nodes}: Berth's two replicas are never on one node")
    args.name = args.name or ("demo-once" if args.once else "demo")
    return args


def go_once(demo):
    try:
        demo.down()   # what an earlier one left that crashed
        demo.tell()
    except LabError:
        demo.explain()
        raise
    finally:
        demo.screen.step("Down")
        demo.down()
    print(f"Seen: all of it, in {demo.screen.elapsed():.0f} s. Nothing is left.")


def go(demo):
    have = demo.cluster.options
    if demo.cluster.exists() and (have["nodes"], have["router"]) != (demo.nodes, demo.router):
        raise LabError(f"the demo that is up has {have['nodes']} nodes and router {have['router']}: take it down first (tools/demo down)")
    try:
        demo.tell()
    except LabError:
        demo.explain()
        raise
    demo.what_next()


def main():
    args = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tools/demo: terminated"))
    demo = Demo(args)
    with alone(args.name):
        if args.what == "down":
            demo.down()
            print(f"the demo {args.name!r} is down")
        elif args.once:
            go_once(demo)
        else:
            go(demo)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"tools/demo: {error}")
    except KeyboardInterrupt:
        sys.exit("tools/demo: interrupted; `tools/demo down` removes what is there")
