#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How far the steady rate is from the truth, beside iperf3 and curl on the same link in the same run:

    accuracy.py BUILD_FOLDER [--rates MBPS…] [--rtts MS…] [--directions …] [--congestions …] [--runs N] [--seconds S]
                [--jobs N] [--no-others] [--keep FILE]

Each link is a netlab.TrueLab; the truth is the payload that its rate leaves room for (rate × 1448/1514). A row is one
link: the median and the worst error of all runs, signed, against the bars. dokiem runs as it does by itself (--stop
time). iperf3 and curl run with one stream each, as they do by themselves, ramp-up included. Links of up to 200 Mb/s can
run side by side (--jobs). Performance is no assertion: the exit status is 0 unless the bench itself breaks. A processor
that is busy elsewhere moves all figures: repeat before you believe one. --keep appends the records, one a line.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "netlab"))
import netlab  # noqa: E402

FILE_MIB = 1000
MEDIAN_BAR, WORST_BAR, WORST_BAR_GIGABIT = 0.001, 0.005, 0.01
URL = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"


class Link:
    """One row: a link, and what each tool said of it."""

    def __init__(self, options, state, mbps, rtt_ms, direction, congestion):
        self.options, self.state = options, state
        self.mbps, self.rtt_ms, self.direction, self.congestion = mbps, rtt_ms, direction, congestion
        self.errors, self.sent, self.outside, self.flags = {}, [], 0, set()

    def watch(self, lab, ended, seen):
        while not ended.wait(0.1):
            seen.append(lab.sent())

    @staticmethod
    def payload_rate(seen, ramp_up_ns, duration_ns):
        """What tbf let through in the steady part of a test that began when the first 50 kB were through."""
        first = next((i for i, (_, sent) in enumerate(seen) if sent - seen[0][1] > 50_000), 0)
        at = {}
        for name, when in (("from", seen[first][0] + ramp_up_ns), ("to", seen[first][0] + duration_ns)):
            later = next((i for i, (time_ns, _) in enumerate(seen) if time_ns >= when), len(seen) - 1)
            at[name] = seen[later]
        took_ns = at["to"][0] - at["from"][0]
        return (at["to"][1] - at["from"][1]) * 8e9 / took_ns * netlab.PAYLOAD_SHARE if took_ns > 0 else 0

    def dokiem(self, lab):
        ended, seen = threading.Event(), []
        watcher = threading.Thread(target=self.watch, args=(lab, ended, seen))
        watcher.start()
        try:
            return self.run_dokiem(lab, seen)
        finally:
            ended.set()
            watcher.join()

    def run_dokiem(self, lab, seen):
        done = lab.agent.run(os.path.join(self.options.build, "agent/dokiem"), "run", "--config",
                             f"{self.state}/bench.ini", "--state", self.state, "--server", URL, "--stamp", "off",
                             "--only", self.direction, "--stop", "time", "--duration", str(self.options.seconds),
                             "--format", "json", timeout=self.options.seconds + 30)
        record = json.loads(done.stdout)
        figures = record[self.direction]
        if self.options.keep:
            with open(self.options.keep, "a", encoding="utf-8") as keep:
                keep.write(json.dumps({"link": [self.mbps, self.rtt_ms, self.direction, self.congestion],
                                       "record": record}) + "\n")
        self.flags |= {flag["code"] for flag in record["validity"]["flags"]} - {"clock_unsynchronised"}
        self.outside += not figures["rate_low_bps"] <= lab.payload_bps <= figures["rate_high_bps"]
        sent_bps = self.payload_rate(seen, figures["ramp_up_ns"], figures["duration_ns"])
        self.sent.append(sent_bps / lab.payload_bps - 1)
        return figures["rate_bps"]

    def iperf3(self, lab):
        done = lab.agent.run("iperf3", "-c", netlab.SERVER, "-t", str(self.options.seconds), "-J",
                             *(["-R"] if self.direction == "download" else []), timeout=self.options.seconds + 30)
        return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]

    def curl(self, lab):
        to = (["-o", "/dev/null", "-w", "%{speed_download}", f"{URL}/garbage?ckSize={FILE_MIB}"]
              if self.direction == "download" else
              ["-X", "POST", "-T", "/dev/zero", "-o", "/dev/null", "-w", "%{speed_upload}", f"{URL}/empty"])
        done = lab.agent.run("curl", "-s", "--max-time", str(self.options.seconds), *to, check=False,
                             timeout=self.options.seconds + 30)
        return 8 * float(done.stdout)

    def measure(self):
        reference = [os.path.join(self.options.build, "probes/dokiem-reference"), "--http",
                     f"{netlab.SERVER}:{netlab.HTTP_PORT}", "--bytes-per-hour", str(10 ** 15)]
        with netlab.TrueLab(self.mbps * 1_000_000, self.rtt_ms, self.direction, self.congestion) as lab, \
                netlab.Service(lab.server, reference, tcp=(netlab.HTTP_PORT,)), \
                netlab.Service(lab.server, ["iperf3", "-s"], tcp=(5201,)):
            for _ in range(self.options.runs):
                tools = [self.dokiem] if self.options.no_others else [self.dokiem, self.iperf3, self.curl]
                for tool in tools:
                    self.errors.setdefault(tool.__name__, []).append(tool(lab) / lab.payload_bps - 1)
        return self

    def show(self):
        print(f"{self.mbps:5} Mb/s {self.rtt_ms:3} ms {self.direction:8} {self.congestion:5}", end="")
        for tool, errors in self.errors.items():
            print(f"  {tool} {statistics.median(errors):+8.3%} {max(errors, key=abs):+8.3%}", end="")
        worst_bar = WORST_BAR_GIGABIT if self.mbps >= 1000 else WORST_BAR
        mine = self.errors["dokiem"]
        met = abs(statistics.median(mine)) <= MEDIAN_BAR and max(map(abs, mine)) <= worst_bar
        best = all(abs(statistics.median(mine)) <= abs(statistics.median(theirs)) for theirs in self.errors.values())
        print(f"  link itself {statistics.median(self.sent):+.3%} {max(self.sent, key=abs):+.3%}"
              f"  {'PASS' if met and best else 'MISS'}  outside the interval {self.outside}/{len(mine)}"
              f" {','.join(sorted(self.flags))}", flush=True)
        return met and best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 40, 100, 200, 500, 1000])
    parser.add_argument("--rtts", type=int, nargs="+", default=[20, 80])
    parser.add_argument("--directions", nargs="+", default=["download", "upload"])
    parser.add_argument("--congestions", nargs="+", default=["cubic", "bbr"])
    parser.add_argument("--runs", type=int, default=int(os.environ.get("DOKIEM_ROUNDS", "8")))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--no-others", action="store_true")
    parser.add_argument("--keep")
    options = parser.parse_args()
    print("error of the steady rate: median, worst\n")
    with tempfile.TemporaryDirectory(prefix="dokiem-bench-") as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as side_by_side, \
            concurrent.futures.ThreadPoolExecutor(1) as alone:
        links = []
        for i, of in enumerate(itertools.product(options.rates, options.rtts, options.directions,
                                                 options.congestions)):
            state = os.path.join(folder, str(i))
            netlab.run(os.path.join(options.build, "agent/dokiem"), "keygen", "--state", state)
            with open(f"{state}/bench.ini", "w", encoding="utf-8") as config:
                config.write("[test]\nmax_bytes = 100GB\n")
            links.append(Link(options, state, *of))
        slow = [side_by_side.submit(link.measure) for link in links if link.mbps <= 200]
        met = sum(each.result().show() for each in slow)
        met += sum(alone.submit(link.measure).result().show() for link in links if link.mbps > 200)
    print(f"\n{met} of {len(links)} links within the bars")


if __name__ == "__main__":
    os.environ.setdefault("DOKIEM_EMULATOR", os.path.join(sys.argv[1], "tests/netlab/emulator/link_emulator"))
    netlab.enter()
    main()
