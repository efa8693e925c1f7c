"""The control plane's programs and their flags. All run in the namespace of host `control`."""

import os

import network
import pki

API_ADDRESS = network.address("control")
SERVER = f"https://{API_ADDRESS}:6443"
COMPONENTS = ("etcd", "apiserver", "controller-manager", "scheduler")


def make_certificates(folder, ipv6):
    """The authority, the API server's certificate and the clients' kubeconfigs (NAME.kubeconfig)."""
    pki.make_authority(folder)
    pki.make_service_account_keys(folder)
    names = ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
             "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost", "IP:10.96.0.1", "IP:127.0.0.1", f"IP:{API_ADDRESS}"]
    if ipv6:
        names += ["IP:fd00:10:96::1", f"IP:{network.address6('control')}"]
    pki.issue(folder, "apiserver", "kube-apiserver", alternative_names=names)
    pki.issue(folder, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    make_client(folder, "admin", "lab-admin", "system:masters")
    make_client(folder, "controller-manager", "system:kube-controller-manager")
    make_client(folder, "scheduler", "system:kube-scheduler")
    make_client(folder, "kube-proxy", "system:kube-proxy")


def make_client(folder, name, user, group=None):
    pki.issue(folder, name, user, group)
    pki.write_kubeconfig(folder / f"{name}.kubeconfig", folder, name, SERVER)


def command(component, programs, apiserver, pki_folder, etcd_folder, ipv6):
    """The command line of a component; `programs` is the folder with the binaries, `apiserver` that of the API server."""
    pair = lambda v4, v6: f"{v4},{v6}" if ipv6 else v4
    if component == "etcd":
        return [programs / "etcd", "--name=lab", f"--data-dir={etcd_folder}", "--unsafe-no-fsync",
                "--quota-backend-bytes=4294967296", "--log-level=error",
                "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=lab=http://127.0.0.1:2380"]
    if component == "apiserver":
        return [apiserver / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443",
                f"--advertise-address={API_ADDRESS}", f"--client-ca-file={pki_folder}/ca.crt",
                f"--tls-cert-file={pki_folder}/apiserver.crt", f"--tls-private-key-file={pki_folder}/apiserver.key",
                f"--kubelet-client-certificate={pki_folder}/apiserver-kubelet-client.crt",
                f"--kubelet-client-key={pki_folder}/apiserver-kubelet-client.key",
                "--kubelet-preferred-address-types=InternalIP",
                "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
                f"--service-cluster-ip-range={pair(network.SERVICE_RANGE, network.SERVICE_RANGE6)}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki_folder}/service-account.pub",
                f"--service-account-signing-key-file={pki_folder}/service-account.key",
                # No kube-proxy here: webhooks are called at their pods' addresses.
                "--enable-aggregator-routing=true"]
    if component == "controller-manager":
        grace = os.environ.get("BERTH_LAB_NODE_MONITOR_GRACE_PERIOD")
        return [programs / "kube-controller-manager", f"--kubeconfig={pki_folder}/controller-manager.kubeconfig",
                f"--service-account-private-key-file={pki_folder}/service-account.key", f"--root-ca-file={pki_folder}/ca.crt",
                f"--cluster-cidr={pair(network.POD_RANGE, network.POD_RANGE6)}", "--allocate-node-cidrs=false",
                "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
                *([f"--node-monitor-grace-period={grace}"] if grace else [])]
    if component == "scheduler":
        return [programs / "kube-scheduler", f"--kubeconfig={pki_folder}/scheduler.kubeconfig", "--leader-elect=false",
                "--bind-address=127.0.0.1"]
    raise ValueError(component)
