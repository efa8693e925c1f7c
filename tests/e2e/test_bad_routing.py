"""Every wrong BgpConf and BgpPeer of tests/deploy/bad_manifests.py, one after another, beside sessions that work.

Each is refused by the API server or told by an Event, with field and rule; and none of the sessions that are up, nor any route, is touched
by it, nor by its removal.
"""

import sys

from harness import TREE, E2eTest, bgp_conf, bgp_peer, eventually
from small_router import SmallRouter, start_all

sys.path.append(str(TREE / "tests/deploy"))

import bad_manifests as bad                          # noqa: E402
from bad_manifests_test import PLURALS, Server, schemas, shown   # noqa: E402

NO_ROUTER = "peers: there is no BgpPeer"   # of an advertisement whose only router is none


class BadRouting(E2eTest):
    routers = ("frr",)
    berth = "processes"

    @classmethod
    def setUpClass(cls):
        cls.start_berths()
        cls.small = {name: SmallRouter(cls.lab.cluster, name, number, **settings)
                     for name, number, settings in (("first", 131, {}), ("second", 132, {"family": 6}))}
        cls.addClassCleanup(cls.remove)
        start_all(cls.small.values())

    @classmethod
    def remove(cls):
        for router in cls.small.values():
            router.stop()
        for name in (*cls.small, "same-1"):
            cls.lab.api.delete("bgppeers", name)

    def setUp(self):
        self.lab.reset()
        self.addCleanup(self.lab.clear)
        self.lab.apply(*(bgp_peer(name, router.address, router.as_number) for name, router in self.small.items()),
                       *(one for one in bad.FIRST_ROUTING if one["kind"] == "BgpPeer"))
        for name, router in self.small.items():
            eventually(f"sessions of {name}", lambda router=router: router.up() == set(self.lab.cluster.nodes))
        self.address = self.lab.service("web")
        eventually("routes", lambda: len(self.small["first"].routes().get(self.address, ())) == 4)
        self.server = Server(self.lab.cluster)
        self.faults = []

    # -- what is looked at

    def as_it_was(self):
        """Sessions by their connections, since when Berth has them, and what the routers have."""
        return ({name: router.sessions() for name, router in self.small.items()}, [self.lab.session(node) for node in self.berths],
                {name: router.routes() for name, router in self.small.items()}, [process.engine() for process in self.berths.values()])

    def events(self, row):
        return [text for _, text in self.lab.events(row.manifest["kind"], row.manifest["metadata"]["name"])]

    def told(self, row):
        """The row's object is there: waits for the Event with its words."""
        try:
            eventually("Event", lambda: any(all(word in text for word in row.words) for text in self.events(row)), 15)
        except AssertionError:
            self.faults.append(f"{shown(row)}: not told: {row.words}; its Events: {self.events(row)}")

    def undo(self, row):
        kind, name = row.manifest["kind"], row.manifest["metadata"]["name"]
        if row.patch:
            good = bgp_conf()["spec"]
            self.lab.api.patch(PLURALS[kind], name, {"spec": {key: good.get(key) for key in row.manifest["spec"]}})
        else:
            self.lab.api.delete(PLURALS[kind], name)

    def try_out(self, row):
        refusal = self.server.send(row, dry_run=row.by == "schema")
        if row.by == "schema":
            if missing := [word for word in row.words if word not in (refusal or "")]:
                self.faults.append(f"{shown(row)}: refused with {refusal!r}, without {missing}")
        elif refusal is not None:
            self.faults.append(f"{shown(row)}: refused before it could be told: {refusal}")
        else:
            self.told(row)
            self.undo(row)

    def try_no_router(self, row, before):
        """It does what it says: nobody hears of the address, until the row is undone."""
        self.assertIsNone(self.server.send(row, dry_run=False))
        self.told(row)
        self.lab.wait_for_hops(self.address, ())
        eventually("no routes", lambda: not self.small["first"].routes().get(self.address))
        self.undo(row)
        self.lab.wait_for_hops(self.address, self.lab.all_next_hops())
        eventually("as it was", lambda: self.as_it_was() == before)

    # -- the story

    def test_every_wrong_field(self):
        """Refused or told, each with field and rule; uptime and routes of all sessions are as they were, after each of them."""
        of_types = [row for kind, schema in schemas(self.server) if kind in ("BgpConf", "BgpPeer")
                    for row in bad.wrong_types(kind, schema)]
        rows, before = [*of_types, *bad.routing()], self.as_it_was()
        told = [row for row in rows if row.by == "condition"]
        with self.lab.record() as recorder:
            for row in rows:
                if row.by == "schema":
                    self.try_out(row)
            for row in told:
                seen = len(recorder.events(self.address))
                if NO_ROUTER in row.words[0]:
                    self.try_no_router(row, before)
                    continue
                self.try_out(row)
                if self.as_it_was() != before or len(recorder.events(self.address)) != seen:
                    self.faults.append(f"{shown(row)}: changed what there was: {before} to {self.as_it_was()}; {recorder.events()}")
                    before = self.as_it_was()
        self.figure(f"{len(rows)} wrong manifests, {len(rows) - len(told)} refused, {len(told)} told by Events")
        self.assertGreater(len(told), 10)
        self.assertGreater(len(rows), 150)
        self.assertEqual(self.faults, [], "\n".join(self.faults))
        self.assertEqual(self.as_it_was(), before)
        self.lab.service("good")
