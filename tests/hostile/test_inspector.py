# SPDX-License-Identifier: Apache-2.0
"""An inspector's run: what is stated ends up in the record, questions on a terminal, a campaign from plan to end."""

import contextlib
import datetime
import hashlib
import json
import os
import pty
import select
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import Agent, ENVIRONMENT  # noqa: E402

VIETNAM = datetime.timezone(datetime.timedelta(hours=7))
RUN = ("--only", "download", "--duration", "1s", "--stamp", "off", "--progress", "none")


@contextlib.contextmanager
def reference():
    """A reference server's URL."""
    with subprocess.Popen([os.environ["DOKIEM_REFERENCE"], "--http", "127.0.0.1:0"], stdout=subprocess.PIPE,
                          text=True) as server:
        try:
            yield "http://" + server.stdout.readline().split()[1]
        finally:
            server.terminate()


def plan(gap="30s", environment="indoor", days=(-1, 1), more=""):
    today = datetime.datetime.now(VIETNAM).date()
    first, last = (today + datetime.timedelta(days=d) for d in days)
    return (f"[campaign]\nid = hall-2026\ntitle = \"Nhà văn hóa\"\nfrom = {first}\nto = {last}\ngap = {gap}\n{more}"
            f"[stratum inside]\ntechnology = fixed\nenvironment = {environment}\nsamples = 2\n")


class Inspector(unittest.TestCase):
    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)

    def write(self, name, content):
        path = os.path.join(self.agent.folder, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def campaign(self, *words):
        return self.agent.run("campaign", *words)

    def test_what_is_stated_is_in_the_record(self):
        photo = self.write("photo.jpg", b"\xff\xd8 not looked at")
        with reference() as server:
            done = self.agent.run("run", "--server", server, *RUN, "--case", "12/KT-2026", "--inspector", "Lê Thị B",
                                  "--place", "Nhà rông Kon Klor", "--tariff", "Net 200", "--photo", photo,
                                  "--site", "kontum-001")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.agent.last()["inspection"], {
            "case": "12/KT-2026", "inspector": "Lê Thị B", "place": "Nhà rông Kon Klor", "tariff": "Net 200",
            "photo_sha256": hashlib.sha256(b"\xff\xd8 not looked at").hexdigest()})

    def test_a_photo_that_is_not_there_costs_no_run(self):
        done = self.agent.run("run", "--server", "127.0.0.1:9", *RUN, "--photo", "/no/such/photo")
        self.assertEqual(done.returncode, 66)
        self.assertIn("/no/such/photo", done.stderr)
        self.assertEqual(self.agent.run("list", "--format", "json").stdout, "")

    def test_questions_need_somebody_to_ask(self):
        done = self.agent.run("run", "--server", "127.0.0.1:9", "--ask")
        self.assertEqual(done.returncode, 64)
        self.assertIn("nobody to ask", done.stderr)

    def answer(self, answers, *arguments):
        """Runs with --ask on a terminal of its own; answers come when a question does. Status, and what was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(self.agent.program, self.agent.command("run", "--ask", *arguments),
                       {**ENVIRONMENT, "TERM": "dumb"})
        shown, waiting, end = b"", list(answers), time.monotonic() + 60
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
            # A reading may end inside a character or inside a question's last two bytes.
            if shown.endswith(b": ") and waiting:
                os.write(terminal, waiting.pop(0).encode())
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_questions_are_asked_until_the_answer_is_allowed(self):
        answers = ["C-7\n", "\n", "  hall \n", "Nhà văn hóa\n", "under water\n", "indoor\n", "VNPT\n", "4g\n", "-\n",
                   "\n", "ghi chú\n"]
        with reference() as server:
            status, shown = self.answer(answers, "--server", server, *RUN, "--tariff", "taken back")
        self.assertEqual(status, 0, shown)
        record = self.agent.last()
        self.assertEqual(record["inspection"], {"case": "C-7", "place": "Nhà văn hóa"})
        self.assertEqual((record["site"]["code"], record["site"]["environment"], record["site"]["note"]),
                         ("hall", "indoor", "ghi chú"))
        self.assertEqual((record["link"]["operator"], record["link"]["technology_declared"]), ("VNPT", "4g"))
        self.assertIn("[\"taken back\"]", shown)
        self.assertEqual(shown.count("(unstated, indoor, outdoor, moving)"), 2)

    def test_answers_that_end_early_cost_no_run(self):
        status, shown = self.answer(["C-7\n", "\x04"], "--server", "127.0.0.1:9", *RUN)
        self.assertEqual(status, 130, shown)
        self.assertEqual(self.agent.run("list", "--format", "json").stdout, "")

    def test_a_dry_run_touches_nothing(self):
        done = self.agent.run("run", "--dry-run", "--server", "192.0.2.1", "--technology", "fixed")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for words in ("http://192.0.2.1", "200.00 Mb/s", "about 23 s", "Nothing was measured"):
            self.assertIn(words, done.stdout)
        self.assertEqual(self.agent.run("list", "--format", "json").stdout, "")

    def test_a_campaign_from_its_plan_to_its_end(self):
        self.assertEqual(self.campaign("status").returncode, 66)
        started = self.campaign("start", self.write("plan.ini", plan(gap="1h")))
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertIn("inside: 0 of 2, 2 to go", started.stdout)
        self.assertIn("A sample counts now", started.stdout)
        with reference() as server:
            place = ("--technology", "fixed", "--environment", "indoor")
            refused = self.agent.run("run", "--server", server, *RUN)  # of no stratum
            self.assertEqual(refused.returncode, 64)
            self.assertIn("inside (fixed, indoor)", refused.stderr)
            done = self.agent.run("run", "--server", server, *RUN, *place)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("campaign hall-2026, inside: 1 of 2", done.stderr)
            self.assertEqual(self.agent.last()["inspection"], {"campaign": "hall-2026"})
            early = self.agent.run("run", "--server", server, *RUN, *place)
            self.assertEqual(early.returncode, 75)
            self.assertIn("a sample counts again from", early.stderr)
            apart = self.agent.run("run", "--server", server, *RUN, *place, "--no-campaign")
            self.assertEqual(apart.returncode, 0, apart.stderr)
            self.assertNotIn("inspection", self.agent.last())
        said = json.loads(self.campaign("status", "--format", "json").stdout)
        self.assertEqual(said["campaign"], "hall-2026")
        self.assertEqual((said["strata"][0]["taken"], said["strata"][0]["missing"]), (1, 1))
        other = self.campaign("start", self.write("other.ini", plan().replace("hall-2026", "other")))
        self.assertEqual(other.returncode, 75)
        self.assertEqual(self.campaign("stop").returncode, 0)
        self.assertEqual(self.campaign("stop").returncode, 66)

    def test_a_campaign_that_is_over_takes_no_run(self):
        self.assertEqual(self.campaign("start", self.write("plan.ini", plan(days=(-9, -8)))).returncode, 0)
        done = self.agent.run("run", "--server", "127.0.0.1:9", *RUN, "--technology", "fixed", "--environment",
                              "indoor")
        self.assertEqual(done.returncode, 75)
        self.assertIn("is over", done.stderr)

    def test_a_plan_that_is_wrong_is_not_begun(self):
        for text, word in ((plan(gap="2d"), "1 d"), (plan(more="hours = 9-8\n"), "bands"), ("\0", "plan.ini")):
            done = self.campaign("start", self.write("plan.ini", text))
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(word, done.stderr)
        self.assertEqual(self.campaign("start", "/no/such/plan").returncode, 66)
        self.assertEqual(self.campaign("status").returncode, 66)


if __name__ == "__main__":
    unittest.main(verbosity=2)
