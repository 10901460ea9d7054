# SPDX-License-Identifier: Apache-2.0
"""A collector under test, devices made with openssl, and records signed by them: nothing here uses dokiem's code."""
import base64
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
import uuid

os.environ["LC_ALL"] = "C"  # the words that are compared are English

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # order of P-256


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha(text):
    return b64(hashlib.sha256(text.encode()).digest())


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def point_of(public_der):
    return public_der[-64:-32], public_der[-32:]


def jwk_of(x, y):
    return {"crv": "P-256", "kty": "EC", "x": b64(x), "y": b64(y)}


def verify(jws, jwk, typ):
    """The payload of a JWS, after openssl has verified its signature."""
    head, body, signature = jws.split(".")
    header = json.loads(unb64(head))
    assert header == {"alg": "ES256", "kid": sha(compact(jwk)), "typ": typ}, header
    raw = unb64(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")

    def integer(number):
        data = number.to_bytes(33, "big").lstrip(b"\0") or b"\0"
        data = b"\0" + data if data[0] & 0x80 else data
        return b"\x02" + bytes([len(data)]) + data
    der = integer(r) + integer(s)
    der = b"\x30" + bytes([len(der)]) + der
    prefix = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" "04")
    folder = os.environ["TMPDIR_OF_TEST"]
    with open(folder + "/verify.der", "wb") as out:
        out.write(prefix + unb64(jwk["x"]) + unb64(jwk["y"]))
    with open(folder + "/verify.sig", "wb") as out:
        out.write(der)
    openssl("dgst", "-sha256", "-verify", folder + "/verify.der", "-keyform", "DER", "-signature",
            folder + "/verify.sig", data=f"{head}.{body}".encode())
    return json.loads(unb64(body))


class Device:
    """A device: its key, and the chain of records it has made so far."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.key = os.path.join(folder, "device.pem")
        with open(self.key, "wb") as out:
            os.chmod(self.key, 0o600)
            out.write(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
        self.jwk = jwk_of(*point_of(openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")))
        self.id = sha(compact(self.jwk))
        self.seq = 0
        self.prev = None

    def sign(self, typ, payload, header=None):
        if not isinstance(payload, (str, bytes)):
            payload = compact(payload)
        payload = payload.encode() if isinstance(payload, str) else payload
        header = header or {"alg": "ES256", "kid": self.id, "typ": typ}
        signed = b64(compact(header).encode()) + "." + b64(payload)
        der = openssl("dgst", "-sha256", "-sign", self.key, data=signed.encode())
        r_len = der[3]
        r = int.from_bytes(der[4:4 + r_len], "big")
        s = int.from_bytes(der[6 + r_len:], "big")
        return signed + "." + b64(r.to_bytes(32, "big") + min(s, N - s).to_bytes(32, "big"))

    def payload(self, seq, prev, **more):
        number = uuid.uuid4().hex
        return {"schema": "dokiem.record/1",
                "id": f"{number[:8]}-{number[8:12]}-7{number[13:16]}-8{number[17:20]}-{number[20:]}",
                "seq": seq, "prev": prev, "kind": "skipped", "reason": "a test",
                "device": {"id": self.id, "software": "dokiem"},
                "time": {"start": "2026-11-20T04:05:06.789Z", "end": "2026-11-20T04:05:07.000Z"}, **more}

    def record(self, seq=None, prev=None, **more):
        """The next record of the chain, or one with a place of its own."""
        if seq is not None:
            return self.sign("dokiem-record", self.payload(seq, prev, **more))
        self.seq += 1
        jws = self.sign("dokiem-record", self.payload(self.seq, self.prev, **more))
        self.prev = sha(jws)
        return jws

    def enrolment(self, token, **more):
        return self.sign("dokiem-enrol", {
            "schema": "dokiem.enrol/1", "jwk": self.jwk, "token": token,
            "site": {"code": "XA-001", "name": "Nhà văn hoá"}, "device": {"id": self.id},
            "time": "2026-11-20T04:05:06.789Z", **more})


class Collector:
    """dokiem-collector on a free port of the loopback, with its own key and database."""

    def __init__(self, program, folder, *options, **popen):
        self.program, self.folder, self.options, self.popen = program, folder, options, popen
        os.makedirs(folder, exist_ok=True)
        self.database = os.path.join(folder, "records.sqlite")
        self.store = "sqlite:" + self.database
        self.key = os.path.join(folder, "collector.pem")
        self.process = None
        if not os.path.exists(self.key):
            self.kid = self.command("keygen").strip()
        self.start()

    def command(self, *arguments, status=0):
        done = subprocess.run([self.program, "--store", self.store, "--key", self.key, *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == status, (arguments, done)
        return done.stdout if status == 0 else done.stderr

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            [self.program, "--listen", "127.0.0.1:0", "--store", self.store, "--key", self.key, "--rate", "0",
             *self.options], stdout=subprocess.PIPE, stderr=self.log, text=True, **self.popen)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening 127\.0\.0\.1:(\d+)\n", line)
        assert match, (line, open(os.path.join(self.folder, "log")).read())
        self.port = int(match[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            status = self.process.wait(timeout=30)
            self.process.stdout.close()
            self.log.close()
            self.process = None
            return status

    def request(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            data = answer.read().decode()
            return answer.status, data, answer.headers
        finally:
            connection.close()

    def post(self, path, *lines, content_type="application/jose"):
        status, data, self.headers = self.request("POST", path, "".join(line + "\n" for line in lines).encode(),
                                                  {"Content-Type": content_type})
        return status, [json.loads(line) for line in data.splitlines()]

    def send(self, *records):
        return self.post("/v1/records", *records)

    def enrol(self, device, token=None, **more):
        status, answer = self.post("/v1/devices", device.enrolment(token or self.token(), **more))
        return status, answer[0]

    def token(self, *options):
        return self.command("token", *options).strip()

    def devices(self):
        status, data, _ = self.request("GET", "/v1/devices")
        assert status == 200, data
        return {row["id"]: row for row in json.loads(data)}

    def approved(self, device):
        status, answer = self.enrol(device, self.token("--approve"))
        assert (status, answer["state"]) == (201, "approved"), answer
        self.jwk = answer["collector"]
        return device


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)
