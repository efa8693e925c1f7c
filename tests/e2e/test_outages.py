"""Without the API server Berth goes on announcing what it knows, and takes up work again when it is back."""

import json
import signal
import time

from harness import E2eTest, eventually, service, steadily

BLOCKED = "table inet e2e { chain output { type filter hook output priority 0; tcp dport 6443 drop; }; }"


class Outage(E2eTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.wake)

    def wake(self):
        """Starts anew what would go on waiting, up to a minute, before it asks the API server again; the next test needs it."""
        daemons = ["scheduler", *(f"{daemon}-{node}" for daemon in ("kubelet", "proxy") for node in self.lab.cluster.nodes)]
        for daemon in daemons:
            self.lab.cluster.stop(daemon)
            self.lab.cluster.start(daemon)

    def watched(self, act):
        """Does something while a router and a client look on; then work must go on."""
        lab = self.lab
        address = lab.service("kept")
        hops = lab.all_next_hops()
        lab.wait_for_hops(address, hops)
        before = self.starts()
        with lab.record() as recorder, lab.prober(address) as prober:
            act()
            self.assertEqual(lab.routes().get(address), hops)
            began = time.monotonic()
            self.works("afterwards")
            self.figure(f"a new Service has its route {time.monotonic() - began:.1f} s after its creation")
            lab.api.delete("services", "afterwards")
            eventually("the later Service gone", lambda: lab.api.find("services", "afterwards") is None, 30)
            self.assert_no_deletion(recorder, address)
            changes = [event for event in recorder.events(address) if event.hops != hops]
            self.assertEqual(changes, [], "a next hop went")
        self.assert_nothing_lost(prober)
        self.assertEqual(lab.address("kept"), address)
        self.assertEqual(self.starts(), before, "Berth was started again")

    def back(self):
        """Starts the API server again, and the controller manager: elsewhere it ends when it loses its Lease, here it has none. The old one
        would take up to a minute to look again, and take nodes for dead meanwhile."""
        self.lab.cluster.start("apiserver")
        eventually("the API server ready", lambda: self.lab.cluster.kubectl("get", "--raw", "/readyz", check=False) == "ok", 90)
        self.lab.cluster.stop("controller-manager")
        self.lab.cluster.start("controller-manager")

    def works(self, name):
        """A new Service has its address and its route."""
        # Right after its start the API server has no cluster addresses to give.
        eventually(f"Service {name}", lambda: self.lab.api.create("services", service(name)), 30)
        self.lab.wait_for_hops(self.lab.address(name, 90), self.lab.all_next_hops(), 90)

    def starts(self):
        """How often each Berth was started."""
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in self.lab.berth_pods()}

    def lists(self, kind):
        return {node: self.lab.metric(node, f'berth_watch_lists_total{{kind="{kind}"}}') for node in self.lab.cluster.nodes}

    def end_connections(self):
        """Ends every TCP connection of Berth to the API server, as a firewall does that lost its state. Answers how many there were."""
        ended = 0
        for node in self.lab.cluster.nodes:
            listed = self.lab.cluster.run(node, ["ss", "-Htnp", "state", "established", "dport = 443 or dport = 6443"]).stdout
            for line in listed.splitlines():
                if '"berth"' in line:
                    port = line.split()[2].rpartition(":")[2]
                    ended += self.lab.cluster.run(node, ["ss", "-HKtn", "sport", "=", port]).stdout.count("\n")
        return ended

    def test_api_server_away(self):
        """The API server is away for a while: nothing is withdrawn, then work goes on."""
        def act():
            self.lab.cluster.stop("apiserver", how=signal.SIGKILL)
            began = time.monotonic()
            steadily("routed", lambda: list(self.lab.routes().values()) == [self.lab.all_next_hops()], self.outage)
            self.back()
            self.figure(f"the API server was away for {time.monotonic() - began:.0f} s")
        self.watched(act)

    def test_compaction(self):
        """History is compacted while Berth is cut off: its watches are answered 410, it lists again, nothing moves."""
        def act():
            lab, before = self.lab, self.lists("services")
            for node in lab.cluster.nodes:
                lab.cluster.run(node, ["nft", "-f", "-"], input=BLOCKED)
            try:
                # Changes that Berth does not hear of: one Service more, one that comes and goes.
                lab.api.create("services", service("unheard"))
                lab.api.create("services", service("fleeting"))
                lab.api.delete("services", "fleeting")
                lab.cluster.stop("apiserver", how=signal.SIGKILL)
                self.compact()
                self.back()
            finally:
                for node in lab.cluster.nodes:
                    lab.cluster.run(node, ["nft", "delete", "table", "inet", "e2e"])
            lab.address("unheard", 90)
            eventually("both listed again", lambda: all(after > before[node] for node, after in self.lists("services").items()), 60)
        self.watched(act)

    def compact(self):
        def etcd(path, body):
            argv = ["curl", "-sf", "--data", json.dumps(body), f"http://127.0.0.1:2379/v3/{path}"]
            return json.loads(self.lab.cluster.run("control", argv).stdout)
        revision = etcd("maintenance/status", {})["header"]["revision"]
        etcd("kv/compaction", {"revision": revision, "physical": True})

    def test_connections_dropped(self):
        """All connections to the API server end, again and again: watches go on where they were."""
        def act():
            before = self.lists("services")
            for number in range(5):
                self.assertGreater(self.end_connections(), 0)
                self.works(f"meanwhile-{number}")
            self.assertEqual(self.lists("services"), before, "a dropped watch is resumed, not listed again")
        self.watched(act)
