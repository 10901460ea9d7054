# SPDX-License-Identifier: Apache-2.0
"""People are spoken to in their language; programs and records, in every locale, in English."""

import json
import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from agent import ENVIRONMENT, Agent  # noqa: E402
from test_servers import Server, good_until  # noqa: E402

LANGUAGES = ("en", "vi")


def run(agent, language, verb, *arguments):
    return subprocess.run(agent.command(verb, *arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**ENVIRONMENT, "LANGUAGE": language}, timeout=60, check=False)


class Language(unittest.TestCase):
    def setUp(self):
        self.agent = Agent().__enter__()
        self.addCleanup(self.agent.__exit__)

    def fail_once(self, language):
        """Why a run failed that was broken off by its server: words of the system among them."""
        def reset(connection, _request):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with Server(good_until("/garbage", reset)) as server:
            done = run(self.agent, language, "run", "--server", f"http://127.0.0.1:{server.port}", "--only", "download")
        self.assertEqual(done.returncode, 69, done.stderr)
        return self.agent.last()["download"]["reason"]

    def test_a_record_is_in_english(self):
        for language in LANGUAGES:
            self.assertIn("Connection reset by peer", self.fail_once(language))

    def test_what_programs_read_is_the_same_in_every_language(self):
        self.fail_once("vi")
        self.fail_once("vi")
        journal = os.path.join(self.agent.state, "journal")
        damaged = os.path.join(journal, self.agent.records()[0])
        with open(damaged, "r+b") as file:
            file.truncate(100)
        commands = (("list",), ("status",), ("verify", journal), ("recompute", journal), ("capabilities",),
                    ("assess", journal), ("show", "last"), ("campaign", "status"))
        for verb, *operands in commands:
            with self.subTest(verb):
                said = [run(self.agent, language, verb, *operands, "--format", "json") for language in LANGUAGES]
                self.assertEqual(said[0].returncode, said[1].returncode)
                for line in said[0].stdout.splitlines() if verb == "list" else ():
                    json.loads(line)
                if verb not in ("status", "capabilities"):  # they tell of this moment
                    self.assertEqual(said[0].stdout, said[1].stdout)
                if verb != "assess":  # it has the title of the profile
                    self.assertTrue(said[1].stdout.isascii(), said[1].stdout)
                self.assertTrue(said[1].stderr.isascii(), said[1].stderr)

    def test_people_are_told_in_their_language(self):
        self.fail_once("en")
        for arguments in (("list",), ("status",), ("verify", os.path.join(self.agent.state, "journal")),
                          ("capabilities",)):
            with self.subTest(arguments):
                english, vietnamese = (run(self.agent, language, *arguments) for language in LANGUAGES)
                self.assertEqual(english.returncode, vietnamese.returncode)
                self.assertTrue(english.stdout.isascii(), english.stdout)
                self.assertFalse(vietnamese.stdout.isascii(), vietnamese.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
