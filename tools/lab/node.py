"""A node: containerd, kubelet and kube-proxy in the node's network namespace and in a mount namespace of its own.

The mount namespace is what keeps nodes apart on one file system (/run/containerd, /run/netns, /var/log, /var/lib/cni are per node) and
what makes `down` certain: with the last process of the node all of its mounts are gone. Its first process, `host-NODE`, only holds it,
and a host name.
"""

import json
import os
import shlex

import network
from system import Process, inside, make_cgroup, run, wait_until

DAEMONS = ("host", "containerd", "kubelet", "proxy")   # in the order to start them

# What kubelet would write to the machine's sysctls; files with these values cover them.
KUBELET_SYSCTLS = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
                   "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}

CONTAINERD = """version = 2
root = "{var}/containerd"
state = "{run}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{var}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:lab"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{var}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

KUBELET = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://{run}/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
{cgroup_v1}localStorageCapacityIsolation: false
evictionHard: {{memory.available: 10Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podLogsDir: {var}/log/pods
volumePluginDir: {var}/volume-plugins
maxPods: 200
oomScoreAdj: 0
makeIPTablesUtilChains: false
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
"""

PROXY = """apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: {mode}
clientConnection: {{kubeconfig: {pki}/kube-proxy.kubeconfig}}
hostnameOverride: {name}
clusterCIDR: {pods}
oomScoreAdj: 0
conntrack: {{maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"""


class Node:
    def __init__(self, cluster, name):
        self.name, self.ipv6 = name, cluster.options["ipv6"]
        self.namespace = cluster.network.namespace(name)
        self.programs, self.pki = cluster.programs, cluster.pki
        self.run_folder = cluster.state_dir / name     # sockets: paths must be short
        self.var_folder = cluster.data_dir / name
        self.cgroup = f"{cluster.cgroup}/{name}"
        self.proxy_mode = cluster.options["proxy_mode"]
        self.processes = {daemon: Process(f"{daemon}-{name}", cluster.state_dir) for daemon in DAEMONS}

    # ---- files

    def configure(self):
        for folder in (self.run_folder, *(self.var_folder / sub for sub in ("cni/conf", "cni/state", "log/pods", "kubelet", "sysctls"))):
            folder.mkdir(parents=True, exist_ok=True)
        values = dict(run=self.run_folder, var=self.var_folder, pki=self.pki, name=self.name, cgroup=self.cgroup, mode=self.proxy_mode,
                      pods=f"{network.POD_RANGE},{network.POD_RANGE6}" if self.ipv6 else network.POD_RANGE,
                      cgroup_v1="failCgroupV1: false\n")
        (self.var_folder / "containerd.toml").write_text(CONTAINERD.format(**values))
        (self.var_folder / "kubelet.yaml").write_text(KUBELET.format(**values))
        (self.var_folder / "proxy.yaml").write_text(PROXY.format(**values))
        (self.var_folder / "cni/conf/10-lab.conflist").write_text(json.dumps(self._cni(), indent=2))
        for key, value in KUBELET_SYSCTLS.items():
            (self.var_folder / "sysctls" / key.replace("/", ".")).write_text(f"{value}\n")
        (self.var_folder / "host.sh").write_text(self._mounts())

    def _cni(self):
        ranges = [[{"subnet": network.pod_range(self.name)}]] + ([[{"subnet": network.pod_range6(self.name)}]] if self.ipv6 else [])
        routes = [{"dst": "0.0.0.0/0"}] + ([{"dst": "::/0"}] if self.ipv6 else [])
        ipam = {"type": "host-local", "dataDir": str(self.var_folder / "cni/state"), "ranges": ranges, "routes": routes}
        return {"cniVersion": "0.4.0", "name": "lab", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}}]}

    def _mounts(self):
        """The script of the process that holds the namespaces."""
        var = shlex.quote(str(self.var_folder))
        covers = "\n".join(f"mount --bind {var}/sysctls/{key.replace('/', '.')} /proc/sys/{key}"
                           for key in KUBELET_SYSCTLS if os.path.exists(f"/proc/sys/{key}"))
        return f"""set -e
hostname {self.name}
umount -R -l /run/netns
mkdir -p /run/containerd /var/lib/cni
mount -t tmpfs tmpfs /run/netns
mount -t tmpfs tmpfs /run/containerd
mount --bind {var}/cni /var/lib/cni
mount --bind {var}/log /var/log
{covers}
mount --make-rshared /
touch {shlex.quote(str(self.run_folder / "mounted"))}
exec sleep infinity
"""

    # ---- processes

    def inside(self, argv):
        """`argv` in all namespaces of the node."""
        holder = self.processes["host"].pid()
        return ["nsenter", f"--net=/run/netns/{self.namespace}", f"--mount=/proc/{holder}/ns/mnt", f"--uts=/proc/{holder}/ns/uts", "--wd=/",
                "--", *argv]

    def start(self, daemon):
        process = self.processes[daemon]
        if daemon == "host":
            process.start(inside(self.namespace, ["unshare", "--mount", "--propagation", "private", "--uts", "--",
                                                  "sh", self.var_folder / "host.sh"]))
            wait_until((self.run_folder / "mounted").exists, 10, f"{self.name}'s mounts", f"See {process.log_file}")
        elif daemon == "containerd":
            process.start(self.inside(["containerd", "--config", self.var_folder / "containerd.toml"]))
            wait_until(lambda: self.ctr("version", check=False).returncode == 0, 30, f"{self.name}'s containerd", f"See {process.log_file}")
        elif daemon == "kubelet":
            addresses = [network.address(self.name)] + ([network.address6(self.name)] if self.ipv6 else [])
            make_cgroup(self.cgroup)
            process.start(self.inside([self.programs / "kubelet", f"--config={self.var_folder}/kubelet.yaml",
                                       f"--kubeconfig={self.pki}/{self.name}.kubeconfig", f"--root-dir={self.var_folder}/kubelet",
                                       f"--cert-dir={self.var_folder}/kubelet/pki", f"--hostname-override={self.name}",
                                       f"--node-ip={','.join(addresses)}"]))
        elif daemon == "proxy":
            process.start(self.inside([self.programs / "kube-proxy", f"--config={self.var_folder}/proxy.yaml"]))

    def ctr(self, *arguments, **options):
        return run(["ctr", "--address", self.run_folder / "containerd.sock", "--namespace", "k8s.io", *arguments], **options)

    def load_image(self, tar):
        self.ctr("images", "import", tar)

    def manifest(self):
        """The Node object, made before the kubelet registers so that it has its pod range."""
        ranges = [network.pod_range(self.name)] + ([network.pod_range6(self.name)] if self.ipv6 else [])
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name}},
                "spec": {"podCIDR": ranges[0], "podCIDRs": ranges}}
