#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`dokiem recompute` on records of real runs, and on the same ones with a figure that does not follow any more:
recompute.py DOKIEM REFERENCE"""
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../collector"))
from support import Device, unb64  # noqa: E402

REFERENCE = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)


class Recompute(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="dokiem-recompute-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.state = os.path.join(cls.folder, "state")
        reference = subprocess.Popen([REFERENCE, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        try:
            server = "http://" + reference.stdout.readline().split()[1]
            cls.dokiem("keygen", "--state", cls.state)
            cls.dokiem("run", "--state", cls.state, "--server", server, "--duration", "2s", "--technology", "fixed")
            cls.dokiem("run", "--state", cls.state, "--server", server, "--duration", "2s", "--only", "download")
        finally:
            reference.terminate()
            reference.wait(30)
            reference.stdout.close()
        cls.dokiem("run", "--state", cls.state, "--server", server)  # nobody there any more
        with open(os.path.join(cls.state, "journal/0000000001.jws"), encoding="ascii") as file:
            cls.record = json.loads(unb64(file.read().split(".")[1]))
        cls.device = Device(os.path.join(cls.folder, "device"))

    @classmethod
    def dokiem(cls, *arguments):
        return subprocess.run([DOKIEM, *arguments], capture_output=True, text=True, timeout=120,
                              env=os.environ | {"HOME": cls.folder, "XDG_CONFIG_HOME": cls.folder, "LC_ALL": "C.UTF-8"})

    def recompute(self, *arguments):
        done = self.dokiem("recompute", "--format", "json", *arguments)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def altered(self, change):
        """The first record with a change, signed by a key that agreed to it."""
        record = copy.deepcopy(self.record)
        change(record)
        path = os.path.join(self.folder, "altered.jws")
        with open(path, "w", encoding="ascii") as out:
            out.write(self.device.sign("dokiem-record", record))
        return path

    def test_real_records_follow_from_their_samples(self):
        status, lines, err = self.recompute(os.path.join(self.state, "journal"))
        self.assertEqual((status, err), (0, ""))
        self.assertEqual([(line["seq"], line["result"], line["differences"]) for line in lines],
                         [(seq, "same", []) for seq in (1, 2, 3)])
        self.assertEqual(self.record["download"]["status"], "ok")
        done = self.dokiem("recompute", os.path.join(self.state, "journal/0000000002.jws"))
        self.assertRegex(done.stdout, "record 2: same")

    def test_each_figure_that_does_not_follow_is_named(self):
        def set_in(*path):
            def change(record):
                for key in path[:-1]:
                    record = record[key]
                record[path[-1]] += 1
            return change
        for path in (("download", "rate_bps"), ("download", "rate_whole_bps"), ("download", "rate_low_bps"),
                     ("download", "rate_high_bps"), ("download", "bytes"), ("download", "duration_ns"),
                     ("download", "ramp_up_ns"), ("upload", "rate_bps"), ("latency", "idle", "pdv_p95_ns"),
                     ("latency", "idle", "lost"), ("latency", "idle", "rtt_median_ns"),
                     ("latency", "idle", "rtt_p99_ns"), ("latency", "download", "rtt_p95_ns"),
                     ("latency", "upload", "ipdv_mean_ns"), ("latency", "download", "loaded_minus_idle_ns"),
                     ("responsiveness", "download", "rpm"), ("responsiveness", "upload", "self_rpm"),
                     ("responsiveness", "upload", "foreign_rpm"), ("responsiveness", "download", "tcp_ns")):
            status, lines, _ = self.recompute(self.altered(set_in(*path)))
            self.assertEqual((status, lines[0]["result"]), (65, "differs"), path)
            figures = {difference["figure"]: difference for difference in lines[0]["differences"]}
            self.assertIn(".".join(path), figures)
            difference = figures[".".join(path)]
            self.assertEqual(difference["recorded"], difference["recomputed"] + 1)

    def test_one_sample_changes_the_rates(self):
        def change(record):
            record["download"]["series"]["bytes"][0][-1] += 100_000_000
        status, lines, _ = self.recompute(self.altered(change))
        self.assertEqual(status, 65)
        self.assertLessEqual({"download.bytes", "download.rate_bps", "download.rate_whole_bps"},
                             {difference["figure"] for difference in lines[0]["differences"]})

    def test_the_verdict_is_judged_again(self):
        def change(record):
            record["verdict"]["outcome"] = "fail"
            record["verdict"]["checks"][0]["outcome"] = "fail"
            record["verdict"]["checks"][0]["value"] -= 1
            record["verdict"]["checks"][0]["threshold_bps"] -= 1
        status, lines, _ = self.recompute(self.altered(change))
        rule = self.record["verdict"]["checks"][0]["rule"]
        self.assertEqual((status, {difference["figure"] for difference in lines[0]["differences"]}),
                         (65, {"verdict.outcome", rule + ".outcome", rule + ".value",
                          rule + ".threshold"}))

    def test_another_profile_is_not_taken_for_the_record_s(self):
        def other(record):
            record["verdict"]["profile"]["sha256"] = "0" * 64

        def file(record):
            record["verdict"]["profile"]["id"] = "/etc/passwd"
        self.assertEqual(self.recompute(self.altered(other))[0], 65)
        self.assertIn("--profile FILE", self.recompute(self.altered(other))[2])
        self.assertIn("no profile's name", self.recompute(self.altered(file))[2])
        self.assertEqual(self.recompute("--profile", "/nonexistent/x.ini", self.altered(lambda record: None))[0], 78)

    def test_the_profile_is_kept_with_the_journal(self):
        path, state = os.path.join(self.folder, "own.ini"), os.path.join(self.folder, "kept")
        with open(path, "w", encoding="utf-8") as out:
            out.write("[profile]\nid = own\nversion = 1\ntitle = own\n[rule r]\nfamily = target\nbasis = b\n"
                      "indicator = download.rate_bps\ntechnology = 4g\nop = at least\nthreshold = 40 Mb/s\n"
                      "min_samples = 1\n")
        self.dokiem("keygen", "--state", state)
        done = self.dokiem("run", "--state", state, "--server", "http://127.0.0.1:1", "--technology", "4g", "--profile",
                           path)
        self.assertEqual(done.returncode, 69, done.stderr)
        records = os.path.join(state, "journal")
        self.assertEqual(self.recompute("--profile", path, records)[0], 0)
        os.remove(path)
        self.assertEqual(self.recompute("--state", state, records)[0], 0)
        self.assertEqual(self.recompute("--state", self.folder, records)[0], 65)

    def test_what_is_no_record_is_refused(self):
        def ragged(record):
            record["download"]["series"]["bytes"][0].append(1)

        def negative(record):
            record["upload"]["rate_bps"] = -1

        def text(record):
            record["download"]["bytes"] = "1"

        def flag(record):
            record["validity"]["flags"] = [{"code": "unheard_of", "figure": "all", "detail": "x"}]

        def gone(record):
            del record["latency"]
        for change in (ragged, negative, text, flag, gone):
            status, lines, err = self.recompute(self.altered(change))
            self.assertEqual((status, lines), (65, []), change)
            self.assertIn("the record must have", err)
        self.assertEqual(self.recompute()[0], 64)
        self.assertEqual(self.recompute("/nonexistent")[0], 66)


if __name__ == "__main__":
    unittest.main()
