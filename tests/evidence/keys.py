# SPDX-License-Identifier: Apache-2.0
"""Changes of key, revocation, re-enrolment, clones, receipts: from the device over the collector to somebody who has
never seen either. Also single-bit flips, all of which must be found.

usage: keys.py COLLECTOR DOKIEM"""
import glob
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "collector"))
from support import Collector, compact, sha, unb64, verify  # noqa: E402

DOKIEM = sys.argv.pop(2)
COLLECTOR = sys.argv.pop(1)
LONG = os.environ.get("DOKIEM_LONG") == "1"


class Keys(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-keys-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.state = self.folder + "/state"
        self.collector = Collector(COLLECTOR, self.folder + "/collector")
        self.addCleanup(self.collector.stop)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self.closed = closed.getsockname()[1]

    def dokiem(self, verb, *arguments, status=0, words="", given="", state=None, language="C"):
        places = ["--collector", self.collector.url] if verb in ("enrol", "deliver") else []
        done = subprocess.run(
            [DOKIEM, verb, "--state", state or self.state, *places, *arguments], input=given, text=True,
            capture_output=True, timeout=120, env=os.environ | {"HOME": self.folder, "LC_ALL": "C.UTF-8",
                                                                "LANGUAGE": language})
        self.assertEqual(done.returncode, status, done)
        self.assertIn(words, done.stdout + done.stderr)
        return done.stdout

    def record(self, count=1, state=None):
        for _ in range(count):
            self.dokiem("run", "--server", f"http://127.0.0.1:{self.closed}", status=69, state=state)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def enrolled(self):
        """A device with two records; its first public key is in first.jwk."""
        self.dokiem("keygen")
        self.first = self.file("first.jwk", self.dokiem("keygen", "--public"))
        self.device = self.dokiem("enrol", "--token", self.collector.token("--approve")).split()[0]
        self.record(2)

    def export(self, query="?receipts=1"):
        status, text, _ = self.collector.request("GET", "/v1/records" + query)
        self.assertEqual(status, 200)
        return self.file("export.jws", text)

    def other_key(self):
        self.dokiem("keygen", state=self.folder + "/stranger")
        return self.dokiem("keygen", "--public", state=self.folder + "/stranger")

    def keys(self):
        return self.file("keys.jwks", self.collector.command("keys", "export"))

    def checked(self, *arguments, status=0, **options):
        return json.loads(self.dokiem("verify", "--format", "json", *arguments, status=status, **options))

    def test_rotation_is_followed(self):
        self.enrolled()
        for seq in (3, 5):
            said = self.dokiem("keygen", "--rotate")
            self.assertIn(f"from record {seq + 1} on", said)
            self.record()
        self.assertFalse(os.path.exists(self.state + "/device.new.pem"))
        self.assertEqual(self.dokiem("deliver"), "delivered 6, refused 0, waiting 0\n")
        # Somebody with the first public key alone, and no network; then with the collector's keys.
        journal = self.state + "/journal"
        for arguments in ([journal], ["--key", self.first, journal], ["--key", self.keys(), self.export()]):
            result = self.checked(*arguments)
            self.assertEqual(result["status"], "ok")
            self.assertEqual([r["kind"] for r in result["records"]],
                             ["failed", "failed", "rotation", "failed", "rotation", "failed"])
            self.assertEqual({r["device"] for r in result["records"]}, {self.device})
            self.assertEqual(len({r["key"] for r in result["records"]}), 3)
            self.assertEqual([r["seq"] for r in result["chain"][0]["rotations"]], [3, 5])
        self.assertEqual(result["receipts"], {"ok": 6, "unchecked": 0, "without_record": 0})
        # The word of each key is checked by openssl as well.
        with open(self.first, encoding="utf-8") as file:
            key = json.load(file)
        for path in sorted(glob.glob(journal + "/??????????.jws")):
            with open(path, encoding="utf-8") as file:
                payload = verify(file.read().strip(), key, "dokiem-record")
            if payload["kind"] == "rotation":
                word = verify(payload["rotation"]["proof"], payload["rotation"]["key"], "dokiem-rotation")
                self.assertEqual((word["device"], word["from"], word["seq"], word["prev"]),
                                 (self.device, sha(compact(key)), payload["seq"], payload["prev"]))
                key = payload["rotation"]["key"]
        # In any order; but not without the record that says so.
        files = sorted(glob.glob(journal + "/??????????.jws"))
        self.assertIn("not in order", self.dokiem("verify", "--key", self.first, *reversed(files), status=65))
        self.dokiem("verify", "--key", self.first, *files[:2], *files[3:], status=65, words="signed by another key")
        self.dokiem("verify", "--key", self.file("last.jwk", self.dokiem("keygen", "--public")), files[5], status=65,
                    words="if the device changed its key, give the record that says so too")
        # A device that has changed its key enrols as the device it is.
        self.assertEqual(self.dokiem("enrol", "--token", self.collector.token()).split(), [self.device, "approved"])
        self.assertEqual(list(self.collector.devices()), [self.device])

    def test_the_old_key_ends(self):
        self.enrolled()
        shutil.copytree(self.state, self.folder + "/thief")
        self.dokiem("keygen", "--rotate")
        self.record()
        self.dokiem("deliver")
        thief = self.folder + "/thief"
        self.record(2, thief)
        self.dokiem("deliver", state=thief, status=65, words="ALARM: the chain forks")
        journal = sorted(glob.glob(self.state + "/journal/??????????.jws"))
        stolen = sorted(glob.glob(thief + "/journal/??????????.jws"))
        self.dokiem("verify", "--key", self.first, *journal, stolen[3], status=65, words="was replaced in record 3")
        self.dokiem("verify", "--key", self.first, stolen[3], *journal, status=65, words="was replaced in record 3")
        # Not even when nobody had delivered the thief's first one.
        with open(stolen[3], encoding="utf-8") as file:
            status, _ = self.collector.send(file.read().strip())
        self.assertEqual(status, 409)
        # The collector keeps both sides, and says so.
        self.assertIn("cloned?", self.collector.command("devices"))
        self.assertTrue(self.collector.devices()[self.device]["cloned"])
        self.assertIn("dokiem_collector_cloned_devices 1\n", self.collector.request("GET", "/metrics")[1])
        evidence = self.collector.command("evidence", self.device).splitlines()
        with open(stolen[2], encoding="utf-8") as file:
            self.assertIn(file.read().strip(), evidence)
        with open(journal[2], encoding="utf-8") as file:
            self.assertIn(file.read().strip(), evidence)
        self.dokiem("verify", "--key", self.first, self.file("evidence.jws", "\n".join(evidence) + "\n"), status=65,
                    words="the chain forks: there are different records 3")

    def test_rotation_broken_off(self):
        """Whatever stands of a change of key, the next run ends it or lets it be."""
        self.enrolled()
        before = self.folder + "/before"
        shutil.copytree(self.state, before)
        self.dokiem("keygen", "--rotate")
        after = self.folder + "/after"
        shutil.copytree(self.state, after)
        names = {"old": before + "/device.pem", "new": after + "/device.pem"}
        with open(names["new"], "rb") as one, open(names["old"], "rb") as two:
            self.assertNotEqual(one.read(), two.read())
        for recorded, key, spare, ends in ((False, "old", "new", True), (True, "old", "new", True),
                                           (True, "new", "new", True), (True, "old", None, False)):
            shutil.rmtree(self.state)
            shutil.copytree(after if recorded else before, self.state)
            shutil.rmtree(self.state + "/keys", ignore_errors=True)
            shutil.copytree(after + "/keys", self.state + "/keys")
            shutil.copy(names[key], self.state + "/device.pem")
            if spare:
                shutil.copy(names[spare], self.state + "/device.new.pem")
            if not ends:
                self.dokiem("run", "--server", f"http://127.0.0.1:{self.closed}", status=78, words="hands this chain")
                continue
            self.record()
            self.dokiem("keygen", "--rotate")
            self.record()
            self.assertEqual(self.checked("--key", self.first, self.state + "/journal")["status"], "ok")
            self.assertFalse(os.path.exists(self.state + "/device.new.pem"))

    def test_hostile_rotations(self):
        self.enrolled()
        self.dokiem("keygen", "--rotate")
        with open(self.state + "/journal/0000000003.jws", encoding="utf-8") as file:
            good = json.loads(unb64(file.read().split(".")[1]))
        # The same device, by openssl alone: what it signs with its old key.
        from support import Device
        old = Device(self.folder + "/made")
        self.collector.approved(old)
        other = Device(self.folder + "/other")
        old.record()

        def rotation(key, proof, **more):
            payload = old.payload(1, None)
            payload.pop("reason")
            payload |= {"kind": "rotation", "rotation": {"key": key, "proof": proof}, **more}
            payload["device"] |= {"version": "1", "os": "x", "arch": "y"}
            payload["time"] |= {"duration_ns": 0, "clock": {"state": "unknown"}}
            return old.sign("dokiem-record", payload)

        def word(signer, **more):
            return signer.sign("dokiem-rotation", {"schema": "dokiem.rotation/1", "device": old.id, "from": old.id,
                                                   "seq": 1, "prev": ""} | more)
        jwk = self.file("made.jwk", compact(old.jwk))
        bad = {"no word": rotation(other.jwk, "a.b.c"),
               "the old key's word": rotation(other.jwk, word(old)),
               "a word of another place": rotation(other.jwk, word(other, seq=2)),
               "a word for another device": rotation(other.jwk, word(other, device=other.id)),
               "itself": rotation(old.jwk, word(old)),
               "another's word": rotation(good["rotation"]["key"], good["rotation"]["proof"])}
        for name, jws in bad.items():
            status, _ = self.collector.send(jws)
            self.assertEqual(status, 400, name)
            self.dokiem("verify", "--key", jwk, self.file("bad.jws", jws + "\n"), status=65, words="BAD")
        # A key that is somebody's already cannot be taken in.
        known = Device(self.folder + "/known")
        self.collector.approved(known)
        self.assertEqual(self.collector.send(rotation(known.jwk, word(known)))[0], 400)
        self.assertEqual(self.collector.send(rotation(other.jwk, word(other)))[0], 201)
        self.dokiem("verify", "--key", jwk, self.file("good.jws", rotation(other.jwk, word(other)) + "\n"))

    def test_revocation_and_a_new_start(self):
        self.enrolled()
        self.dokiem("deliver")
        since = self.checked(self.state + "/journal")["records"][1]["start"]
        self.record()
        self.collector.command("revoke", self.device, "--since", "yesterday", status=64)
        self.collector.command("revoke", self.device, "--since", since)
        self.dokiem("deliver", status=77, words="revoked")
        keys, files = self.keys(), sorted(glob.glob(self.state + "/journal/??????????.jws"))
        result = self.checked("--key", keys, self.export(), status=65)
        self.assertEqual([r["status"] for r in result["records"]], ["ok", "bad"])
        self.assertEqual(result["records"][1]["check"], "revoked")
        # The receipt came after the date of revocation: it does not prove that record 1 is older.
        self.assertEqual(result["records"][0]["doubt"], "date_unproven")
        self.dokiem("verify", "--key", keys, files[0], words="no receipt proves that")
        self.collector.command("revoke", self.device)
        self.assertNotIn("doubt", self.checked("--key", self.keys(), self.export())["records"][0])
        # The device is lost; another one takes its place.
        lost, self.state = self.device, self.folder + "/second"
        self.dokiem("keygen")
        found = self.dokiem("enrol", "--token", self.collector.token()).split()[0]
        self.record()
        self.dokiem("deliver", status=77, words="not approved")
        self.collector.command("approve", found, "--replaces", found, status=64)
        self.collector.command("approve", found, "--replaces", "x" * 43, status=66)
        self.collector.command("approve", found, "--replaces", lost)
        self.dokiem("deliver")
        self.assertEqual(self.collector.devices()[found]["replaces"], lost)
        self.assertIn("replaces " + lost, self.collector.command("devices"))
        keys = json.loads(self.collector.command("keys", "export"))["keys"]
        exported = {key.get("dokiem_device"): key for key in keys}
        self.assertEqual(exported[found]["dokiem_replaces"], lost)
        self.assertIn("dokiem_revoked", exported[lost])
        self.assertNotIn("d", exported[None])
        self.assertEqual(self.checked("--key", self.keys(), self.export())["status"], "ok")

    def test_the_collectors_clock_is_in_the_next_record(self):
        self.enrolled()
        self.dokiem("deliver")
        self.record()
        clocks = [json.loads(self.dokiem("show", str(seq), "--format", "json"))["time"]["clock"] for seq in (1, 3)]
        self.assertNotIn("collector_offset_ns", clocks[0])
        error, age = clocks[1]["collector_offset_error_ns"], clocks[1]["collector_offset_age_ns"]
        # Both have one clock here: the bound must hold.
        self.assertLessEqual(abs(clocks[1]["collector_offset_ns"]), error)
        self.assertTrue(10**6 <= error < 20 * 10**9 and 0 < age < 60 * 10**9, clocks)
        with open(self.state + "/collector/offset", encoding="utf-8") as file:
            good = file.read()
        for bad in ("", good[:-1], good + "x", good.replace("/1", "/2"), good.replace("-", "+"),
                    " ".join(good.split(" ")[:5] + ["another-boot\n"]), good.replace(" ", "  ", 1)):
            self.file("state/collector/offset", bad)
            self.record()
            self.assertNotIn("collector_offset_ns", self.dokiem("show", "last", "--format", "json"), bad)
        # The clock was set forward by an hour since: now the collector's is an hour behind.
        words = good.split(" ")
        words[3] = str(int(words[3]) - 3600 * 10**9)
        self.file("state/collector/offset", " ".join(words))
        self.record()
        clock = json.loads(self.dokiem("show", "last", "--format", "json"))["time"]["clock"]
        self.assertLess(abs(clock["collector_offset_ns"] + 3600 * 10**9), error)

    def test_receipts(self):
        self.enrolled()
        self.dokiem("deliver")
        journal, collector = self.state + "/journal", self.state + "/collector.jwk"
        self.dokiem("verify", "--key", self.first, journal, words="2 receipts were not checked")
        result = self.checked("--key", self.first, "--collector-key", collector, journal)
        self.assertEqual([r["receipt"] for r in result["records"]], ["ok", "ok"])
        with open(collector, encoding="utf-8") as file:
            jwk = json.load(file)
        with open(journal + "/0000000002.receipt.jws", encoding="utf-8") as file:
            receipt = file.read().strip()
        self.assertEqual(verify(receipt, jwk, "dokiem-receipt")["received"], result["records"][1]["received"])
        # Of another record, by another key, by a device, or a record that wants to be one.
        shutil.copy(journal + "/0000000001.receipt.jws", journal + "/0000000002.receipt.jws")
        self.assertEqual(self.checked(journal)["records"][1]["receipt"], "none")
        shutil.copy(journal + "/0000000001.jws", journal + "/0000000002.receipt.jws")
        self.dokiem("verify", journal, status=65, words="the receipt is not valid")
        self.file("state/journal/0000000002.receipt.jws", receipt)
        self.dokiem("verify", "--key", self.first, "--collector-key", self.first, journal, status=65,
                    words="signed by a collector's key")
        self.dokiem("verify", "--key", self.first, "--collector-key", self.file("other.jwk", self.other_key()), journal,
                    status=65, words="signed by another key than the collector's at hand")
        # The end of the chain is cut off: the chain cannot tell, the receipt can.
        self.dokiem("verify", journal + "/0000000001.jws", journal + "/0000000002.receipt.jws",
                    words="the collector had a record 2")
        # In Vietnamese: signer, time, integrity.
        said = self.dokiem("verify", journal, language="vi")
        for words in ("ĐÚNG", "người ký khóa", "thời điểm ký", "toàn vẹn", "chuỗi nguyên vẹn từ 1 đến 2"):
            self.assertIn(words, said)
        with open(journal + "/0000000001.jws", "r+b") as file:
            file.seek(-3, os.SEEK_END)
            file.write(b"AAA")
        self.dokiem("verify", journal, language="vi", status=65, words="chữ ký")

    def test_every_flipped_bit_is_found(self):
        self.enrolled()
        self.dokiem("keygen", "--rotate")
        self.dokiem("deliver")
        keys = ["--key", self.keys()]
        with open(self.export(), "rb") as file:
            good = file.read()
        self.checked(*keys, self.folder + "/export.jws")
        whole = len(good.splitlines())
        places = [(i, bit) for i in range(len(good)) for bit in range(8)]
        if not LONG:
            places = random.sample(places, 150)
        missed, path = [], os.path.join(self.folder, "flipped.jws")
        for i, bit in places:
            flipped = bytearray(good)
            flipped[i] ^= 1 << bit
            with open(path, "wb") as out:
                out.write(flipped)
            done = subprocess.run([DOKIEM, "verify", *keys, path], capture_output=True, text=True, errors="replace",
                                  timeout=60, env=os.environ | {"HOME": self.folder})
            if done.returncode != 65 or "BAD" not in done.stdout:
                missed.append((i, bit, chr(flipped[i])))
        print(f"{len(places)} single-bit flips over {whole} lines, {len(missed)} missed")
        self.assertEqual(missed, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
