#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How often the 95 % interval of a rate holds the truth, on emulated links:

    coverage.py BUILD_FOLDER [--runs N] [--jobs N] [--seconds S] [--stop RULE]

Each run has a link of its own with a seed of its own, whose rate moves by up to ±30 % along straight lines between
random points 0.5 to 1.5 times --move-ms apart. Two truths are told: the rate that the link has in the long run, which
the interval is about, and what the emulator delivered in the very window that was measured. Nothing is asserted; the
exit status is 0 unless the bench itself breaks.
"""
import argparse
import concurrent.futures
import json
import os
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "netlab"))
import netlab  # noqa: E402

URL = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"


def measure(options, folder, seed):
    """Does the interval hold the long-run rate and the window's, and how far is the rate from the window's."""
    state = os.path.join(folder, str(seed))
    dokiem = os.path.join(options.build, "agent/dokiem")
    netlab.run(dokiem, "keygen", "--state", state)
    rate_bps = options.mbps * 1_000_000
    down = {"rate_bps": rate_bps, "move_ppm": 300_000, "move_ms": options.move_ms, "delay_us": 10_000, "queue_ms": 100}
    reference = [os.path.join(options.build, "probes/dokiem-reference"), "--http",
                 f"{netlab.SERVER}:{netlab.HTTP_PORT}", "--bytes-per-hour", str(10 ** 15)]
    with netlab.EmulatedLab(down, {"delay_us": 10_000}, seed) as lab, \
            netlab.Service(lab.server, reference, tcp=(netlab.HTTP_PORT,)):
        began_ns = time.monotonic_ns()
        done = lab.agent.run(dokiem, "run", "--state", state, "--server", URL, "--stamp", "off", "--only", "download",
                             "--stop", options.stop, "--duration", str(options.seconds), "--format", "json",
                             timeout=options.seconds + 60)
        figures = json.loads(done.stdout)["download"]
        window_bps = lab.payload_rate(figures, began_ns, time.monotonic_ns())
    holds = lambda truth: figures["rate_low_bps"] <= truth <= figures["rate_high_bps"]
    return (holds(rate_bps * netlab.PAYLOAD_SHARE), holds(window_bps), figures["rate_bps"] / window_bps - 1,
            figures["duration_ns"] / 1e9)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--mbps", type=int, default=20)
    parser.add_argument("--move-ms", type=int, default=250)
    parser.add_argument("--stop", default="time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dokiem-bench-") as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(lambda seed: measure(options, folder, seed),
                             range(options.seed, options.seed + options.runs)))
    long_run, window, offs, seconds = zip(*rows)
    share = lambda held: f"{sum(held) / len(rows):.1%}"
    print(f"{options.mbps} Mb/s ±30 %, points {options.move_ms} ms apart, --stop {options.stop}, {len(rows)} runs of "
          f"{statistics.median(seconds):.1f} s: the interval held the long-run rate in {share(long_run)}, the window's "
          f"own in {share(window)}; off from the window's by {max(offs, key=abs):+.2%} at most")


if __name__ == "__main__":
    os.environ.setdefault("DOKIEM_EMULATOR", os.path.join(sys.argv[1], "tests/netlab/emulator/link_emulator"))
    netlab.enter()
    main()
