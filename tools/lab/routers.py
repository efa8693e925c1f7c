"""The router's BGP daemon: BIRD or FRR, AS 65000. It waits for neighbours in the nodes' net, of any other AS.

Learned host routes go into the namespace's kernel table with all next hops. It takes ADD-PATH, helps with graceful restart, speaks BFD
(50 ms, three times) with neighbours that do, and announces nothing.
"""

import shutil

from system import inside, run

BIRD = """# Written by tools/cluster; `birdc -s {run}/bird.ctl configure` reads it again.
log "{run}/bird.log" all;
router id 172.30.0.1;
protocol device {{ scan time 2; }}

protocol kernel kernel4 {{
  scan time 5;
  merge paths on limit 64;
  ipv4 {{ import none; export where source = RTS_BGP; }};
}}
protocol kernel kernel6 {{
  scan time 5;
  merge paths on limit 64;
  ipv6 {{ import none; export where source = RTS_BGP; }};
}}

protocol bfd {{
  interface "*" {{ min rx interval 50 ms; min tx interval 50 ms; idle tx interval 1 s; multiplier 3; }};
}}

template bgp node {{
  local as 65000;
  bfd on;
  graceful restart aware;
  error wait time 1, 5;
  error forget time 10;
  ipv4 {{
    add paths rx;
    extended next hop on;
    import where net.len = 32;
    export none;
  }};
  ipv6 {{
    add paths rx;
    import where net.len = 128;
    export none;
  }};
}}
protocol bgp nodes4 from node {{ local 172.30.0.1 as 65000; neighbor range 172.30.0.0/24 external; dynamic name "node4_"; }}
{ipv6}"""

BIRD6 = """protocol bgp nodes6 from node { local fd00:30::1 as 65000; neighbor range fd00:30::/64 external; dynamic name "node6_"; }
"""

FRR = """! Written by tools/cluster.
hostname router
log file {run}/bgpd.log informational
ip prefix-list hosts seq 5 permit 0.0.0.0/0 ge 32
ipv6 prefix-list hosts seq 5 permit ::/0 ge 128
ip prefix-list none seq 5 deny any
ipv6 prefix-list none seq 5 deny any
router bgp 65000
 bgp router-id 172.30.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp bestpath as-path multipath-relax
 neighbor nodes peer-group
 neighbor nodes remote-as external
 neighbor nodes passive
 neighbor nodes bfd 3 50 50
 neighbor nodes capability extended-nexthop
 bgp listen limit 200
 bgp listen range 172.30.0.0/24 peer-group nodes
{ipv6} address-family ipv4 unicast
  neighbor nodes activate
  neighbor nodes prefix-list hosts in
  neighbor nodes prefix-list none out
  maximum-paths 64
 exit-address-family
 address-family ipv6 unicast
  neighbor nodes activate
  neighbor nodes prefix-list hosts in
  neighbor nodes prefix-list none out
  maximum-paths 64
 exit-address-family
"""

ZEBRA = """hostname router
log file {run}/zebra.log informational
"""

BFDD = """hostname router
log file {run}/bfdd.log informational
"""


def processes(kind):
    """The daemons of a router, in the order to start them."""
    return {"bird": ["bird"], "frr": ["zebra", "bfdd", "bgpd"]}[kind]


def socket_of(daemon, folder):
    """The socket that is there once the daemon works."""
    return folder / {"bird": "bird.ctl", "zebra": "zserv.api", "bfdd": "bfdd.vty", "bgpd": "bgpd.vty"}[daemon]


def configure(kind, folder, ipv6):
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "bird":
        (folder / "bird.conf").write_text(BIRD.format(run=folder, ipv6=BIRD6 if ipv6 else ""))
        return
    (folder / "zebra.conf").write_text(ZEBRA.format(run=folder))
    (folder / "bfdd.conf").write_text(BFDD.format(run=folder))
    (folder / "bgpd.conf").write_text(FRR.format(run=folder, ipv6=" bgp listen range fd00:30::/64 peer-group nodes\n" if ipv6 else ""))
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "frr", "frr")   # the daemons give up root


def command(daemon, namespace, folder):
    if daemon == "bird":
        run(["bird", "-p", "-c", folder / "bird.conf"])   # says what is wrong with the file
        return inside(namespace, ["bird", "-f", "-c", folder / "bird.conf", "-s", folder / "bird.ctl"])
    common = ["-f", folder / f"{daemon}.conf", "-i", folder / f"{daemon}.frr-pid", "-z", folder / "zserv.api",
              "--vty_socket", folder, "-P", "0", "-u", "frr", "-g", "frr"]
    own = ["--bfdctl", folder / "bfdd.sock"] if daemon == "bfdd" else []
    return inside(namespace, [f"/usr/lib/frr/{daemon}", *common, *own])


def look(kind, folder):
    """How a person looks at the router."""
    if kind == "bird":
        return f"birdc -s {folder}/bird.ctl show protocols (or: show route all)"
    return f"vtysh --vty_socket {folder} -c 'show bgp summary'"
