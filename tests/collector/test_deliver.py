# SPDX-License-Identifier: Apache-2.0
"""Delivery against the real collector, and against collectors that answer anything: docs/collector.md, row by row.

usage: test_deliver.py COLLECTOR DELIVER_ONCE"""
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from support import Collector, Device, compact, openssl, sha, unb64, verify, wait_for

DELIVER_ONCE = sys.argv.pop(2)
COLLECTOR = sys.argv.pop(1)
GIVE_UP = {"Retry-After": "61"}  # longer than one delivery waits: no second try


class State:
    """A state folder: key, journal with `count` records, and the collector's key."""

    def __init__(self, folder, count):
        self.folder = folder
        self.device = Device(folder)
        self.journal = os.path.join(folder, "journal")
        os.makedirs(self.journal, mode=0o700)
        self.chain = []
        self.add(count)

    def add(self, count, **more):
        for _ in range(count):
            self.chain.append(self.device.record(**more))
            with open(os.path.join(self.journal, f"{len(self.chain):010}.jws"), "w") as out:
                out.write(self.chain[-1])

    def know(self, jwk):
        with open(os.path.join(self.folder, "collector.jwk"), "w") as out:
            json.dump(jwk, out)

    def numbers(self, suffix):
        return sorted(int(name[:10]) for name in os.listdir(self.journal) if name[10:] == suffix)

    def receipt(self, seq):
        with open(os.path.join(self.journal, f"{seq:010}.receipt.jws")) as file:
            return file.read().strip()


class Fake:
    """A collector that answers what it is told: `answer(records)` gives (status, headers, body), or bytes to be sent
    as they are, or a function of the connection."""

    def __init__(self, folder, answer, tls=None):
        self.device = Device(os.path.join(folder, "fake"))
        self.answer, self.tls = answer, tls
        self.requests, self.times = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            try:
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                self.serve(connection)
            except OSError:
                pass
            finally:
                connection.close()

    def serve(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return
            data += part
        head, body = data.split(b"\r\n\r\n", 1)
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(headers["content-length"]):
            body += connection.recv(65536)
        self.times.append(time.monotonic())
        self.requests.append((head.decode(), body.decode().splitlines()))
        answer = self.answer(self.requests[-1][1])
        if callable(answer):
            answer(connection)
        elif isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            status, extra, text = answer
            text = text.encode()
            head = {"Content-Length": str(len(text)), "Connection": "close"} | extra
            connection.sendall(f"HTTP/1.1 {status} Some Words\r\n".encode() +
                               "".join(f"{k}: {v}\r\n" for k, v in head.items()).encode() + b"\r\n" + text)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def receipt(self, jws, **more):
        device, seq = claims(jws)
        return self.device.sign("dokiem-receipt", {
            "schema": "dokiem.receipt/1", "record_sha256": sha(jws), "id": "x", "device": device, "seq": seq,
            "received": "2026-11-20T04:05:06.789Z", "last_seq": seq} | more)

    def stored(self, jws, **more):
        return {"id": "x", "seq": claims(jws)[1], "status": 201, "receipt": self.receipt(jws, **more)}

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(30)


def claims(jws):
    payload = json.loads(unb64(jws.split(".")[1]))
    return payload["device"]["id"], payload["seq"]


def lines(*answers):
    return "".join(compact(a) + "\n" for a in answers)


class Case(unittest.TestCase):
    limits = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-deliver-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder

    def state(self, count, name="state"):
        return State(os.path.join(self.folder, name), count)

    def fake(self, answer, state, tls=None):
        fake = Fake(self.folder, answer, tls)
        self.addCleanup(fake.stop)
        state.know(fake.device.jwk)
        return fake

    def command(self, *arguments):
        done = subprocess.run([DELIVER_ONCE, *arguments], capture_output=True, text=True, timeout=120,
                              restore_signals=False, preexec_fn=self.limits)
        self.words = done.stderr
        self.said = json.loads(done.stdout) if done.stdout else None
        return done.returncode

    def deliver(self, where, state, batch=20, timeout_ms=10000, *more):
        status = self.command("deliver", where.url, state.folder, str(batch), str(timeout_ms), *more)
        # Whatever happens: every record is still there, and is in one state only.
        self.assertEqual(state.numbers(".jws"), list(range(1, len(state.chain) + 1)))
        self.assertEqual(self.said["waiting"], len(state.chain) - len(state.numbers(".receipt.jws")) -
                         len(state.numbers(".refused")), self.words)
        return status


class RealCollector(Case):
    def setUp(self):
        super().setUp()
        self.collector = Collector(COLLECTOR, os.path.join(self.folder, "collector"))
        self.addCleanup(self.collector.stop)

    def test_enrol_then_deliver(self):
        state = self.state(45)
        self.assertEqual(self.command("enrol", self.collector.url, state.folder, "wrong"), 77)
        self.assertIn("token", self.words)
        self.assertFalse(os.path.exists(state.folder + "/collector.jwk"))
        token = self.collector.token()
        self.assertEqual(self.command("enrol", self.collector.url, state.folder, token), 0, self.words)
        self.assertEqual(self.said, {"id": state.device.id, "approved": False})
        with open(state.folder + "/collector.jwk") as file:
            jwk = json.load(file)
        self.assertEqual(sha(compact(jwk)), self.collector.kid)
        self.assertEqual(self.deliver(self.collector, state), 77)
        self.assertIn("approve", self.words)
        self.collector.command("approve", state.device.id)
        self.assertEqual(self.command("enrol", self.collector.url, state.folder, token), 0)
        self.assertTrue(self.said["approved"])
        self.assertEqual(self.deliver(self.collector, state), 0, self.words)
        self.assertEqual(self.said["delivered"], 45)
        for seq, jws in enumerate(state.chain, 1):
            self.assertEqual(verify(state.receipt(seq), jwk, "dokiem-receipt")["record_sha256"], sha(jws))
        before = self.collector.request("GET", "/metrics")[1]
        self.assertEqual(self.deliver(self.collector, state), 0)
        self.assertEqual(self.said["delivered"], 0)
        after = self.collector.request("GET", "/metrics")[1]
        self.assertIn("records_total", before)
        self.assertEqual(before.split("records_total")[1], after.split("records_total")[1])
        self.collector.command("revoke", state.device.id)
        state.add(1)
        self.assertEqual(self.deliver(self.collector, state), 77)
        self.assertIn("revoked", self.words)

    def test_long_records_go_in_small_requests(self):
        state = self.state(0)
        state.add(10, note="x" * 150000)  # 200 kB each, so at most 5 in 1 MiB
        self.collector.approved(state.device)
        state.know(self.collector.jwk)
        self.assertEqual(self.deliver(self.collector, state, batch=100), 0, self.words)
        self.assertEqual(self.said["delivered"], 10)
        requests = int(self.collector.request("GET", "/metrics")[1].split("\ndokiem_collector_requests_total ")[1]
                       .split("\n")[0])
        self.assertEqual(requests, 1 + 2 + 1)  # enrolment, deliveries, metrics

    def test_fork(self):
        state = self.state(3)
        self.collector.approved(state.device)
        state.know(self.collector.jwk)
        self.collector.send(state.chain[0], state.device.record(2, sha(state.chain[0])))
        self.assertEqual(self.deliver(self.collector, state), 65)
        self.assertIn("forks at record 2", self.words)
        self.assertEqual((self.said["delivered"], self.said["waiting"]), (1, 2))

    def test_killed_collectors_lose_and_double_nothing(self):
        state = self.state(0)
        self.collector.approved(state.device)
        state.know(self.collector.jwk)
        for turn in range(4):
            state.add(5)
            if turn % 2 == 1:  # the answer is lost, the receipt is not kept: sent again later
                self.collector.send(*state.chain[-3:])
            self.assertEqual(self.deliver(self.collector, state, batch=2), 0, self.words)
            self.collector.stop(signal.SIGKILL)
            self.collector.start()
        _, text, _ = self.collector.request("GET", f"/v1/records?device={state.device.id}")
        self.assertEqual(text.splitlines(), state.chain)
        self.assertEqual(state.numbers(".receipt.jws"), list(range(1, 21)))
        row = self.collector.devices()[state.device.id]
        self.assertEqual((row["records"], row["gaps"], row["forks"]), (20, 0, 0))


class Answers(Case):
    def test_table(self):
        state = self.state(3)
        html = {"Content-Type": "text/html; charset=utf-8"}
        refuse = lambda status: lines({"status": status, "reason": "because of this"})
        rows = [
            # answer, exit status, word that is said
            ((401, {}, refuse(401)), 77, "dokiem enrol"), ((401, {}, ""), 77, "dokiem enrol"),
            ((403, {}, refuse(403)), 77, "because of this"), ((403, html, "<html>"), 77, "approve"),
            ((409, {}, refuse(409)), 65, "forks"), ((409, {}, ""), 65, "forks"),
            ((413, GIVE_UP, refuse(413)), 75, "413"), ((429, GIVE_UP, refuse(429)), 75, "because of this"),
            ((503, GIVE_UP, refuse(503)), 75, "503"), ((503, GIVE_UP | html, "<html>"), 75, "503"),
            ((500, GIVE_UP, ""), 75, "500"), ((502, GIVE_UP, ""), 75, "502"),
            ((400, html, "<html>400</html>"), 65, "no sense"),
            ((200, {}, ""), 65, "no sense"), ((201, {}, ""), 65, "no sense"), ((204, {}, ""), 65, "no sense"),
            ((200, {}, "ok"), 65, "no sense"), ((200, html, "<html>welcome</html>"), 65, "no sense"),
            ((201, {}, "{}\n"), 65, "no sense"), ((201, {}, "[" * 5000), 65, "no sense"),
            ((201, {}, '{"status": 201.0}\n'), 65, "no sense"), ((201, {}, '{"status": 201}\n'), 65, "receipt"),
            ((201, {}, '{"status": 99999}\n'), 65, "no sense"), ((201, {}, '{"status": 201, "status": 400}\n'), 65, ""),
            ((201, {}, '{"status": 400, "reason": "\x1b[31m"}\n'), 65, "no sense"),
            ((200, {}, '{"status": 201, "receipt": "x.y.z"}\n'), 65, "receipt"),
            ((302, {"Location": "http://127.0.0.1:1/"}, ""), 65, "302"), ((404, {}, ""), 65, "404"),
            ((405, {}, ""), 65, "405"), ((415, {}, refuse(415)), 65, "415"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 65, "no sense"),
            ((200, {}, "x" * (1 << 20)), 65, "longer"),
            (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 20000 + b"\r\n", 65,
             "longer"),
            ((200, {"Content-Encoding": "gzip"}, "x" * 100), 65, "no sense"),
        ]
        fake = self.fake(None, state)
        for answer, expected, word in rows:
            with self.subTest(answer if len(str(answer)) < 200 else str(answer)[:200]):
                fake.requests.clear()
                fake.answer = lambda records: answer
                self.assertEqual(self.deliver(fake, state), expected, self.words)
                self.assertIn(word, self.words)
                self.assertEqual(self.said["waiting"], 3)
                self.assertNotIn("\x1b", self.words)
                self.assertEqual(len(fake.requests), 2 if answer[0] == 413 else 1)
        head, body = fake.requests[0]
        self.assertIn("POST /v1/records HTTP/1.1", head)
        self.assertIn("Content-Type: application/jose", head)
        self.assertEqual(body, state.chain)
        fake.answer = lambda records: (201, {}, lines(*map(fake.stored, records)))
        self.assertEqual(self.deliver(fake, state), 0)
        self.assertEqual(self.said["delivered"], 3)

    def test_a_malformed_record_is_set_aside_and_the_rest_goes_on(self):
        state = self.state(7)
        bad = {"status": 400, "reason": "a word about it"}
        fake = self.fake(lambda records: (400, {}, lines(
            *(bad if claims(r)[1] in (2, 5) else fake.stored(r) for r in records))), state)
        self.assertEqual(self.deliver(fake, state, batch=3), 0, self.words)
        self.assertEqual((self.said["delivered"], self.said["refused"]), (5, 2))
        self.assertEqual(state.numbers(".refused"), [2, 5])
        with open(os.path.join(state.journal, "0000000002.refused")) as file:
            self.assertIn("a word about it", file.read())
        self.assertEqual(self.deliver(fake, state), 0)
        self.assertEqual(len(fake.requests), 3)

    def test_a_bare_400_is_narrowed_to_the_record(self):
        state = self.state(5)
        for said in ("", lines({"status": 400, "reason": "bad"})):
            fake = self.fake(lambda records: (400, {}, said) if any(claims(r)[1] % 5 == 3 for r in records) else
                             (201, {}, lines(*map(fake.stored, records))), state)
            self.assertEqual(self.deliver(fake, state), 0, self.words)
            self.assertEqual((self.said["delivered"], self.said["refused"]), (4, 1))
            state.add(5)
        self.assertEqual(state.numbers(".refused"), [3, 8])

    def test_too_large_is_halved(self):
        state = self.state(8)
        fake = self.fake(lambda records: (413, GIVE_UP, "") if len(records) > 2 else
                         (201, {}, lines(*map(fake.stored, records))), state)
        self.assertEqual(self.deliver(fake, state), 0, self.words)
        self.assertEqual([len(r[1]) for r in fake.requests], [8, 4, 2, 2, 2, 2])

    def test_wrong_receipts_are_not_kept(self):
        state, other = self.state(2), Device(os.path.join(self.folder, "other"))
        fake = self.fake(None, state)
        good = lambda jws: fake.receipt(jws)
        rows = {
            "another key": lambda jws: other.sign("dokiem-receipt", {"record_sha256": sha(jws)}),
            "another record": lambda jws: fake.receipt(jws, record_sha256=sha("x")),
            "another number": lambda jws: fake.receipt(jws, seq=7),
            "number as text": lambda jws: fake.receipt(jws, seq="1"),
            "another device": lambda jws: fake.receipt(jws, device=other.id),
            "schema": lambda jws: fake.receipt(jws, schema="dokiem.receipt/2"),
            "typ": lambda jws: fake.device.sign("dokiem-record", {"record_sha256": sha(jws)}),
            "flipped": lambda jws: good(jws)[:-9] + ("A" if good(jws)[-9] != "A" else "B") + good(jws)[-8:],
            "of the first": lambda jws: good(state.chain[1]),
        }
        for name, receipt in rows.items():
            with self.subTest(name):
                fake.answer = lambda records: (201, {}, lines(
                    {"id": "x", "seq": 1, "status": 201, "receipt": receipt(records[0])}, fake.stored(records[1])))
                self.assertEqual(self.deliver(fake, state), 65, self.words)
                self.assertIn("no sense", self.words)
                self.assertEqual(state.numbers(".receipt.jws"), [])

    def test_a_receipt_that_cannot_be_kept_is_not_counted(self):
        state = self.state(2)
        fake = self.fake(lambda records: (201, {}, lines(*map(fake.stored, records))), state)
        # Files may not grow: what a full disk does.
        self.limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        self.assertEqual(self.deliver(fake, state), 74, self.words)
        self.assertEqual(self.said["delivered"], 0)
        self.limits = None
        self.assertEqual(self.deliver(fake, state), 0, self.words)
        self.assertEqual(self.said["delivered"], 2)

    def test_what_was_answered_before_trouble_is_kept(self):
        state = self.state(4)
        fake = self.fake(lambda records: (403, {}, lines(*map(fake.stored, records[:2]),
                                                         {"status": 403, "reason": "revoked"})), state)
        self.assertEqual(self.deliver(fake, state), 77)
        self.assertEqual(self.said["delivered"], 2)
        fake.answer = lambda records: (201, {}, lines(fake.stored(records[0])))
        self.assertEqual(self.deliver(fake, state), 65)
        self.assertIn("all records", self.words)
        self.assertEqual(state.numbers(".receipt.jws"), [1, 2, 3])


class Waiting(Case):
    def test_not_now_is_tried_again_and_retry_after_is_heeded(self):
        state = self.state(2)
        left = [(503, {"Retry-After": "2"}, ""), (429, {}, "")]
        fake = self.fake(lambda records: left.pop(0) if left else (201, {}, lines(*map(fake.stored, records))), state)
        self.assertEqual(self.deliver(fake, state), 0, self.words)
        self.assertGreaterEqual(fake.times[1] - fake.times[0], 2)
        self.assertEqual((len(fake.requests), self.said["delivered"]), (3, 2))

    def test_it_gives_up_after_a_few_tries(self):
        state = self.state(2)
        fake = self.fake(lambda records: (503, {}, ""), state)
        begun = time.monotonic()
        self.assertEqual(self.deliver(fake, state), 75)
        self.assertLess(time.monotonic() - begun, 15)
        self.assertEqual(len(fake.requests), 4)

    def test_what_the_collector_asked_for_is_told(self):
        state = self.state(1)
        fake = self.fake(lambda records: (503, {"Retry-After": "3600"}, ""), state)
        self.assertEqual(self.deliver(fake, state), 75)
        self.assertEqual((self.said["retry_after_ns"], len(fake.requests)), (3600 * 10 ** 9, 1))

    def test_silence_half_answers_and_nobody(self):
        state = self.state(1)

        def silent(connection):
            connection.recv(1)

        def dribble(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                connection.sendall(b"{")
                time.sleep(0.1)

        fake = self.fake(None, state)
        for answer in (lambda c: None, b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{", silent, dribble):
            fake.answer = lambda records: answer
            begun = time.monotonic()
            self.assertEqual(self.deliver(fake, state, 20, 300), 75, self.words)
            self.assertLess(time.monotonic() - begun, 4 * 0.3 + 10 + 2)
            self.assertIn("does not answer", self.words)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            fake.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        self.assertEqual(self.deliver(fake, state), 75)

    def test_an_interrupt_ends_it_at_once(self):
        state = self.state(1)
        for answer in (lambda records: lambda c: c.recv(1), lambda records: (503, {"Retry-After": "50"}, "")):
            fake = self.fake(answer, state)
            process = subprocess.Popen([DELIVER_ONCE, "deliver", fake.url, state.folder, "20", "60000"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_for(lambda: fake.requests, "the request")
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
            self.assertEqual(process.returncode, 130)
            self.assertLess(time.monotonic() - begun, 5)

    def test_certificates(self):
        state, folder = self.state(1), self.folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/tls.key",
                "-out", folder + "/tls.crt")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder + "/tls.crt", folder + "/tls.key")
        fake = self.fake(lambda records: (201, {}, lines(*map(fake.stored, records))), state, tls)
        begun = time.monotonic()
        self.assertEqual(self.deliver(fake, state), 75)
        self.assertIn("certificate is not trusted", self.words)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(fake.requests, [])
        self.assertEqual(self.deliver(fake, state, 20, 10000, folder + "/none.crt"), 75)
        self.assertEqual(self.deliver(fake, state, 20, 10000, folder + "/tls.crt"), 0, self.words)


class Enrolling(Case):
    def test_answers(self):
        state = self.state(0)
        fake = self.fake(None, state)
        good = {"id": state.device.id, "state": "approved", "collector": fake.device.jwk}
        rows = [
            ((403, {}, lines({"status": 403, "reason": "used"})), 77, "used"), ((401, {}, ""), 77, "token"),
            ((400, {}, lines({"status": 400, "reason": "bad"})), 65, "bad"), ((503, GIVE_UP, ""), 75, "later"),
            ((404, {}, ""), 65, "no sense"), ((200, {}, "hello"), 65, "no sense"),
            ((201, {}, compact(good | {"id": "x"})), 65, "no sense"),
            ((201, {}, compact(good | {"state": "king"})), 65, "no sense"),
            ((201, {}, compact(good | {"collector": {}})), 65, "no sense"),
            ((201, {}, compact(good | {"collector": fake.device.jwk | {"x": fake.device.jwk["y"]}})), 65, "no sense"),
            ((201, {}, "x" * 100000), 65, "longer"),
            ((200, {}, compact(good)), 0, ""),
        ]
        os.remove(state.folder + "/collector.jwk")
        for answer, expected, word in rows:
            with self.subTest(answer if len(str(answer)) < 200 else "long"):
                fake.answer = lambda records: answer
                self.assertFalse(os.path.exists(state.folder + "/collector.jwk"))
                self.assertEqual(self.command("enrol", fake.url, state.folder, "token"), expected, self.words)
                self.assertIn(word, self.words)
        payload = verify(fake.requests[-1][1][0], state.device.jwk, "dokiem-enrol")
        self.assertEqual((payload["schema"], payload["jwk"], payload["token"], payload["site"]["code"]),
                         ("dokiem.enrol/1", state.device.jwk, "token", "XA-001"))


if __name__ == "__main__":
    unittest.main()
