"""What is wrong is named, with the field and the cure, and harms nothing else."""

import subprocess

from harness import (OPT_IN, POOL_KEY, SPACE, WANTED_KEY, E2eTest, Process, addresses_of, bgp_conf, bgp_peer, eip, eventually, service,
                     steadily)
from system import LabError


class Objects(E2eTest):
    def setUp(self):
        super().setUp()
        self.before = self.pids()

    def pids(self):
        return {node: self.lab.pids(node, "berth") for node in self.lab.cluster.nodes}

    def told(self, kind, name, reason, *words):
        """Waits for an event of the object with this reason and all of these words."""
        def seen():
            return [text for why, text in self.lab.events(kind, name) if why == reason and all(word in text for word in words)]
        try:
            text = eventually(f"an event of {kind} {name} with reason {reason!r} and the words {words}", seen, 15)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; its events: {self.lab.events(kind, name)}") from None
        self.figure(f"{kind} {name}: {text}")

    def refused(self, found, *words):
        """The API server refuses the object, and says so in these words."""
        with self.assertRaises(LabError) as caught:
            self.lab.apply(found)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def all_else_works(self):
        """A new Service is answered, and Berth is the same process as before."""
        self.lab.service("good")
        self.assertEqual(self.pids(), self.before)

    def test_eip(self):
        """An Eip whose address can't be read: refused at once, by the schema or by Berth's webhook, and a Service that names it waits."""
        self.refused(eip("words", "no address"), "spec.address", "invalid eip address format")
        self.refused(eip("byte", "203.0.113.300"), "spec.address")
        self.refused(eip("long", "203.0.113.0/33"), "spec.address")
        self.refused(eip("backwards", "203.0.113.209-203.0.113.201"), "denied the request", "spec.address", "not below the first")
        self.refused(eip("colons", "2001:db8::1::2"), "denied the request", "spec.address", "not an IP address")
        self.refused(eip("again", "203.0.113.7"), "denied the request", "eip address overlap with pool")
        self.lab.api.create("services", service("from-it", annotations=dict(OPT_IN, **{POOL_KEY: "backwards"})))
        self.told("Service", "from-it", "AssignIPFailed", "eip:backwards does not exist", POOL_KEY)
        self.all_else_works()
        self.lab.apply(eip("backwards", "203.0.113.200-203.0.113.201"))
        self.assertEqual(self.lab.address("from-it"), "203.0.113.200")

    def test_bgp_peer(self):
        """BgpPeers that can't be used: each is named in an Event, the session of the good one stays."""
        lab = self.lab
        address = lab.service("kept")
        with lab.record() as recorder:
            lab.apply({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "BgpPeer", "metadata": {"name": "no-conf"}, "spec": {}},
                      bgp_peer("no-as", "172.30.0.250", 0))
            self.told("BgpPeer", "no-conf", "InvalidConfiguration", "spec.conf is missing", "neighborAddress", "peerAs")
            self.told("BgpPeer", "no-as", "InvalidConfiguration", "spec.conf.peerAs is 0")
            try:   # a schema may refuse it, as long as it says why
                lab.apply(bgp_peer("bad-address", "router.example"))
            except LabError as error:
                self.assertIn("spec.conf.neighborAddress", str(error))
            else:
                self.told("BgpPeer", "bad-address", "InvalidConfiguration", "NeighborAddress", "router.example")
            self.all_else_works()
            self.assertEqual(recorder.deletions(address), [])

    def test_as_zero(self):
        """BgpConf with AS 0: named in an Event, the server goes on as before."""
        lab = self.lab
        address = lab.service("kept")
        with lab.record() as recorder:
            lab.apply(bgp_conf(**{"as": 0}))
            self.told("BgpConf", "default", "InvalidConfiguration", "spec.as is 0")
            self.all_else_works()
            self.assertEqual(recorder.deletions(address), [])
        lab.apply(bgp_conf())

    def test_annotations(self):
        """A pool that does not exist, and a wanted address that is none, are named in Events on the Service."""
        lab = self.lab
        lab.api.create("services", service("no-pool", annotations=dict(OPT_IN, **{POOL_KEY: "absent"})))
        lab.api.create("services", service("no-ip", annotations=dict(OPT_IN, **{WANTED_KEY: "300.1.2.3; rm -rf"})))
        lab.api.create("services", service("outside", annotations=dict(OPT_IN, **{WANTED_KEY: "198.51.100.7"})))
        lab.api.create("services", service("other-value", annotations={"lb.kubesphere.io/v1alpha1": "Openelb"}))
        self.told("Service", "no-pool", "AssignIPFailed", "absent", POOL_KEY)
        self.told("Service", "no-ip", "ConstructRequest", "300.1.2.3", WANTED_KEY)
        self.told("Service", "outside", "ConstructRequest", "198.51.100.7")
        self.told("Service", "other-value", "ConstructRequest", "lb.kubesphere.io/v1alpha1", "Openelb", "openelb")
        self.all_else_works()
        refused = ("no-pool", "no-ip", "outside", "other-value")
        steadily("no address", lambda: not any(addresses_of(lab.api.get("services", name)) for name in refused), 2)
        # What was wrong is corrected, and that is enough.
        lab.apply(eip("absent", "203.0.113.210"))
        self.assertEqual(lab.address("no-pool"), "203.0.113.210")
        lab.api.patch("services", "no-ip", {"metadata": {"annotations": {WANTED_KEY: "203.0.113.77"}}})
        self.assertEqual(lab.address("no-ip"), "203.0.113.77")

    def test_password(self):
        """A password is never shown: not in a log, not in a status, not on a page."""
        lab, secret = self.lab, "s3cr3t-of-e2e"
        lab.apply(bgp_peer("locked", "172.30.0.250", 65009, authPassword=secret))
        eventually("status of the peer", lambda: len(lab.api.get("bgppeers", "locked").get("status", {}).get("nodesPeerStatus", {})) == 2)
        self.assertNotIn(secret, str(lab.api.get("bgppeers", "locked")["status"]))
        for node in lab.cluster.nodes:
            for path in ("/metrics", "/readyz", "/debug/state"):
                self.assertNotIn(secret, lab.page(node, path)[1])
        self.assertNotIn(secret, lab.berth_log())
        self.all_else_works()


class Access(E2eTest):
    """A Berth that can't reach its API server, beside those that can: it says why, stays, and works once it is put right."""
    port = 51052

    def start(self, name, kubeconfig):
        process = Process(self.lab, "node1", kubeconfig, port=self.port, name=name).start()
        self.addCleanup(process.end)
        return process

    def says(self, process, *words):
        """Log and readiness page have these words; the process lives."""
        def seen():
            status, text = process.page("/readyz")
            return status == 503 and all(word in text for word in words) and all(word in process.text() for word in words)
        try:
            eventually(f"the words {words}", seen, 15)
        except AssertionError:
            raise AssertionError(f"not said: {words}\n/readyz: {process.page('/readyz')}\nlog: {process.text()[-3000:]}") from None
        self.figure(next(line for line in process.page("/readyz")[1].splitlines() if words[0] in line)[:200])
        self.assertEqual(process.page("/healthz")[0], 200)
        self.assertTrue(process.alive())

    def file(self, name, text):
        path = self.lab.scratch / name
        path.write_text(text)
        return path

    def test_unreadable_kubeconfig(self):
        """A kubeconfig that is not there; once it is, Berth works."""
        path = self.lab.scratch / "late.kubeconfig"
        path.unlink(missing_ok=True)
        process = self.start("unreadable", path)
        self.says(process, "late.kubeconfig", "No such file")
        path.write_text("clusters: [\n")
        self.says(process, "late.kubeconfig", "YAML")
        path.write_text(self.lab.kubeconfig().read_text())
        eventually("ready", process.ready, 40)

    def test_exec_plugin(self):
        """Credential plug-ins are refused, with what to use instead."""
        text = self.lab.kubeconfig_text("exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}")
        self.says(self.start("exec", self.file("exec.kubeconfig", text)), "exec", "token")

    def test_wrong_authority(self):
        """A server whose certificate the CA did not sign is not trusted."""
        folder = self.lab.scratch
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=other",
                        "-keyout", folder / "other.key", "-out", folder / "other.crt"], check=True, capture_output=True)
        text = self.lab.kubeconfig_text("token: nobody", folder / "other.crt")
        self.says(self.start("authority", self.file("authority.kubeconfig", text)), "certificate")

    def test_wrong_token(self):
        """A token that the API server does not know."""
        process = self.start("token", self.file("token.kubeconfig", self.lab.kubeconfig_text("token: nobody")))
        self.says(process, "services", "Unauthorized", "token")

    def test_no_rights(self):
        """An account without rights: told what is forbidden; with them, it works."""
        lab = self.lab
        lab.cluster.kubectl("create", "serviceaccount", "powerless", "-n", SPACE)
        self.addCleanup(lab.cluster.kubectl, "delete", "serviceaccount", "powerless", "-n", SPACE)
        process = self.start("powerless", lab.kubeconfig("powerless"))
        self.says(process, "services", "forbidden")
        lab.cluster.kubectl("create", "clusterrolebinding", "powerful", "--clusterrole=cluster-admin",
                            f"--serviceaccount={SPACE}:powerless")
        self.addCleanup(lab.cluster.kubectl, "delete", "clusterrolebinding", "powerful")
        eventually("ready", process.ready, 60)
