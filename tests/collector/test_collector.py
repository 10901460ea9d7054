# SPDX-License-Identifier: Apache-2.0
"""dokiem-collector over HTTP: every row of docs/collector.md, bad input, and what a crash may not do.

usage: test_collector.py PROGRAM"""
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from support import Collector, Device, b64, compact, sha, unb64, verify

PROGRAM = sys.argv.pop(1)


def read(path):
    with open(path) as file:
        return file.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-collector-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.started = []

    def collector(self, *options, name="collector", **popen):
        collector = Collector(PROGRAM, os.path.join(self.folder, name), *options, **popen)
        self.addCleanup(collector.stop)
        return collector

    def device(self, name="device"):
        return Device(os.path.join(self.folder, name))

    def ready(self, *options):
        collector = self.collector(*options)
        return collector, collector.approved(self.device())


class Records(Case):
    def test_stores_gives_a_receipt_and_says_the_same_again(self):
        collector, device = self.ready()
        jws = device.record()
        status, (first,) = collector.send(jws)
        self.assertEqual((status, first["status"], first["seq"]), (201, 201, 1))
        receipt = verify(first["receipt"], collector.jwk, "dokiem-receipt")
        self.assertEqual(set(receipt), {"schema", "record_sha256", "id", "device", "seq", "received", "last_seq"})
        self.assertEqual((receipt["schema"], receipt["record_sha256"], receipt["device"], receipt["seq"],
                          receipt["last_seq"]), ("dokiem.receipt/1", sha(jws), device.id, 1, 1))
        self.assertEqual(receipt["id"], first["id"])
        self.assertRegex(receipt["received"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        status, (again,) = collector.send(jws)
        self.assertEqual((status, again["status"], again["receipt"]), (200, 200, first["receipt"]))
        _, text, headers = collector.request("GET", f"/v1/records?device={device.id}")
        self.assertEqual((text, headers["Content-Type"]), (jws + "\n", "application/jose"))
        self.assertEqual(collector.devices()[device.id] | {"enrolled": None},
                         {"id": device.id, "state": "approved", "site": {"code": "XA-001", "name": "Nhà văn hoá"},
                          "enrolled": None, "last_seq": 1, "records": 1, "gaps": 0, "dropped": 0, "forks": 0,
                          "cloned": False,
                          "jwk": device.jwk})

    def test_many_lines_and_reading_from_a_place(self):
        collector, device = self.ready()
        chain = [device.record() for _ in range(12)]
        status, answers = collector.send(*chain)
        self.assertEqual((status, [a["seq"] for a in answers]), (201, list(range(1, 13))))
        self.assertEqual(verify(answers[11]["receipt"], collector.jwk, "dokiem-receipt")["last_seq"], 12)
        status, answers = collector.send(*chain[10:], device.record())
        self.assertEqual((status, [a["status"] for a in answers]), (201, [200, 200, 201]))
        _, text, _ = collector.request("GET", f"/v1/records?device={device.id}&since=5&limit=3")
        self.assertEqual(text.splitlines(), chain[4:7])

    def test_a_large_answer_streams(self):
        collector, device = self.ready()
        chain = [device.record(note="x" * 90000) for _ in range(20)]
        self.assertEqual(collector.send(*chain)[0], 201)
        _, text, _ = collector.request("GET", f"/v1/records?device={device.id}")
        self.assertEqual(text.splitlines(), chain)

    def test_unknown_pending_and_revoked_devices(self):
        collector, device = self.ready()
        stranger = self.device("stranger")
        status, (answer,) = collector.send(stranger.record())
        self.assertEqual((status, answer["status"]), (401, 401))
        pending = self.device("pending")
        self.assertEqual(collector.enrol(pending)[1]["state"], "pending")
        jws = pending.record()
        self.assertEqual(collector.send(jws)[0], 403)
        collector.command("approve", pending.id)
        self.assertEqual(collector.send(jws)[0], 201)
        collector.command("revoke", pending.id)
        self.assertEqual(collector.send(jws)[0], 403)
        self.assertEqual(collector.enrol(pending)[0], 403)
        self.assertEqual(collector.devices()[pending.id]["state"], "revoked")
        self.assertEqual(collector.send(device.record())[0], 201)

    def test_no_flipped_bit_is_stored(self):
        collector, device = self.ready()
        jws = device.record()
        for at in range(0, len(jws), 7):
            flipped = jws[:at] + chr(ord(jws[at]) ^ 1) + jws[at + 1:]
            status, answers = collector.send(flipped)
            self.assertIn(status, (400, 401), (at, answers))
            self.assertEqual(answers[0]["status"], status)
        self.assertEqual(collector.devices()[device.id]["records"], 0)
        self.assertEqual(collector.send(jws)[0], 201)

    def test_malformed_records(self):
        collector, device = self.ready()
        good = device.payload(1, None)
        head, body, signature = device.record(1, None).split(".")
        unsigned = b64(b'{"alg":"none"}') + "." + body + "."
        hs256 = b64(compact({"alg": "HS256", "kid": device.id, "typ": "dokiem-record"}).encode())
        rows = {
            "empty line": "",
            "not a JWS": "hello",
            "two parts": head + "." + body,
            "alg none": unsigned,
            "HS256": f"{hs256}.{body}.{signature}",
            "two JWS in one": device.record(1, None) + device.record(2, None),
            "other typ": device.sign("dokiem-enrol", good),
            "crit": device.sign("", good, {"alg": "ES256", "kid": device.id, "typ": "dokiem-record", "crit": []}),
            "not JSON": device.sign("dokiem-record", "hello"),
            "NUL": device.sign("dokiem-record", b"\0" * 8),
            "array": device.sign("dokiem-record", []),
            "deep": device.sign("dokiem-record", "[" * 50000),
            "repeated key": device.sign("dokiem-record", compact(good)[:-1] + ',"seq":1}'),
            "other schema": device.sign("dokiem-record", good | {"schema": "dokiem.record/2"}),
            "seq 0": device.sign("dokiem-record", good | {"seq": 0}),
            "seq text": device.sign("dokiem-record", good | {"seq": "1"}),
            "seq real": device.sign("dokiem-record", good | {"seq": 1.0}),
            "seq huge": device.sign("dokiem-record", good | {"seq": 2 ** 70}),
            "prev of the first": device.sign("dokiem-record", good | {"prev": sha("")}),
            "no prev of the second": device.sign("dokiem-record", good | {"seq": 2}),
            "prev is SQL": device.sign("dokiem-record", good | {"seq": 2, "prev": "'; DROP TABLE records; --"}),
            "id": device.sign("dokiem-record", good | {"id": "x' OR 1=1"}),
            "another device": device.sign("dokiem-record", good | {"device": {"id": sha("another")}}),
            "no device": device.sign("dokiem-record", good | {"device": "me"}),
        }
        for name, jws in rows.items():
            with self.subTest(name):
                status, answers = collector.send(jws)
                self.assertIn(status, (400, 401) if name in ("HS256", "two JWS in one") else (400,), answers)
                self.assertEqual(answers[0]["status"], status)
                self.assertTrue(answers[0]["reason"])
        self.assertEqual(collector.devices()[device.id]["records"], 0)
        self.assertEqual(collector.send(device.record())[0], 201)

    def test_a_malformed_record_does_not_stop_the_rest_a_stranger_does(self):
        collector, device = self.ready()
        one, two, three = device.record(), device.record(), device.record()
        status, answers = collector.send(one, "nonsense", two)
        self.assertEqual((status, [a["status"] for a in answers]), (400, [201, 400, 201]))
        status, answers = collector.send(self.device("stranger").record(), three)
        self.assertEqual((status, [a["status"] for a in answers]), (401, [401]))
        status, answers = collector.send(three, self.device("stranger").record())
        self.assertEqual((status, [a["status"] for a in answers]), (401, [201, 401]))
        self.assertEqual(collector.devices()[device.id]["records"], 3)

    def test_gaps_are_kept_and_shown(self):
        collector, device = self.ready()
        chain = [device.record() for _ in range(5)]
        self.assertEqual(collector.send(chain[0], chain[4])[0], 201)
        row = collector.devices()[device.id]
        self.assertEqual((row["last_seq"], row["records"], row["gaps"]), (5, 2, 3))
        status, answers = collector.send(chain[2])
        self.assertEqual((status, verify(answers[0]["receipt"], collector.jwk, "dokiem-receipt")["last_seq"]),
                         (201, 5))
        self.assertEqual(collector.send(chain[1], chain[3])[0], 201)
        self.assertEqual(collector.devices()[device.id]["gaps"], 0)

    def test_forks(self):
        collector, device = self.ready()
        chain = [device.record() for _ in range(4)]
        collector.send(chain[0], chain[1], chain[3])
        other = device.record(2, sha(chain[0]))
        rows = {
            "same number": (other, 2, sha(chain[1])),
            "prev is not the one before": (device.record(3, sha("x")), 2, sha(chain[1])),
            "prev of the one after": (device.record(3, sha(chain[1])), 4, sha(chain[2])),
            "after the last": (device.record(5, sha("x")), 4, sha(chain[3])),
        }
        for name, (jws, kept_seq, kept) in rows.items():
            with self.subTest(name):
                status, answers = collector.send(jws, chain[2])
                self.assertEqual((status, [a["status"] for a in answers]), (409, [409]))
                with sqlite3.connect(collector.database) as database:
                    self.assertEqual(database.execute("SELECT kept_seq, kept FROM forks WHERE device=? AND other=?",
                                                      (device.id, sha(jws))).fetchall(), [(kept_seq, kept)])
                database.close()
        self.assertEqual(collector.send(other)[0], 409)
        row = collector.devices()[device.id]
        self.assertEqual((row["records"], row["forks"]), (3, 4))
        self.assertIn(device.id, collector.command("devices"))
        collector.stop()
        self.assertIn("ALARM", read(os.path.join(collector.folder, "log")))

    def test_two_devices_do_not_mix(self):
        collector, one = self.ready()
        two = collector.approved(self.device("two"))
        chain_one, chain_two = [one.record(), one.record()], [two.record()]
        self.assertEqual(collector.send(chain_one[0], chain_two[0], chain_one[1])[0], 201)
        for device, chain in ((one, chain_one), (two, chain_two)):
            self.assertEqual(collector.request("GET", f"/v1/records?device={device.id}")[1].splitlines(), chain)
        by_id = sorted(((one.id, chain_one), (two.id, chain_two)))
        self.assertEqual(collector.request("GET", "/v1/records")[1].splitlines(), by_id[0][1] + by_id[1][1])
        self.assertEqual(collector.request("GET", "/v1/records?since=2")[1].splitlines(), chain_one[1:])
        self.assertEqual(collector.request("GET", "/v1/records?limit=2")[1].splitlines(),
                         (by_id[0][1] + by_id[1][1])[:2])


class Enrolment(Case):
    def test_a_token_serves_once_and_its_enrolment_may_be_repeated(self):
        collector, one, two = self.collector(), self.device("one"), self.device("two")
        token = collector.token()
        self.assertEqual(len(unb64(token)), 16)
        enrolment = one.enrolment(token)
        status, answers = collector.post("/v1/devices", enrolment)
        self.assertEqual((status, answers[0]["id"], answers[0]["state"]), (201, one.id, "pending"))
        self.assertEqual(sha(compact(answers[0]["collector"])), collector.kid)
        self.assertEqual(collector.post("/v1/devices", enrolment), (200, answers))
        self.assertEqual(collector.enrol(one, token), (200, answers[0]))
        self.assertEqual(collector.enrol(two, token)[0], 403)
        self.assertEqual(set(collector.devices()), {one.id})
        collector.command("approve", one.id)
        self.assertEqual(collector.enrol(one, token)[1]["state"], "approved")
        with open(collector.database, "rb") as file:
            self.assertNotIn(token.encode(), file.read())

    def test_a_new_token_renews_a_known_device(self):
        collector, device = self.collector(), self.device()
        collector.enrol(device)
        status, answer = collector.enrol(device, collector.token("--approve"), site={"code": "XA-2", "name": ""})
        self.assertEqual((status, answer["state"]), (200, "approved"))
        self.assertEqual(collector.devices()[device.id]["site"]["code"], "XA-2")
        self.assertEqual(collector.enrol(device)[1]["state"], "approved")

    def test_tokens_expire_and_wrong_ones_are_refused(self):
        collector, device = self.collector(), self.device()
        token = collector.token("--expires", "1s")
        with sqlite3.connect(collector.database) as database:
            database.execute("UPDATE tokens SET expires_ms = 1")
        database.close()
        for wrong in (token, "", "x", collector.token()[:-1], collector.token() + "A", "' OR 1=1 --", "ü" * 1000):
            self.assertEqual(collector.post("/v1/devices", device.enrolment(wrong))[0], 403, wrong)
        self.assertEqual(collector.devices(), {})
        for bad in ("0s", "1", "1.5h", "24H", "-1h", "400d", "h", "99999999999999999999s"):
            self.assertIn("--expires", collector.command("token", "--expires", bad, status=64))

    def test_malformed_enrolments(self):
        collector, device, other = self.collector(), self.device(), self.device("other")
        token = collector.token()
        good = json.loads(unb64(device.enrolment(token).split(".")[1]))
        rows = {
            "nothing": "", "nonsense": "hello", "dots": "..", "null": "a.bnVsbA.c",
            "other key": device.sign("dokiem-enrol", good | {"jwk": other.jwk}),
            "no key": device.sign("dokiem-enrol", {k: v for k, v in good.items() if k != "jwk"}),
            "private key": device.sign("dokiem-enrol", good | {"jwk": device.jwk | {"d": device.jwk["x"]}}),
            "point not on the curve": device.sign("dokiem-enrol",
                                                  good | {"jwk": device.jwk | {"x": device.jwk["y"]}}),
            "other typ": device.sign("dokiem-record", good),
            "schema": device.sign("dokiem-enrol", good | {"schema": "dokiem.enrol/2"}),
            "site": device.sign("dokiem-enrol", good | {"site": "here"}),
            "long site": device.sign("dokiem-enrol", good | {"site": {"code": "x" * 128, "name": ""}}),
            "control character": device.sign("dokiem-enrol", good | {"site": {"code": "a\u001b[31m", "name": ""}}),
            "token": device.sign("dokiem-enrol", good | {"token": 1}),
            "time": device.sign("dokiem-enrol", good | {"time": "now"}),
            "two lines": device.enrolment(token) + "\n" + device.enrolment(token),
        }
        for name, jws in rows.items():
            with self.subTest(name):
                status, answers = collector.post("/v1/devices", jws)
                self.assertEqual((status, answers[0]["status"]), (400, 400), answers)
        self.assertEqual(collector.devices(), {})
        self.assertEqual(collector.enrol(device, token)[0], 201)

    def test_sql_in_a_site_is_text(self):
        collector, device = self.collector(), self.device()
        site = {"code": "x'); DROP TABLE devices; --", "name": '"%s%n\\'}
        self.assertEqual(collector.enrol(device, site=site)[0], 201)
        self.assertEqual(collector.devices()[device.id]["site"], site)
        self.assertIn(site["code"], collector.command("devices"))
        self.assertIn("no device", collector.command("approve", "x' OR '1'='1", status=66))


class Http(Case):
    def test_wrong_requests(self):
        collector, device = self.ready()
        jose = {"Content-Type": "application/jose"}
        rows = [
            ("GET", "/", None, {}, 404), ("GET", "/v1/records/", None, {}, 404), ("GET", "/v2/records", None, {}, 404),
            ("DELETE", "/v1/records", None, {}, 405), ("PUT", "/v1/devices", b"x", jose, 405),
            ("POST", "/healthz", b"", {}, 405), ("GET", "/v1/records", None, {}, 200),
            ("GET", f"/v1/records?device={device.id}&since=0", None, {}, 400),
            ("GET", f"/v1/records?device={device.id}&since=01", None, {}, 400),
            ("GET", f"/v1/records?device={device.id}&limit=x", None, {}, 400),
            ("GET", "/v1/records?device=%27%20OR%201=1", None, {}, 404),
            ("POST", "/v1/records", b"x", {}, 415), ("POST", "/v1/records", b"x", {"Content-Type": "text/plain"}, 415),
            ("POST", "/v1/records", b"x", {"Content-Type": "application/josex"}, 415),
            ("POST", "/v1/records", b"x", {"Content-Type": "Application/JOSE; charset=x"}, 400),
            ("POST", "/v1/records", b"", jose, 400), ("POST", "/v1/records", b"\n" * 1001, jose, 413),
            ("POST", "/v1/records", b"x" * (4 << 20), jose, 400),
            ("POST", "/v1/records", b"x" * ((4 << 20) + 1), jose, 413),
            ("POST", "/v1/devices", b"x" * (17 << 10), jose, 413),
            ("HEAD", "/healthz", None, {}, 200),
        ]
        for method, path, body, headers, expected in rows:
            with self.subTest(method=method, path=path, length=len(body or b"")):
                self.assertEqual(collector.request(method, path, body, headers)[0], expected)
        # Without a length: the limit holds while the body comes in.
        status, _, _ = collector.request("POST", "/v1/records", (b"x" * 65536 for _ in range(80)), jose)
        self.assertEqual(status, 413)
        self.assertEqual(collector.send(device.record())[0], 201)

    def test_garbage_on_the_wire_is_survived(self):
        collector, device = self.ready()
        for garbage in (b"\0" * 5000, b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000, b"\x16\x03\x01\x02\x00\x01\x00",
                        b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\n\r\n",
                        b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                        b"POST /v1/records HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n"):
            with socket.create_connection(("127.0.0.1", collector.port)) as connection:
                connection.settimeout(5)
                try:
                    connection.sendall(garbage)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass
        self.assertEqual(collector.send(device.record())[0], 201)

    def test_reading_is_for_this_machine_or_with_the_token(self):
        collector, _ = self.ready()
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            self.assertEqual(collector.request("GET", "/v1/devices", headers={name: "192.0.2.1"})[0], 403)
            self.assertEqual(collector.request("GET", "/v1/devices", headers={name: "127.0.0.1"})[0], 403)
        token = os.path.join(self.folder, "token")
        with open(token, "w") as out:
            out.write("correct horse battery\n")
        other = self.collector("--read-token", token, name="other")
        for headers, expected in (({}, 401), ({"Authorization": "Bearer correct horse batterx"}, 401),
                                  ({"Authorization": "Bearer "}, 401), ({"Authorization": "Basic x"}, 401),
                                  ({"Authorization": "Bearer correct horse battery"}, 200)):
            for path in ("/v1/devices", "/v1/records?device=x"):
                got = other.request("GET", path, headers=headers)[0]
                self.assertEqual(got, 404 if expected == 200 and "records" in path else expected)

    def test_too_much_is_refused_before_it_is_sent(self):
        collector = self.collector()
        for length, header in ((5 << 20, "Expect: 100-continue\r\n"), (1 << 30, ""), (1 << 62, "")):
            with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
                connection.sendall(f"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n{header}"
                                   f"Content-Length: {length}\r\n\r\n".encode())
                self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 413 "), length)

    def test_a_flood_of_strangers_takes_no_memory(self):
        # AddressSanitizer would keep what is freed for a while.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        collector = self.collector(env=os.environ | {"ASAN_OPTIONS": sanitizer.lstrip(":")})
        stranger = self.device("stranger")
        signed, _, signature = stranger.record().split(".")
        header = json.loads(unb64(signed))

        def resident():
            with open(f"/proc/{collector.process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * resource.getpagesize()

        def flood(times):
            connection = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=20)
            self.addCleanup(connection.close)
            for _ in range(times):
                name = b64(compact(header | {"kid": b64(os.urandom(32))}).encode())
                connection.request("POST", "/v1/records", f"{name}.{b64(os.urandom(3000))}.{signature}",
                                   {"Content-Type": "application/jose"})
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, 401)
        with open(f"/proc/{collector.process.pid}/maps", encoding="utf-8") as maps:
            sanitized = "libasan" in maps.read()
        flood(200)
        before = resident()
        flood(2000)
        # A sanitizer's own books grow.
        self.assertLess(resident() - before, (5 if sanitized else 2) << 20)
        text = collector.request("GET", "/metrics")[1]
        self.assertIn('dokiem_collector_records_total{answer="unauthenticated"} 2200\n', text)

    def test_rate_limit(self):
        collector = self.collector("--rate", "1")
        answers = [collector.request("GET", "/metrics") for _ in range(12)]
        self.assertEqual([a[0] for a in answers[:10]], [200] * 10)
        self.assertEqual(answers[11][0], 429)
        self.assertGreaterEqual(int(answers[11][2]["Retry-After"]), 1)
        # Behind a proxy each client has its own share.
        self.assertEqual(collector.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.1"})[0], 200)

    def test_rate_limit_of_a_device(self):
        """A device has its share wherever it comes from; who cannot sign uses up nobody's."""
        collector = self.collector("--rate", "1")
        device, other = collector.approved(self.device()), collector.approved(self.device("other"))
        jws = device.record()
        forged = jws[:-4] + "AAAA"

        def send(line, number):
            return collector.request("POST", "/v1/records", line, {
                "Content-Type": "application/jose", "X-Forwarded-For": f"192.0.2.{number}"})
        self.assertEqual({send(forged, i)[0] for i in range(1, 31)}, {401})
        self.assertEqual([send(jws, i)[0] for i in range(31, 41)], [201] + [200] * 9)
        status, answer, headers = send(jws, 50)
        self.assertEqual((status, json.loads(answer)["status"]), (429, 429))
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        self.assertEqual(send(other.record(), 50)[0], 201)
        self.assertIn("dokiem_collector_limited_total 1\n", collector.request("GET", "/metrics")[1])

    def test_requests_that_come_together_do_not_mix(self):
        """Many at once are kept in one transaction: each gets its own answer, whatever the others are."""
        collector, device = self.ready()
        devices = [collector.approved(self.device(f"d{i}")) for i in range(3)]
        bodies = [[device.record()], ["nonsense"], ["x\n" * 1001], [""], [self.device("stranger").record()],
                  *[[d.record(), d.record()] for d in devices]]
        expected = [[201], [400], [413], [400], [401], [201, 201], [201, 201], [201, 201]]
        database = sqlite3.connect(collector.database, isolation_level=None)
        self.addCleanup(database.close)
        connections = []
        for body in bodies:
            connections.append(http.client.HTTPConnection("127.0.0.1", collector.port, timeout=20))
            self.addCleanup(connections[-1].close)
            connections[-1].connect()
        database.execute("BEGIN IMMEDIATE")  # the first ones wait for this, the rest for them
        for connection, body in zip(connections, bodies):
            connection.request("POST", "/v1/records", "\n".join(body), {"Content-Type": "application/jose"})
        database.execute("ROLLBACK")
        for connection, statuses in zip(connections, expected):
            answer = connection.getresponse()
            lines = [json.loads(line) for line in answer.read().splitlines()]
            self.assertEqual((answer.status, [line["status"] for line in lines]), (statuses[0], statuses))
        self.assertEqual([collector.devices()[d.id]["records"] for d in (device, *devices)], [1, 2, 2, 2])

    def test_a_slow_client_is_ended_and_holds_nobody_up(self):
        collector, device = self.ready("--timeout", "2s")
        slow = []
        for head in (b"", b"POST /v1/rec", b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n"
                     b"Content-Length: 1000\r\n\r\nab"):
            slow.append(socket.create_connection(("127.0.0.1", collector.port)))
            slow[-1].sendall(head)
        self.assertEqual(collector.send(device.record())[0], 201)
        end = time.monotonic() + 15
        while slow and time.monotonic() < end:
            for connection in list(slow):
                connection.settimeout(0.2)
                try:
                    connection.sendall(b"a")  # never idle, never done
                    if connection.recv(4096) == b"":
                        raise ConnectionError
                except socket.timeout:
                    continue
                except OSError:
                    slow.remove(connection)
                    connection.close()
        self.assertEqual(slow, [])

    def test_connections_of_one_address_are_bounded(self):
        collector = self.collector()
        held = [socket.create_connection(("127.0.0.1", collector.port)) for _ in range(64)]
        try:
            with self.assertRaises((OSError, http.client.HTTPException)):
                collector.request("GET", "/healthz", timeout=5)
        finally:
            for connection in held:
                connection.close()
        end = time.monotonic() + 10
        while True:
            try:
                self.assertEqual(collector.request("GET", "/healthz")[0], 200)
                break
            except (OSError, http.client.HTTPException):
                self.assertLess(time.monotonic(), end)

    def test_health_and_metrics(self):
        collector, device = self.ready()
        collector.send(device.record(), "nonsense")
        self.assertEqual(collector.request("GET", "/healthz")[:2], (200, "ok\n"))
        text = collector.request("GET", "/metrics")[1]
        self.assertIn('dokiem_collector_records_total{answer="stored"} 1\n', text)
        self.assertIn('dokiem_collector_records_total{answer="malformed"} 1\n', text)
        self.assertIn("dokiem_collector_held_bytes 0\n", text)


class Faults(Case):
    def test_busy_store_is_not_now_and_loses_nothing(self):
        collector, device = self.ready()
        one, two = device.record(), device.record()
        collector.send(one)
        database = sqlite3.connect(collector.database, isolation_level=None)
        self.addCleanup(database.close)
        database.execute("BEGIN IMMEDIATE")
        status, answers = collector.send(one, two)
        self.assertEqual((status, [a["status"] for a in answers]), (503, [503]))
        self.assertGreater(int(collector.headers["Retry-After"]), 0)
        self.assertEqual(collector.request("GET", "/healthz")[0], 503)
        self.assertEqual(collector.enrol(self.device("new"), "x")[0], 503)
        database.execute("ROLLBACK")
        self.assertEqual([a["status"] for a in collector.send(one, two)[1]], [200, 201])

    def test_full_disk_is_not_now_and_loses_nothing(self):
        # A limit on the size of files stands in for the full disk.
        limit = 300 << 10
        collector = self.collector(
            restore_signals=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        device = collector.approved(self.device())
        stored, waiting = [], None
        for _ in range(100):
            waiting = device.record(note="x" * 20000)
            status, answers = collector.send(waiting)
            if status != 201:
                break
            stored.append(waiting)
        self.assertEqual((status, answers[0]["status"]), (503, 503))
        self.assertGreater(len(stored), 2)
        self.assertEqual(collector.request("GET", f"/v1/records?device={device.id}")[1].splitlines(), stored)
        collector.stop()
        collector.popen = {}
        collector.start()
        self.assertEqual(collector.send(*stored, waiting)[1][-1]["status"], 201)
        self.assertEqual(collector.devices()[device.id]["records"], len(stored) + 1)

    def test_kill_loses_and_doubles_nothing(self):
        collector, device = self.ready()
        chain = [device.record() for _ in range(30)]
        receipts = {}
        for turn in range(6):
            batch = chain[turn * 5:turn * 5 + 5]
            if turn % 2 == 0:  # killed after the answer
                receipts |= {a["seq"]: a["receipt"] for a in collector.send(*batch)[1]}
                collector.stop(signal.SIGKILL)
            else:  # killed with the request on its way
                connection = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=10)
                connection.request("POST", "/v1/records", "\n".join(batch), {"Content-Type": "application/jose"})
                collector.stop(signal.SIGKILL)
                connection.close()
            collector.start()
        status, answers = collector.send(*chain)
        self.assertEqual([a["seq"] for a in answers], list(range(1, 31)))
        for answer in answers:
            if answer["seq"] in receipts:
                self.assertEqual((answer["status"], answer["receipt"]), (200, receipts[answer["seq"]]))
        self.assertEqual(collector.request("GET", f"/v1/records?device={device.id}")[1].splitlines(), chain)
        row = collector.devices()[device.id]
        self.assertEqual((row["records"], row["gaps"], row["forks"]), (30, 0, 0))

    def test_stops_cleanly(self):
        collector = self.collector()
        self.assertEqual(collector.stop(signal.SIGTERM), 0)
        collector.start()
        self.assertEqual(collector.stop(signal.SIGINT), 0)


class Documents(unittest.TestCase):
    def test_the_tests_that_the_document_names_are_there(self):
        folder = os.path.dirname(os.path.abspath(__file__))
        with open(folder + "/../../docs/collector.md", encoding="utf-8") as file:
            named = set(re.findall(r"`(test_\w+)`", file.read()))
        there = set()
        for name in ("test_collector.py", "test_operate.py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                there |= set(re.findall(r"def (test_\w+)", file.read()))
        self.assertGreater(len(named), 20)
        self.assertEqual(named - there, set())


class CommandLine(Case):
    def run_it(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=30)

    def test_usage(self):
        key, store = self.folder + "/k", "sqlite:" + self.folder + "/s"
        self.assertEqual(self.run_it("keygen", "--key", key).returncode, 0)
        rows = [
            ((), 64, "--listen"), (("--nonsense",), 64, "--nonsense: is unknown"),
            (("fly",), 64, "fly"), (("approve",), 64, "ID"),
            (("version", "x"), 64, "x"), (("token",), 64, "--store"),
            (("token", "--store", "mysql:x"), 64, "sqlite:PATH"), (("token", "--store", "sqlite:"), 64, "sqlite:PATH"),
            (("token", "--store", "sqlite:/no/such/folder/x"), 74, "store"),
            (("--listen", "x", "--store", store, "--key", key), 64, "ADDR:PORT"),
            (("--listen", "127.0.0.1:65536", "--store", store, "--key", key), 64, "ADDR:PORT"),
            (("--listen", "127.0.0.1:010", "--store", store, "--key", key), 64, "ADDR:PORT"),
            (("--listen", "192.0.2.1:0", "--store", store, "--key", key), 74, "192.0.2.1"),
            (("--listen", "127.0.0.1:0", "--store", store, "--key", self.folder + "/none"), 66, "none"),
            (("--listen", "127.0.0.1:0", "--store", store, "--key", key, "--rate", "-1"), 64, "--rate"),
        ]
        for arguments, status, words in rows:
            with self.subTest(arguments):
                done = self.run_it(*arguments)
                self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
                self.assertIn(words, done.stderr)
        self.assertIn("--read-token", self.run_it("--help").stdout)
        self.assertRegex(self.run_it("version").stdout, r"^dokiem-collector \d+\.\d+\.\d+\n$")

    def test_ids_and_tokens_that_look_like_options(self):
        collector = self.collector()
        for id in ("-" + "a" * 41 + "A", "--" + "h" * 40 + "A"):
            self.assertIn(id + ": is no device", collector.command("approve", id, status=66))
            self.assertIn(id + ": is no device", collector.command(id, "revoke", status=66))
            self.assertEqual(self.run_it("approve", id, id).returncode, 64)
        for _ in range(100):
            self.assertFalse(collector.token().startswith("-"))

    def test_key_rules(self):
        key, store = self.folder + "/k", "sqlite:" + self.folder + "/s"
        kid = self.run_it("keygen", "--key", key).stdout
        self.assertRegex(kid, r"^[\w-]{43}\n$")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        before = read(key)
        self.assertNotEqual(self.run_it("keygen", "--key", key).returncode, 0)
        self.assertEqual(read(key), before)
        os.chmod(key, 0o640)
        self.assertEqual(self.run_it("--listen", "127.0.0.1:0", "--store", store, "--key", key).returncode, 77)

    def test_the_database_is_private_and_another_one_is_refused(self):
        collector = self.collector()
        for name in os.listdir(collector.folder):
            if name.startswith("records.sqlite"):
                self.assertEqual(os.stat(os.path.join(collector.folder, name)).st_mode & 0o077, 0, name)
        other = os.path.join(self.folder, "other")
        with sqlite3.connect(other) as database:
            database.execute("CREATE TABLE t(x)")
        database.close()
        self.assertEqual(self.run_it("token", "--store", "sqlite:" + other).returncode, 65)
        with open(other, "wb") as out:
            out.write(b"hello" * 1000)
        self.assertEqual(self.run_it("token", "--store", "sqlite:" + other).returncode, 65)


if __name__ == "__main__":
    unittest.main()
