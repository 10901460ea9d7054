# SPDX-License-Identifier: Apache-2.0
"""dokiem's STAMP probe against a TWAMP Light reflector (twamp_light.py)."""
import http.server
import os
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "hostile")]
from agent import Agent  # noqa: E402
from twamp_light import ADDRESS, Reflector  # noqa: E402

COUNT = 40


class Answer(http.server.BaseHTTPRequestHandler):
    """The reference server that a run has to reach."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class TwampLight(unittest.TestCase):
    def measure(self, interval_ms=20, timeout_ms=1000, **behaviour):
        with http.server.ThreadingHTTPServer((ADDRESS, 0), Answer) as server, Agent() as agent:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                with Reflector(**behaviour) as reflector:
                    config = agent.configuration(f"[latency]\ncount = {COUNT}\ninterval = {interval_ms}ms\n"
                                                 f"timeout = {timeout_ms}ms\n")
                    done = agent.run("run", "--config", config, "--server",
                                     f"http://{ADDRESS}:{server.server_address[1]}", "--only", "latency", "--stamp",
                                     f"{ADDRESS}:{reflector.port}")
            finally:
                server.shutdown()
                thread.join()
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(reflector.wrong, [])
            idle = agent.last()["latency"]["idle"]
        self.assertEqual((idle["method"], idle["sent"]), ("stamp", COUNT), idle)
        self.assertEqual([sequence for sequence, _ in reflector.packets], list(range(COUNT)))
        # What such a reflector cannot tell is not told.
        for name in ("lost_forward", "lost_return", "reflector_clock", "reflector_timestamps"):
            self.assertNotIn(name, idle)
        self.assertEqual(idle["foreign"], 0)
        return idle, reflector

    def test_both_ways_of_counting(self):
        for own_count in (False, True):
            with self.subTest(own_count=own_count):
                idle, reflector = self.measure(own_count=own_count)
                self.assertEqual((idle["status"], idle["received"], idle["duplicate"], idle["reordered"]),
                                 ("ok", COUNT, 0, 0))
                # It has answered, and not the questions that go with the packets: then they are asked without.
                self.assertEqual({size for _, size in reflector.packets[len(reflector.packets) // 2:]}, {44})

    def test_the_time_that_it_holds_a_packet_is_not_in_the_round_trip(self):
        idle, _ = self.measure(hold_s=0.05, interval_ms=60)
        self.assertEqual(idle["received"], COUNT)
        self.assertLess(idle["rtt_median_ns"], 50_000_000)

    def test_what_it_does_not_answer_is_lost(self):
        idle, _ = self.measure(timeout_ms=300, fate=lambda number: number % 4 != 3)
        self.assertEqual((idle["lost"], idle["received"]), (COUNT // 4, COUNT - COUNT // 4))
        self.assertEqual([number for number, rtt in enumerate(idle["series_ns"]) if rtt < 0],
                         list(range(3, COUNT, 4)))

    def test_what_it_answers_twice_is_counted(self):
        # What comes after the last first answer nobody waits for.
        idle, _ = self.measure(fate=lambda number: 2 if number % 5 == 0 else 1)
        self.assertEqual((idle["received"], idle["duplicate"]), (COUNT, COUNT // 5))


if __name__ == "__main__":
    unittest.main(verbosity=2)
