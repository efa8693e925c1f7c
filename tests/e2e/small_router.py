"""Routers made for one setting each: a BIRD or FRR's bgpd with an address of its own on the nodes' net, started within a tenth of a second.

They run on the lab's host `control`, beside the API server, so that nothing of them outlives the lab. They have no kernel routes: what is
looked at is their BGP. They do not help with graceful restart, so that a session that ends takes its routes with it, and routes that are
there were sent in the session that is there.

`Trap` is a router that does not speak BGP as it should.
"""

import collections
import contextlib
import json
import os
import re
import shutil
import socket
import struct
import threading

from api import in_namespace
from system import LabError, wait_until

HOST = "control"
Session = collections.namedtuple("Session", "number peer_as router_id hold keepalive")   # `number` tells it from those before and after
Path = collections.namedtuple("Path", "node next_hop as_path local_pref")
AttributedPath = collections.namedtuple("AttributedPath", "node next_hop as_path communities med local_pref")


def address_of(number, family=4):
    return f"172.30.0.{number}" if family == 4 else f"fd00:30::{number}"


class SmallRouter:
    """`settings`: as_number, port (it listens there), dial (the node's port; it waits to be called if absent), password, multihop (TTL),
    loopback (an address that is on no net), family (of the session), internal, hold and keepalive (seconds), announces (prefixes),
    from (the last number of the first node's address that its only session comes from), near (packets from afar are dropped, RFC 5082),
    extended (an IPv6 next hop of IPv4 routes is taken, RFC 8950)."""

    def __init__(self, cluster, name, number, **settings):
        self.cluster, self.name, self.kind = cluster, name, cluster.options["router"]
        self.number, self.settings = number, settings
        self.nodes = cluster.nodes[:1] if "from" in settings else cluster.nodes   # with whom it has sessions
        self.as_number = settings.get("as_number", 65100 + number)
        self.family = settings.get("family", 4)
        self.address = settings.get("loopback") or address_of(number, self.family)
        self.folder = cluster.state_dir / "small" / str(number)   # sockets: paths must be short
        self.socket = self.folder / ("bird.ctl" if self.kind == "bird" else "bgpd.vty")
        self._process = None

    # -- life

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        for family, bits in ((4, 24), (6, 64)):
            self._ip("replace", f"{address_of(self.number, family)}/{bits}", "eth0", family)
        if "loopback" in self.settings:
            self._ip("replace", f"{self.address}/32", "lo")
        if self.kind == "bird":
            (self.folder / "bird.conf").write_text(self._bird())
            argv = ["bird", "-f", "-c", self.folder / "bird.conf", "-s", self.socket]
        else:
            (self.folder / "bgpd.conf").write_text(self._frr())
            for path in (self.folder.parent, self.folder, *self.folder.iterdir()):
                shutil.chown(path, "frr", "frr")   # it gives up root
            argv = ["/usr/lib/frr/bgpd", "-f", self.folder / "bgpd.conf", "-i", self.folder / "frr-pid", "--vty_socket", self.folder,
                    "-P", "0", "-u", "frr", "-g", "frr", "--no_zebra", "-l", self.address, "-p", self.settings.get("port", 179)]
        with open(self.folder / "out.log", "ab") as log:
            self._process = self.cluster.popen(HOST, argv, stdout=log, stderr=log)
        return self

    def wait(self):
        wait_until(lambda: self.socket.exists() or self._process.poll() is not None, 10, f"router {self.name} to start", self._said())
        if self._process.poll() is not None:
            raise LabError(f"router {self.name} ended at once: {self._said()}")
        return self

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(10)
        for family, bits in ((4, 24), (6, 64)):
            self._ip("delete", f"{address_of(self.number, family)}/{bits}", "eth0", family)
        if "loopback" in self.settings:
            self._ip("delete", f"{self.address}/32", "lo")

    # -- misfortune

    def kill(self):
        """As a crash: nobody is told. `start` begins anew."""
        self._process.kill()
        self._process.wait(10)

    def reset_connections(self):
        """Its end of each TCP connection is reset, as by somebody on the way."""
        self.cluster.run(HOST, ["ss", "-K", "src", f"[{self.address}]"])

    def end_sessions(self):
        """By a NOTIFICATION, as somebody who changes its configuration does."""
        self.ask("restart all" if self.kind == "bird" else "clear bgp *")

    def _ip(self, what, address, interface, family=4):
        nodad = ["nodad"] if family == 6 and what == "replace" else []
        self.cluster.run(HOST, ["ip", "address", what, address, "dev", interface, *nodad], check=what == "replace")

    def _said(self):
        return " ".join(path.read_text(errors="replace")[-1000:] for path in self.folder.glob("*.log"))

    # -- configuration

    def _node_address(self, node):
        return address_of(self.settings["from"], self.family) if "from" in self.settings else self.cluster.address(node, self.family)

    def _bird(self):
        has = self.settings.get
        options = ["graceful restart off", "error wait time 0, 0", "connect delay time 1",
                   f"hold time {has('hold', 240)}", f"keepalive time {has('keepalive', 80)}"]
        options += [] if "dial" in self.settings else ["passive on"]
        options += [f'password "{has("password")}"'] if has("password") else []
        options += [f"multihop {has('multihop')}"] if has("multihop") else []
        options += ["ttl security on"] if has("near") else []
        extended = {4: "extended next hop on; " if has("extended") else "", 6: ""}
        channels = "\n".join(f"  ipv{family} {{ {extended[family]}add paths rx; import all; export where source = RTS_STATIC; }};"
                             for family in (4, 6))
        text = f"""log "{self.folder}/bird.log" all;
router id {address_of(self.number)};
protocol device {{ }}
"""
        for node in self.nodes:
            port = f" port {has('dial')}" if "dial" in self.settings else ""
            text += f"""protocol bgp {node} {{
  local {self.address} port {has("port", 179)} as {self.as_number};
  neighbor {self._node_address(node)}{port} {"internal" if has("internal") else "external"};
  strict bind on;
{"".join(f"  {option};{chr(10)}" for option in options)}{channels}
}}
"""
        if has("announces"):
            text += "protocol static {\n  ipv4;\n" + "".join(f"  route {prefix} blackhole;\n" for prefix in has("announces")) + "}\n"
        return text

    def _frr(self):
        has = self.settings.get
        lines = [f"hostname {self.name}", f"log file {self.folder}/bgpd.log informational",
                 "bgp as-path access-list own permit ^$", f"router bgp {self.as_number}",
                 f" bgp router-id {address_of(self.number)}", " no bgp ebgp-requires-policy", " no bgp default ipv4-unicast",
                 " no bgp network import-check", " bgp graceful-restart-disable", f" timers bgp {has('keepalive', 80)} {has('hold', 240)}"]
        nodes = sorted({self._node_address(node) for node in self.nodes})
        for node in nodes:
            lines += [f" neighbor {node} remote-as {'internal' if has('internal') else 'external'}", f" neighbor {node} timers connect 1"]
            lines += [f" neighbor {node} port {has('dial')}", f" neighbor {node} update-source {self.address}"] if "dial" in self.settings \
                else [f" neighbor {node} passive"]
            lines += [f" neighbor {node} password {has('password')}"] if has("password") else []
            lines += [f" neighbor {node} ebgp-multihop {has('multihop')}"] if has("multihop") else []
            lines += [f" neighbor {node} ttl-security hops 1"] if has("near") else []
            lines += [f" neighbor {node} capability extended-nexthop"] if has("extended") else []
        for family in ("ipv4", "ipv6"):
            lines += [f" address-family {family} unicast",
                      *(line for node in nodes for line in (f"  neighbor {node} activate", f"  neighbor {node} filter-list own out"))]
            lines += [f"  network {prefix}" for prefix in has("announces", ()) if family == "ipv4"]
            lines += [" exit-address-family"]
        return "\n".join(lines) + "\n"

    # -- what it says

    def ask(self, question):
        """The answer of its control socket, as birdc or vtysh would print it."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.socket))
            return ask_bird(control, question) if self.kind == "bird" else ask_frr(control, question)

    def session(self, node):
        """The session with a node; None if it is not established."""
        if self.kind == "bird":
            text = self.ask(f'show protocols all "{node}"')
            connection = self.connections().get(node)   # BIRD's own times are never twice the same
            if connection is None or not re.search(rf"^{node} .* Established", text, re.M):
                return None
            value = lambda pattern: re.search(pattern, text)[1]
            return Session((connection["local_port"], connection["remote_port"]), int(value(r"Neighbor AS: +(\d+)")),
                           value(r"Neighbor ID: +(\S+)"), int(value(r"Hold timer: +\S+/(\d+)")),
                           int(value(r"Keepalive timer: +\S+/(\d+)")))
        peer = self._neighbor(node)
        if peer["bgpState"] != "Established":
            return None
        number = (self._process.pid, peer["connectionsEstablished"])
        return Session(number, peer["remoteAs"], peer["remoteRouterId"], peer["bgpTimerHoldTimeMsecs"] // 1000,
                       peer["bgpTimerKeepAliveIntervalMsecs"] // 1000)

    def restart_time(self, node):
        """How long the node said that it may be away in a graceful restart, in seconds; None if it spoke of none."""
        if self.kind == "bird":
            said = self.ask(f'show protocols all "{node}"').partition("Neighbor capabilities")[2].partition("Session:")[0]
            found = re.search(r"Graceful restart\s+Restart time: (\d+)", said)
            return found and int(found[1])
        capabilities = self._neighbor(node)["neighborCapabilities"]
        if "eceived" not in capabilities.get("gracefulRestartCapability", ""):   # received, or advertisedAndReceived
            return None
        return capabilities["gracefulRestartRemoteTimerMsecs"] // 1000

    def _neighbor(self, node):
        address = self._node_address(node)
        return json.loads(self.ask(f"show bgp neighbors {address} json"))[address]

    def up(self):
        """Nodes with which a session is established: a quicker question than `sessions`."""
        if self.kind == "bird":
            return set(re.findall(r"^(\S+) +BGP .* Established", self.ask("show protocols"), re.M))
        return {node for node in self.nodes if self._neighbor(node)["bgpState"] == "Established"}

    def sessions(self):
        """{node: session}, of those that are established."""
        found = {node: self.session(node) for node in self.nodes}
        return {node: session for node, session in found.items() if session}

    def sent(self, node):
        """How many prefixes it announced to a node."""
        if self.kind == "bird":
            return sum(map(int, re.findall(r"(\d+) exported", self.ask(f'show protocols all "{node}"'))))
        return self._neighbor(node)["addressFamilyInfo"]["ipv4Unicast"].get("sentPrefixCounter", 0)

    def routes(self, family=4):
        """What it learned: {address: paths}. Addresses have no /32; AS paths are tuples of numbers."""
        return self._bird_routes(family) if self.kind == "bird" else self._frr_routes(family)

    def hops(self, family=4):
        """{address: {node of the session: next hops}}"""
        found = {}
        for address, paths in self.routes(family).items():
            for path in paths:
                found.setdefault(address, {}).setdefault(path.node, set()).add(path.next_hop)
        return found

    def _bird_routes(self, family):
        found, prefix, path = {}, None, None
        for line in self.ask(f"show route table master{family} all").splitlines():
            if head := re.match(r"(\S+)?\s+(?:unicast|unreachable|blackhole) +\[(\S+) ", line):
                prefix = head[1] or prefix
                path = {"node": head[2], "as_path": (), "next_hop": "", "local_pref": None}
                found.setdefault(prefix, []).append(path)
            elif match := re.match(r"\s+BGP\.(as_path|next_hop|local_pref):(.*)", line):
                words = match[2].split()
                path[match[1]] = tuple(map(int, words)) if match[1] == "as_path" else words[0] if match[1] == "next_hop" else int(words[0])
        return {host(prefix): {Path(**path) for path in paths if path["node"] in self.nodes} for prefix, paths in found.items()
                if paths[0]["node"] in self.nodes}

    def _frr_routes(self, family):
        node_of = {self._node_address(node): node for node in self.nodes}
        found = {}
        for prefix, paths in json.loads(self.ask(f"show bgp ipv{family} unicast json"))["routes"].items():
            learned = {Path(node_of[path["peerId"]], next(hop["ip"] for hop in path["nexthops"] if hop.get("scope") != "link-local"),
                            tuple(map(int, path["path"].split())), path.get("locPrf")) for path in paths if path["peerId"] in node_of}
            if learned:
                found[host(prefix)] = learned
        return found

    def paths(self, address):
        """What it learned of one address: a list of AttributedPath."""
        return self._bird_paths(address) if self.kind == "bird" else self._frr_paths(address)

    def _bird_paths(self, address):
        table, bits = ("master6", 128) if ":" in address else ("master4", 32)
        text = self.ask(f"show route table {table} all {address}/{bits}")
        if "Network not found" in text:
            return []
        found = []
        for part in re.split(r"(?m)^(?=\S* +(?:unicast|unreachable) )", text)[1:]:
            node = re.match(r"\S* +\w+ +\[(\S+) ", part)[1]
            values = dict(re.findall(r"BGP\.(\w+):(.*)", part))
            communities = re.findall(r"\(([\d, ]+)\)", values.get("community", "") + values.get("large_community", ""))
            found.append(AttributedPath(node, values["next_hop"].split()[0], tuple(map(int, values.get("as_path", "").split())),
                                        frozenset(tuple(map(int, one.split(","))) for one in communities),
                                        *(int(values[name]) if name in values else None for name in ("med", "local_pref"))))
        return [path for path in found if path.node in self.nodes]

    def _frr_paths(self, address):
        node_of = {self._node_address(node): node for node in self.nodes}
        family, bits = ("ipv6", 128) if ":" in address else ("ipv4", 32)
        answer = json.loads(self.ask(f"show bgp {family} unicast {address}/{bits} json"))
        found = []
        for path in answer.get("paths", []):
            named = {"noExport": (65535, 65281), "gracefulShutdown": (65535, 0)}
            words = [*path.get("community", {}).get("list", []), *path.get("largeCommunity", {}).get("list", [])]
            communities = frozenset(named[word] if word in named else tuple(map(int, word.split(":"))) for word in words)
            numbers = [number for segment in path["aspath"]["segments"] for number in segment["list"]]
            hop = next(hop["ip"] for hop in path["nexthops"] if hop.get("scope") != "link-local")
            found.append(AttributedPath(node_of[path["peer"]["peerId"]], hop, tuple(numbers), communities,
                                        path.get("metric"), path.get("locPrf")))
        return found

    # -- the wire

    def connections(self):
        """Its established TCP connections, of `ss`: {node: {name: value}} with local_port, remote_port, mss, bytes_received, ..."""
        text = self.cluster.run(HOST, ["ss", "-Htni", "state", "established", "src", f"[{self.address}]"]).stdout
        nodes = {self._node_address(node): node for node in self.nodes}
        found = {}
        for ends, details in zip(*[iter(text.splitlines())] * 2):
            local, remote = (end.rpartition(":") for end in ends.split()[-2:])
            if (node := nodes.get(remote[0].strip("[]"))) is not None:
                found[node] = dict({name: int(value) for name, value in re.findall(r"(\w+):(\d+)(?= |$)", details)},
                                   local_port=int(local[2]), remote_port=int(remote[2]))
        return found


def start_all(routers):
    """All at once."""
    for router in routers:
        router.start()
    for router in routers:
        router.wait()


def host(prefix):
    return re.sub(r"/(32|128)$", "", prefix)


def ask_bird(control, question):
    text = ""
    control.sendall(f"{question}\n".encode())
    while len(re.findall(r"^[089]\d{3} .*\n", text, re.M)) < 2:   # the greeting is such a line, and the last of the answer
        more = control.recv(1 << 16)
        if not more:
            raise LabError(f"BIRD hung up at {question!r}: {text[-500:]}")
        text += more.decode()
    return re.sub(r"^(\d{4}[- ]| )", "", text.partition("\n")[2], flags=re.M)


def ask_frr(control, question):
    """FRR ends each answer with three zeros and a status."""
    for line in ("enable", question):
        control.sendall(line.encode() + b"\0")
        answer = b""
        while answer[-4:-1] != b"\0\0\0":
            more = control.recv(1 << 16)
            if not more:
                raise LabError(f"FRR hung up at {question!r}")
            answer += more
    if answer[-1]:
        raise LabError(f"FRR: {question!r}: {answer[:-4].decode(errors='replace').strip()}")
    return answer[:-4].decode()


# ---- routers that do not behave


MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\x00\x13\x04"


def open_message(as_number, router_id, hold=90):
    capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x41\x04" + struct.pack("!I", as_number)   # IPv4 unicast, AS numbers of four bytes
    parameter = bytes([2, len(capabilities)]) + capabilities
    body = struct.pack("!BHH4sB", 4, as_number, hold, socket.inet_aton(router_id), len(parameter)) + parameter
    return MARKER + struct.pack("!HB", 19 + len(body), 1) + body


def send_garbage(connection, _):
    connection.sendall(os.urandom(4096))


def reset(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))   # so that closing sends RST


def say_nothing(_, trap):
    trap.pause(600)


def answer_slowly(connection, trap):
    """A good OPEN, a byte at a time, slower than anybody waits."""
    for byte in open_message(trap.as_number, trap.address):
        if trap.pause(0.5):
            return
        connection.sendall(bytes([byte]))


def break_what_is_up(connection, trap):
    """A session is established, and then an UPDATE comes that makes no sense, and a message of impossible length."""
    connection.sendall(open_message(trap.as_number, trap.address) + KEEPALIVE)
    with contextlib.suppress(TimeoutError):
        connection.settimeout(1)
        while connection.recv(4096):
            pass
    connection.sendall(MARKER + struct.pack("!HB", 19 + 8, 2) + b"\xff\xff\xff\xff\xff\xff\xff\xff")
    connection.sendall(MARKER + b"\xff\xff\x02")


def update(withdrawn=b"", attributes=b"", announced=b""):
    body = struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes)) + attributes + announced
    return MARKER + struct.pack("!HB", 19 + len(body), 2) + body


def prefixes(begin, end):
    """Networks of 24 bits, 10.0.0.0 and upward, as they are written in an UPDATE."""
    return b"".join(b"\x18" + struct.pack("!I", (10 << 16) + number)[1:] for number in range(begin, end))


def flood(connection, trap, batches):
    """A good session, and as many UPDATEs as go through it. `trap.sent` counts prefixes, announced and withdrawn, of all connections."""
    connection.sendall(open_message(trap.as_number, trap.address) + KEEPALIVE)
    connection.settimeout(1)
    threading.Thread(target=swallow, args=(connection, trap), daemon=True).start()
    for message, count in batches(trap):
        if trap.ended:
            return
        connection.settimeout(60)   # it may take its time
        connection.sendall(message + KEEPALIVE)
        trap.sent += count
    while not trap.pause(2):
        connection.sendall(KEEPALIVE)


def swallow(connection, trap):
    with contextlib.suppress(OSError):
        while not trap.ended and connection.recv(65536):
            pass


def route_attributes(trap):
    as_path = struct.pack("!BBI", 2, 1, trap.as_number)
    return (b"\x40\x01\x01\x00" + b"\x40\x02" + bytes([len(as_path)]) + as_path
            + b"\x40\x03\x04" + socket.inet_aton(trap.address))


def ever_the_same(trap):
    """5,000 prefixes, announced and withdrawn, over and over."""
    batches = [prefixes(begin, begin + 500) for begin in range(0, 5000, 500)]
    while True:
        yield from ((update(attributes=route_attributes(trap), announced=batch), 500) for batch in batches)
        yield from ((update(withdrawn=batch), 500) for batch in batches)


def ever_new_ones(trap):
    """A million prefixes, more than any table of the Internet has."""
    for begin in range(0, 1_000_000, 500):
        yield update(attributes=route_attributes(trap), announced=prefixes(begin, begin + 500)), 500


def change_all_the_time(connection, trap):
    flood(connection, trap, ever_the_same)


def announce_without_end(connection, trap):
    flood(connection, trap, ever_new_ones)


class Trap:
    """A TCP server at a router's address that does `deed` with each connection. `met` counts them, `left` those that are over."""

    def __init__(self, cluster, number, deed, as_number=65100):
        self.cluster, self.number, self.address, self.as_number = cluster, number, address_of(number), as_number
        self._deed, self._over, self.met = deed, threading.Event(), 0
        self.sent = self.left = 0

    @property
    def ended(self):
        return self._over.is_set()

    def pause(self, seconds):
        """True if it is over."""
        return self._over.wait(seconds)

    def start(self):
        self.cluster.run(HOST, ["ip", "address", "replace", f"{self.address}/24", "dev", "eth0"])
        with in_namespace(self.cluster.namespace(HOST)):
            self._server = socket.create_server((self.address, 179))
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        self._over.set()
        self._thread.join(5)
        self._server.close()
        self.cluster.run(HOST, ["ip", "address", "delete", f"{self.address}/24", "dev", "eth0"], check=False)

    def _serve(self):
        while not self.ended:
            with contextlib.suppress(TimeoutError):
                connection, _ = self._server.accept()
                self.met += 1
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            self._deed(connection, self)
        self.left += 1
