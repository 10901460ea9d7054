#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Honest devices and servers agree, whatever the line: test_word.py DOKIEM REFERENCE EMULATOR

On long ways, behind deep and shallow queues, and with losses; what they differ by is printed beside what is allowed.
DOKIEM_LONG=1: more lines.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import netlab

DOKIEM = REFERENCE = EMULATOR = ""
LONG = bool(os.environ.get("DOKIEM_LONG"))
URL = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"
MBPS = 1_000_000


def line(down_bps, up_bps, rtt_ms, **more):
    ways = [{"rate_bps": rate_bps, "delay_us": rtt_ms * 500, **more} for rate_bps in (down_bps, up_bps)]
    return lambda: netlab.EmulatedLab(*ways, program=EMULATOR)


LINES = [("a line", line(40 * MBPS, 10 * MBPS, 40), "download,upload"),
         ("behind a queue of 1.5 s",
          lambda: netlab.TrueLab(20 * MBPS, 40, "upload", queue_ms=1500, program=EMULATOR), "upload")]
if LONG:
    LINES += [("slow", line(5 * MBPS, 1 * MBPS, 100), "download,upload"),
              ("fast", line(300 * MBPS, 100 * MBPS, 10), "download,upload"),
              ("far away", line(100 * MBPS, 50 * MBPS, 300), "download,upload"),
              ("lossy", line(50 * MBPS, 50 * MBPS, 40, loss_ppm=2000), "download,upload"),
              ("behind a queue of 20 ms",
               lambda: netlab.TrueLab(50 * MBPS, 40, "download", queue_ms=20, program=EMULATOR), "download")]


class Word(unittest.TestCase):
    def test_both_agree(self):
        state = self.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-state-"))
        key, public = os.path.join(state, "word.pem"), os.path.join(state, "word.jwk")
        netlab.run(DOKIEM, "keygen", "--state", state)
        netlab.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        os.chmod(key, 0o600)
        for name, lab, only in LINES:
            with self.subTest(line=name):
                with lab() as lab, netlab.start_reference(lab.server, REFERENCE, netlab.SERVER, "--word-key", key):
                    with open(public, "w", encoding="ascii") as out:
                        out.write(lab.agent.run("curl", "-sS", URL + "/word/key").stdout)
                    record = json.loads(lab.agent.run(
                        DOKIEM, "run", "--server", URL, "--only", only, "--duration", "5s", "--format", "json",
                        "--progress", "none", "--state", state).stdout)
                done = subprocess.run([DOKIEM, "verify", "--state", state, "--server-key", public, "--format", "json",
                                       os.path.join(state, f"journal/{record['seq']:010}.jws")],
                                      capture_output=True, text=True, timeout=60)
                found = json.loads(done.stdout)["records"][0]
                body = record["server"]["word"].split(".")[1]
                word = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
                for direction in only.split(","):
                    ours, theirs = record[direction], word[direction]
                    more = sum(theirs["bytes"]) - ours["bytes"]
                    print(f"  {name}, {direction}: the server saw {more / ours['bytes']:+.2%} of the bytes and "
                          f"{(theirs['duration_ns'] - ours['duration_ns']) / 1e6:+.0f} ms, with a round trip of "
                          f"{theirs['rtt_ns'] / 1e6:.0f} ms", flush=True)
                self.assertEqual((found["word"], found.get("word_reason"), done.returncode), ("agrees", None, 0))


if __name__ == "__main__":
    netlab.enter()
    DOKIEM, REFERENCE, EMULATOR = sys.argv[1:4]
    del sys.argv[1:4]
    unittest.main(verbosity=2)
