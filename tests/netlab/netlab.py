# SPDX-License-Identifier: Apache-2.0
"""Real links of a known rate, made of network namespaces, and real servers on them.

    agent ──veth── server                     Lab(rate_bps=…)
    agent ──veth── router ──veth── server     Lab(rate_bps=…, router=True)
    agent ──veth── link ──veth── server       EmulatedLab(down={…}, up={…}, seed=…)
    agent ──veth── router ──veth── server     TrueLab(rate_bps, rtt_ms, …): data this way,
      └────veth──── link ────veth────┘        acknowledgements that way

In a Lab both directions of the agent's link are shaped with `tc tbf`. The link's MTU is 1500 and tbf counts whole
Ethernet frames, so TCP with timestamps carries rate × 1448/1514 of payload (PAYLOAD_SHARE). In an EmulatedLab our own
link_emulator (emulator/) carries every packet: delay, loss, order, bursts and recordings, and it writes down what it
delivered. Its rates count as those of tbf. In a TrueLab the data of one direction stay in the kernel, which keeps the
rate better than any program does, and the whole delay lies on the way of the acknowledgements.

A namespace lives as long as the process that holds it, and every process started here dies with this one
(PR_SET_PDEATHSIG): there are no names to clean up, also after SIGKILL. Needs root; enter() gets it from a user
namespace where it can, and says why where it cannot.
"""
import collections
import contextlib
import ctypes
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAYLOAD_SHARE = 1448 / 1514
AGENT, SERVER = "10.77.1.1", "10.77.2.1"
AGENT6, SERVER6 = "fd77:1::1", "fd77:2::1"
HTTP_PORT, HTTPS_PORT, STAMP_PORT = 8080, 8443, 8862
BIN_NS = 10_000_000
SKIP = 77
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def enter():
    """Makes sure that this process may make namespaces: re-executes itself in a user namespace, or exits 77."""
    for tool in ("ip", "tc", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            print(f"skipped: there is no {tool}")
            sys.exit(SKIP)
    if os.geteuid() == 0 and subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return
    if "DOKIEM_NETLAB_INSIDE" not in os.environ:
        if subprocess.run(["unshare", "-Urnm", "true"], capture_output=True).returncode == 0:
            os.environ["DOKIEM_NETLAB_INSIDE"] = "1"
            os.execvp("unshare", ["unshare", "-Urnm", "--", sys.executable, *sys.argv])
    print("skipped: needs root, or user namespaces, to make network namespaces")
    sys.exit(SKIP)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command, timeout=60, check=True):
    """Runs a command to its end. With `check`, a failure is an error with what the command said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          preexec_fn=_die_with_parent)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}{done.stdout.strip()}")
    return done


def binomial_tails(n, k, p):
    """P(X <= k) and P(X >= k) of k in n where each has the chance p."""
    term = lambda i: math.exp(math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) +
                              (n - i) * math.log1p(-p))
    return sum(map(term, range(k + 1))), sum(map(term, range(k, n + 1)))


class Node:
    """One network namespace with its own /sys, held by a sleeping process."""

    def __init__(self, name):
        self.name = name
        # In a chroot, / may be no mount point: then /sys alone is taken apart from the machine's, where there is one.
        script = ("{ mount --make-rprivate / || mount --make-private /sys; } && mount -t sysfs sysfs /sys; echo; "
                  "exec sleep infinity")
        self.holder = subprocess.Popen(
            ["unshare", "-n", "-m", "--propagation", "unchanged", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        try:
            if self.holder.stdout.readline() != b"\n":
                raise RuntimeError(f"cannot make the namespace of {name}")
            self.run("ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def command(self, *command):
        """`command` as it has to be started to run in this namespace."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "-r", "-w", "--", *command]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def start(self, *command, **options):
        """Starts a command that goes on; the caller ends it."""
        options = {"stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen(self.command(*command), preexec_fn=_die_with_parent, **options)

    def listening(self, port, udp=False):
        """True when something has the port, by the kernel's own tables (connecting would disturb what is measured)."""
        kinds, state = (("udp", "udp6"), "07") if udp else (("tcp", "tcp6"), "0A")
        for kind in kinds:
            try:
                with open(f"/proc/{self.holder.pid}/net/{kind}", encoding="ascii") as table:
                    for line in table:
                        if re.search(rf":{port:04X} [0-9A-F:]+ {state} ", line):
                            return True
            except FileNotFoundError:
                pass
        return False

    def received_bytes(self, interface):
        shown = json.loads(self.run("ip", "-s", "-j", "link", "show", "dev", interface).stdout)
        return shown[0]["stats64"]["rx"]["bytes"]

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class Lab:
    """The link and its two (or three) nodes. Use as a context manager."""

    def __init__(self, rate_bps, router=False, limit_ms=50):
        self.rate_bps = rate_bps
        self.payload_bps = rate_bps * PAYLOAD_SHARE
        self._limit_ms = limit_ms
        self._close = []
        try:
            self._make(router)
        except BaseException:
            self.close()
            raise

    def _node(self, name):
        node = Node(name)
        self._close.append(node.close)
        return node

    def _make(self, router):
        self.agent, self.server = self._node("agent"), self._node("server")
        self.router = self._node("router") if router else None
        if router:
            self._join(self.agent, "lan0", AGENT, self.router, "lan0", "10.77.1.254", shaped=True)
            self._join(self.router, "wan0", "10.77.2.254", self.server, "wan0", SERVER, shaped=False)
            self.router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            self._route(self.agent, "10.77.1.254", "lan0")
            self._route(self.server, "10.77.2.254", "wan0")
        else:
            self._join(self.agent, "wan0", AGENT, self.server, "wan0", SERVER, shaped=True)
            self._route(self.agent, SERVER, "wan0")
            self._route(self.server, AGENT, "wan0")

    @staticmethod
    def _route(node, gateway, interface):
        # By the route, because a namespace may not choose a default that the machine does not allow to all.
        node.run("ip", "route", "add", "default", "via", gateway, "dev", interface, "onlink", "congctl", "cubic")

    def _join(self, a, a_name, a_address, b, b_name, b_address, shaped):
        a.run("ip", "link", "add", a_name, "mtu", "1500", "type", "veth", "peer", "name", b_name, "mtu", "1500",
              "netns", str(b.holder.pid))
        for node, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
            node.run("ip", "address", "add", address + "/24", "dev", name)
            node.run("ip", "link", "set", name, "up")
            if shaped:
                self._shape(node, name)

    def _shape(self, node, interface):
        # The burst has to hold one segmentation-offload packet (64 KiB), which tbf otherwise cuts up; the queue is
        # what a home router has.
        burst = max(70000, self.rate_bps // 8 // 250)
        node.run("tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate", f"{self.rate_bps}bit",
                 "burst", str(burst), "latency", f"{self._limit_ms}ms")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        while self._close:
            self._close.pop()()


class EmulatedLab:
    """The link emulator and the two nodes that it joins, with IPv4 and IPv6. Use as a context manager.

    `down` (server to agent) and `up` hold keys of `link_emulator --help`: {"rate_bps": 40_000_000, "delay_us": 10_000}.
    Without any, a direction has no limits. `program` is the emulator, by default $DOKIEM_EMULATOR.
    """

    def __init__(self, down=(), up=(), seed=0, program=None):
        self._program = program or os.environ["DOKIEM_EMULATOR"]
        self._close = []
        self.totals = None
        try:
            self._join()
            self._start(dict(down), dict(up), seed)
        except BaseException:
            self.close()
            raise

    def _join(self):
        nodes = {}
        for name in ("agent", "link", "server"):
            nodes[name] = Node(name)
            self._close.append(nodes[name].close)
        self.agent, self.link, self.server = nodes.values()
        # The link's own stack stays silent: no address, no IPv6.
        self.link.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        for node, name, ipv4, ipv6 in ((self.agent, "agent", AGENT, AGENT6), (self.server, "server", SERVER, SERVER6)):
            node.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra")
            node.run("ip", "link", "add", "wan0", "mtu", "1500", "type", "veth", "peer", "name", name, "mtu", "1500",
                     "netns", str(self.link.holder.pid))
            node.run("ip", "link", "set", "wan0", "addrgenmode", "none")
            node.run("ip", "address", "add", ipv4 + "/24", "dev", "wan0")
            node.run("ip", "address", "add", ipv6 + "/64", "dev", "wan0", "nodad")
            self.link.run("ip", "link", "set", name, "up")
            node.run("ip", "link", "set", "wan0", "up")
        for node, peer, gateways in ((self.agent, self.server, (SERVER, SERVER6)),
                                     (self.server, self.agent, (AGENT, AGENT6))):
            hardware = peer.run("cat", "/sys/class/net/wan0/address").stdout.strip()
            for gateway in gateways:
                # Known for good, so that nobody has to ask over a link that loses packets.
                node.run("ip", "neighbour", "add", gateway, "lladdr", hardware, "dev", "wan0", "nud", "permanent")
                node.run("ip", "route", "add", "default", "via", gateway, "dev", "wan0", "onlink", "congctl", "cubic")

    def _start(self, down, up, seed):
        folder = tempfile.mkdtemp(prefix="dokiem-link-")
        self._close.append(lambda: shutil.rmtree(folder, ignore_errors=True))
        self._csv = os.path.join(folder, "link.csv")
        text = lambda keys: ",".join(f"{key}={value}" for key, value in keys.items())
        self._emulator = self.link.start(
            self._program, "--agent", "agent", "--server", "server", "--down", text(down), "--up", text(up),
            "--seed", str(seed), "--csv", self._csv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._close.append(self.stop)
        ready = self._emulator.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError(f"{self._program}: {ready}{self._emulator.stdout.read()}")
        self.ready = dict(word.split("=") for word in ready.split()[1:])

    def stop(self):
        """Ends the emulator. `totals` then has what it did in each direction; the rows stay until close()."""
        if self.totals is None:
            self._emulator.terminate()
            said = self._emulator.communicate(timeout=20)[0]
            lines = [line.split() for line in said.splitlines() if line.startswith(("down ", "up "))]
            self.totals = {words[0]: {key: int(value) for key, value in (word.split("=") for word in words[1:])}
                           for words in lines}
        return self.totals

    def rows(self, direction):
        """What was delivered, a tuple for each 10 ms so far; `time_ns`, of time.monotonic_ns(), is when they began."""
        with open(self._csv, encoding="ascii") as file:
            Row = collections.namedtuple("Row", file.readline().strip().replace("direction,", ""))
            lines = (line.rstrip("\n").split(",") for line in file if line.endswith("\n"))
            return [Row(*map(int, [line[0], *line[2:]])) for line in lines if line[1] == direction]

    def delivered(self, direction, start_ns, end_ns):
        """The sums of the rows that lie between two moments of time.monotonic_ns(), and `span_ns`, the time that
        those rows cover."""
        rows = [row for row in self.rows(direction) if start_ns <= row.time_ns and row.time_ns + BIN_NS <= end_ns]
        sums = {name: sum(getattr(row, name) for row in rows) for name in rows[0]._fields} if rows else {}
        return {**sums, "span_ns": len(rows) * BIN_NS}

    def payload_rate(self, figures, began_ns, ended_ns, direction="down"):
        """What was delivered, in bit/s of TCP payload, in the steady part of a test that ran between two moments of
        time.monotonic_ns(): where what came in each interval is most like the `series` of its `figures`."""
        rows, interval_ns = self.rows(direction), figures["series"]["interval_ns"]
        sums, moved = [0], [0]
        for row in rows:
            sums.append(sums[-1] + row.tcp_bytes)
        for column in zip(*figures["series"]["bytes"]):
            moved.append(moved[-1] + sum(column))

        def until(time_ns):
            at = min(max((time_ns - rows[0].time_ns) / BIN_NS, 0), len(rows) - 1)
            return sums[int(at)] + (sums[int(at) + 1] - sums[int(at)]) * (at % 1)

        def unlike(start_ns):
            return sum((until(start_ns + i * interval_ns) - until(start_ns) - moved[i]) ** 2
                       for i in range(0, len(moved), 5))

        start_ns = min(range(began_ns, ended_ns - figures["duration_ns"], BIN_NS // 2), key=unlike)
        from_ns, to_ns = start_ns + figures["ramp_up_ns"], start_ns + figures["duration_ns"]
        return (until(to_ns) - until(from_ns)) * 8e9 / (to_ns - from_ns)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        while self._close:
            self._close.pop()()


class TrueLab(EmulatedLab):
    """A link of an exact rate for the data of one direction, "download" or "upload": tbf on a router's way out, with a
    queue that drops what does not fit. The acknowledgements come back through the emulator, which holds the delay."""

    def __init__(self, rate_bps, rtt_ms, direction="download", congestion="cubic", queue_ms=100, program=None):
        self.payload_bps = rate_bps * PAYLOAD_SHARE
        back = {"delay_us": rtt_ms * 1000}
        down = direction == "download"
        super().__init__({} if down else back, back if down else {}, program=program)
        try:
            self._detour(*((self.server, self.agent) if down else (self.agent, self.server)), rate_bps, queue_ms,
                         congestion)
        except BaseException:
            self.close()
            raise

    def _detour(self, sender, receiver, rate_bps, queue_ms, congestion):
        router = self.router = Node("router")
        self._close.append(router.close)
        for node, name, near, far in ((sender, "in0", "10.77.3.1", "10.77.3.2"),
                                      (receiver, "out0", "10.77.4.1", "10.77.4.2")):
            node.run("ip", "link", "add", "data0", "mtu", "1500", "type", "veth", "peer", "name", name, "mtu", "1500",
                     "netns", str(router.holder.pid))
            node.run("ip", "address", "add", near + "/24", "dev", "data0")
            node.run("ip", "link", "set", "data0", "up")
            router.run("ip", "address", "add", far + "/24", "dev", name)
            router.run("ip", "link", "set", name, "up")
        receiver_address = AGENT if receiver is self.agent else SERVER
        # The way there is not the way back.
        for node in (sender, receiver, router):
            node.run("sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done; "
                                 "echo 1 > /proc/sys/net/ipv4/ip_forward")
        router.run("ip", "route", "add", receiver_address + "/32", "via", "10.77.4.1", "dev", "out0", "onlink")
        sender.run("ip", "route", "add", receiver_address + "/32", "via", "10.77.3.2", "dev", "data0", "onlink",
                   "congctl", congestion, "src", SERVER if receiver is self.agent else AGENT)
        burst = max(70000, rate_bps // 8 // 250)  # see Lab._shape
        router.run("tc", "qdisc", "replace", "dev", "out0", "root", "tbf", "rate", f"{rate_bps}bit", "burst",
                   str(burst), "limit", str(max(rate_bps // 8 * queue_ms // 1000, 30000) + burst))


    def sent(self):
        """(time.monotonic_ns(), the Ethernet bytes that have left tbf so far)."""
        before = time.monotonic_ns()
        shown = json.loads(self.router.run("tc", "-s", "-j", "qdisc", "show", "dev", "out0").stdout)
        return (before + time.monotonic_ns()) // 2, shown[0]["bytes"]


class Service:
    """A server process on a node. Ready when its ports are; its output is in `log`. Use as a context manager."""

    def __init__(self, node, command, tcp=(), udp=(), timeout_s=20):
        self._log = tempfile.TemporaryFile()
        self._process = node.start(*command, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + timeout_s
            while not (all(node.listening(p) for p in tcp) and all(node.listening(p, udp=True) for p in udp)):
                if self._process.poll() is not None:
                    raise RuntimeError(f"{command[0]} ended with {self._process.returncode}: {self.log}")
                if time.monotonic() > end:
                    raise RuntimeError(f"{command[0]} does not listen after {timeout_s} s: {self.log}")
                time.sleep(0.02)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.returncode = self._process.returncode
        self._log.close()


def make_certificate(directory, address):
    """A test CA and a server certificate for `address`, in `directory`: ca.pem, server.pem, server.key."""
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    path = lambda name: os.path.join(directory, name)
    run("openssl", "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=dokiem test CA",
        "-keyout", path("ca.key"), "-out", path("ca.pem"))
    run("openssl", "req", *new_key, "-subj", "/CN=reference", "-keyout", path("server.key"), "-out", path("server.csr"))
    with open(path("server.ext"), "w", encoding="ascii") as extensions:
        extensions.write(f"subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
        "-CAcreateserial", "-days", "2", "-extfile", path("server.ext"), "-out", path("server.pem"))


def nginx_configuration(directory, address, http_port, https_port):
    """Fills the shipped packaging/nginx/dokiem.conf in for an unprivileged instance that lives in `directory`."""
    with open(os.path.join(ROOT, "packaging/nginx/dokiem.conf"), encoding="utf-8") as shipped:
        text = shipped.read()
    for old, new in (("listen 80;", f"listen {address}:{http_port};"), ("listen [::]:80;", ""),
                     ("listen 443 ssl;", f"listen {address}:{https_port} ssl;"), ("listen [::]:443 ssl;", ""),
                     ("/etc/dokiem/reference/fullchain.pem", f"{directory}/server.pem"),
                     ("/etc/dokiem/reference/key.pem", f"{directory}/server.key"),
                     ("root /var/lib/dokiem-reference;", f"root {directory};")):
        if text.count(old) != 1:
            raise RuntimeError(f"dokiem.conf does not have {old!r} exactly once")
        text = text.replace(old, new)
    with open(f"{directory}/dokiem.conf", "w", encoding="utf-8") as filled:
        filled.write(text)
    temporary = "".join(f"    {kind}_temp_path {directory}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{directory}/nginx.conf", "w", encoding="utf-8") as main:
        main.write(f"daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log stderr warn;\n"
                   f"events {{\n    worker_connections 512;\n}}\n"
                   f"http {{\n{temporary}    include {directory}/dokiem.conf;\n}}\n")


@contextlib.contextmanager
def nginx_files(address=SERVER):
    """The folder of a stock nginx with the shipped configuration, HTTP and HTTPS. ca.pem in it is to be trusted."""
    with tempfile.TemporaryDirectory(prefix="dokiem-nginx-") as directory:
        make_certificate(directory, address)
        run(os.path.join(ROOT, "packaging/nginx/make-garbage"), directory)
        nginx_configuration(directory, address, HTTP_PORT, HTTPS_PORT)
        yield directory


def start_nginx(node, directory):
    return Service(node, ["nginx", "-e", "stderr", "-p", directory, "-c", f"{directory}/nginx.conf"],
                   tcp=(HTTP_PORT, HTTPS_PORT))


def start_reference(node, program, address=SERVER, *limits):
    """dokiem-reference: HTTP, and the STAMP reflector."""
    return Service(node, [program, "--http", f"{address}:{HTTP_PORT}", "--stamp", f"{address}:{STAMP_PORT}", *limits],
                   tcp=(HTTP_PORT,), udp=(STAMP_PORT,))
