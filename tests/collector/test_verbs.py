# SPDX-License-Identifier: Apache-2.0
"""`dokiem enrol` and `dokiem deliver` with the real collector.

usage: test_verbs.py COLLECTOR DOKIEM"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from support import Collector, compact, sha, unb64

DOKIEM = sys.argv.pop(2)
COLLECTOR = sys.argv.pop(1)


class Verbs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-verbs-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.state = self.folder + "/state"
        self.collector = self.start("collector")

    def start(self, name):
        collector = Collector(COLLECTOR, os.path.join(self.folder, name))
        self.addCleanup(collector.stop)
        return collector

    def dokiem(self, verb, *arguments, status=0, words="", given="", where=None):
        places = ["--collector", where or self.collector.url] if verb in ("enrol", "deliver") else []
        done = subprocess.run([DOKIEM, verb, "--state", self.state, *places, *arguments], input=given, text=True,
                              capture_output=True, timeout=120, env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})
        self.assertEqual(done.returncode, status, done)
        self.assertIn(words, done.stderr)
        return done.stdout

    def record(self, count=1):
        """Records of runs that found nobody."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        for _ in range(count):
            self.dokiem("run", "--server", f"http://127.0.0.1:{port}", status=69)

    def enrolled(self):
        self.dokiem("keygen")
        return self.dokiem("enrol", "--token", self.collector.token("--approve")).split()[0]

    def test_from_nothing_to_delivered(self):
        token = self.collector.token()
        self.dokiem("enrol", "--token", token, status=66, words="dokiem keygen")
        self.dokiem("keygen")
        self.record()
        self.dokiem("deliver", status=77, words="dokiem enrol")
        self.dokiem("enrol", status=64, words="--token")
        self.dokiem("enrol", "--token", "-", status=66, words="no token")
        self.dokiem("enrol", "--token", "", status=64, words="empty")
        self.dokiem("enrol", "--token", "wrong", status=77, words="new token")
        device, state = self.dokiem("enrol", "--token", "-", given=token + "\n", words="approve").split()
        self.assertEqual(state, "pending")
        self.assertEqual(self.dokiem("deliver", status=77, words="not approved"),
                         "delivered 0, refused 0, waiting 1\n")
        self.collector.command("approve", device)
        self.assertEqual(self.dokiem("deliver"), "delivered 1, refused 0, waiting 0\n")
        self.record(2)
        self.assertEqual(self.dokiem("deliver"), "delivered 2, refused 0, waiting 0\n")
        self.assertEqual(self.dokiem("deliver"), "delivered 0, refused 0, waiting 0\n")
        self.collector.command("revoke", device)
        self.record()
        self.dokiem("deliver", status=77, words="revoked")

    def test_what_the_collector_gives_out_verifies_offline(self):
        device = self.enrolled()
        self.record(3)
        self.dokiem("deliver")
        key = self.folder + "/device.jwk"
        with open(key, "w") as out:
            json.dump(self.collector.devices()[device]["jwk"], out)
        chain = self.collector.request("GET", f"/v1/records?device={device}")[1]
        self.assertEqual(len(chain.splitlines()), 3)
        self.dokiem("verify", "-", "--key", key, given=chain)
        self.dokiem("verify", "-", "--key", key, given=chain.replace("A", "B", 1), status=65)

    def test_another_collector_is_not_taken_silently(self):
        self.enrolled()
        other = self.start("other")
        token = other.token("--approve")
        jwk = self.folder + "/state/collector.jwk"

        def kid():
            with open(jwk) as file:
                return sha(compact(json.load(file)))

        self.dokiem("enrol", "--token", token, where=other.url, status=78, words="--force")
        self.assertEqual(kid(), self.collector.kid)
        self.record()
        self.dokiem("deliver", where=other.url, status=65, words="receipt of record 1")
        self.assertEqual(self.dokiem("deliver"), "delivered 1, refused 0, waiting 0\n")
        self.dokiem("enrol", "--token", token, "--force", where=other.url)
        self.assertEqual(kid(), other.kid)

    def flip(self, seq, at):
        """Changes one character of a kept record to another of base64url."""
        path = f"{self.state}/journal/{seq:010}.jws"
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(b"B" if byte == ord("A") else b"A")

    def test_a_damaged_record_is_not_sent(self):
        self.enrolled()
        self.record(6)
        self.flip(2, 500)  # its payload
        self.flip(3, -1 % os.path.getsize(f"{self.state}/journal/0000000003.jws"))  # its signature
        self.flip(5, 30)  # the name of its key
        os.truncate(f"{self.state}/journal/0000000004.jws", 700)
        out = self.dokiem("deliver", words="records damaged on this device, not sent, and set aside: 4")
        self.assertEqual(out, "delivered 2, refused 0, waiting 0\n")
        self.assertEqual(self.dokiem("deliver"), "delivered 0, refused 0, waiting 0\n")
        with open(f"{self.state}/journal/0000000002.refused") as file:
            self.assertIn("damaged on this device, not sent: the signature does not fit", file.read())
        stored = self.collector.request("GET", "/v1/records")[1].splitlines()
        self.assertEqual([json.loads(unb64(jws.split(".")[1]))["seq"] for jws in stored], [1, 6])

    def test_records_of_another_key_are_all_kept(self):
        self.enrolled()
        self.record(2)
        own = self.state
        self.state = self.folder + "/other-state"
        self.dokiem("keygen")
        shutil.copy(self.state + "/device.pem", own)
        self.state = own
        self.assertEqual(self.dokiem("deliver", status=65, words="bring back the device.pem"),
                         "delivered 0, refused 0, waiting 2\n")
        self.assertEqual([name for name in os.listdir(own + "/journal") if "refused" in name], [])

    def test_nobody_there(self):
        self.enrolled()
        self.record()
        self.collector.stop()
        self.assertEqual(self.dokiem("deliver", status=75, words="does not answer"),
                         "delivered 0, refused 0, waiting 1\n")
        self.dokiem("deliver", where="ftp://127.0.0.1/", status=64)


if __name__ == "__main__":
    unittest.main()
