#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What measuring costs, side by side with others in one run: bench.py BUILD_FOLDER [--rounds N] [--seconds S]
[--only PART…]

HTTP is served by dokiem-reference, HTTPS by nginx with the shipped configuration. Each round runs every tool once; a
row is the ratio of two of them in the same round, or one figure alone: minimum, median and maximum over the rounds
against its bar. CPU seconds are the client's own (wait4), its start included; GB are 10^9 bytes of payload.
Performance is no assertion: the exit status is 0 unless the bench itself breaks. A processor that is busy elsewhere
moves all figures: repeat before you believe one.
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


class Run:
    """A program that has ended: CPU seconds, peak resident bytes, what it printed."""

    def __init__(self, node, command):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(node.command(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       preexec_fn=netlab._die_with_parent)
            self.rss_bytes = 0
            while True:
                # Not ru_maxrss: that counts what the child was before exec, a copy of this interpreter.
                self.rss_bytes = max(self.rss_bytes, self._high_water(process.pid))
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                time.sleep(0.01)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            self.out = out.read().decode()
            if process.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {err.read().decode()[-2000:]}")
        self.cpu_s = usage.ru_utime + usage.ru_stime

    @staticmethod
    def _high_water(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0


class Figures:
    """What one run of one tool gave."""

    def __init__(self, run, bytes_moved, rate_bps=0):
        self.cpu_per_gb = run.cpu_s / (bytes_moved / GB) if bytes_moved else 0
        self.cpu_s, self.rss_bytes, self.bytes, self.rate_bps = run.cpu_s, run.rss_bytes, bytes_moved, rate_bps


class Tools:
    """The clients, on `node`, against the servers at `address`."""

    def __init__(self, node, address, build, files, state, seconds):
        self.node, self.address, self.files, self.state, self.seconds = node, address, files, state, seconds
        self.dokiem_program = os.path.join(build, "agent/dokiem")
        self.discard_program = os.path.join(build, "tests/bench/discard")

    def url(self, tls):
        return f"https://{self.address}:{netlab.HTTPS_PORT}" if tls else f"http://{self.address}:{REFERENCE_PORT}"

    def dokiem(self, direction="download", tls=False, streams=1, seconds=None):
        run = Run(self.node, [self.dokiem_program, "run", "--config", f"{self.state}/bench.ini", "--state", self.state,
                              "--server", self.url(tls), "--ca-file", f"{self.files}/ca.pem", "--stamp", "off",
                              "--only", direction, "--streams", str(streams), "--duration",
                              str(seconds or self.seconds), "--stop", "time", "--format", "json"])
        figures = json.loads(run.out)[direction]
        return Figures(run, figures["bytes"], figures["rate_whole_bps"])

    def iperf3(self, *options):
        run = Run(self.node, ["iperf3", "-c", self.address, "-t", str(self.seconds), "-J", *options])
        end = json.loads(run.out)["end"]["sum_received"]
        return Figures(run, end["bytes"], end["bits_per_second"])

    def curl(self, tls=False):
        url = f"{self.url(tls)}/garbage?ckSize={FILE_MIB}"
        # About half a second of a fast loopback each.
        targets = [word for _ in range(2 * self.seconds) for word in ("-o", "/dev/null", url)]
        run = Run(self.node, ["curl", "-sS", "--cacert", f"{self.files}/ca.pem", "-w", "%{size_download} ", *targets])
        return Figures(run, sum(map(int, run.out.split())))

    def discard(self, tls=False):
        run = Run(self.node, [self.discard_program, f"{self.url(tls)}/garbage?ckSize={FILE_MIB}", str(self.seconds),
                              f"{self.files}/ca.pem"])
        return Figures(run, int(run.out))


class Table:
    def __init__(self):
        self.rows, self.values = {}, {}

    def add(self, what, bar, value, least=False, unit="×"):
        self.rows[what] = (bar, least, unit)
        self.values.setdefault(what, []).append(value)

    def show(self):
        print(f"\n{'':62}{'bar':>10}{'min':>10}{'median':>10}{'max':>10}")
        missed = 0
        for what, (bar, least, unit) in self.rows.items():
            values = self.values[what]
            middle = statistics.median(values)
            met = middle >= bar if least else middle <= bar
            missed += not met
            print(f"{what:62}{('≥ ' if least else '≤ ') + f'{bar:g}{unit}':>10}"
                  f"{min(values):10.3f}{middle:10.3f}{max(values):10.3f}  {'PASS' if met else 'MISS'}")
        print(f"\n{len(self.rows) - missed} bars met, {missed} missed")


def note(name, figures):
    print(f"  {name:34}{figures.cpu_per_gb:8.4f} cpu-s/GB {figures.bytes / GB:7.2f} GB "
          f"{figures.rate_bps / 1e9:7.2f} Gb/s {figures.rss_bytes / 1e6:6.1f} MB", flush=True)
    return figures


def compare(table, what, ours, theirs, bar):
    table.add(what, bar, ours.cpu_per_gb / theirs.cpu_per_gb)


@contextlib.contextmanager
def servers(node, address, build):
    with netlab.nginx_files(address) as files:
        with open(f"{files}/garbage-{FILE_MIB}", "wb") as garbage:
            garbage.truncate(FILE_MIB << 20)
        reference = [os.path.join(build, "probes/dokiem-reference"), "--http", f"{address}:{REFERENCE_PORT}",
                     "--bytes-per-hour", str(10 ** 15)]
        with netlab.start_nginx(node, files), netlab.Service(node, ["iperf3", "-s"], tcp=(5201,)), \
                netlab.Service(node, reference, tcp=(REFERENCE_PORT,)):
            yield files


def loopback(tools, table):
    iperf3 = note("iperf3 -R", tools.iperf3("-R"))
    curl, curl_tls = note("curl", tools.curl()), note("curl, HTTPS", tools.curl(tls=True))
    http, https = note("dokiem", tools.dokiem()), note("dokiem, HTTPS", tools.dokiem(tls=True))
    compare(table, "CPU/GB down, HTTP, against iperf3 -R", http, iperf3, 0.2)
    compare(table, "CPU/GB down, HTTP, against curl", http, curl, 0.05)
    compare(table, "CPU/GB down, HTTPS, against iperf3 -R", https, iperf3, 0.2)
    compare(table, "CPU/GB down, HTTPS, against curl over HTTPS", https, curl_tls, 0.05)
    compare(table, "CPU/GB down, HTTPS against HTTP", https, http, 1.5)
    table.add("rate, one stream, against iperf3 -R", 1.2, http.rate_bps / iperf3.rate_bps, least=True)
    table.add("peak RSS, HTTPS, against curl over HTTPS", 1.3, https.rss_bytes / curl_tls.rss_bytes)


def upload(tools, table):
    compare(table, "CPU/GB up, against iperf3 -Z", note("dokiem, up", tools.dokiem("upload")),
            note("iperf3 -Z", tools.iperf3("-Z")), 1.0)


def gigabit(tools, table):
    iperf3 = note("1 Gb/s: iperf3 -R", tools.iperf3("-R"))
    discard, discard_tls = note("1 Gb/s: libcurl", tools.discard()), note("1 Gb/s: libcurl, HTTPS", tools.discard(True))
    http, https = note("1 Gb/s: dokiem", tools.dokiem()), note("1 Gb/s: dokiem, HTTPS", tools.dokiem(tls=True))
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTP, against iperf3 -R", http, iperf3, 0.1)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTP, against libcurl", http, discard, 0.1)
    compare(table, "1 Gb/s, 20 ms: CPU/GB down, HTTPS, against libcurl", https, discard_tls, 0.1)


def hundred(tools, table):
    """Of a core while the test runs: what a longer run takes more than a short one."""
    short, long = tools.dokiem(streams=4, seconds=1), note("100 Mb/s: dokiem", tools.dokiem(streams=4, seconds=6))
    table.add("100 Mb/s: CPU of the agent, of a core", 1, 100 * (long.cpu_s - short.cpu_s) / 5, unit=" %")


def size(build, table):
    with tempfile.NamedTemporaryFile() as stripped:
        netlab.run("strip", "-o", stripped.name, os.path.join(build, "agent/dokiem"))
        table.add("stripped dokiem", 250, os.path.getsize(stripped.name) / 1000, unit=" kB")


@contextlib.contextmanager
def lab(name):
    """The client's node, the server's, and the server's address."""
    if name in ("loopback", "upload"):
        node = netlab.Node("loopback")
        try:
            yield node, node, LOOPBACK
        finally:
            node.close()
    elif name == "hundred":
        with netlab.Lab(100_000_000) as link:
            yield link.agent, link.server, netlab.SERVER
    else:
        link = {"rate_bps": 1_000_000_000, "delay_us": 10_000}
        with netlab.EmulatedLab(down=link, up=link) as emulated:
            yield emulated.agent, emulated.server, netlab.SERVER


PARTS = {"loopback": loopback, "upload": upload, "hundred": hundred, "gigabit": gigabit}


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
            with lab(name) as (client, server, address), servers(server, address, options.build) as files:
                tools = Tools(client, address, options.build, files, state, options.seconds)
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
