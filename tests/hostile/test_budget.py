# SPDX-License-Identifier: Apache-2.0
"""The data budget: a run that could go over it is recorded as skipped and moves nothing; what a run may use is counted
before it starts, so that a kill or a power cut cannot make it forgotten."""

import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import Agent  # noqa: E402
from test_state import Silent  # noqa: E402

SMALL = "[server]\nstamp = off\n[test]\nonly = download,latency\nmax_bytes = 1MB\n"


class Budget(unittest.TestCase):
    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)

    def run_with(self, budget, status, *more, extra=SMALL):
        path = self.agent.configuration(extra + "[budget]\nlink = sim1\n" + budget)
        result = self.agent.run("run", "--config", path, *more)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def periods(self):
        now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=7)))
        return now.strftime("%Y%m%d"), now.strftime("%Y%m")

    def usage(self):
        with open(os.path.join(self.agent.state, "budget", "usage"), encoding="utf-8") as file:
            rows = [line.rstrip("\n").split(" ", 2) for line in file]
        return {(period, link): int(used) for period, used, link in rows}

    def write(self, *rows):
        os.makedirs(os.path.join(self.agent.state, "budget"), exist_ok=True)
        with open(os.path.join(self.agent.state, "budget", "usage"), "w", encoding="utf-8") as file:
            file.writelines(row + "\n" for row in rows)

    def test_no_limit_counts_nothing(self):
        self.run_with("", 69)
        self.assertFalse(os.path.exists(os.path.join(self.agent.state, "budget", "usage")))

    def test_too_small_for_any_run(self):
        with Silent() as server:
            result = self.run_with("daily = 500kB\n", 75, "--server", server.url)
            self.assertFalse(server.reached.is_set(), "something was measured")
        self.assertIn("--ignore-budget", result.stderr)
        record = self.agent.last()
        self.assertEqual(record["kind"], "skipped")
        self.assertTrue(record["reason"].startswith("budget: "), record["reason"])
        self.assertEqual(record["data_used_bytes"], 0)
        self.run_with("daily = 500kB\n", 69, "--ignore-budget")

    def test_used_up(self):
        day, month = self.periods()
        self.write("20200101 999999999999 sim1", "202001 999999999999 sim1", f"{month} 999999999999 sim2",
                   f"{day} 8000000 sim1", f"{month} 9000000 sim1")
        self.run_with("daily = 20MB\nmonthly = 20MB\n", 69)  # no server: nothing was used, and all is given back
        self.assertEqual(self.usage()[day, "sim1"], 8000000)
        self.run_with("daily = 8100kB\n", 75)
        self.assertIn("day's", self.agent.last()["reason"])
        self.run_with("monthly = 9100kB\n", 75)
        self.assertIn("month's", self.agent.last()["reason"])
        status = self.agent.run("status")
        self.assertIn("sim1: 8000 kB today, 9000 kB this month", status.stdout)

    def test_killed_run_stays_counted(self):
        path = self.agent.configuration(SMALL + "[budget]\nlink = sim1\ndaily = 4MB\n")
        with Silent() as server:
            run = self.agent.start("run", "--config", path, "--server", server.url)
            self.assertTrue(server.reached.wait(20))
            run.kill()
            run.communicate(timeout=20)
        day, month = self.periods()
        self.assertGreater(self.usage()[day, "sim1"], 1000000)
        self.assertEqual(self.usage()[day, "sim1"], self.usage()[month, "sim1"])
        self.run_with("daily = 2MB\n", 75)

    def test_damaged(self):
        for text in ("x", "20261120 1", "20261120 -1 sim1", "1 1 sim1", "20261120 1 a\x01"):
            self.write(text)
            result = self.run_with("daily = 1GB\n", 65)
            self.assertIn("usage", result.stderr)
        self.assertEqual(self.agent.records(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
