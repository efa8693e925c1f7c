"""Manifests that are wrong, each in one thing, and who has to say so in which words.

A row is refused by one of these:
  schema     the API server, by the CRDs' schemas and CEL rules (or by its own rules for Services)
  webhook    Berth's webhook: what needs a parser or a look at other objects; where there is no webhook, a condition of the Eip
             says the same, but for `unseen`, which nobody else can tell
  condition  Berth: a condition or an Event of the object

`words` are what its message has to hold: the field, and the rule that is broken.
"""

import dataclasses

GROUP = "network.kubesphere.io/v1alpha2"
POOL, WANTED, OPT_IN = "eip.openelb.kubesphere.io/v1alpha2", "eip.openelb.kubesphere.io/v1alpha1", "lb.kubesphere.io/v1alpha1"
DEFAULT = "eip.openelb.kubesphere.io/is-default-eip"
KEY, SPACES, MODE = (f"berth.kubesphere.io/{name}" for name in ("sharing-key", "sharing-namespaces", "ip-mode"))
FORMAT = "invalid eip address format"


@dataclasses.dataclass
class Row:
    by: str
    manifest: dict
    words: tuple
    patch: bool = False    # the manifest is a merge patch of an object that is there
    unseen: bool = False   # without the webhook nobody tells
    told: tuple = ()       # the words of the condition where there is no webhook, if they are others


def eip(name, annotations=None, **spec):
    metadata = {"name": name, **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": GROUP, "kind": "Eip", "metadata": metadata, "spec": spec}


def conf(**spec):
    return {"apiVersion": GROUP, "kind": "BgpConf", "metadata": {"name": "default"}, "spec": spec}


def peer(name, **spec):
    return {"apiVersion": GROUP, "kind": "BgpPeer", "metadata": {"name": name}, "spec": spec}


def service(name, annotations=None, space="bad", port=80, opt_in="openelb", **spec):
    marks = {**({OPT_IN: opt_in} if opt_in is not None else {}), **(annotations or {})}
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": space, "annotations": marks},
            "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": port, "protocol": "TCP"}], **spec}}


# ---- what is there before

FIRST_POOLS = [
    eip("lan", {DEFAULT: "true"}, address="198.19.0.0/24", exclude=["198.19.0.9"], reservations={"198.19.0.8": "bad/absent"}),
    eip("taken", address="198.18.0.0/24, 2001:db8:f::/120"),
    eip("six", address="2001:db8:6::/120"),
    eip("off", address="198.18.1.0/24", disable=True),
    eip("small", address="198.18.2.1"),
    eip("bound", address="198.18.3.0/24", namespaces=["elsewhere"], enforceNamespaces=True),
    eip("quota", address="198.18.4.0/24", namespaceQuotas={"bad": 0}),
    eip("leaving", address="198.18.5.0/24"),
    eip("shrink-address", address="198.18.6.0/24"), eip("shrink-exclude", address="198.18.7.0/24"),
    eip("shrink-avoid", address="198.18.8.0/24"), eip("shrink-to-nothing", address="198.18.9.0/24"),
]
FIRST_SERVICES = [
    service("holder", {WANTED: "198.19.0.7"}),
    service("sharer", {WANTED: "198.19.0.6", KEY: "together"}),
    service("lone", {POOL: "small"}),
    service("stays", {POOL: "leaving"}),
    service("in-address", {WANTED: "198.18.6.200"}), service("in-exclude", {WANTED: "198.18.7.200"}),
    service("in-avoid", {WANTED: "198.18.8.255"}), service("in-nothing", {WANTED: "198.18.9.200"}),
]
FIRST_ROUTING = [conf(**{"as": 65001}), peer("same-1", conf={"peerAs": 1, "neighborAddress": "203.0.113.251"})]
DELETED = [("Eip", "leaving")]   # and stays, since it is in use


# ---- every field of a wrong type

WRONG_TYPE = {"string": 42, "integer": "seven", "boolean": "yes", "array": "one", "object": "one"}


def wrong_types(kind, schema):
    """One row for each field of a spec, by the schema of the CRD."""
    base = {"Eip": {"address": "192.0.2.1"}}.get(kind, {})
    fields = {}

    def visit(inner, path):
        fields[path] = inner["type"]
        for name, below in inner.get("properties", {}).items():
            visit(below, (*path, name))
        if "items" in inner:
            visit(inner["items"], (*path, 0))
        if "additionalProperties" in inner:
            visit(inner["additionalProperties"], (*path, "a"))

    visit(schema, ())
    for path, kind_of_value in fields.items():
        value = WRONG_TYPE[kind_of_value]
        for step in reversed(path):
            value = [value] if step == 0 else {step: value}
        if path:
            value = {**base, **value}
        name = "type-" + "-".join(str(step).lower() for step in path) if path else "type-spec"
        at = "spec" + "".join(f"[{step}]" if step == 0 else f".{step}" for step in path)
        manifest = {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name[:63]}, "spec": value}
        yield Row("schema", manifest, (at, f"must be of type {kind_of_value}"))


# ---- values of an Eip

NO_ADDRESS = [
    "", " ", "pool", "192.0.2", "192.0.2.1.5", "192.0.2.256", "192.0.2.01", "192.0.2.-1", "192.0.2.*", "0x7f.0.0.1", "3221225985",
    "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/24/24", "/24", "192.0.2.0/255.255.255.0", "2001:db8::/129", "g::1",
    "[2001:db8::1]", "fe80::1%eth0", "http://192.0.2.1", "192.0.2.1:80", "192.0.2.1 - 192.0.2.9", "192.0.2.1-9", "192.0.2.1-",
    "-192.0.2.9", "192.0.2.1-192.0.2.2-192.0.2.3", "192.0.2.1-2001:db8::1", "192.0.2.0/24-192.0.2.9", " 192.0.2.1", "192.0.2.1\n",
    "192.0.2.1\t", "192.0.2.1\0",
    "１９２.0.2.1", "192。0。2。1", "٤.0.2.1", "192.0.2.1\u200b", "\u202e192.0.2.1", "192.0.2.1\u00a0", "192.0.2.1\u2013192.0.2.9",
    "192.0.2.0\u20444", "2001:db8::\u0661", "\U0001f9ad", "adre\u0301sse",
]
NO_LIST = [
    "192.0.2.1,", ",192.0.2.1", "192.0.2.1,,192.0.2.2", "192.0.2.1;192.0.2.2", "192.0.2.1 192.0.2.2", "192.0.2.1, ", "192.0.2.1,pool",
]
# What only a parser can tell, with the rule.
UNPARSED = [
    ("2001:db8::1::2", "not an IP address"), ("12345::", "not an IP address"), (":::", "not an IP address"),
    ("1:2:3", "not an IP address"), ("1:2:3:4:5:6:7:8:9", "not an IP address"), ("2001:db8::1.2.3.400", "not an IP address"),
    ("::ffff:192.0.2.1", "not an IP address"), ("::ffff:0:0/96", "not an IP address"), ("::/0", "IPv4-mapped"),
    ("::1-2001:db8::1", "IPv4-mapped"), ("2001:db8::1::/64", "the part before / is not an IP address"),
    ("192.0.2.9-192.0.2.1", "not below the first"), ("2001:db8::9-2001:db8::1", "not below the first"),
    ("2001:db8::1-1::2::3", "both ends of a range are IP addresses"),
]


def eips():
    number = 0

    def row(by, words, annotations=None, name=None, unseen=False, **spec):
        nonlocal number
        number += 1
        return Row(by, eip(name or f"bad-{number}", annotations, **spec), words, unseen=unseen)

    for address in NO_ADDRESS + NO_LIST:
        yield row("schema", ("spec.address", FORMAT), address=address)
    yield row("schema", ("spec.address", "at most 256 ranges"), address=",".join(f"10.0.{n // 256}.{n % 256}" for n in range(257)))
    yield row("schema", ("spec.address", "Too long", "24576"), address="1" * 24577)
    yield row("schema", ("spec.address", "Too long", "24576"), address="\U0001f9ad" * 100000)
    for address, rule in UNPARSED:
        yield row("webhook", ("spec.address", rule), address=address)
        yield row("webhook", ("spec.address", rule), address=f"192.0.2.200, {address}")
    for address in ("192.0.2.0/24,192.0.2.7", "192.0.2.1,192.0.2.1", "2001:db8::/64, 192.0.2.1, 2001:db8::1-2001:db8::2"):
        yield row("webhook", ("spec.address", "it overlaps"), address=address)
    for address, other in (("198.18.0.7", "taken"), ("198.17.255.0-198.18.0.0", "taken"), ("192.0.2.1, 198.18.0.255", "taken"),
                           ("198.18.0.0/16", "bound"), ("0.0.0.0/0", "bound"), ("198.18.1.255-198.18.2.255", "off"),
                           ("2001:db8:f::/64", "taken"), ("2001:db8:f::ff-2001:db8:f::1:0", "taken")):
        yield row("webhook", ("eip address overlap with ", other), address=address)
    for value in ("true", "True", "TRUE"):
        yield row("webhook", (DEFAULT, "already exists a default EIP"), {DEFAULT: value}, unseen=True, address="192.0.2.1")

    for entry in ("", "192.0.2.256", "192.0.2.1,192.0.2.2", "192.0.2.1 ", "192.0.2.0/33", "web", "１.0.2.1", "192.0.2.1\u2013192.0.2.9"):
        yield row("schema", ("spec.exclude[1]", FORMAT), address="192.0.2.0/24", exclude=["192.0.2.7", entry])
    yield row("schema", ("spec.exclude", "at most 256 items"), address="192.0.2.0/24", exclude=["192.0.2.7"] * 257)
    yield row("schema", ("spec.exclude[0]", "Too long"), address="192.0.2.0/24", exclude=["1" * 129])
    for entry, rule in UNPARSED[:1] + UNPARSED[8:9] + UNPARSED[10:]:
        yield row("webhook", ("spec.exclude[0]", rule), address="192.0.2.0/24", exclude=[entry])

    for value in ("ospf", "BGP", "", "bgp ", "ｂｇｐ", "b" * 100000):
        yield row("schema", ("spec.protocol", '"bgp", "layer2", "vip"'), address="192.0.2.1", protocol=value)
    for spec in ({"protocol": "layer2"}, {"protocol": "vip", "interface": ""}):
        yield row("schema", ("spec", "if protocol is layer2 or vip, interface should not be empty"), address="192.0.2.1", **spec)
    yield row("schema", ("spec.interface", "Too long", "64"), address="192.0.2.1", interface="e" * 65)
    for value in (1.5, 10 ** 30, True):
        yield row("schema", ("spec.priority", "must be of type integer"), address="192.0.2.1", priority=value)
    for value in ("Lowest", "random", "", "leastrecentlyused"):
        yield row("schema", ("spec.allocationOrder", '"lowest", "leastRecentlyUsed"'), address="192.0.2.1", allocationOrder=value)
    yield row("schema", ("spec.quarantineSeconds", "greater than or equal to 0"), address="192.0.2.1", quarantineSeconds=-1)
    yield row("schema", ("spec.quarantineSeconds", "less than or equal to 604800"), address="192.0.2.1", quarantineSeconds=604801)
    yield row("schema", ("spec.quarantineSeconds", "less than or equal to 604800"), address="192.0.2.1", quarantineSeconds=2 ** 63 - 1)
    yield row("schema", ("spec.quarantineSeconds", "must be of type integer"), address="192.0.2.1", quarantineSeconds=0.5)

    for key in ("Shop", "", "a b", "**", "-a", "a.b", "магазин", "shop\n", "n" * 64):
        yield row("schema", ("spec.namespaceQuotas", "a key is the name of a namespace, or *"), address="192.0.2.1",
                  namespaceQuotas={key: 1})
    yield row("schema", ("spec.namespaceQuotas.shop", "greater than or equal to 0"), address="192.0.2.1", namespaceQuotas={"shop": -1})
    yield row("schema", ("spec.namespaceQuotas.*", "greater than or equal to 0"), address="192.0.2.1", namespaceQuotas={"*": -2 ** 63})
    yield row("schema", ("spec.namespaceQuotas.shop", "must be of type integer"), address="192.0.2.1", namespaceQuotas={"shop": 1.5})
    yield row("schema", ("spec.namespaceQuotas", "at most 1024 items"), address="192.0.2.1",
              namespaceQuotas={f"n{n}": 1 for n in range(1025)})

    for key in ("web", "", "192.0.2.0/24", "192.0.2.1-192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.01", "192.0.2.1 ", "１９２.0.2.1"):
        yield row("schema", ("spec.reservations", "a key is one IP address"), address="192.0.2.0/24", reservations={key: "shop/web"})
    for value in ("", "web", "/web", "shop/", "shop/web/x", "Shop/web", "shop/web ", "shop web", "-shop/web", "магазин/web",
                  "n" * 64 + "/web"):
        yield row("schema", ("spec.reservations", "write the Service as namespace/name"), address="192.0.2.0/24",
                  reservations={"192.0.2.7": value})
    yield row("schema", ("spec.reservations.192.0.2.7", "Too long"), address="192.0.2.0/24", reservations={"192.0.2.7": "n" * 128})
    yield row("schema", ("spec.reservations", "at most 1024 items"), address="10.0.0.0/16",
              reservations={f"10.0.{n // 256}.{n % 256}": "shop/web" for n in range(1025)})
    at = 'spec.reservations["192.0.2.7"]'
    yield row("webhook", (at, "not in spec.address"), address="192.0.3.0/24", reservations={"192.0.2.7": "shop/web"})
    yield row("webhook", (at, "spec.exclude"), address="192.0.2.0/24", exclude=["192.0.2.0/29"], reservations={"192.0.2.7": "shop/web"})
    yield row("webhook", ('spec.reservations["192.0.2.255"]', "spec.avoidBuggyIPs"), address="192.0.2.0/24", avoidBuggyIPs=True,
              reservations={"192.0.2.255": "shop/web"})
    yield row("webhook", ('spec.reservations["1::2::3"]', "the key is one IP address"), address="192.0.2.0/24",
              reservations={"1::2::3": "shop/web"})
    yield row("webhook", ("spec.reservations", "twice"), address="2001:db8:7::/120",
              reservations={"2001:db8:7::1": "shop/web", "2001:DB8:7::1": "shop/api"})

    def selecting(**expression):
        return {"address": "192.0.2.1", "serviceSelector": {"matchExpressions": [expression]}}
    for operator in ("Like", "", "in", "=="):
        yield row("schema", ("spec.serviceSelector.matchExpressions[0].operator", '"DoesNotExist"'),
                  **selecting(key="a", operator=operator))
    for expression in ({"operator": "In"}, {"operator": "NotIn", "values": []}, {"operator": "Exists", "values": ["b"]}):
        yield row("schema", ("spec.serviceSelector.matchExpressions[0]", "values are needed for In and NotIn"),
                  **selecting(key="a", **expression))
    yield row("schema", ("spec.serviceSelector.matchExpressions[0].key", "Required"), **selecting(operator="Exists"))
    yield row("schema", ("spec.serviceSelector.matchExpressions", "at most 64 items"), address="192.0.2.1",
              serviceSelector={"matchExpressions": [{"key": "a", "operator": "Exists"}] * 65})

    yield row("schema", ("metadata.name", "Too long", "63"), name="n" * 64, address="192.0.2.1")
    yield row("schema", ("metadata.name", "lower case"), name="Pool", address="192.0.2.1")
    yield row("schema", ("metadata.name", "lower case"), name="пул", address="192.0.2.1")
    yield row("schema", ("spec.address", "Required"), protocol="bgp")
    yield row("schema", ("spec.colour", "unknown field"), address="192.0.2.1", colour="blue")
    yield Row("schema", {"apiVersion": GROUP, "kind": "Eip", "metadata": {"name": "no-spec"}}, ("spec", "Required"))

    left_out = "the address field is not allowed to be modified so that addresses in use are left out"
    for name, spec, address in (("shrink-address", {"address": "198.18.6.0/25"}, "198.18.6.200"),
                                ("shrink-exclude", {"exclude": ["198.18.7.128/25"]}, "198.18.7.200"),
                                ("shrink-avoid", {"avoidBuggyIPs": True}, "198.18.8.255"),
                                ("shrink-to-nothing", {"address": "192.0.2.250"}, "198.18.9.200")):
        yield Row("webhook", {"kind": "Eip", "metadata": {"name": name}, "spec": spec}, (left_out, address, "bad/in-"), patch=True,
                  told=(address, "bad/in-", "not in the pool any more", "spec.drain"))


# ---- Services

def services():
    number = 0

    def row(words, annotations=None, by="condition", **more):
        nonlocal number
        number += 1
        return Row(by, service(f"bad-{number}", annotations, **more), words)

    for text in ("192.0.2", "300.1.2.3", "web", "198.19.0.5/32", "198.19.0.5-198.19.0.6", "198.19.0.05", "198.19.0.5;198.19.0.6",
                 "198.19.0.5 198.19.0.6", "::ffff:198.19.0.5", "1::2::3", "１９８.19.0.5", "\u202e198.19.0.5", "198.19.0.5\u200b",
                 "198.19.0.5\n", "\U0001f9ad", "9" * 10000):
        yield row((WANTED, "not an IP address"), {WANTED: text})
    for text in ("lan", "198.19.0.256"):
        yield row(("spec.loadBalancerIP", "not an IP address"), loadBalancerIP=text)
    yield row((WANTED, "is IPv6", "spec.ipFamilies"), {WANTED: "2001:db8:6::5"})
    yield row((WANTED, "is IPv4", "spec.ipFamilies"), {WANTED: "198.19.0.5"}, ipFamilies=["IPv6"])
    yield row((WANTED, "two IPv4 addresses"), {WANTED: "198.19.0.4,198.19.0.5"})
    yield row((WANTED, "beyond the range of eip[lan"), {WANTED: "198.18.0.5", POOL: "lan"})
    yield row((WANTED, "no available eip was found containing the ip:[192.0.2.77]"), {WANTED: "192.0.2.77"})
    yield row(("spec.loadBalancerIP", "no available eip was found containing the ip:[192.0.2.78]"), loadBalancerIP="192.0.2.78")
    yield row((WANTED, "198.19.0.9", "not given out", "spec.exclude"), {WANTED: "198.19.0.9"})
    yield row((WANTED, "198.19.0.8", "reserved for bad/absent", "spec.reservations"), {WANTED: "198.19.0.8"})
    yield row((WANTED, "198.19.0.7", "bad/holder"), {WANTED: "198.19.0.7"})
    yield row(("eip:off is disabled", "spec.disable"), {WANTED: "198.18.1.5"})

    yield row((POOL, "eip:absent does not exist"), {POOL: "absent"})
    yield row((POOL, "eip:gone does not exist"), {POOL: "absent, gone"})
    yield row((POOL, "eip:пул does not exist"), {POOL: "пул"})
    yield row((POOL, "does not exist"), {POOL: "p" * 10000})
    yield row((POOL, "does not exist"), {POOL: "lan;six"})
    yield row(("eip:off is disabled", "spec.disable"), {POOL: "off"})
    yield row(("eip:leaving is deleting",), {POOL: "leaving"})
    yield row(("small: full (1/1)",), {POOL: "small"})
    yield row(("six: family", "IPv4"), {POOL: "six"})
    yield row(("small: family", "IPv6"), {POOL: "small"}, ipFamilies=["IPv6"])
    yield row(("small: family", "IPv6"), {POOL: "small"}, ipFamilyPolicy="RequireDualStack")
    yield row(("quota: quota of namespace bad used up (0;", "spec.namespaceQuotas"), {POOL: "quota"})
    yield row(("bound: namespace not bound", "spec.namespaces"), {POOL: "bound"})
    yield row(("bound: namespace not bound", "spec.namespaces"), {WANTED: "198.18.3.7"})

    for value in ("Openelb", "porter", "", "true", "оpenelb"):
        yield row((OPT_IN, "openelb"), opt_in=value)

    for value in ("vip", "Direct", " VIP", "VIP,Proxy", "Ｖ"):
        yield row((MODE, "VIP or Proxy"), {MODE: value})
    for length in (254, 100000):
        yield row((KEY, "longer than 253 bytes"), {KEY: "k" * length})
    yield row((WANTED, "198.19.0.6", "80/TCP", "bad/sharer"), {WANTED: "198.19.0.6", KEY: "together"})
    yield row((WANTED, "198.19.0.6", KEY, "bad/sharer"), {WANTED: "198.19.0.6", KEY: "apart"}, port=81)
    yield row((WANTED, "198.19.0.6", SPACES, "bad/sharer"), {WANTED: "198.19.0.6", KEY: "together"}, port=82, space="elsewhere")
    yield row((WANTED, "198.19.0.6", "externalTrafficPolicy", "bad/sharer"), {WANTED: "198.19.0.6", KEY: "together"}, port=83,
              externalTrafficPolicy="Local")

    # The API server's own.
    yield row(("spec.loadBalancerClass", "must consist of alphanumeric characters"), by="schema", loadBalancerClass="Berth Class")
    yield row(("spec.ipFamilies", '"IPv4", "IPv6"'), by="schema", ipFamilies=["IPv5"])
    yield row(("spec.externalTrafficPolicy", '"Cluster", "Local"'), by="schema", externalTrafficPolicy="local")
    yield row(("spec.ports", "Required"), by="schema", ports=[])
    yield row(("metadata.annotations", "Too long"), {WANTED: "9" * 300000}, by="schema")
    yield row(("metadata.annotations", "a qualified name must"), {f"{WANTED}/x": "198.19.0.5"}, by="schema")


# ---- BGP

def routing():
    def bad_conf(by, words, **spec):
        return Row(by, conf(**spec), words, patch=True)
    number = 0

    def bad_peer(by, words, peer_as=65002, address=None, **spec):
        nonlocal number
        number += 1
        return Row(by, peer(f"bad-{number}", conf={"peerAs": peer_as, "neighborAddress": address or f"203.0.113.{number}"}, **spec), words)

    for name in ("as", "families", "listenPort"):
        value = [2 ** 32] if name == "families" else 2 ** 32
        yield bad_conf("schema", (f"spec.{name}", "less than or equal to"), **{name: value})
    yield bad_conf("schema", ("spec.as", "greater than or equal to 0"), **{"as": -1})
    yield bad_conf("schema", ("spec.as", "must be of type integer"), **{"as": "1.10"})
    yield bad_conf("schema", ("spec.asPerRack.r1", "less than or equal to 4294967295"), asPerRack={"r1": 2 ** 32})
    for value in ("router-one", "192.0.2", "2001:db8::1", "192.0.2.256", " ", "１９２.0.2.1", "r" * 65):
        yield bad_conf("schema", ("spec.routerId", "Too long" if len(value) > 64 else "write an IPv4 address"), routerId=value)
    for value in ("", "eth0", "192.0.2.0/24", "0.0.0.0:179", "\u202e192.0.2.1"):
        yield bad_conf("schema", ("spec.listenAddresses[1]", "write an IP address"), listenAddresses=["192.0.2.1", value])
    yield bad_conf("schema", ("spec.listenAddresses", "at most 64 items"), listenAddresses=["192.0.2.1"] * 65)
    yield bad_conf("schema", ("spec.gracefulRestart.restartTime", "greater than or equal to 0"), gracefulRestart={"restartTime": -1})
    for value in ("65536:1", "1:65536", "1", "1:2:3:4", "no export", "large:1:2", "-1:2", "1:2\u200b", "٩:1"):
        yield bad_conf("schema", ("spec.advertisements[0].communities[0]", "write A:B with numbers up to 65535, A:B:C, or a name"),
                       advertisements=[{"communities": [value]}])
        yield bad_conf("schema", ("spec.communityNames[x]", "write A:B with numbers up to 65535, A:B:C"), communityNames={"x": value})
    for field, value, words in (("med", -1, "greater than or equal to 0"), ("med", 2 ** 32, "less than or equal to 4294967295"),
                                ("localPref", 2 ** 32, "less than or equal to 4294967295"),
                                ("asPathPrepend", 11, "less than or equal to 10"), ("peers", "tor", "array"),
                                ("pools", [""], "at least 1 chars long"), ("communities", ["x"] * 33, "at most 32"),
                                ("aggregates", ["192.0.2.0/24"] * 33, "at most 32"), ("serviceSelector", ["app"], "object")):
        yield bad_conf("schema", ("spec.advertisements[0]." + field, words), advertisements=[{field: value}])
    yield bad_conf("condition", ('spec.advertisements[0].communities: community "nobody"', "a name of spec.communityNames"),
                   **{"as": 65001, "advertisements": [{"communities": ["nobody"]}]})
    yield bad_conf("condition", ('spec.advertisements[0].peers: there is no BgpPeer "nobody"',),
                   **{"as": 65001, "advertisements": [{"peers": ["nobody"]}]})
    yield bad_conf("condition", ("spec.advertisements[0].communities: community \"4294967296:1:2\"",),
                   **{"as": 65001, "advertisements": [{"communities": ["4294967296:1:2"]}]})
    for value in ("192.0.2.0", "0.0.0.0/0", "192.0.2.0/33", "2001:db8::/15", "192.0.2.0-192.0.2.9", "192.0.2.0/٢٤"):
        yield bad_conf("schema", ("spec.advertisements[0].aggregates[0]", "at least 8 (IPv4) or 16 (IPv6)"),
                       advertisements=[{"aggregates": [value]}])
    yield bad_conf("condition", ('spec.advertisements[0].aggregates: "300.0.2.0/24"', "write address/length"),
                   **{"as": 65001, "advertisements": [{"aggregates": ["300.0.2.0/24"]}]})
    yield bad_conf("condition", ('spec.policy: there is no ConfigMap "nobody"',), **{"as": 65001, "policy": "nobody"})
    yield bad_conf("condition", ("spec.families", "only 0 (IPv4) and 1 (IPv6)"), **{"as": 65001, "families": [7]})
    yield bad_conf("condition", ("spec.as is 0", "1 to 4294967295"), **{"as": 0})
    yield bad_conf("condition", ("spec.listenPort -5", "1 to 65535"), **{"as": 65001, "listenPort": -5})

    no_addresses = ("router.example.com", "192.0.2", "192.0.2.1:179", "fe80::1%eth0", "１９２.0.2.1", "192.0.2.1\u200b")
    for value in (*no_addresses, "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/024", "2001:db8::/129", "192.0.2.0-192.0.2.9"):
        yield bad_peer("schema", ("spec.conf.neighborAddress", "write an IP address, or a range like 192.0.2.0/24"), address=value)
    for value in (*no_addresses, "192.0.2.0/24"):
        yield bad_peer("schema", ("spec.transport.remoteAddress", "write an IP address"), transport={"remoteAddress": value})
        yield bad_peer("schema", ("spec.transport.localAddress", "write an IP address"), transport={"localAddress": value})
    for value in ("tor", "example.com/tor", "evilkubesphere.io/tor", "berth.kubesphere.io/", "berth.kubesphere.io/a b"):
        yield Row("schema", peer("bad-annotation", conf={"peerAs": 1, "neighborAddressAnnotation": value}),
                  ("spec.conf.neighborAddressAnnotation", "whose domain is kubesphere.io"))
    for value in ("eth0/1", "an interface", "a-name-of-16-chars"):
        yield bad_peer("schema", ("spec.transport.bindInterface", "Too long" if len(value) > 15 else "should match"),
                       transport={"bindInterface": value})
    for value, words in ((0, "greater than or equal to 1"), (256, "less than or equal to 255")):
        yield bad_peer("schema", ("spec.ttlSecurity.minimumTtl", words), ttlSecurity={"enabled": True, "minimumTtl": value})
    yield Row("schema", peer("bad-secret", conf={"peerAs": 1, "neighborAddress": "203.0.113.249", "passwordSecret": {"name": ""}}),
              ("spec.conf.passwordSecret.name", "at least 1 chars long"))
    yield Row("schema", peer("bad-maximum", conf={"peerAs": 1, "neighborAddress": "203.0.113.249", "maximumPrefixes": -1}),
              ("spec.conf.maximumPrefixes", "greater than or equal to 0"))
    yield bad_peer("schema", ("spec.conf.peerAs", "less than or equal to 4294967295"), peer_as=2 ** 32)
    yield bad_peer("schema", ("spec.conf.peerAs", "greater than or equal to 0"), peer_as=-1)
    for field, least in (("holdTime", 3), ("keepaliveInterval", 1), ("connectRetry", 1), ("minimumAdvertisementInterval", 0)):
        for value in ("90s", "-1", "1.5", "65536", " 9", "٩", "1e3", *(["1", "2"] if field == "holdTime" else [])):
            yield bad_peer("schema", (f"spec.timers.config.{field}", f"write whole seconds from {least} to 65535"),
                           timers={"config": {field: value}})
    yield bad_peer("schema", ("spec.timers.config.holdTime", "Too long"), timers={"config": {"holdTime": "9" * 17}})
    yield bad_peer("schema", ("spec.transport.remotePort", "less than or equal to 65535"), transport={"remotePort": 65536})
    yield bad_peer("schema", ("spec.ebgpMultihop.multihopTtl", "less than or equal to 255"), ebgpMultihop={"multihopTtl": 256})
    for field, value, words in (("minTxIntervalMs", 9, "greater than or equal to 10"),
                                ("minRxIntervalMs", 60001, "less than or equal to 60000"),
                                ("detectMultiplier", 1, "greater than or equal to 2"),
                                ("detectMultiplier", 256, "less than or equal to 255"),
                                ("minimumTtl", 0, "greater than or equal to 1"), ("minTxIntervalMs", "50ms", "integer"),
                                ("strict", "yes", "boolean")):
        yield bad_peer("schema", (f"spec.bfd.{field}", words), bfd={field: value})
    for field, value, words in (("afi", "IPv4", '"AFI_IP6"'), ("safi", "unicast", "write SAFI_UNICAST"), ("safi", "SAFI_", "write")):
        yield bad_peer("schema", (f"spec.afiSafis[0].config.family.{field}", words), afiSafis=[{"config": {"family": {field: value}}}])
    yield bad_peer("schema", ("spec.afiSafis[0].addPaths.config.sendMax", "greater than or equal to 0"),
                   afiSafis=[{"addPaths": {"config": {"sendMax": -1}}}])
    yield bad_peer("schema", ("spec.nodeSelector.matchExpressions[0].operator", '"DoesNotExist"'),
                   nodeSelector={"matchExpressions": [{"key": "a", "operator": "Like"}]})
    yield bad_peer("schema", ("spec.nodeSelector.matchExpressions[0]", "values are needed for In and NotIn"),
                   nodeSelector={"matchExpressions": [{"key": "a", "operator": "In"}]})
    for value in ("none", "all", "X"):
        yield Row("schema", peer("bad-private", conf={"peerAs": 1, "neighborAddress": "203.0.113.250", "removePrivateAs": value}),
                  ("spec.conf.removePrivateAs", '"NONE", "ALL", "REPLACE"'))

    yield Row("condition", peer("no-spec"), ("spec.conf is missing", "spec.conf.neighborAddress and spec.conf.peerAs"))
    yield Row("condition", peer("no-address", conf={"peerAs": 1}), ("Spec.Conf.NeighborAddress", "no IP address"))
    yield bad_peer("condition", ("Spec.Conf.NeighborAddress", "no IP address"), address="1::2::3")
    yield Row("condition", peer("bad-node", conf={"peerAs": 1, "neighborAddressAnnotation": "berth.kubesphere.io/none"}),
              ("spec.conf.neighborAddressAnnotation", 'has no annotation "berth.kubesphere.io/none"'))
    for name, interface in (("slash", "a/b"), ("long", "x" * 16), ("dots", ".."), ("unicode", "\u00e4")):
        yield Row("condition", peer(f"bad-interface-{name}", conf={"peerAs": 1, "neighborInterface": interface}),
                  ("spec.conf.neighborInterface", "is no name of an interface"))
    yield Row("condition", peer("no-interface", conf={"peerAs": 1, "neighborInterface": "nowhere"}),
              ("spec.conf.neighborInterface: nowhere: there is no such interface on this node",))
    yield Row("condition", peer("link-password", conf={"peerAs": 1, "neighborInterface": "nowhere2", "authPassword": "x"}),
              ("spec.conf.neighborInterface nowhere2 is no one address", "TCP MD5"))
    yield Row("condition", peer("link-multihop", conf={"peerAs": 1, "neighborInterface": "nowhere3"}, ebgpMultihop={"enabled": True}),
              ("spec.conf.neighborInterface nowhere3", "take spec.ebgpMultihop"))
    yield Row("condition", peer("link-local", conf={"peerAs": 1, "neighborAddress": "fe80::1"}),
              ("is link-local", "spec.conf.neighborInterface instead"))
    yield Row("condition", peer("no-group", conf={"peerAs": 1, "neighborAddress": "203.0.113.246", "peerGroup": "nobody"}),
              ('spec.conf.peerGroup: there is no BgpPeer "nobody"',))
    yield Row("condition", peer("no-secret", conf={"peerAs": 1, "neighborAddress": "203.0.113.248", "passwordSecret": {"name": "nobody"}}),
              ('spec.conf.passwordSecret: there is no Secret "nobody"', "kubernetes.io/basic-auth"))
    yield Row("condition", peer("two-passwords", conf={"peerAs": 1, "neighborAddress": "203.0.113.247", "authPassword": "x",
                                                       "passwordSecret": {"name": "nobody"}}), ("exclude each other",))
    yield Row("condition", peer("range-password", conf={"peerAs": 1, "neighborAddress": "198.18.9.0/24", "authPassword": "x"}),
              ("spec.conf.neighborAddress 198.18.9.0/24 is no one address, so it can't have a password", "RFC 2385"))
    yield bad_peer("condition", ("spec.transport.localAddress", "family"), transport={"localAddress": "2001:db8::1"})
    yield bad_peer("condition", ("spec.ttlSecurity and spec.ebgpMultihop exclude each other",), ttlSecurity={"enabled": True},
                   ebgpMultihop={"enabled": True, "multihopTtl": 3})
    yield bad_peer("condition", ("spec.conf.peerAs is 0", "1 to 4294967295"), peer_as=0)
    yield bad_peer("condition", ("spec.transport.remoteAddress", "no IP address"), transport={"remoteAddress": "1::2::3"})
    for field, least in (("holdTime", 3), ("keepaliveInterval", 1), ("connectRetry", 1)):
        yield bad_peer("condition", (f"spec.timers.config.{field}", f"from {least} to 65535"), timers={"config": {field: "0"}})
    for field, value, words in (("safi", "SAFI_EVPN", "only SAFI_UNICAST"), ("afi", "AFI_L2VPN", "AFI_IP or AFI_IP6")):
        yield bad_peer("condition", (f"spec.afiSafis config.family.{field}", words),
                       afiSafis=[{"config": {"family": {field: value}, "enabled": True}}])
    yield Row("condition", peer("same-2", conf={"peerAs": 1, "neighborAddress": "203.0.113.251"}),
              ("spec.conf.neighborAddress 203.0.113.251", "another BgpPeer's too"))
