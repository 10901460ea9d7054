#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many STAMP packets the reflector answers with one processor: reflector.py REFERENCE REFLECT

Answers by the processor time that dokiem-reference used for them, so another load on the machine does not count.
DOKIEM_ROUNDS (5) rounds of 2 s each; medians.
"""
import os
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("DOKIEM_ROUNDS", "5"))
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BAR = 100_000


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def once(reference, reflect, *how):
    with subprocess.Popen([reference, "--stamp", "127.0.0.1:0", "--packets-per-second", "1000000"], text=True,
                          stdout=subprocess.PIPE) as server:
        try:
            port = server.stdout.readline().rsplit(":", 1)[1].strip()
            before = cpu_s(server.pid)
            said = subprocess.run([reflect, "127.0.0.1", port, "2", *how], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            used = cpu_s(server.pid) - before
        finally:
            server.terminate()
    counts = {key: int(value) for key, value in (word.split("=") for word in said.split())}
    assert counts["back_bytes"] <= counts["sent_bytes"], "the reflector amplifies"
    return counts["back"] / 2, counts["back"] / used


print(f"{'':28}{'answers/s':>12}{'of one processor':>18}   bar {BAR}")
for name, how in (("STAMP", ()), ("with follow-up telemetry", ("follow",))):
    rates = [once(sys.argv[1], sys.argv[2], *how) for _ in range(ROUNDS)]
    whole, processor = (statistics.median(column) for column in zip(*rates))
    print(f"{name:28}{whole:12.0f}{processor:18.0f}   {'met' if processor >= BAR else 'NOT MET'}")
