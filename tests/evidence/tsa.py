# SPDX-License-Identifier: Apache-2.0
"""A time-stamping authority (RFC 3161) on a free port of the loopback: OpenSSL's own makes the replies, this server
only carries them, and spoils them where a test asks for it. Nothing here uses dokiem's code."""
import http.server
import os
import subprocess
import threading

POLICY = "1.3.6.1.4.1.32473.1"
CONFIG = """[tsa]
default_tsa = ts
[ts]
serial = {folder}/serial
signer_digest = sha256
default_policy = {policy}
other_policies = {policy}.2
digests = sha256
accuracy = {accuracy}
ess_cert_id_alg = sha256
"""


def openssl(*arguments, data=None, status=0):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, timeout=60)
    assert done.returncode == status or status is None, (arguments, done)
    return done.stdout


class Authority:
    """A certificate above (ca.pem) and the TSA's (tsa.pem), in `folder`. `days`: the validity of the TSA's."""

    def __init__(self, folder, name, purpose="critical,timeStamping", days=30, accuracy="secs:1", expired=False):
        os.makedirs(folder)
        self.folder = folder
        file = lambda end: os.path.join(folder, end)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", file("ca.key"), "-out", file("ca.pem"), "-days", "3650",
                "-subj", f"/CN={name} CA", "-addext", "basicConstraints=critical,CA:TRUE")
        openssl("req", *key, "-keyout", file("tsa.key"), "-out", file("tsa.csr"), "-utf8", "-subj",
                f"/O=Thử/CN={name}")
        with open(file("ext"), "w", encoding="utf-8") as out:
            out.write("keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\n")
            out.write(f"extendedKeyUsage={purpose}\n" if purpose else "")
        if expired:  # as openssl ca alone can date it
            with open(file("ca.cnf"), "w", encoding="utf-8") as out:
                out.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\n"
                          f"rand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\nCN=supplied\n"
                          f"O=optional\n")
            open(file("index"), "w", encoding="utf-8").close()
            openssl("ca", "-batch", "-notext", "-config", file("ca.cnf"), "-cert", file("ca.pem"), "-keyfile",
                    file("ca.key"), "-in", file("tsa.csr"), "-out", file("tsa.pem"), "-startdate", "20200101000000Z",
                    "-enddate", "20210101000000Z", "-extfile", file("ext"), "-utf8")
        else:
            openssl("x509", "-req", "-in", file("tsa.csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"),
                    "-CAcreateserial", "-out", file("tsa.pem"), "-days", str(days), "-extfile", file("ext"))
        with open(file("ts.cnf"), "w", encoding="utf-8") as out:
            out.write(CONFIG.format(folder=folder, policy=POLICY, accuracy=accuracy))
        with open(file("serial"), "w", encoding="utf-8") as out:
            out.write("01\n")
        self.ca = file("ca.pem")
        self.certificate = file("tsa.pem")

    def reply(self, query, *options):
        """The reply of `openssl ts` to a query (DER)."""
        path = os.path.join(self.folder, f"query{threading.get_ident()}")
        with open(path, "wb") as out:
            out.write(query)
        return openssl("ts", "-reply", "-config", os.path.join(self.folder, "ts.cnf"), "-queryfile", path, "-inkey",
                       os.path.join(self.folder, "tsa.key"), "-signer", self.certificate, *options)


class Server:
    """Carries queries to `authority`. `spoil(query)`, when it is set, gives the body, or (status, body), or with
    it the value of Retry-After, or None to hang up; `before_reply()` is called when the reply is made, before it is
    sent."""

    def __init__(self, authority):
        self.authority, self.spoil, self.before_reply = authority, None, None
        self.queries = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.headers["Content-Type"] == "application/timestamp-query", self.headers
                query = self.rfile.read(int(self.headers["Content-Length"]))
                outer.queries.append(query)
                answer = outer.spoil(query) if outer.spoil else outer.authority.reply(query)
                if outer.before_reply:
                    outer.before_reply()
                if answer is None:
                    return
                status, body, *retry_after = answer if isinstance(answer, tuple) else (200, answer)
                self.send_response(status)
                for value in retry_after:
                    self.send_header("Retry-After", value)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the other side has seen enough, or was killed

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/tsr"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self):
        if self.http is not None:
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()
            self.http = None
