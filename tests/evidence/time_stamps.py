# SPDX-License-Identifier: Apache-2.0
"""Time stamps by RFC 3161 from OpenSSL's own authority, and from evil ones; checked by dokiem and by openssl.

usage: time_stamps.py DOKIEM KEEP"""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "collector")]
from support import compact, sha, unb64  # noqa: E402
from tsa import POLICY, Authority, Server, openssl  # noqa: E402

KEEP = sys.argv.pop(2)
DOKIEM = sys.argv.pop(1)
SEED = int(os.environ.get("DK_SEED") or time.time_ns())
KILLS = 200 if os.environ.get("DOKIEM_LONG") == "1" else 12
SHARED = {}  # authorities, which are slow to make


def authority(name, **options):
    if name not in SHARED:
        SHARED[name] = Authority(os.path.join(SHARED["folder"], name.replace(" ", "-")), name, **options)
    return SHARED[name]


def setUpModule():
    SHARED["folder"] = tempfile.mkdtemp(prefix="dokiem-tsa-")


def tearDownModule():
    shutil.rmtree(SHARED["folder"])


def der(tag, content):
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x82]) + length.to_bytes(2, "big")
    return bytes([tag]) + size + content


class TimeStamps(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        print("seed", SEED)
        self.folder = tempfile.mkdtemp(prefix="dokiem-time-stamps-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = self.folder + "/state"
        self.journal = self.state + "/journal"
        self.good = authority("Test TSA")
        self.server = Server(self.good)
        self.addCleanup(self.server.stop)
        self.configure()
        self.dokiem("keygen")

    def configure(self, each="record", **more):
        settings = {"url": self.server.url, "each": each, "ca_file": self.good.ca, **more}
        with open(self.folder + "/dokiem.ini", "w", encoding="utf-8") as out:
            out.write("[time_stamp]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items() if v is not None))

    def command(self, verb, *arguments):
        return [DOKIEM, verb, "--config", self.folder + "/dokiem.ini", "--state", self.state, *arguments]

    def dokiem(self, verb, *arguments, status=0, words=(), language="C"):
        done = subprocess.run(self.command(verb, *arguments), capture_output=True, text=True, timeout=120,
                              env=os.environ | {"HOME": self.folder, "LC_ALL": "C.UTF-8", "LANGUAGE": language})
        self.assertEqual(done.returncode, status, done)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def record(self, count=1, words=()):
        """A run that fails is a record too, and the quickest."""
        for _ in range(count):
            said = self.dokiem("run", "--server", "http://127.0.0.1:1", status=69, words=words)
        return said

    def verified(self, *arguments, status=0, ca=None):
        text = subprocess.run([DOKIEM, "verify", "--state", self.state, "--tsa-ca", ca or self.good.ca, "--format",
                               "json", *(arguments or [self.journal])], capture_output=True, text=True, timeout=60)
        self.assertEqual(text.returncode, status, text)
        return json.loads(text.stdout)

    def stamps(self):
        return [int(os.path.basename(path)[:10]) for path in sorted(glob.glob(self.journal + "/*.tsr"))]

    def path(self, seq, end="tsr"):
        return f"{self.journal}/{seq:010}.{end}"

    def waiting(self):
        return json.loads(self.dokiem("status", "--format", "json"))["time_stamps"]["waiting"]

    def nothing_kept(self):
        self.assertEqual([name for name in os.listdir(self.journal) if not name.endswith(".jws")], [])

    def test_each_record(self):
        said = self.record(3)
        self.assertIn(f"1 time-stamped by {self.server.url}", said)
        self.assertEqual(self.stamps(), [1, 2, 3])
        self.assertEqual(self.waiting(), 0)
        for seq in self.stamps():
            self.assertEqual(os.stat(self.path(seq)).st_mode & 0o777, 0o600)
            # Another program's verifier, over the record's file as it is.
            said = openssl("ts", "-verify", "-data", self.path(seq, "jws"), "-in", self.path(seq), "-CAfile",
                           self.good.ca)
        result = self.verified()
        self.assertEqual(result["time_stamps"],
                         {"ok": 3, "bad": 0, "unchecked": 0, "without_record": 0, "problems": []})
        now = time.time()
        for record in result["records"]:
            stamp = record["time_stamp"]
            self.assertEqual((stamp["status"], stamp["seq"], stamp["policy"], stamp["accuracy_ns"]),
                             ("own", record["seq"], POLICY, 1000000000))
            self.assertEqual(stamp["authority"], "CN=Test TSA,O=Thử")
            at = time.mktime(time.strptime(stamp["time"], "%Y-%m-%dT%H:%M:%S.000Z")) - time.timezone
            self.assertLess(abs(at - now), 3600)
        # The query is a hash and a number: nothing else leaves the device.
        said = openssl("ts", "-query", "-in", "/dev/stdin", "-text", data=self.server.queries[0]).decode()
        self.assertIn("Hash Algorithm: sha256", said)
        self.assertIn("Certificate required: yes", said)
        self.assertLess(len(self.server.queries[0]), 80)

    def test_words(self):
        self.record(2)
        os.remove(self.path(1))
        name = "CN=Test TSA,O=Thử"
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal,
                    words=[": time stamp of record 2 by " + name, ", time-stamped 20", "1 time stamps are good: "])
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal, language="vi",
                    words=[": dấu thời gian của bản ghi 2 do " + name, ", đóng dấu thời gian 20",
                           "dấu thời gian hợp lệ"])
        self.dokiem("verify", self.journal, words="NOTE 1 time stamps were not checked")
        self.dokiem("verify", self.journal, language="vi", words="--tsa-ca FILE")
        os.rename(self.path(2), self.folder + "/2.tsr")
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal, words=", no time stamp\n")
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.path(1, "jws"), self.folder + "/2.tsr",
                    words=[", no time stamp\n", "NOTE 1 time stamps are about records that were not given"])
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal, self.folder, words=", time-stamped 20")
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal, self.folder + "/3.tsr", status=66)
        self.dokiem("verify", "--tsa-ca", self.folder + "/dokiem.ini", self.journal, status=65,
                    words="holds no certificate")
        self.dokiem("verify", "--tsa-ca", self.folder + "/none.pem", self.journal, status=66)
        self.dokiem("status", words="stamped    0, records that wait for a time stamp: 1")
        self.dokiem("status", "--format", "prometheus", words="dokiem_time_stamps_waiting 1\n")
        self.dokiem("status", language="vi", words="bản ghi chờ dấu thời gian: 1")
        # The authority's own certificate pins it.
        shutil.move(self.folder + "/2.tsr", self.path(2))
        self.assertEqual(self.verified(ca=self.good.certificate)["time_stamps"]["ok"], 1)

    def test_once_a_day(self):
        self.configure(each="day")
        self.record(3)
        self.assertEqual(self.stamps(), [1])
        self.assertEqual(self.waiting(), 2)
        self.dokiem("deliver", words="time stamps kept 0")
        yesterday = time.time() - 86400
        os.utime(self.path(1), (yesterday, yesterday))
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual((self.stamps(), self.waiting()), ([1, 3], 0))
        self.dokiem("deliver", words="time stamps kept 0")
        by = lambda result: [(r["seq"], r["time_stamp"]["status"], r["time_stamp"].get("seq"))
                             for r in result["records"]]
        self.assertEqual(by(self.verified()), [(1, "own", 1), (2, "chain", 3), (3, "own", 3)])
        # One stamp covers all before it, and in any order of the files; nothing after it.
        self.record()
        os.remove(self.path(1))
        self.assertEqual(by(self.verified()), [(1, "chain", 3), (2, "chain", 3), (3, "own", 3), (4, "none", None)])
        # Where the chain is not there, the stamp does not reach.
        os.remove(self.path(2, "jws"))
        self.assertEqual(by(self.verified(status=65)), [(1, "none", None), (3, "own", 3), (4, "none", None)])

    def test_what_is_not_a_good_stamp_is_not_kept(self):
        other, expired, web = authority("Other TSA"), authority("Expired TSA", expired=True), \
            authority("Web", purpose="serverAuth")
        trusted = b"".join(self.read(a.ca) for a in (self.good, expired, web))
        self.configure(ca_file=self.write("trusted.pem", trusted))
        nonce = lambda query: openssl("ts", "-query", "-digest", self.digest(query), "-sha256", "-cert")
        good = self.good.reply
        cases = {
            "its nonce is not the one sent": lambda q: good(nonce(q)),
            "about something else": lambda q: good(openssl("ts", "-query", "-digest", "ab" * 32, "-sha256", "-cert")),
            "what it stamps is no SHA-256": lambda q: self.sha1(q),
            "status 2, unacceptedPolicy": lambda q: good(openssl("ts", "-query", "-digest", "ab" * 32, "-sha256",
                                                                "-tspolicy", "1.2.3.4")),
            "unable to get local issuer certificate": lambda q: other.reply(q),
            "certificate has expired": lambda q: self.forged(q, expired),
            "unsuitable certificate purpose": lambda q: self.forged(q, web),
            "does not hold the authority's certificate": lambda q: good(q[:-3].replace(
                b"\x30" + bytes([len(q) - 2]), b"\x30" + bytes([len(q) - 5]), 1)),
            "not one reply of": lambda q: good(q)[:-1],
            "not one reply": lambda q: good(q) + b"\0",
            "and nothing else": lambda q: self.random.randbytes(3000),
            "longer than any time stamp": lambda q: b"\x30" * (10 << 20),
            "not one reply of a time-stamping": lambda q: b"",
            "not one reply of a time-stamping authority": lambda q: b"<html>Wi-Fi login</html>",
            "HTTP status 404": lambda q: (404, b"no"),
            "signature": lambda q: self.flipped(good(q)),
        }
        self.record(words=self.broken(*next(iter(cases.items()))))
        for words, spoil in cases.items():
            with self.subTest(words):
                self.dokiem("deliver", status=65, words=self.broken(words, spoil))
                self.nothing_kept()
        # What may pass by itself is 75, at once when the authority asks to wait long.
        self.dokiem("deliver", status=75, words=self.broken("cannot now (HTTP status 503)",
                                                            lambda q: (503, b"", "100")))
        self.nothing_kept()
        # Who hangs up is asked again.
        count = len(self.server.queries)
        self.server.spoil = lambda q: good(q) if len(self.server.queries) > count + 1 else None
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual(len(self.server.queries), count + 2)
        self.assertNotEqual(*self.server.queries[-2:])  # with another nonce
        self.assertEqual(self.verified()["time_stamps"]["ok"], 1)

    def broken(self, words, spoil):
        self.server.spoil = spoil
        return words

    def digest(self, query):
        """The hash in a query: 32 bytes after OCTET STRING 32."""
        at = query.index(b"\x04\x20") + 2
        return query[at:at + 32].hex()

    def flipped(self, reply):
        """One bit of the signature, which is at the end."""
        return reply[:-5] + bytes([reply[-5] ^ 1]) + reply[-4:]

    def info(self, query):
        """The TSTInfo that the good authority would sign."""
        token = openssl("ts", "-reply", "-in", self.write("reply", self.good.reply(query)), "-token_out")
        return openssl("cms", "-verify", "-noverify", "-inform", "DER", data=token)

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def write(self, name, data):
        with open(os.path.join(self.folder, name), "wb") as out:
            out.write(data)
        return os.path.join(self.folder, name)

    def forged(self, query, signer):
        """A reply that openssl ts would not make with this certificate."""
        return self.sealed(self.info(query), signer)

    def sha1(self, query):
        """About 20 bytes that are called SHA-1."""
        info = self.info(query)
        at = info.index(bytes.fromhex(self.digest(query))) - 2
        begin = info.index(bytes.fromhex("608648016503040201")) - 6  # the imprint: two sequences and the hash's name
        imprint = der(0x30, der(0x30, bytes.fromhex("06052b0e03021a0500")) + der(4, b"\1" * 20))
        head = 2 if info[1] < 128 else 1 + 1 + (info[1] & 127)
        return self.sealed(der(0x30, info[head:begin] + imprint + info[at + 34:]), self.good)

    def sealed(self, info, signer):
        token = openssl("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-econtent_type",
                        "1.2.840.113549.1.9.16.1.4", "-cades", "-md", "sha256", "-signer", signer.certificate, "-inkey",
                        os.path.join(signer.folder, "tsa.key"), data=info)
        return der(0x30, bytes.fromhex("3003020100") + token)

    def test_a_reply_made_by_hand_is_good(self):
        """What the forged ones above differ from."""
        self.server.spoil = lambda q: self.forged(q, self.good)
        self.record()
        self.assertEqual(self.verified()["time_stamps"]["ok"], 1)

    def test_authority_away(self):
        self.server.spoil = lambda q: (503, b"", "100")
        self.record(words="the time-stamping authority cannot now")
        self.server.stop()
        self.record(words=["the time-stamping authority does not answer", "all records are kept"])
        self.nothing_kept()
        self.assertEqual(self.waiting(), 1)  # the last one's stamp will cover both
        self.server = Server(self.good)
        self.addCleanup(self.server.stop)
        self.configure()
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual([r["time_stamp"]["status"] for r in self.verified()["records"]], ["chain", "own"])
        # From the first stamp on every record gets its own, the newest first.
        self.configure(url=None)
        self.record(3)
        self.configure()
        self.assertEqual(self.waiting(), 3)
        asked = len(self.server.queries)
        self.server.spoil = lambda q: self.good.reply(q) if len(self.server.queries) == asked + 1 else (400, b"")
        self.dokiem("deliver", status=65)
        self.assertEqual((self.stamps(), self.waiting()), ([2, 5], 2))
        self.server.spoil = None
        self.dokiem("deliver", words="time stamps kept 2")
        self.assertEqual((self.stamps(), self.waiting()), ([2, 3, 4, 5], 0))

    def test_settings(self):
        self.configure(ca_file=None)
        self.record(words="[time_stamp] ca_file: is not set")
        for verb in ("deliver", "check-config"):
            self.dokiem(verb, status=78, words="[time_stamp] ca_file: is not set")
        self.configure(ca_file=self.folder + "/dokiem.ini")
        self.dokiem("deliver", status=65, words="holds no certificate")
        self.configure()
        self.dokiem("check-config", words=f'[time_stamp]\nurl = "{self.server.url}"\neach = record\n')
        self.dokiem("run", "--dry-run", "--server", "http://127.0.0.1:1", words=f"record, {self.server.url}")
        self.configure(policy="tomorrow")
        self.dokiem("deliver", status=78, words="is no object identifier")
        self.configure(policy=POLICY + ".2")
        self.server.spoil = lambda q: self.good.reply(openssl("ts", "-query", "-digest", self.digest(q), "-sha256",
                                                              "-cert"))
        self.dokiem("deliver", status=65, words="not the one sent")
        self.server.spoil = None
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual(self.verified()["records"][0]["time_stamp"]["policy"], POLICY + ".2")

    def test_another_policy(self):
        self.configure(policy=POLICY + ".2")
        # The nonce is right; only the policy is not what was asked for.
        self.server.spoil = lambda q: self.sealed(self.info(q).replace(
            openssl("asn1parse", "-genstr", "OID:" + POLICY + ".2", "-noout", "-out", "/dev/stdout"),
            openssl("asn1parse", "-genstr", "OID:" + POLICY + ".1", "-noout", "-out", "/dev/stdout")), self.good)
        self.record(words="by another policy than was asked")
        self.nothing_kept()

    def test_a_certificate_that_has_expired_since(self):
        expired = authority("Expired TSA", expired=True)  # from 2020 to 2021; pinned
        self.configure(ca_file=expired.certificate)

        def of_2020(query):
            info = self.info(query)
            at = info.index(b"\x18\x0f20") + 2
            return self.sealed(info[:at] + b"20200601000000Z" + info[at + 15:], expired)
        self.server.spoil = of_2020
        self.record()
        record = self.verified(ca=expired.certificate)["records"][0]
        self.assertEqual((record["time_stamp"]["status"], record["time_stamp"]["time"], record["doubt"]),
                         ("own", "2020-06-01T00:00:00.000Z", "stamped_before_its_end"))
        check = ["ts", "-verify", "-data", self.path(1, "jws"), "-in", self.path(1), "-partial_chain", "-CAfile",
                 expired.certificate]
        openssl(*check, "-attime", "1590969600")
        openssl(*check, status=1)

    def test_a_stamp_proves_that_a_record_is_older_than_the_theft_of_its_key(self):
        self.record()
        key = json.loads(self.dokiem("keygen", "--public"))
        key["dokiem_revoked"] = f"{time.gmtime().tm_year + 1}-01-01T00:00:00.000Z"
        path = self.write("key.jwk", compact(key).encode())
        self.assertNotIn("doubt", self.verified("--key", path, self.journal)["records"][0])
        os.remove(self.path(1))
        self.assertEqual(self.verified("--key", path, self.journal)["records"][0]["doubt"], "date_unproven")

    def test_a_clock_that_was_ahead(self):
        self.record()
        jws = self.read(self.path(1, "jws")).decode()
        payload = json.loads(unb64(jws.split(".")[1]))
        ahead = f"{time.gmtime().tm_year + 2}-06-01T00:00:00.000Z"
        payload.update(seq=2, prev=sha(jws), id=payload["id"][:-1] + ("0" if payload["id"][-1] != "0" else "1"))
        payload["time"].update(start=ahead, end=ahead)
        subprocess.run([KEEP, self.state, "-"], input=compact(payload), text=True, check=True, timeout=60)
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual([r.get("doubt") for r in self.verified()["records"]], [None, "stamped_before_its_end"])
        self.dokiem("verify", "--tsa-ca", self.good.ca, self.journal,
                    words="NOTE record 2 has a time stamp from before its own end")

    def test_every_change_of_a_kept_stamp_is_told(self):
        self.record()
        whole = self.read(self.path(1))
        said = self.verified()["records"][0]["time_stamp"]
        info = self.info(self.server.queries[0])
        # The hash, the time and the signature; then anywhere.
        begin = whole.index(info[:40])
        places = [*range(begin, begin + len(info) - 20, 15), *range(len(whole) - 60, len(whole), 15)]
        told = 0
        for at in [*places, *self.random.sample(range(len(whole)), 12)]:
            changed = bytearray(whole)
            changed[at] ^= 1 << self.random.randrange(8)
            path = self.write("state/journal/0000000001.tsr", bytes(changed))
            done = subprocess.run([DOKIEM, "verify", "--state", self.state, "--tsa-ca", self.good.ca, "--format",
                                   "json", self.journal], capture_output=True, text=True, timeout=60)
            result = json.loads(done.stdout)
            told += done.returncode == 65
            if done.returncode == 65:
                self.assertEqual((result["time_stamps"]["bad"], result["status"]), (1, "bad"))
                self.assertEqual(result["records"][0]["time_stamp"], {"status": "none"})
                continue
            # A few bits around the signed parts mean nothing, such as the case of a name: what is said is the same.
            self.assertNotIn(at, places)
            self.assertEqual((done.returncode, result["records"][0]["time_stamp"]), (0, said))
            openssl("ts", "-verify", "-data", self.path(1, "jws"), "-in", path, "-CAfile", self.good.ca)
        self.assertGreater(told, len(places) + 5)
        # A stamp in another one's place says nothing about the other record.
        self.write("state/journal/0000000001.tsr", whole)
        self.record()
        shutil.copy(self.path(1), self.path(2))
        self.assertEqual([r["time_stamp"]["status"] for r in self.verified()["records"]], ["own", "none"])

    def test_kill_between_reply_and_keeping(self):
        self.configure(url=None)
        self.record()
        self.configure()
        kept = 0
        for turn in range(KILLS):
            process = subprocess.Popen(self.command("deliver"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            killer = threading.Timer(0.02 * turn / KILLS, process.kill)
            self.server.before_reply = killer.start
            process.wait(60)
            killer.join()
            self.assertIn(process.returncode, (0, -signal.SIGKILL))
            # Whole or not there, and nothing is in the way of the next one.
            self.assertEqual(self.verified()["time_stamps"]["ok"], len(self.stamps()))
            kept += len(self.stamps())
            if self.stamps():
                os.remove(self.path(1))
        self.server.before_reply = None
        self.dokiem("deliver", words="time stamps kept 1")
        self.assertEqual(self.verified()["time_stamps"]["ok"], 1)
        print(f"{kept} of {KILLS} were kept before the kill")


if __name__ == "__main__":
    unittest.main(verbosity=2)
