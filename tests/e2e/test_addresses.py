"""Services come and go: each gets an address and a route, and nothing stays behind."""

import json
import time

from harness import FINALIZER, OPT_IN, POOL_KEY, WANTED_KEY, E2eTest, addresses_of, eip, eventually, service, steadily

MANY = 50


def traces(found):
    """By what a Service shows that Berth has taken it."""
    meta = found["metadata"]
    there = {"label": POOL_KEY in meta.get("labels", {}), "finalizer": FINALIZER in meta.get("finalizers", []),
             "address": bool(addresses_of(found)), "annotation": any(key.startswith("berth.") for key in meta.get("annotations", {}))}
    return [what for what, is_there in there.items() if is_there]


class ManyServices(E2eTest):
    routers = ("bird", "frr")

    def test_fifty_at_once(self):
        """50 Services created at once get an address and a route each; deleted, nothing is left."""
        lab = self.lab
        wanted = [service(f"many-{number}") for number in range(MANY)]
        began = time.time()
        with lab.record() as recorder:
            lab.cluster.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}))
            eventually("a route with both next hops for each", lambda: len(self.complete_routes()) == MANY, 60)
            self.figure(f"{MANY} Services, kubectl's start to the last route: {recorder.events()[-1].at - began:.2f} s")

        found = lab.api.list("services", labels="e2e=1")
        addresses = [address for one in found for address in addresses_of(one)]
        self.assertEqual(len(addresses), MANY)
        self.assertEqual(len(set(addresses)), MANY, "an address was given twice")
        self.assertEqual(set(addresses), set(lab.routes()))
        for one in found:
            self.assertEqual(one["metadata"]["labels"].get(POOL_KEY), "pool")
            self.assertIn(FINALIZER, one["metadata"]["finalizers"])
        used = {addresses_of(one)[0]: f"default/{one['metadata']['name']}" for one in found}
        eventually("the Eip's status shows all", lambda: lab.api.get("eips", "pool")["status"].get("used") == used)
        self.assertEqual(lab.api.get("eips", "pool")["status"]["usage"], MANY)
        self.assertIn(("AssignIP", f"success to assign ip: {addresses[0]}"), lab.events("Service", found[0]["metadata"]["name"]))
        lab.reach(addresses[0])

        began = time.time()
        with lab.record() as recorder:
            lab.api.delete_all("services", labels="e2e=1")
            eventually("all Services gone", lambda: not lab.api.list("services", labels="e2e=1"), 60)
            eventually("all routes gone", lambda: not lab.routes())
            self.figure(f"deletion to the last route's end: {recorder.events()[-1].at - began:.2f} s")
        eventually("no address block left", lambda: not lab.api.list("addressblocks"))
        eventually("nothing left in use", lambda: not lab.api.get("eips", "pool")["status"].get("used"))
        self.assertEqual(lab.api.get("eips", "pool")["status"].get("usage", 0), 0)

    def complete_routes(self):
        hops = self.lab.all_next_hops()
        return [address for address, found in self.lab.routes().items() if found == hops]


class Others(E2eTest):
    def test_not_for_us(self):
        """A Service of a foreign class, or without the annotation, is left alone; our own class needs no annotation."""
        lab = self.lab
        lab.api.create("services", service("foreign-class", loadBalancerClass="example.com/other"))
        lab.api.create("services", service("no-annotation", annotations=None))
        lab.api.create("services", service("no-balancer", type="ClusterIP"))
        strangers = ("foreign-class", "no-annotation", "no-balancer")

        lab.service("our-class", annotations=None, loadBalancerClass="berth.kubesphere.io/lb")
        # Created before it, they were seen before it.
        steadily("untouched", lambda: not any(traces(lab.api.get("services", name)) for name in strangers), 3)
        for name in strangers:
            self.assertEqual(lab.events("Service", name), [])
        self.assertEqual(len(lab.routes()), 1)

        # One that stops being ours gives everything back and lives on.
        address = lab.service("leaves")
        lab.api.patch("services", "leaves", {"metadata": {"annotations": {"lb.kubesphere.io/v1alpha1": None}}})
        eventually("given back", lambda: not traces(lab.api.get("services", "leaves")))
        lab.wait_for_hops(address, ())

    def test_named_pool_and_address(self):
        """A Service gets the pool and the address that it names."""
        lab = self.lab
        lab.apply(eip("second", "203.0.113.200-203.0.113.203"))
        self.assertEqual(lab.service("from-second", annotations=dict(OPT_IN, **{POOL_KEY: "second"})), "203.0.113.200")
        self.assertEqual(lab.service("by-address", annotations=dict(OPT_IN, **{WANTED_KEY: "203.0.113.202"})), "203.0.113.202")
        self.assertEqual(lab.api.get("services", "by-address")["metadata"]["labels"][POOL_KEY], "second")
