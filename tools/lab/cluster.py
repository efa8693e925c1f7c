"""A real Kubernetes on one Linux machine: control plane, router, client and nodes, each a network namespace.

    from cluster import Cluster
    cluster = Cluster("e2e")
    cluster.up(nodes=2, router="bird")
    print(cluster.kubectl("get", "nodes"))
    cluster.run("client", ["curl", "-s", f"http://{cluster.address('node1')}:30080/"]).stdout
    cluster.down()

Needs root. Nothing is left in the machine's own network namespace. `state_dir` has configuration, PID files, logs and sockets;
`data_dir` etcd, images and pods. Both are gone after `down`.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import control
import images
import network
import routers
from node import DAEMONS, Node
from system import (LabError, Process, delete_namespace, inside, kill_all, namespace_names, pids_in_cgroup, pids_in_namespace,
                    remove_cgroup, run, unmount_below, wait_until)

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
RUN, DATA = pathlib.Path("/run/berth-lab"), pathlib.Path("/var/lib/berth-lab")
DEFAULTS = {"nodes": 2, "fake_nodes": 0, "ipv6": False, "router": "bird", "kubernetes": "1.34", "proxy_mode": "nftables"}

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
# A program each package brings; to tell what is missing.
PACKAGES = {"containerd": "containerd", "runc": "runc", "umoci": "umoci", "skopeo": "skopeo", "/bin/busybox": "busybox-static",
            "conntrack": "conntrack", "nft": "nftables", "iptables": "iptables", "/usr/lib/cni/bridge": "containernetworking-plugins",
            "bird": "bird2", "/usr/lib/frr/bgpd": "frr", "openssl": "openssl", "ip": "iproute2", "nsenter": "util-linux",
            "sysctl": "procps", "curl": "curl"}


class Cluster:
    """One lab. The object holds no state that the files in `state_dir` do not: another program may make its own of the same name."""

    def __init__(self, name="berth", say=None):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", name):
            raise LabError(f"a lab's name is 1 to 24 of a-z, 0-9 and '-', a letter first; not {name!r}")
        self.name = name
        self.state_dir, self.data_dir = RUN / name, DATA / name
        self.pki = self.state_dir / "pki"
        self.router_dir = self.state_dir / "router"
        self.cgroup = f"berth-lab/{name}"
        self.programs = TREE / "out" / "k8s"
        self._say = say or (lambda text: None)
        self._load(self._saved() or {})

    # ---- what a test wants to know

    @property
    def kubeconfig(self):
        """The admin's; its server is an address inside the lab, so use it from one of the lab's hosts."""
        return self.pki / "admin.kubeconfig"

    @property
    def nodes(self):
        """Names of the real nodes."""
        return [f"node{number}" for number in range(1, self.options["nodes"] + 1)]

    @property
    def hosts(self):
        return ["control", "router", "client", *self.nodes]

    @property
    def components(self):
        """Names for `start` and `stop`."""
        real = [f"{daemon}-{node}" for node in self.nodes for daemon in DAEMONS if daemon != "host"]
        return [*control.COMPONENTS, "router", *real, *(["fake-nodes"] if self.options["fake_nodes"] else [])]

    def address(self, host, family=4):
        return network.address(host) if family == 4 else network.address6(host)

    def namespace(self, host):
        """The host's network namespace, as `ip netns` knows it."""
        if host not in self.hosts and host != "fabric":
            raise LabError(f"lab {self.name!r} has no host {host!r}; there are: {', '.join(self.hosts)}")
        return self.network.namespace(host)

    # ---- what a test wants to do

    def kubectl(self, *args, input=None, check=True):
        """kubectl as the admin; returns its output. With check=False, output and errors together."""
        done = run(self.kubectl_command(args), input=input, check=False)
        if check and done.returncode != 0:
            raise LabError(f"kubectl {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    def kubectl_command(self, args):
        """The command line, for a kubectl that reads from the terminal or goes on and on."""
        return inside(self.namespace("control"), [str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig), *map(str, args)])

    def run(self, host, argv, check=True, **options):
        """Runs a command on a host to its end: subprocess.run's answer, text captured; raises LabError if it fails and `check`."""
        return run(inside(self.namespace(host), argv), check=check, **options)

    def popen(self, host, argv, **options):
        """Starts a command on a host: a subprocess.Popen. It dies with the lab, if not before."""
        return subprocess.Popen([str(part) for part in inside(self.namespace(host), argv)], **options)

    def load_image(self, tar):
        """Gives every node the images of a docker-archive or OCI archive."""
        tar = pathlib.Path(tar).resolve()
        if not tar.exists():
            raise LabError(f"{tar} does not exist")
        self._each_node(lambda node: node.load_image(tar))

    def cut(self, host):
        """Pulls the host's cable: silence, without a word to anybody."""
        self.namespace(host)
        self.network.set_wire(host, "down")

    def heal(self, host):
        self.namespace(host)
        self.network.set_wire(host, "up")

    def stop(self, component, how=signal.SIGTERM):
        """Ends a component; `how=signal.SIGKILL` kills it. Does nothing if it does not run."""
        for process in reversed(self.processes(component)):
            process.stop(how=how)

    def start(self, component):
        """Starts a component that was stopped. Does nothing if it runs."""
        self.processes(component)   # refuses an unknown name
        if component in control.COMPONENTS:
            newest = self.options["kubernetes"] == "newest"
            command = control.command(component, self.programs, self.programs / "newest" if newest else self.programs,
                                      self.pki, self.data_dir / "etcd", self.options["ipv6"])
            self._start_on("control", component, command)
        elif component == "router":
            for daemon in routers.processes(self.options["router"]):
                self._start_router(daemon)
        elif component == "fake-nodes":
            self._start_on("control", component, [sys.executable, TREE / "tools/lab/fake_nodes.py", self.options["fake_nodes"],
                                                  self.pki, control.SERVER])
        else:
            daemon, _, node = component.rpartition("-")
            Node(self, node).start(daemon)

    # ---- life and death

    def up(self, **options):
        """Makes the lab: nodes=2, fake_nodes=0, ipv6=False, router="bird" or "frr", kubernetes="1.34" or "newest",
        proxy_mode="nftables" or "iptables". Returns False if it was up already."""
        unknown = set(options) - set(DEFAULTS)
        if unknown:
            raise LabError(f"unknown option {unknown.pop()!r}; there are: {', '.join(DEFAULTS)}")
        self._require_machine()
        with self._alone():
            if self._already_up():
                return False
            self._clear()
            self._load(dict(DEFAULTS, **options))
            self._require_programs()
            self._save(ready=False)
            self._build()
            self._save(ready=True)
        return True

    def down(self):
        """Removes every trace of the lab, also of a broken one. Fine to call when there is none."""
        self._require_root()
        with self._alone():
            self._clear()

    def exists(self):
        return self.state_dir.exists() or bool(self._own_namespaces())

    def unhealthy(self):
        """Why the lab is not as it should be, one reason a line; empty if all is well."""
        stopped = [f"{component} does not run" for component in self.components
                   if not all(process.pid() for process in self.processes(component))]
        ready = self._readyz()
        if ready != "ok":
            return stopped + [f"the API server is not ready: {ready}"]
        return stopped + [f"{node} is not Ready" for node in self.nodes if node not in self.ready_nodes()]

    def ready_nodes(self):
        path = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
        lines = self.kubectl("get", "nodes", "-o", f"jsonpath={path}", check=False).split()
        return {line.removesuffix("=True") for line in lines if line.endswith("=True")}

    # ---- building

    def _build(self):
        self._say(f"hosts: control, router, client and {len(self.nodes)} node(s)")
        self.network.build(self.nodes)
        for folder in (self.data_dir, self.pki):
            folder.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
        self._say("certificates")
        control.make_certificates(self.pki, self.options["ipv6"])
        self._say(f"control plane, Kubernetes {self.options['kubernetes']}, and router {self.options['router']}")
        self._start_control_and_router()
        self._start_nodes()
        if self.options["fake_nodes"]:
            self._say(f"{self.options['fake_nodes']} fake nodes")
            self.start("fake-nodes")
            wait_until(lambda: len(self.ready_nodes()) == self.options["fake_nodes"] + len(self.nodes), 120, "fake nodes Ready")

    def _start_control_and_router(self):
        routers.configure(self.options["router"], self.router_dir, self.options["ipv6"])
        for component in ("etcd", "apiserver", "router"):
            self.start(component)
        apiserver = Process("apiserver", self.state_dir)
        wait_until(lambda: self._readyz() == "ok" or not apiserver.pid(), 180, "the API server to be ready", f"See {apiserver.log_file}")
        if not apiserver.pid():
            raise LabError(f"the API server ended: {apiserver.log_tail()}")
        for component in ("controller-manager", "scheduler"):
            self.start(component)
        # Without this account no pod can be made: the controller manager's first deed.
        account = ("get", "serviceaccount", "default", "--namespace", "default", "--output", "name", "--ignore-not-found")
        wait_until(lambda: self.kubectl(*account, check=False).strip() == "serviceaccount/default", 60, "the controller manager to work",
                   f"See {self.state_dir}/controller-manager.log")

    def _start_nodes(self):
        if not self.nodes:
            return
        tars = [images.tar_of(image) for image in images.IMAGES]
        nodes = [Node(self, name) for name in self.nodes]
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [n.manifest() for n in nodes]}))
        self._say("nodes: containerd, images, kubelet, kube-proxy")

        def bring_up(node):
            control.make_client(self.pki, node.name, f"system:node:{node.name}", "system:nodes")
            node.configure()
            node.start("host")
            node.start("containerd")
            for tar in tars:
                node.load_image(tar)
            node.start("kubelet")
            node.start("proxy")

        self._each_node(bring_up)
        self._say("waiting for nodes to be Ready")
        wait_until(lambda: set(self.nodes) <= self.ready_nodes(), 90, "nodes Ready", f"See {self.state_dir}/kubelet-*.log")

    def _each_node(self, work):
        nodes = [Node(self, name) for name in self.nodes]
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
            list(pool.map(work, nodes))

    def _start_on(self, host, component, command):
        Process(component, self.state_dir).start(inside(self.namespace(host), command))

    def _start_router(self, daemon):
        process = Process(f"router-{daemon}", self.state_dir)
        if process.pid():
            return
        socket_file = routers.socket_of(daemon, self.router_dir)
        socket_file.unlink(missing_ok=True)
        process.start(routers.command(daemon, self.namespace("router"), self.router_dir))
        wait_until(lambda: socket_file.exists() or not process.pid(), 10, f"{daemon} to start", f"See {process.log_file}")
        if not process.pid():
            raise LabError(f"{daemon} ended at once: {process.log_tail()}")

    def processes(self, component):
        """The daemons of a component: one each, but two for FRR."""
        if component not in self.components:
            raise LabError(f"no component {component!r}; there are: {', '.join(self.components)}")
        if component == "router":
            return [Process(f"router-{daemon}", self.state_dir) for daemon in routers.processes(self.options["router"])]
        return [Process(component, self.state_dir)]

    def _readyz(self):
        return self.kubectl("get", "--raw", "/readyz", check=False).strip()

    # ---- clearing

    def _already_up(self):
        if not self.exists():
            return False
        saved = self._saved()
        if not (saved and saved.get("ready") and self._noted_pids()):
            self._say("clearing what a lab of this name left that crashed or never came up")
            return False
        wrong = self.unhealthy()
        if wrong:
            raise LabError(f"lab {self.name!r} runs but is not well ({'; '.join(wrong)}). "
                           f"Remove it first: tools/cluster down --name {self.name}")
        return True

    def _clear(self):
        kill_all(self._pids)
        for folder in (self.state_dir, self.data_dir):
            unmount_below(folder)
        for name in self._own_namespaces():
            delete_namespace(name)
        remove_cgroup(self.cgroup)
        for folder in (self.data_dir, self.state_dir):
            self._remove(folder)
        with contextlib.suppress(OSError):
            RUN.rmdir()
        with contextlib.suppress(OSError):
            DATA.rmdir()
        if not (RUN.exists() or DATA.exists()):
            remove_cgroup("berth-lab")

    def _remove(self, folder):
        def removed():
            shutil.rmtree(folder, ignore_errors=True)
            return not folder.exists()
        wait_until(removed, 10, f"removing {folder}")

    def _own_namespaces(self):
        mine = re.compile(rf"{re.escape(self.name)}-(fabric|control|router|client|node\d+)")
        return [name for name in namespace_names() if mine.fullmatch(name)]

    def _pids(self):
        """Every process of the lab: those in its namespaces, those in its pods, and those whose PID we noted."""
        return self._noted_pids().union(pids_in_cgroup(self.cgroup), *(pids_in_namespace(name) for name in self._own_namespaces()))

    def _noted_pids(self):
        return {Process(path.stem, self.state_dir).pid() for path in self.state_dir.glob("*.pid")} - {None}

    # ---- what is remembered

    def _load(self, saved):
        self.options = dict(DEFAULTS, **{key: value for key, value in saved.items() if key in DEFAULTS})
        self.network = network.Network(self.name, self.options["ipv6"])

    def _saved(self):
        try:
            return json.loads((self.state_dir / "lab.json").read_text())
        except (OSError, ValueError):
            return None

    def _save(self, ready):
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir.chmod(0o755)
        (self.state_dir / "lab.json").write_text(json.dumps(dict(self.options, ready=ready), indent=2) + "\n")

    @contextlib.contextmanager
    def _alone(self):
        """One `up` or `down` of a name at a time. The lock is a name that ends with this process."""
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0berth-lab-{self.name}")
        except OSError:
            lock.close()
            raise LabError(f"another `up` or `down` of lab {self.name!r} is running: wait for it to end") from None
        with lock:
            yield

    # ---- what the machine must have

    def _require_root(self):
        if os.geteuid() != 0:
            raise LabError("needs root (network namespaces, containerd): run it with sudo")

    def _require_machine(self):
        self._require_root()
        missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
        if missing:
            debian = pathlib.Path("/etc/debian_version").exists()
            raise LabError(("missing: " if debian else "this is not Debian, and there are missing: ") + ", ".join(missing)
                           + f"\n  apt-get install -y --no-install-recommends {' '.join(missing)}")

    def _require_programs(self):
        newest = self.options["kubernetes"] == "newest"
        wanted = [self.programs / name for name in PROGRAMS] + ([self.programs / "newest/kube-apiserver"] if newest else [])
        if all(path.exists() for path in wanted):
            return
        self._say("Kubernetes is not built yet: tools/build-go")
        sets = ["gobgp", "etcd", "kubernetes", *(["kubernetes-newest"] if newest else [])]
        if subprocess.run([TREE / "tools/build-go", *sets]).returncode != 0:
            raise LabError("tools/build-go failed, see above")
