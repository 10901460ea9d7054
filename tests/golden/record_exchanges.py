#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records the exchanges that exchanges.py replays, anew: record_exchanges.py BUILD_FOLDER

Each between network namespaces, over the emulated link (tests/netlab), with our reflector or the kernel's own echo.
Look at what becomes of the figures before you keep it.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, os.pardir, "netlab"), os.path.join(HERE, os.pardir, "interop")]
import netlab  # noqa: E402

PACKETS, INTERVAL_US = 24, 10_000
# Name: probe, timeout in ms, what happens on the way down and up.
EXCHANGES = {
    "stamp_clean": ("stamp", 500, {"delay_us": 5000}, {"delay_us": 5000}),
    "stamp_bad_line": ("stamp", 60, {"delay_us": 20_000, "loss_ppm": 100_000, "duplicate_ppm": 100_000},
                       {"delay_us": 5000, "loss_ppm": 60_000, "reorder_ppm": 150_000, "reorder_us": 25_000}),
    "stamp_late": ("stamp", 50, {"delay_us": 20_000, "jitter_us": 40_000}, {"delay_us": 5000}),
    "stamp_nobody": ("stamp", 50, {"loss_ppm": 1_000_000}, {}),
    "icmp_bad_line": ("icmp", 100, {"delay_us": 10_000, "loss_ppm": 80_000, "duplicate_ppm": 120_000},
                      {"delay_us": 10_000, "reorder_ppm": 100_000, "reorder_us": 25_000}),
}


def main(build):
    program = lambda path: os.path.abspath(os.path.join(build, path))
    target = f"{netlab.SERVER}:{netlab.STAMP_PORT}"
    for name, (probe, timeout_ms, down, up) in EXCHANGES.items():
        with netlab.EmulatedLab(down=down, up=up, seed=7,
                                program=program("tests/netlab/emulator/link_emulator")) as lab, \
                netlab.Service(lab.server, [program("probes/dokiem-reference"), "--stamp", target],
                               udp=(netlab.STAMP_PORT,)):
            path = os.path.join(HERE, "exchanges", name)
            done = lab.agent.run(program(f"tests/golden/exchange_{probe}"), "record", path + ".txt", netlab.SERVER,
                                 target, str(PACKETS), str(INTERVAL_US), str(timeout_ms))
        with open(path + ".json", "w", encoding="utf-8") as file:
            file.write(done.stdout)
        print(name, done.stdout, sep="\n", flush=True)


if __name__ == "__main__":
    netlab.enter()
    main(sys.argv[1])
