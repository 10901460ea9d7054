#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The stop rules on links whose truth is known: what they cost, and that no burst passes for the line.

    test_stop.py BUILD_FOLDER EMULATOR

Every record is computed again from its series (tests/golden/recompute.py). DOKIEM_LONG=1: every link several times, and
the recordings in $DOKIEM_TRACES.
"""
import json
import os
import statistics
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../golden")]
import netlab
import recompute

BUILD = EMULATOR = ""
LONG = bool(os.environ.get("DOKIEM_LONG"))
ROUNDS = 5 if LONG else 1
# A sanitized build is there for its memory: each rule once does for it.
SANITIZED = bool(os.environ.get("DOKIEM_SANITIZED"))
URL = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"
TRIES = 3  # on a machine that somebody else keeps busy
S = 1_000_000_000


def program(path):
    return os.path.join(BUILD, path)


class Stop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-state-"))
        netlab.run(program("agent/dokiem"), "keygen", "--state", cls.state)

    def measure(self, lab, technology, *extra, direction="download"):
        done = lab.agent.run(program("agent/dokiem"), "run", "--server", URL, "--technology", technology, "--only",
                             direction, "--format", "json", "--state", self.state, *extra)
        record = json.loads(done.stdout)
        self.assertIs(recompute.check_record(record, " ".join(extra)), True)
        return record

    def reference(self, lab):
        return netlab.start_reference(lab.server, program("probes/dokiem-reference"))

    def test_steady_lines(self):
        """At twice and half the threshold: a verdict for a quarter of the bytes. And what `precise` costs. Both are
        printed; a bound of twice that holds on a busy machine too."""
        more = ((105, "fixed", "fail"), (420, "fixed", "pass")) if LONG else ()
        for mbps, technology, outcome in ((80, "4g", "pass"), (20, "4g", "fail"), *more):
            with self.subTest(mbps=mbps), netlab.Lab(mbps * 1_000_000) as lab, self.reference(lab):
                whole = lab.payload_bps * 10 / 8
                for rule, most in (("verdict", 0.5), ("precise", 0.5)):
                    shares, offs, stops = [], [], []
                    for _ in range(1 if SANITIZED else max(ROUNDS, TRIES)):
                        record = self.measure(lab, technology, "--stop", rule)
                        download = record["download"]
                        shares.append(download["bytes"] / whole)
                        stops.append(download["stop"])
                        offs.append(download["rate_bps"] / lab.payload_bps - 1)
                        if rule == "verdict":
                            self.assertEqual(record["verdict"]["outcome"], outcome, record["verdict"])
                    print(f"  {mbps} Mb/s, {rule}: {statistics.median(shares):.1%} of the bytes of 10 s, "
                          f"off by {max(offs, key=abs):+.2%} at most", flush=True)
                    if not SANITIZED:
                        self.assertIn(rule, stops)
                        self.assertLess(min(shares), most)
                        self.assertLess(abs(statistics.median(offs)), 0.02)

    def test_bursts(self):
        """Twice the rate until 10 MB are used up: the sustained rate, or a flag; never a pass by the burst."""
        more = ((100, "5g", 10_000), (40, "4g", 40_000)) if LONG else ()
        for mbps, technology, delay_us in ((40, "4g", 10_000), *more):
            down = {"rate_bps": mbps * 1_000_000, "burst_bps": 2 * mbps * 1_000_000, "burst_bytes": 10_000_000,
                    "delay_us": delay_us}
            payload_bps = mbps * 1_000_000 * netlab.PAYLOAD_SHARE
            for extra in (("--stop", "time"), ("--stop", "precise"), ("--stop", "verdict"), ("--duration", "2"),
                          ("--duration", "3"))[:3 if SANITIZED else None] * ROUNDS:
                with self.subTest(mbps=mbps, extra=extra), \
                        netlab.EmulatedLab(down, {"delay_us": delay_us}, program=EMULATOR) as lab, self.reference(lab):
                    record = self.measure(lab, technology, *extra)
                    download, off = record["download"], record["download"]["rate_bps"] / payload_bps - 1
                    flags = {flag["code"] for flag in record["validity"]["flags"]}
                    print(f"  {mbps} Mb/s after a burst, {' '.join(extra)}: {off:+.2%}, {sorted(flags)}, "
                          f"{record['verdict']['outcome']}, {download['stop']} after "
                          f"{download['duration_ns'] / S:.2f} s", flush=True)
                    self.assertNotEqual(record["verdict"]["outcome"], "pass")
                    # Less than the line is what a busy machine does; more is the burst.
                    if off > 0.02:
                        self.assertTrue(flags & {"unsteady", "brief"}, flags)
                        self.assertEqual(record["verdict"]["outcome"], "inconclusive")

    def by_each_rule(self, down, technology, seed=0):
        for rule in ("verdict",) if SANITIZED else ("time", "precise", "verdict"):
            with self.subTest(down=down, rule=rule, seed=seed), \
                    netlab.EmulatedLab(down | {"delay_us": 10_000}, {"delay_us": 10_000}, seed, EMULATOR) as lab, \
                    self.reference(lab):
                began_ns = time.monotonic_ns()
                record = self.measure(lab, technology, "--stop", rule)
                download = record["download"]
                off = download["rate_bps"] / lab.payload_rate(download, began_ns, time.monotonic_ns()) - 1
                print(f"  {rule}: {download['rate_bps'] / 1e6:.1f} Mb/s, off by {off:+.2%} of what was delivered, "
                      f"{download['stop']} after {download['duration_ns'] / S:.2f} s, {record['verdict']['outcome']}",
                      flush=True)
                self.assertLess(abs(off), 0.02)
                yield record, download

    def test_a_rate_that_moves(self):
        """±30 % within seconds: no early end in a quiet half second, and no wrong verdict."""
        for seed in range(ROUNDS):
            down = {"rate_bps": 60_000_000, "move_ppm": 300_000, "move_ms": 1000}
            for record, download in self.by_each_rule(down, "4g", seed):
                self.assertGreaterEqual(download["duration_ns"], 1 * S)
                self.assertNotEqual(record["verdict"]["outcome"], "fail")

    def test_a_line_that_loses_packets(self):
        """0.5 %, and CUBIC at both ends: more streams, and with them what the line carries. Without loss there are no
        more than at the beginning."""
        lines = ((100, 20, "download"), (100, 20, "upload"), (40, 80, "download"), (40, 80, "upload"))
        for mbps, rtt_ms, direction in lines if LONG else lines[:1]:
            for loss_ppm, seed in ((0, 0), *((5000, seed) for seed in range(ROUNDS))):
                way = {"rate_bps": mbps * 1_000_000, "delay_us": rtt_ms * 500, "loss_ppm": loss_ppm}
                with self.subTest(mbps=mbps, direction=direction, loss=loss_ppm, seed=seed), \
                        netlab.EmulatedLab(way, way, seed, EMULATOR) as lab, self.reference(lab):
                    for _ in range(TRIES):
                        figures = self.measure(lab, "4g", direction=direction)[direction]
                        share = figures["rate_bps"] / (mbps * 1e6 * netlab.PAYLOAD_SHARE)
                        print(f"  {mbps} Mb/s {rtt_ms} ms {direction}, {loss_ppm / 10000} % lost: {share:.1%} with "
                              f"{figures['streams']} streams", flush=True)
                        self.assertLessEqual(figures["streams"], 16)
                        if share >= 0.95 and (loss_ppm > 0) == (figures["streams"] > 4):
                            break
                    if not SANITIZED:
                        self.assertGreaterEqual(share, 0.95)
                        self.assertEqual(loss_ppm > 0, figures["streams"] > 4)
                        self.assertEqual("joined_ns" in figures["series"], loss_ppm > 0)

    if LONG and os.environ.get("DOKIEM_TRACES"):
        def test_recorded_lines(self):
            folder = os.environ["DOKIEM_TRACES"]
            for name in sorted(os.listdir(folder)):
                for times in (1, 4):
                    print(f"  {name} × {times}", flush=True)
                    down = {"trace": os.path.join(folder, name), "trace_scale_ppm": times * 1_000_000}
                    for _ in self.by_each_rule(down, "4g"):
                        pass


if __name__ == "__main__":
    netlab.enter()
    BUILD, EMULATOR = sys.argv[1:3]
    del sys.argv[1:3]
    unittest.main(verbosity=2)
