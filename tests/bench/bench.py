#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What measuring costs, side by side with others in one run: bench.py BUILD_FOLDER [--rounds N] [--seconds S]
[--only PART…]

HTTP and HTTPS are served by nginx with the shipped configuration; iperf3 has its own server. Where a row says so, the
server is dokiem-reference: on loopback for the rate that the sender does not limit, and for uploads, which nginx reads
4 KiB at a time. Each round runs every tool once; a row is the ratio of two of them in the same round, or one figure
alone: minimum, median and maximum over the rounds, and whether the median meets the bar. `floor` is a C program that
does nothing but drain (floor.c): what it needs nobody can save.

CPU seconds are all of the client's, its start and its record included (getrusage of the child); GB are 10^9 bytes of
payload. For dokiem the CPU time before and after the transfer is shown beside it. Performance is no assertion: the
exit status is 0 unless the bench itself breaks. A processor that is busy elsewhere moves all figures, because the
kernel charges the packets that it handles meanwhile to whoever runs: repeat before you believe one.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "netlab"))
import netlab  # noqa: E402

LOOPBACK = "127.0.0.1"
GB = 1e9
FILE_MIB = 1000
REFERENCE_PORT = 8081
CURL_TIMED_OUT = 28


class Run:
    """A program that has ended: CPU seconds, peak resident bytes, what it printed."""

    def __init__(self, node, spend, command, also):
        with tempfile.NamedTemporaryFile() as cost:
            done = subprocess.run(node.command(spend, cost.name, *command), stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, preexec_fn=netlab._die_with_parent)
            if done.returncode not in (0, *also):
                raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-2000:]}")
            cpu_ns, self.rss_bytes = map(int, cost.read().split())
        self.out, self.cpu_s = done.stdout, cpu_ns / 1e9


class Figures:
    """What one run of one tool gave. `aside_s` is the CPU time before and after the transfer, `server_s` the server's,
    as far as they are known."""

    def __init__(self, run, bytes_moved, rate_bps=0, transfer_s=None, server_s=None, wire=None):
        self.wire, self.transfer_s = wire, transfer_s
        self.cpu_per_gb = run.cpu_s / (bytes_moved / GB) if bytes_moved else 0
        self.cpu_s, self.rss_bytes, self.bytes, self.rate_bps = run.cpu_s, run.rss_bytes, bytes_moved, rate_bps
        self.server_per_gb = server_s / (bytes_moved / GB) if server_s is not None else None
        self.aside_s = run.cpu_s - transfer_s if transfer_s is not None else None


class Tools:
    """The clients, on `node`, against the servers at `address`."""

    def __init__(self, node, address, build, files, pids, state, seconds):
        self.node, self.address, self.files, self.state, self.seconds = node, address, files, state, seconds
        self.pids = pids  # of nginx and dokiem-reference
        self.build = build

    def run(self, *command, also=()):
        return Run(self.node, os.path.join(self.build, "tests/bench/spend"), command, also)

    def url(self, tls, reference=False):
        port = netlab.HTTPS_PORT if tls else REFERENCE_PORT if reference else netlab.HTTP_PORT
        return f"{'https' if tls else 'http'}://{self.address}:{port}"

    def _server_s(self, reference):
        with open(f"/proc/{self.pids[reference]}/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[0]) / 1e9

    def dokiem(self, direction="download", tls=False, streams=1, reference=False, wire=False):
        server_s = self._server_s(reference)
        only = direction + (",wire" if wire else "")
        run = self.run(os.path.join(self.build, "agent/dokiem"), "run", "--config", f"{self.state}/bench.ini",
                       "--state", self.state, "--server", self.url(tls, reference), "--ca-file",
                       f"{self.files}/ca.pem", "--stamp", "off", "--only", only, "--streams", str(streams),
                       "--duration", str(self.seconds), "--stop", "time", "--format", "json")
        record = json.loads(run.out)
        figures = record[direction]
        return Figures(run, figures["bytes"], figures["rate_whole_bps"], figures["conditions"]["agent_cpu_ns"] / 1e9,
                       self._server_s(reference) - server_s, record.get("wire"))

    def iperf3(self, *options):
        run = self.run("iperf3", "-c", self.address, "-t", str(self.seconds), "-J", *options)
        end = json.loads(run.out)["end"]["sum_received"]
        return Figures(run, end["bytes"], end["bits_per_second"])

    def curl(self, tls=False, files=1):
        url = f"{self.url(tls)}/garbage?ckSize={FILE_MIB}"
        targets = [word for _ in range(files) for word in ("-o", "/dev/null", url)]
        run = self.run("curl", "-sS", "--cacert", f"{self.files}/ca.pem", "--max-time", str(self.seconds), "-w",
                       "%{size_download} ", *targets, also=(CURL_TIMED_OUT,))
        return Figures(run, sum(map(int, run.out.split())))

    def discard(self, tls=False):
        run = self.run(os.path.join(self.build, "tests/bench/discard"),
                       f"{self.url(tls)}/garbage?ckSize={FILE_MIB}", str(self.seconds), f"{self.files}/ca.pem")
        return Figures(run, int(run.out))

    def floor(self, tls=False):
        run = self.run(os.path.join(self.build, "tests/bench/floor"), self.address, self.url(tls).rsplit(":", 1)[1],
                       "https" if tls else "http", str(FILE_MIB), str(self.seconds))
        return Figures(run, int(run.out))


class Table:
    def __init__(self):
        self.rows, self.values = {}, {}

    def add(self, what, bar, value, least=False, unit="×"):
        """A figure against its bar; without a bar (None) it is only shown."""
        self.rows[what] = (bar, least, unit)
        self.values.setdefault(what, []).append(value)

    def show(self):
        print(f"\n{'':66}{'bar':>10}{'min':>9}{'median':>9}{'max':>9}")
        missed = 0
        for what, (bar, least, unit) in self.rows.items():
            values = self.values[what]
            middle = statistics.median(values)
            met = bar is None or (middle >= bar if least else middle <= bar)
            missed += not met
            limit = "" if bar is None else ("≥ " if least else "≤ ") + f"{bar:g}{unit}"
            print(f"{what:66}{limit:>10}{min(values):9.3f}{middle:9.3f}{max(values):9.3f}"
                  f"  {'' if bar is None else 'met' if met else 'MISSED'}")
        bars = sum(bar is not None for bar, _, _ in self.rows.values())
        print(f"\n{bars - missed} bars met, {missed} missed")


def note(name, figures):
    aside = f"{1000 * figures.aside_s:6.1f} ms beside the transfer" if figures.aside_s is not None else ""
    print(f"  {name:34}{figures.cpu_per_gb:8.4f} cpu-s/GB {figures.bytes / GB:7.2f} GB "
          f"{figures.rate_bps / 1e9:7.2f} Gb/s {figures.rss_bytes / 1e6:6.1f} MB {aside}", flush=True)
    return figures


def compare(table, what, ours, theirs, bar):
    table.add(what, bar, ours.cpu_per_gb / theirs.cpu_per_gb)


@contextlib.contextmanager
def servers(node, address, build):
    with netlab.nginx_files(address) as files:
        with open(f"{files}/garbage-{FILE_MIB}", "w+b") as garbage:
            garbage.truncate(FILE_MIB << 20)
            while garbage.read(1 << 20):  # into the page cache
                pass
        reference = [os.path.join(build, "probes/dokiem-reference"), "--http", f"{address}:{REFERENCE_PORT}",
                     "--bytes-per-hour", str(10 ** 15)]
        with netlab.start_nginx(node, files) as nginx, netlab.Service(node, ["iperf3", "-s"], tcp=(5201,)), \
                netlab.Service(node, reference, tcp=(REFERENCE_PORT,)) as own:
            yield files, (nginx.pid, own.pid)


def loopback(tools, table):
    files = tools.seconds  # some 10 Gb/s
    iperf3 = note("iperf3 -R", tools.iperf3("-R"))
    http, https = note("dokiem", tools.dokiem()), note("dokiem, HTTPS", tools.dokiem(tls=True))
    floor, floor_tls = note("floor", tools.floor()), note("floor, HTTPS", tools.floor(tls=True))
    curl, curl_tls = note("curl", tools.curl(files=files)), note("curl, HTTPS", tools.curl(tls=True, files=files))
    reference = note("dokiem, dokiem-reference", tools.dokiem(reference=True))
    compare(table, "loopback: CPU/GB down, HTTP, against iperf3 -R", http, iperf3, 0.2)
    compare(table, "loopback: CPU/GB down, HTTPS, against iperf3 -R", https, iperf3, 0.2)
    compare(table, "loopback: CPU/GB down, dokiem-reference, against iperf3 -R", reference, iperf3, None)
    compare(table, "loopback: CPU/GB down, floor, against iperf3 -R", floor, iperf3, None)
    compare(table, "loopback: CPU/GB down, HTTP, against the floor", http, floor, None)
    compare(table, "loopback: CPU/GB down, HTTPS, against the floor", https, floor_tls, None)
    compare(table, "loopback: CPU/GB down, HTTP, against curl", http, curl, 0.05)
    compare(table, "loopback: CPU/GB down, HTTPS, against curl over HTTPS", https, curl_tls, 0.05)
    compare(table, "loopback: CPU/GB down, HTTPS against HTTP", https, http, 1.5)
    table.add("loopback: rate, one stream, against iperf3 -R; dokiem-reference", 1.2,
              reference.rate_bps / iperf3.rate_bps, least=True)
    table.add("loopback: the same; nginx", None, http.rate_bps / iperf3.rate_bps, least=True)
    table.add("loopback: server's CPU/GB down, dokiem-reference against nginx", 1,
              reference.server_per_gb / http.server_per_gb)
    table.add("loopback: peak RSS, HTTPS, against curl over HTTPS", 1.3, https.rss_bytes / curl_tls.rss_bytes)


def upload(tools, table):
    ours, iperf3 = note("dokiem, up", tools.dokiem("upload", reference=True)), note("iperf3 -Z", tools.iperf3("-Z"))
    nginx = note("dokiem, up, nginx", tools.dokiem("upload"))
    compare(table, "loopback: CPU/GB up, dokiem-reference, against iperf3 -Z", ours, iperf3, 1.0)
    table.add("loopback: server's CPU/GB up, dokiem-reference against nginx", 1,
              ours.server_per_gb / nginx.server_per_gb)


def gigabit(tools, table):
    iperf3 = note("1 Gb/s: iperf3 -R", tools.iperf3("-R"))
    http, https = note("1 Gb/s: dokiem", tools.dokiem()), note("1 Gb/s: dokiem, HTTPS", tools.dokiem(tls=True))
    floor, floor_tls = note("1 Gb/s: floor", tools.floor()), note("1 Gb/s: floor, HTTPS", tools.floor(tls=True))
    discard = note("1 Gb/s: libcurl", tools.discard())
    curl_tls = note("1 Gb/s: curl, HTTPS", tools.curl(tls=True, files=1 + tools.seconds // 8))
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTP, against iperf3 -R", http, iperf3, 0.1)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTP, against libcurl", http, discard, 0.1)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTPS, against curl over HTTPS", https, curl_tls, 0.1)
    compare(table, "1 Gb/s, 20 ms: CPU/GB up, against iperf3 -Z",
            note("1 Gb/s: dokiem, up", tools.dokiem("upload", reference=True)),
            note("1 Gb/s: iperf3 -Z", tools.iperf3("-Z")), 1.0)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, floor, against iperf3 -R", floor, iperf3, None)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTP, against the floor", http, floor, None)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTPS, against the floor", https, floor_tls, None)


def hundred(tools, table):
    """Of a core while the test runs; the CPU time before and after it is shown beside it."""
    ours = note("100 Mb/s: dokiem", tools.dokiem(streams=4))
    table.add("100 Mb/s, 4 streams: CPU of the agent, of a core", 1,
              100 * (ours.cpu_s - ours.aside_s) / tools.seconds, unit=" %")
    table.add("100 Mb/s, 4 streams: the same with start and record", None, 100 * ours.cpu_s / tools.seconds)


def capture(tools, table):
    """The agent's own CPU time in the transfer, with its capture and without; the kernel's part of it is in both."""
    for direction in ("download", "upload"):
        off = note(f"capture off, {direction}", tools.dokiem(direction, streams=4, reference=True))
        on = note(f"capture on, {direction}", tools.dokiem(direction, streams=4, reference=True, wire=True))
        if on.wire["status"] != "ok":
            raise RuntimeError(f"nothing was captured: {on.wire['reason']}")
        per_gb = [figures.transfer_s / figures.bytes * GB for figures in (on, off)]
        print(f"    {per_gb[1]:.3f} cpu-s/GB without, {per_gb[0]:.3f} with; {on.wire['frames']} packets captured, "
              f"{on.wire['dropped']} dropped", flush=True)
        table.add(f"1 Gb/s: agent's CPU/GB with capture, {direction}, against without", 1.5, per_gb[0] / per_gb[1])
        table.add(f"1 Gb/s: dropped by the capture, {direction}", None,
                  1000 * on.wire["dropped"] / (on.wire["frames"] + on.wire["dropped"]), unit=" ‰")


def size(build, table):
    with tempfile.NamedTemporaryFile() as stripped:
        netlab.run("strip", "-o", stripped.name, os.path.join(build, "agent/dokiem"))
        table.add("stripped dokiem, this build", 250, os.path.getsize(stripped.name) / 1000, unit=" kB")


@contextlib.contextmanager
def lab(name):
    """The client's node, the server's, and the server's address."""
    if name in ("loopback", "upload"):
        node = netlab.Node("loopback")
        try:
            yield node, node, LOOPBACK
        finally:
            node.close()
    elif name in ("hundred", "capture"):
        with netlab.Lab(100_000_000 if name == "hundred" else 1_000_000_000) as link:
            yield link.agent, link.server, netlab.SERVER
    else:
        link = {"rate_bps": 1_000_000_000, "delay_us": 10_000}
        with netlab.EmulatedLab(down=link, up=link) as emulated:
            yield emulated.agent, emulated.server, netlab.SERVER


PARTS = {"loopback": loopback, "upload": upload, "hundred": hundred, "gigabit": gigabit, "capture": capture}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("DOKIEM_ROUNDS", "5")))
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("DOKIEM_SECONDS", "10")))
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "size"], default=[*PARTS, "size"])
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="dokiem-bench-") as state:
        netlab.run(os.path.join(options.build, "agent/dokiem"), "keygen", "--state", state)
        with open(f"{state}/bench.ini", "w", encoding="utf-8") as config:
            config.write("[test]\nmax_bytes = 100GB\n")
        for name, part in PARTS.items():
            if name not in options.only:
                continue
            with lab(name) as (client, server, address), servers(server, address, options.build) as (files, pids):
                tools = Tools(client, address, options.build, files, pids, state, options.seconds)
                for number in range(options.rounds):
                    print(f"{name}, round {number + 1} of {options.rounds}", flush=True)
                    part(tools, table)
    if "size" in options.only:
        size(options.build, table)
    table.show()


if __name__ == "__main__":
    os.environ.setdefault("DOKIEM_EMULATOR", os.path.join(sys.argv[1], "tests/netlab/emulator/link_emulator"))
    netlab.enter()
    main()
