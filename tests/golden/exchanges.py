# SPDX-License-Identifier: Apache-2.0
"""Recorded datagram exchanges replayed through the probes: all that a probe makes of one is compared.

exchanges.py EXCHANGE_STAMP EXCHANGE_ICMP

The recordings (exchanges/*.txt) are of real ones over the emulated link, made by record_exchanges.py; exchange.c says
what is in them, and compares the bytes that the probe sends. Whatever was changed in one is noticed.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = {}
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exchanges")
NAMES = ("icmp_bad_line", "stamp_bad_line", "stamp_clean", "stamp_late", "stamp_nobody")


def replay(name, path):
    return subprocess.run([PROGRAMS[name.split("_", 1)[0]], "replay", path], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False)


class Exchanges(unittest.TestCase):
    maxDiff = None

    def test_each_gives_the_whole_result_again(self):
        names = sorted(name[:-4] for name in os.listdir(FOLDER) if name.endswith(".txt"))
        self.assertEqual(tuple(names), NAMES)
        for name in names:
            path = os.path.join(FOLDER, name)
            done = replay(name, path + ".txt")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            with open(path + ".json", encoding="utf-8") as file:
                self.assertEqual(done.stdout, file.read(), name)

    def test_what_is_changed_is_noticed(self):
        """Each kind of line, changed in one digit: what is sent is compared, and what comes changes the result."""
        path = os.path.join(FOLDER, "stamp_bad_line")
        with open(path + ".txt", encoding="ascii") as file:
            lines = file.read().split("\n")
        with open(path + ".json", encoding="utf-8") as file:
            whole = file.read()
        flip = lambda digit: "1" if digit == "0" else "0"
        changes = {
            "random": lambda line: line[:-1] + flip(line[-1]),
            "clock": lambda line: line + "1",
            # The last bytes of a packet's header, before what goes with it: part of its timestamp.
            "send": lambda line: re.sub(r"([0-9a-f])([0-9a-f]{15})$", lambda m: flip(m[1]) + m[2], line),
            # A later time of arrival.
            "read": lambda line: " ".join(word if i != 4 else str(int(word) + 1000)
                                          for i, word in enumerate(line.split(" "))),
        }
        for kind, change in changes.items():
            number = next(i for i, line in enumerate(lines) if line.startswith(kind + " "))
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as changed:
                changed.write("\n".join([*lines[:number], change(lines[number]), *lines[number + 1:]]))
                changed.flush()
                done = replay("stamp", changed.name)
            self.assertTrue(done.returncode != 0 or done.stdout != whole, kind)


if __name__ == "__main__":
    PROGRAMS.update(zip(("stamp", "icmp"), sys.argv[1:3]))
    del sys.argv[1:3]
    unittest.main()
