#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How far round-trip times are from the emulator's truth, beside ping, fping and curl's time_connect in the same run:

    latency.py BUILD_FOLDER [--delays US…] [--loads N…] [--count N] [--rounds N]

The truth of a packet is the link's delay plus the emulator's own lateness with that very packet; of a TCP handshake,
which is several packets, plus its usual lateness. A row is one delay with so many processes that want a processor all
the time: the median of the errors without sign, over all rounds, and their 99th percentile. The bar: the median of
`stamp` is no larger than that of ping, fping and curl. Performance is no assertion: the exit status is 0 unless the
bench itself breaks.
"""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "netlab"))
import netlab  # noqa: E402
import test_latency  # noqa: E402
from test_latency import INTERVAL_US, ping_us, rtts  # noqa: E402

TARGET = f"{netlab.SERVER}:{netlab.STAMP_PORT}"
URL = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}/empty"


def stamp_us(lab, count):
    return rtts(lab, "stamp", TARGET, count)[0]


def icmp_us(lab, count):
    return rtts(lab, "icmp", TARGET, count)[0]


def tcp_us(lab, count):
    return rtts(lab, "tcp", TARGET, count)[0]


def fping_us(lab, count):
    # It prints the times on standard error: "ADDRESS : 10.1 9.98 - …", in ms. Its packets are as long as ping's.
    said = lab.agent.run("fping", "-q", "-C", str(count), "-p", str(INTERVAL_US // 1000), "-t", "2000", "-b", "56",
                         netlab.SERVER, check=False, timeout=120).stderr
    times = said.strip().splitlines()[-1].split(" : ")[1].split()
    return [None if time == "-" else float(time) * 1000 for time in times]


def curl_us(lab, count):
    script = f"for i in $(seq {count}); do curl -s -o /dev/null -w '%{{time_connect}}\\n' {URL}; done"
    return [float(line) * 1e6 for line in lab.agent.run("sh", "-c", script, timeout=120).stdout.split()]


# Name: what it says, and the IP bytes of its packets; None: it is a TCP handshake.
TOOLS = {"stamp": (stamp_us, 100), "icmp": (icmp_us, 84), "ping": (ping_us, 84), "fping": (fping_us, 84),
         "tcp": (tcp_us, None), "curl": (curl_us, None)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--delays", type=int, nargs="+", default=[100, 5000, 20_000, 80_000])
    parser.add_argument("--loads", type=int, nargs="+", default=[0, test_latency.BUSY_PROCESSES])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("DOKIEM_ROUNDS", "3")))
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    test_latency.PROGRAMS.update(
        emulator=f"{build}/tests/netlab/emulator/link_emulator", reference=f"{build}/probes/dokiem-reference",
        **{name: f"{build}/tests/netlab/rtt_{name}" for name in ("stamp", "icmp", "tcp")})
    bench = test_latency.Latency()
    met = rows = 0
    print("error of the round-trip time in us: median, p99\n")
    for delay_us in options.delays:
        for load in options.loads:
            errors = {name: [] for name in TOOLS}
            for _ in range(options.rounds):
                for name, (tool, ip_bytes) in TOOLS.items():
                    found, _ = bench.once(delay_us, load, options.count, ip_bytes,
                                          lambda lab, n, t=tool: (t(lab, n), ""))
                    errors[name] += map(abs, found)
            middle = {name: statistics.median(values) for name, values in errors.items()}
            good = all(middle["stamp"] <= other for name, other in middle.items() if name in ("ping", "fping", "curl"))
            rows, met = rows + 1, met + good
            shown = (f" {name} {middle[name]:6.0f} {test_latency.p99(values):6.0f}" for name, values in errors.items())
            print(f"{delay_us / 1000:5g} ms {load} busy ", *shown, "  PASS" if good else "  MISS", flush=True)
    print(f"\n{met} of {rows} rows: stamp is no further from the truth than ping, fping and curl")


if __name__ == "__main__":
    netlab.enter()
    main()
