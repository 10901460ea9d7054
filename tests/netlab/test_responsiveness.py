#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Responsiveness on a link whose queue is known: test_responsiveness.py BUILD_FOLDER EMULATOR

The receive windows are held small (the route's `window`), so that all that is on its way stands in a queue that neither
overflows nor drains: each round trip then is the link's delay and that queue, which the emulator writes down.
"""
import contextlib
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
import netlab
import recompute

BUILD, EMULATOR = "", ""
RATE_BPS, DELAY_MS, WINDOW_BYTES = 40_000_000, 10, 40_000
NEAR, MOST, TRIES = 0.05, 0.2, 3  # of the truth: a machine that somebody else keeps busy is slow to notice an answer


class Responsiveness(unittest.TestCase):
    @contextlib.contextmanager
    def link(self, files=None):
        """The link; with `files` (netlab.nginx_files) nginx is the server."""
        way = {"rate_bps": RATE_BPS, "delay_us": DELAY_MS * 1000, "queue_ms": 300}
        with netlab.EmulatedLab(down=way, up=way, program=EMULATOR) as lab, \
                netlab.start_nginx(lab.server, files) if files else \
                netlab.start_reference(lab.server, os.path.join(BUILD, "probes/dokiem-reference")):
            for node, gateway in ((lab.agent, netlab.SERVER), (lab.server, netlab.AGENT)):
                node.run("ip", "route", "replace", "default", "via", gateway, "dev", "wan0", "onlink", "congctl",
                         "cubic", "window", str(WINDOW_BYTES))
            yield lab

    def measure(self, lab, state, *arguments, server=f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"):
        program = os.path.join(BUILD, "agent/dokiem")
        if not os.path.exists(os.path.join(state, "journal")):
            netlab.run(program, "keygen", "--state", state)
        done = lab.agent.run(program, "run", "--server", server, "--stamp", f"{netlab.SERVER}:{netlab.STAMP_PORT}",
                             "--state", state, "--technology", "4g", "--format", "json", *arguments)
        record = json.loads(done.stdout)
        self.assertTrue(recompute.check_record(record, "record"))
        again = netlab.run(program, "recompute", os.path.join(state, "journal"))
        self.assertIn(f"record {record['seq']}: same", again.stdout)
        return record

    def truth_ms(self, lab, direction):
        """The round trip while the queue of that direction stood: the middle half of the rows in which it did."""
        queues = [row.queue_bytes for row in lab.rows(direction) if row.queue_bytes > 30_000]
        queues = sorted(queues[len(queues) // 4:-len(queues) // 4])
        return 2 * DELAY_MS + queues[len(queues) // 2] * 8000 / RATE_BPS

    def off(self, figure, truth_ms):
        """How far the figures are from the truth, after a look at all that does not depend on a busy machine."""
        self.assertEqual(figure["status"], "ok", figure)
        truth = 60_000 / truth_ms
        parts_ms = {key: round(figure[key] / 1e6, 1) for key in ("tcp_ns", "tls_ns", "http_ns", "self_ns")
                    if key in figure}
        print(f"    {figure['rpm']} RPM ({figure['foreign_rpm']} new connections, {figure['self_rpm']} streams), "
              f"truth {truth:.0f}; {parts_ms} ms, truth {truth_ms:.1f}; confidence {figure['confidence']}, "
              f"{figure['sent']} connections", flush=True)
        self.assertEqual(figure["sent"], figure["completed"] + figure["failed"] + figure["unfinished"])
        self.assertEqual(figure["failed"], 0)
        self.assertLessEqual(figure["unfinished"], 2)
        return max(abs(figure[key] / truth - 1) for key in ("rpm", "foreign_rpm", "self_rpm"))

    def test_a_known_queue(self):
        for _ in range(TRIES):
            with self.link() as lab, tempfile.TemporaryDirectory(prefix="dokiem-state-") as state:
                record = self.measure(lab, state, "--duration", "8", "--only", "download,latency,responsiveness")
                figure, truth_ms = record["responsiveness"]["download"], self.truth_ms(lab, "down")
                off = self.off(figure, truth_ms)
                self.assertNotIn("tls_ns", figure)
                self.assertEqual(figure["bytes"], 1500 * figure["sent"])
                self.assertGreater(record["data_used_bytes"], record["download"]["bytes"] + figure["bytes"])
                added_ms = record["latency"]["download"]["loaded_minus_idle_ns"] / 1e6
                print(f"    {added_ms:.1f} ms longer than idle, truth {truth_ms - 2 * DELAY_MS:.1f}", flush=True)
                if off < NEAR and figure["confidence"] == "high":
                    break
        self.assertLess(off, MOST)
        self.assertLess(abs(added_ms + 2 * DELAY_MS - truth_ms), MOST * truth_ms)
        self.assertEqual(figure["confidence"], "high")  # eight seconds are enough for it to become stable

    def test_the_load_is_not_touched(self):
        """The rate is the same with and without, and TCP of the streams sent nothing but the test."""
        with self.link() as lab, tempfile.TemporaryDirectory(prefix="dokiem-state-") as state:
            rates, requests = [], []
            for only in ("download", "download,responsiveness,latency"):
                record = self.measure(lab, state, "--duration", "3", "--only", only)
                rates.append(record["download"]["rate_bps"])
                # A stream sends the request of its test, and ACKs: no more bytes with the probing than without.
                requests.append([stream["sent_bytes"] for stream in record["download"]["tcp"]["streams"]])
            self.assertEqual(record["responsiveness"]["download"]["status"], "ok")
            self.assertEqual(record["responsiveness"]["upload"]["status"], "not_measured")
            print(f"    {rates[0] / 1e6:.3f} Mb/s without, {rates[1] / 1e6:.3f} with "
                  f"({rates[1] / rates[0] - 1:+.3%}); sent by the streams {requests}", flush=True)
            self.assertLess(abs(rates[1] / rates[0] - 1), 0.005)
            self.assertEqual(len(requests[0]), len(requests[1]))
            for without, with_ in zip(*requests):
                self.assertLessEqual(abs(with_ - without), 64)  # the ids of the runs differ

    def test_an_upload_with_tls(self):
        for _ in range(TRIES):
            with netlab.nginx_files() as files, self.link(files) as lab, \
                    tempfile.TemporaryDirectory(prefix="dokiem-state-") as state:
                record = self.measure(lab, state, "--duration", "3", "--only", "upload,responsiveness", "--ca-file",
                                      f"{files}/ca.pem", server=f"https://{netlab.SERVER}:{netlab.HTTPS_PORT}")
                figure = record["responsiveness"]["upload"]
                off = self.off(figure, self.truth_ms(lab, "up"))
                self.assertEqual(figure["confidence"], "low")  # three seconds
                self.assertEqual(len(figure["foreign"]["tls_ns"]), figure["completed"])
                self.assertEqual(figure["bytes"], 8000 * figure["sent"])
                if off < 2 * NEAR:
                    break
        self.assertLess(off, MOST)
        # TLS 1.3 takes one round trip, and what both sides compute.
        self.assertLess(figure["tls_ns"], 1.7 * figure["tcp_ns"])


if __name__ == "__main__":
    netlab.enter()
    BUILD, EMULATOR = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main(verbosity=2)
