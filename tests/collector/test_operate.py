#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A collector in operation: test_operate.py COLLECTOR DOKIEM

TLS by itself and behind nginx, export, check, a disk that fills up and gets room again, kill -9 under load (5 rounds;
DOKIEM_LONG=1: 100).
"""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest

from support import Collector, Device, openssl, sha, unb64, wait_for

DOKIEM = os.path.abspath(sys.argv.pop(2))
COLLECTOR = os.path.abspath(sys.argv.pop(1))
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
ROUNDS = 100 if os.environ.get("DOKIEM_LONG") else 5
SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../packaging/nginx/collector.conf")


def payload(jws):
    return json.loads(unb64(jws.split(".")[1]))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-operate-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def collector(self, *options, name="collector", **popen):
        collector = Collector(COLLECTOR, self.path(name), *options, **popen)
        self.addCleanup(collector.stop)
        return collector

    def dokiem(self, verb, *arguments, status=0, given="", words=""):
        done = subprocess.run([DOKIEM, verb, *arguments], input=given, text=True, capture_output=True, timeout=60,
                              env=os.environ | {"HOME": self.folder, "LC_ALL": "C"})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(words, done.stderr)
        return done.stdout


class Language(Case):
    def run_in(self, language, *arguments):
        done = subprocess.run([COLLECTOR, *arguments], text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, env=os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": language})
        return done.returncode, done.stdout + done.stderr

    def test_people_are_told_in_their_language(self):
        for arguments in (["--help"], ["revoke"], ["approve", "ID", "--store", "mysql:x"], ["nonsense"],
                          ["--listen", "here", "--rate", "x"]):
            with self.subTest(arguments):
                english, vietnamese = self.run_in("en", *arguments), self.run_in("vi", *arguments)
                self.assertEqual(english[0], vietnamese[0])
                self.assertTrue(english[1].isascii())
                self.assertFalse(vietnamese[1].isascii(), vietnamese[1])

    def test_what_it_answers_and_logs_is_english(self):
        collector = self.collector(env=os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": "vi"})
        for path in ("/v1/devices", "/v1/records"):
            status, answer, _ = collector.request("POST", path, b"nonsense\n", {"Content-Type": "application/jose"})
            self.assertTrue(answer and answer.isascii(), (status, answer))
        device = collector.approved(Device(self.path("device")))
        record = device.record()
        self.assertEqual(collector.send(record)[0], 201)
        status, answers = collector.send(device.sign("dokiem-record", device.payload(1, None, reason="another")))
        self.assertTrue(json.dumps(answers, ensure_ascii=False).isascii(), (status, answers))
        collector.stop()
        with open(self.path("collector", "log"), encoding="utf-8") as log:
            said = log.read()
        self.assertTrue(said and said.isascii(), said)


class Tls(Case):
    def authority(self, name):
        """A CA, and a certificate for this machine by it."""
        folder = self.path(name)
        os.mkdir(folder)
        ca, key, cert = (os.path.join(folder, file) for file in ("ca.pem", "key.pem", "cert.pem"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=test CA", "-keyout", folder + "/ca.key", "-out", ca)
        request = openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                          "/CN=localhost", "-keyout", key)
        with open(folder + "/ext", "w", encoding="ascii") as out:
            out.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        with open(cert, "wb") as out:
            out.write(openssl("x509", "-req", "-CA", ca, "-CAkey", folder + "/ca.key", "-days", "2", "-extfile",
                              folder + "/ext", data=request))
        os.chmod(key, 0o600)
        return ca, cert, key

    def check(self, collector, url):
        """A device enrols and delivers over TLS, and not to one whose certificate it does not trust."""
        state = self.path("state")
        wrong = self.authority("wrong")[0]
        configs = {}
        for name, ca in (("right", self.ca), ("wrong", wrong)):
            configs[name] = self.path(name + ".ini")
            with open(configs[name], "w", encoding="utf-8") as out:
                out.write(f"[collector]\nurl = {url}\nca_file = {ca}\n")
        at = {name: ["--config", path, "--state", state] for name, path in configs.items()}
        self.dokiem("keygen", *at["right"])
        token = collector.token("--approve")
        self.dokiem("enrol", *at["wrong"], "--token", token, status=75, words="certificate")
        self.dokiem("enrol", *at["right"], "--token", token)
        self.dokiem("run", "--state", state, "--server", "http://127.0.0.1:1", status=69)
        self.dokiem("deliver", *at["wrong"], status=75, words="certificate")
        self.assertIn("waiting 0", self.dokiem("deliver", *at["right"]))
        exported = collector.command("export").splitlines()
        self.assertEqual(len(exported), 1)

    def test_by_itself(self):
        self.ca, cert, key = self.authority("right")
        collector = self.collector("--tls-cert", cert, "--tls-key", key)
        self.check(collector, f"https://localhost:{collector.port}")
        # Plain HTTP and old versions of TLS are not served.
        with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b"ok", plain.recv(100))
        for version, expected in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{collector.port}", "-CAfile", self.ca,
                                   "-cipher", "ALL:@SECLEVEL=0", version], input=b"", capture_output=True, timeout=20)
            self.assertEqual(done.returncode == 0, expected, version)

    def test_options(self):
        _, cert, key = self.authority("right")
        collector = self.collector()
        serve = ("--listen", "127.0.0.1:0")
        self.assertIn("belong together", collector.command(*serve, "--tls-cert", cert, status=64))
        self.assertIn("belong together", collector.command(*serve, "--tls-key", key, status=64))
        os.chmod(cert, 0o600)
        self.assertIn("no certificate", collector.command(*serve, "--tls-cert", key, "--tls-key", cert, status=65))
        os.chmod(key, 0o604)
        self.assertIn("chmod", collector.command(*serve, "--tls-cert", cert, "--tls-key", key, status=77))

    @unittest.skipUnless(NGINX, "there is no nginx")
    def test_behind_nginx(self):
        self.ca, cert, key = self.authority("right")
        collector = self.collector()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with open(SAMPLE, encoding="utf-8") as file:
            server = file.read()
        server = re.sub(r"listen \[::\]:443 ssl;", "", server).replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        server = server.replace("127.0.0.1:8080", f"127.0.0.1:{collector.port}")
        server = server.replace("/etc/dokiem/collector/fullchain.pem", cert).replace(
            "/etc/dokiem/collector/key.pem", key)
        self.assertNotIn("/etc/", server.split("\n\n", 1)[1])
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as out:
            paths = "".join(f"{name}_temp_path {self.path(name)};" for name in (
                "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            out.write(f"daemon off; master_process off; pid {self.path('pid')}; events {{}}\n"
                      f"http {{ access_log off; {paths}\n{server}\n}}\n")
        nginx = subprocess.Popen([NGINX, "-e", "stderr", "-p", self.folder, "-c", self.path("nginx.conf")],
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_for(listens, "nginx")
        self.check(collector, f"https://localhost:{port}")
        # What nginx passes on is not taken for a client on this machine, whatever it says of itself.
        for header in ((), ("-H", "X-Forwarded-For: 127.0.0.1")):
            url = f"https://localhost:{port}/v1/devices"
            answer = subprocess.run(["curl", "-s", "--cacert", self.ca, *header, url], capture_output=True, text=True,
                                    timeout=20).stdout
            self.assertEqual(json.loads(answer)["status"], 403)


class Store(Case):
    def filled(self, devices=2, records=4):
        collector = self.collector()
        made = [collector.approved(Device(self.path(f"d{i}"))) for i in range(devices)]
        lines = [[device.record() for _ in range(records)] for device in made]
        for turn in range(records):
            for chain in lines:
                self.assertEqual(collector.send(chain[turn])[0], 201)
        return collector, made, lines

    def test_export(self):
        collector, devices, lines = self.filled()
        came = [chain[turn] for turn in range(4) for chain in lines]

        def export(*arguments):
            done = subprocess.run([COLLECTOR, "--store", collector.store, "export", *arguments], capture_output=True,
                                  text=True, timeout=60, check=True)
            return done.stdout.splitlines(), done.stderr.split()[-1]
        everything, cursor = export()
        self.assertEqual(everything, came)
        self.assertEqual(export(devices[0].id)[0], lines[0])
        self.assertEqual(export("--after", cursor), ([], cursor))
        more = devices[0].record()
        collector.send(more)
        self.assertEqual(export("--after", cursor)[0], [more])
        with_receipts, _ = export("--receipts")
        self.assertEqual(with_receipts[::2], came + [more])
        times = [payload(receipt)["received"] for receipt in with_receipts[1::2]]
        self.assertEqual(export("--since", times[2])[0], [r for r, t in zip(came + [more], times) if t >= times[2]])
        self.assertEqual(export("--until", times[2])[0], [r for r, t in zip(came + [more], times) if t < times[2]])
        self.assertIn("no device", collector.command("export", sha("x"), status=66))
        self.assertIn("UTC time", collector.command("export", "--until", "yesterday", status=64))

    def test_what_is_exported_is_read_by_the_other_programs(self):
        collector = self.collector()
        at = ["--state", self.path("state")]
        self.dokiem("keygen", *at)
        self.dokiem("enrol", *at, "--collector", collector.url, "--token", collector.token("--approve"))
        for _ in range(3):
            self.dokiem("run", *at, "--server", "http://127.0.0.1:1", status=69)
        self.dokiem("deliver", *at, "--collector", collector.url)
        keys = self.path("keys.jwks")
        with open(keys, "w", encoding="utf-8") as out:
            out.write(collector.command("keys", "export"))
        lines = collector.command("export", "--receipts").splitlines()
        self.assertEqual([payload(line)["seq"] for line in lines], [1, 1, 2, 2, 3, 3])
        self.dokiem("verify", "-", "--key", keys, given="\n".join(lines) + "\n")
        self.dokiem("verify", "-", "--key", keys, given="\n".join(lines[:2] + lines[4:]) + "\n", status=65)
        exported = self.path("records.jws")
        with open(exported, "w", encoding="ascii") as out:
            out.write(collector.command("export"))
        self.dokiem("assess", exported, "--key", keys)

    def test_a_flipped_bit_is_noticed(self):
        collector, _, _ = self.filled(records=6)
        self.assertIn("12 records are as they were received", collector.command("check"))
        collector.stop()
        with sqlite3.connect(collector.database) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            pages = database.execute("PRAGMA page_size").fetchone()[0]
        database.close()

        def content():
            with sqlite3.connect(f"file:{collector.database}?mode=ro", uri=True) as opened:
                rows = opened.execute("SELECT * FROM records ORDER BY rowid").fetchall()
            opened.close()
            return rows
        before = content()
        size = os.path.getsize(collector.database)
        picks = random.Random(7)
        noticed = 0
        for turn in range(200 if os.environ.get("DOKIEM_LONG") else 30):
            at, bit = picks.randrange(pages if turn % 2 else 0, size), 1 << picks.randrange(8)
            with open(collector.database, "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ bit]))
            done = subprocess.run([COLLECTOR, "--store", collector.store, "--key", collector.key, "check"],
                                  capture_output=True, text=True, timeout=60)
            noticed += done.returncode != 0
            if done.returncode == 0:
                self.assertEqual(content(), before, f"byte {at}")
            with open(collector.database, "r+b") as file:
                file.seek(at)
                file.write(bytes([byte]))
            for rest in ("-wal", "-shm"):
                if os.path.exists(collector.database + rest):
                    os.remove(collector.database + rest)
        self.assertGreater(noticed, 3)
        self.assertIn("12 records", collector.command("check"))

    def test_each_column_is_checked(self):
        collector, devices, lines = self.filled()
        other = payload(lines[1][0])["id"]
        collector.stop()
        for column, value, word in (("jws", lines[1][0], "hash"), ("sha256", sha("x"), "hash"), ("seq", 99, "place"),
                                    ("prev", sha("x"), "place"), ("device", devices[1].id, "key"),
                                    ("id", other, "place"), ("received_ms", 12345, "time"),
                                    ("receipt", lines[1][0], "typ")):
            with self.subTest(column):
                shutil.copy(collector.database, self.path("copy.sqlite"))
                with sqlite3.connect(self.path("copy.sqlite"), isolation_level=None) as database:
                    database.execute("DELETE FROM records WHERE device = ? AND seq = 2", (devices[1].id,))
                    database.execute(f"UPDATE records SET {column} = ? WHERE device = ? AND seq = 2",
                                     (value, devices[0].id))
                database.close()
                said = collector.command("check", "--store", "sqlite:" + self.path("copy.sqlite"), status=65)
                self.assertIn(word, said)
                self.assertIn("1 of 7 records are damaged", said)


def unshare_mounts():
    """Own mounts for this process: nothing of it is seen outside, or left."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:
        return False
    return libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None) == 0


class Faults(Case):
    @unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
    def test_a_full_disk_gets_room_again(self):
        folder = self.path("disk")
        os.mkdir(folder)
        if not unshare_mounts():
            self.skipTest("no mount namespaces here")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", folder])
        collector = Collector(COLLECTOR, folder)
        self.addCleanup(collector.stop)
        device = collector.approved(Device(self.path("device")))
        filler = os.path.join(folder, "filler")
        with open(filler, "wb") as out:
            out.write(b"x" * (700 << 10))
        stored, waiting, status = {}, None, 201
        while status == 201 and len(stored) < 200:
            waiting = device.record(note="x" * 20000)
            status, answers = collector.send(waiting)
            if status == 201:
                stored[waiting] = answers[0]["receipt"]
        self.assertEqual(status, 503)
        self.assertGreater(int(collector.headers["Retry-After"]), 0)
        self.assertEqual(collector.send(waiting)[0], 503)
        # What is kept can be read, and the process goes on by itself once there is room.
        self.assertEqual(collector.request("GET", f"/v1/records?device={device.id}")[1].splitlines(), list(stored))
        os.remove(filler)
        self.assertEqual(collector.send(waiting)[0], 201)
        status, answers = collector.send(*stored)
        self.assertEqual((status, [a["receipt"] for a in answers]), (200, list(stored.values())))
        self.assertIn(f"{len(stored) + 1} records", collector.command("check"))

    def test_kill_under_load(self):
        """Several devices send without pause while the collector is killed, again and again."""
        collector = self.collector()
        devices = [collector.approved(Device(self.path(f"d{i}"))) for i in range(4)]
        chains = {device.id: [device.record() for _ in range(ROUNDS * 3)] for device in devices}
        acknowledged = {device.id: {} for device in devices}
        stop, ports = threading.Event(), {"port": collector.port}

        def send(device, chain, kept):
            while not stop.is_set():
                at = len(kept) % len(chain)
                body = "\n".join(chain[at:at + 3]).encode()
                try:
                    with socket.create_connection(("127.0.0.1", ports["port"]), timeout=5) as connection:
                        connection.sendall(b"POST /v1/records HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                           b"Content-Type: application/jose\r\nContent-Length: %d\r\n\r\n"
                                           % len(body) + body)
                        answer = b""
                        while part := connection.recv(65536):
                            answer += part
                except OSError:
                    continue
                for line in answer.split(b"\n"):
                    if line.startswith(b"{") and line.endswith(b"}"):
                        row = json.loads(line)
                        if row["status"] in (200, 201):
                            kept.setdefault(row["seq"], row["receipt"])
        threads = [threading.Thread(target=send, args=(d, chains[d.id], acknowledged[d.id])) for d in devices]
        for thread in threads:
            thread.start()
        picks = random.Random(5)
        try:
            for _ in range(ROUNDS):
                target = sum(map(len, acknowledged.values())) + picks.randrange(1, 6)
                wait_for(lambda: sum(map(len, acknowledged.values())) >= min(target, 4 * ROUNDS * 3), "progress")
                self.assertEqual(collector.stop(signal.SIGKILL), -signal.SIGKILL)
                collector.start()
                ports["port"] = collector.port
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertIn("are as they were received", collector.command("check"))
        for device in devices:
            kept = collector.command("export", "--receipts", device.id).splitlines()
            numbers = [payload(record)["seq"] for record in kept[::2]]
            receipts = dict(zip(numbers, kept[1::2]))
            self.assertEqual(len(numbers), len(set(numbers)))
            self.assertEqual({seq: receipts.get(seq) for seq in acknowledged[device.id]}, acknowledged[device.id])
            self.assertTrue(set(kept[::2]) <= set(chains[device.id]))
        self.assertEqual({row["forks"] for row in collector.devices().values()}, {0})


if __name__ == "__main__":
    unittest.main()
