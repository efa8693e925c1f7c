"""What dies or is replaced takes no route with it: routers that do graceful restart keep what they have."""

import signal
import time

from api import Watch
from harness import ROUTER, ROUTER6, SPACE, E2eTest, Process, bgp_peer, eventually
from system import send

KILLS = 5


class Killed(E2eTest):
    """One speaker alone, as a process, so that the router has nothing but graceful restart to stand on."""
    routers = ("bird", "frr")
    berth = "processes"

    def prepare(self):
        lease = ("--lease-duration", "5", "--renew-deadline", "3", "--retry-period", "1")   # a killed leader's Lease has to expire
        self.process = Process(self.lab, "node1", flags=lease).start()
        self.addCleanup(self.process.end)
        eventually("Berth ready", self.process.ready, 40)

    def kill_often(self, victim):
        """Kills what `victim()` tells, again and again, each time once the session is back, while a router and a client look on."""
        address = self.lab.service("kept")
        self.lab.wait_for_hops(address, self.lab.all_next_hops())
        back = []
        with self.lab.record() as recorder, self.lab.prober(address) as prober:
            for _ in range(KILLS):
                began, before = time.monotonic(), self.lab.session("node1")
                pid = victim()
                send(pid, signal.SIGKILL)
                if pid == self.process.process.pid:
                    self.process.end(signal.SIGKILL)
                    self.process.start()
                self.lab.wait_for_session("node1", before)
                back.append(time.monotonic() - began)
                eventually("the router has all routes again", self.process.has_told_all)
            # The router drops what is still stale when End-of-RIB comes: after a change has arrived, it has come.
            second = self.lab.service("second")
            self.lab.wait_for_hops(second, self.lab.all_next_hops())
            self.assert_no_deletion(recorder, address)
            changes = [event for event in recorder.events(address) if event.hops != self.lab.all_next_hops()]
        self.figure(f"{KILLS} kills; session back after {min(back):.1f} to {max(back):.1f} s")
        self.assertEqual(changes, [], "a next hop went")
        self.assert_nothing_lost(prober)

    def test_engine(self):
        """kill -9 of gobgpd, again and again: no route goes, no request is lost."""
        self.kill_often(self.process.engine)

    def test_berth(self):
        """kill -9 of Berth, again and again: no route goes, no request is lost."""
        self.kill_often(lambda: self.process.process.pid)

    def test_berth_stopped(self):
        """SIGTERM outside a pod is a restart: the route stays until Berth is back."""
        address = self.lab.service("kept")
        before = self.lab.session("node1")
        with self.lab.record() as recorder, self.lab.prober(address) as prober:
            self.assertEqual(self.process.end(), 0)
            self.process.start()
            self.lab.wait_for_session("node1", before)
            second = self.lab.service("second")
            self.lab.wait_for_hops(second, self.lab.all_next_hops())
            self.assert_no_deletion(recorder, address)
        self.assert_nothing_lost(prober)


class Pods(E2eTest):
    """Each thing once, as installed."""
    routers = ("bird", "frr")
    family, neighbor = 4, ROUTER

    def session(self, node):
        return self.lab.session(node, neighbor=self.neighbor)

    def watched(self, act):
        """Does something while a router and a client look on: nothing may be seen. `act` answers which nodes' sessions it breaks."""
        address, hops = self.lab.service_of(self.family, "kept"), self.lab.all_next_hops(self.family)
        self.lab.wait_for_hops(address, hops)
        with self.lab.record(self.family) as recorder, self.lab.prober(address) as prober:
            before = {node: self.session(node) for node in self.lab.cluster.nodes}
            for node in act():
                self.lab.wait_for_session(node, before[node], neighbor=self.neighbor)
            self.lab.wait_for_pods(120)
            second = self.lab.service_of(self.family, "second")
            self.lab.wait_for_hops(second, hops)
            self.assert_no_deletion(recorder, address)
            self.assertEqual([e for e in recorder.events(address) if e.hops != hops], [], "a next hop went")
        self.assert_nothing_lost(prober)
        self.assertEqual(self.lab.address("kept"), address)

    def test_gobgpd_killed(self):
        """kill -9 of gobgpd in a pod."""
        def act():
            before = self.lab.pids("node1", "gobgpd")
            self.assertEqual(len(before), 1)
            send(before[0], signal.SIGKILL)
            return ["node1"]
        self.watched(act)

    def test_leader_killed(self):
        """kill -9 of the leader's Berth."""
        def act():
            leader = self.lab.leader()
            node = leader["spec"]["nodeName"]
            before = self.lab.pids(node, "berth")
            self.assertEqual(len(before), 1)
            send(before[0], signal.SIGKILL)
            return [node]
        self.watched(act)

    def test_pod_deleted(self):
        """A Berth pod is deleted."""
        def act():
            leader = self.lab.leader()
            self.lab.api.delete("pods", leader["metadata"]["name"], SPACE)
            return [leader["spec"]["nodeName"]]
        self.watched(act)

    def test_rolling_update(self):
        """kubectl rollout restart."""
        def act():
            before = {pod["metadata"]["uid"] for pod in self.lab.berth_pods()}
            self.lab.cluster.kubectl("rollout", "restart", "deployment/berth", "-n", SPACE)
            self.lab.wait_for_pods(120)
            self.assertFalse(before & {pod["metadata"]["uid"] for pod in self.lab.berth_pods()})
            return self.lab.cluster.nodes
        self.watched(act)


class PodsIpv6(Pods):
    """The same by IPv6: sessions and addresses."""
    routers, family, neighbor = ("bird",), 6, ROUTER6
    test_leader_killed = test_pod_deleted = None   # nothing of a family in them

    def setUp(self):
        super().setUp()
        self.lab.apply(bgp_peer("router6", ROUTER6))
        for node in self.lab.cluster.nodes:
            eventually(f"IPv6 session of {node}", lambda node=node: self.session(node), 40)


class DeletedMeanwhile(E2eTest):
    """Not with FRR before 9.1.2: of a prefix with several stale paths (ADD-PATH) it clears only one at End-of-RIB (its issue 17372)."""

    def test_service_deleted_while_gobgpd_is_away(self):
        """A Service that is deleted before the session is back leaves no route behind."""
        address = self.lab.service("brief")
        before = self.lab.session("node1")
        send(self.lab.pids("node1", "gobgpd")[0], signal.SIGKILL)
        self.lab.api.delete("services", "brief")
        self.lab.wait_for_session("node1", before)
        self.lab.wait_for_hops(address, ())


class Removed(E2eTest):
    routers = ("bird", "frr")

    def test_deployment_deleted(self):
        """kubectl delete deployment: routes are withdrawn while the pods still run, and requests are answered until then."""
        lab = self.lab
        address = lab.service("drained")
        self.addCleanup(lab.install, "pods")
        with lab.record() as recorder, Watch(lab.cluster, "pods", SPACE) as pods, lab.prober(address) as prober:
            began = time.time()
            lab.cluster.kubectl("delete", "deployment", "berth", "-n", SPACE, "--wait=false")
            lab.wait_for_hops(address, (), 60)
            eventually("the pods end", lambda: not lab.berth_pods(), 60)
            withdrawn = recorder.deletions(address)[0].at
            ended = pods.first(lambda kind, pod: kind == "DELETED" or terminated(pod))
        self.figure(f"withdrawn {withdrawn - began:.1f} s after the deletion, first pod ended after {ended[0] - began:.1f} s")
        self.assertLess(withdrawn, ended[0], "a pod ended before its routes were withdrawn")
        self.assertGreater(len(prober.result["lost"]), 0, "without a route nobody can be answered")
        early = [one for one in prober.result["lost"] if one["at"] < withdrawn - 1]
        self.figure(f"{len(early)} requests lost before the withdrawal")
        self.assertEqual(early, [])


def terminated(pod):
    return any("terminated" in status.get("state", {}) for status in pod["status"].get("containerStatuses", []))
