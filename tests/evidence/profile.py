#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles that have to be signed, and rules that refer to the site, in real runs: profile.py DOKIEM REFERENCE"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

REFERENCE = sys.argv.pop(2)
DOKIEM = os.path.abspath(sys.argv.pop(1))

PROFILE = """[profile]
id = own
version = 1
title = own
[rule tariff]
family = qcvn
basis = b
technology = fixed
indicator = download.rate_whole_bps
op = at least
threshold = 0.8 * site.subscribed_download
min_samples = 1000
[rule declared]
family = qcvn
basis = b
technology = fixed
indicator = download.rate_bps
op = at least
threshold = site.declared_download
min_samples = 1000
[rule share]
family = qcvn
basis = b
technology = fixed
indicator = download.rate_bps
statistic = share
share = 95 %
op = at least
threshold = 30 Mb/s
min_samples = 1000
"""


class Profiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-profile-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.profile = self.write("own.ini", PROFILE)
        for name in ("department", "stranger"):
            self.dokiem("keygen", "--state", self.path(name))
            self.write(name + ".jwk", self.dokiem("keygen", "--public", "--state", self.path(name)).stdout)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        return self.path(name)

    def dokiem(self, *arguments, cwd=None):
        return subprocess.run([DOKIEM, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd,
                              env=os.environ | {"HOME": self.folder, "XDG_CONFIG_HOME": self.folder,
                                                "LC_ALL": "C.UTF-8"})

    def sign(self, by):
        done = self.dokiem("sign-profile", "--state", self.path(by), self.profile)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.write("own.ini.jws", done.stdout)

    def check(self, status, *words, profile=None, key="department.jwk"):
        config = self.write("dokiem.ini", f"[judge]\nprofile_key = {self.path(key)}\n")
        done = self.dokiem("check-config", "--config", config, "--profile", profile or self.profile)
        self.assertEqual(done.returncode, status, done.stderr)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)

    def test_only_what_the_key_signed_is_used(self):
        self.check(78, "is not signed", "own.ini.jws", "sign-profile")
        signature = self.sign("department")
        self.check(0, "# profile own version 1")
        with open(signature, encoding="ascii") as file:
            good = file.read()
        self.sign("stranger")
        self.check(78, "does not sign the profile", "kid")
        header, payload, end = good.strip().split(".")
        for bad in ("", "x", "\n" + good, good + good, f"{header}.{payload}.{end[:-4]}AAAA",
                    f"{header}.{payload[:-4]}.{end}"):
            self.write("own.ini.jws", bad)
            self.check(78, "does not sign the profile")
        self.write("own.ini.jws", good.strip())  # the line end may be missing
        self.check(0, "# profile own version 1")
        self.write("own.ini", PROFILE.replace("0.8", "0.7"))
        self.check(78, "is not the text", "own.ini.jws")

    def test_what_is_built_in_needs_no_signature(self):
        self.check(0, "# profile vn-2025", profile="vn-2025")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/profiles/vn-2025.ini")
        shutil.copy(source, self.path("copy.ini"))
        self.check(0, "# profile vn-2025", profile=self.path("copy.ini"))
        with open(self.path("copy.ini"), "a", encoding="utf-8") as file:
            file.write("# more\n")
        self.check(78, "is not signed", profile=self.path("copy.ini"))

    def test_the_key_has_to_be_a_public_key(self):
        self.sign("department")
        self.check(78, "[judge] profile_key", key="nothing.jwk")
        self.check(78, "[judge] profile_key", key="own.ini")
        pem = subprocess.run(["openssl", "pkey", "-in", self.path("department/device.pem"), "-pubout"], check=True,
                             capture_output=True, text=True).stdout
        self.write("department.pem", pem)
        self.check(0, "# profile own", key="department.pem")

    def test_only_profiles_are_signed(self):
        self.write("own.ini", PROFILE.replace("0.8", "0,8"))
        done = self.dokiem("sign-profile", "--state", self.path("department"), "own.ini", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (78, ""))
        self.assertIn("[rule tariff] threshold", done.stderr)
        for arguments in ([], [self.profile, self.profile]):
            self.assertEqual(self.dokiem("sign-profile", "--state", self.path("department"), *arguments).returncode, 64)
        self.assertEqual(self.dokiem("sign-profile", "--state", self.path("nobody"), "vn-2025").returncode, 78)

    @unittest.skipUnless(shutil.which("jose"), "needs jose")
    def test_jose_verifies_the_signature(self):
        self.sign("department")
        with open(self.path("own.ini.jws"), encoding="ascii") as file:
            self.write("line", file.read().strip())
        done = subprocess.run(["jose", "jws", "ver", "-i", self.path("line"), "-k", self.path("department.jwk"), "-O",
                               "-"], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, PROFILE)

    def test_a_run_is_judged_by_what_the_site_says(self):
        # More rules that this run cannot be judged by than thresholds have room: one of them would be in the way.
        declared, share = PROFILE[PROFILE.index("[rule declared]"):].split("[rule share]")
        self.write("own.ini", PROFILE + "".join(declared.replace("rule declared", f"rule declared-{i}") +
                                                f"[rule share-{i}]" + share for i in range(17)))
        self.sign("department")
        reference = subprocess.Popen([REFERENCE, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        try:
            server = "http://" + reference.stdout.readline().split()[1]
            config = self.write("dokiem.ini", f"[server]\nurl = {server}\n[test]\ntechnology = fixed\nduration = 10s\n"
                                f"stop = verdict\nonly = download\n[site]\nsubscribed_download = 1 Mb/s\n"
                                f"commune = Ea Tul\nhamlet = Buôn Pơr\nsubscriber = household\n[judge]\n"
                                f"profile = {self.profile}\nprofile_key = {self.path('department.jwk')}\n")
            done = self.dokiem("run", "--config", config, "--state", self.path("department"), "--format", "json")
        finally:
            reference.terminate()
            reference.wait(30)
            reference.stdout.close()
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        tariff, declared, *others = record["verdict"]["checks"]  # a share is not of one run
        self.assertEqual([check["rule"] for check in others], [f"declared-{i}" for i in range(17)])
        self.assertEqual((tariff["rule"], tariff["threshold_bps"]), ("tariff", 800000))
        self.assertEqual(tariff["value"], record["download"]["rate_whole_bps"])
        # It ended when 0.8 Mb/s were surpassed for certain.
        self.assertEqual((tariff["outcome"], record["download"]["stop"]), ("pass", "verdict"))
        self.assertLess(record["download"]["duration_ns"], 5 * 10**9)
        self.assertEqual(declared["outcome"], "not_applicable")
        self.assertIn("site.declared_download", declared["reason"])
        self.assertNotIn("threshold_bps", declared)
        self.assertEqual(record["site"] | {"note": 0}, {
            "environment": "unstated", "subscriber": "household", "commune": "Ea Tul", "hamlet": "Buôn Pơr",
            "subscribed_download_bps": 1000000, "note": 0})
        again = self.dokiem("recompute", "--state", self.path("department"),
                            self.path("department/journal/0000000001.jws"))
        self.assertEqual(again.returncode, 0, again.stdout)
        self.assertIn("same", again.stdout)
        text = self.dokiem("show", "1", "--state", self.path("department")).stdout
        self.assertIn("subscribed_download_bps", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
