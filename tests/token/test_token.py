# SPDX-License-Identifier: Apache-2.0
"""A device whose key is in a token: SoftHSM, and SoftHSM with the troubles of real ones (module.c). Signing, changes of
key, all that can be wrong with a token, and what becomes of a measurement when the token goes.

usage: test_token.py COLLECTOR DOKIEM MODULE"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "collector"))
from support import Collector, compact, jwk_of, openssl, point_of, sha, verify  # noqa: E402

TROUBLED = os.path.abspath(sys.argv.pop(3))
DOKIEM = sys.argv.pop(2)
COLLECTOR = sys.argv.pop(1)
SOFTHSM = next(path for pattern in ("/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib/softhsm/libsofthsm2.so")
               for path in glob.glob(pattern))
PIN = "83061-kín"


def tool(*words, folder):
    """A command that makes tokens and keys; sanitizers are not about it."""
    quiet = {name: value for name, value in os.environ.items() if not name.endswith("SAN_OPTIONS")}
    return subprocess.run(words, check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          env=quiet | {"SOFTHSM2_CONF": folder + "/softhsm2.conf"}).stdout


class Token(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Tokens made once; each test has a copy. token: keys device and second; twin: two tokens of one name."""
        cls.made = tempfile.mkdtemp(prefix="dokiem-tokens-")
        cls.addClassCleanup(shutil.rmtree, cls.made)
        cls.configure(cls.made)
        for label in ("token", "twin", "twin"):
            tool("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-" + PIN,
                 folder=cls.made)
        keys = (("EC:prime256v1", "01", "device"), ("EC:prime256v1", "02", "second"), ("EC:prime256v1", "03", "same"),
                ("EC:prime256v1", "04", "same"), ("EC:secp384r1", "05", "p384"), ("rsa:2048", "06", "rsa"))
        for kind, number, label in keys:
            tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "token", "--login", "--pin", PIN, "--keypairgen",
                 "--key-type", kind, "--id", number, "--label", label, folder=cls.made)
        tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "token", "--login", "--pin", PIN, "--keypairgen",
             "--key-type", "EC:prime256v1", "--id", "07", "--label", "asks", "--always-auth", folder=cls.made)

    @staticmethod
    def configure(folder):
        os.makedirs(folder + "/tokens", exist_ok=True)
        with open(folder + "/softhsm2.conf", "w", encoding="utf-8") as out:
            out.write(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dokiem-token-")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(self.made + "/tokens", self.folder + "/tokens")
        self.configure(self.folder)
        os.environ["TMPDIR_OF_TEST"] = self.folder
        self.state = self.folder + "/state"
        self.pin = self.file("pin", PIN + "\n")
        self.said = ""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self.closed = f"http://127.0.0.1:{closed.getsockname()[1]}"

    def tearDown(self):
        """The PIN is nowhere but in its file, and the private key nowhere but in the token."""
        self.assertNotIn(PIN, self.said)
        for path in glob.glob(self.folder + "/**", recursive=True):
            if os.path.isfile(path) and not path.startswith(self.pin) and "/tokens" not in path:
                with open(path, "rb") as file:
                    self.assertNotIn(PIN.encode(), file.read(), path)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            out.write(text)
        return path

    def uri(self, path="token=token;object=device", module=SOFTHSM, pin=None):
        return f"pkcs11:{path}?module-path={module}" + (f"&pin-source=file:{pin or self.pin}" if pin != "" else "")

    def use(self, uri):
        """The setting [device] key."""
        self.file("dokiem.ini", f'[device]\nkey = "{uri}"\n')

    def dokiem(self, verb, *arguments, status=0, words=(), extra=None):
        done = subprocess.run([DOKIEM, verb, "--state", self.state, "--config", self.folder + "/dokiem.ini",
                               *arguments], stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120,
                              env=os.environ | {"HOME": self.folder, "LC_ALL": "C.UTF-8", "LANGUAGE": "C",
                                                "SOFTHSM2_CONF": self.folder + "/softhsm2.conf",
                                                "TOKEN_MODULE": SOFTHSM} | (extra or {}))
        self.said += done.stdout + done.stderr
        self.assertNotIn("Enter ", done.stdout + done.stderr)
        self.assertEqual(done.returncode, status, done)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stdout + done.stderr)
        return done.stdout

    def run_once(self, **expected):
        """A run against a closed port: a record of kind failed, in no time."""
        return self.dokiem("run", "--server", self.closed, **{"status": 69} | expected)

    def journal(self):
        return sorted(path for path in glob.glob(self.state + "/journal/*.jws") if "receipt" not in path)

    def unplug(self):
        os.rename(self.folder + "/tokens", self.folder + "/tokens-away")
        os.mkdir(self.folder + "/tokens")

    def plug(self):
        os.rmdir(self.folder + "/tokens")
        os.rename(self.folder + "/tokens-away", self.folder + "/tokens")

    def state_files(self):
        return {path: os.stat(path).st_mtime_ns for path in glob.glob(self.state + "/**", recursive=True)
                if os.path.isfile(path) and not path.endswith("lock")}

    def verify_chain(self, jwk, words="OK"):
        """By the existing verifier, without the state folder."""
        out = self.dokiem("verify", "--key", self.file("first.jwk", jwk), *self.journal(), words=words)
        self.assertNotIn("BAD", out)
        return out

    # --- it works ---------------------------------------------------------------------------------------------------

    def test_records_are_signed_in_the_token_and_anybody_verifies_them(self):
        collector = Collector(COLLECTOR, self.folder + "/collector")
        self.addCleanup(collector.stop)
        self.use(self.uri())
        made = self.dokiem("keygen")
        self.assertEqual(self.dokiem("keygen"), made)
        der = tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "token", "--read-object", "--type", "pubkey",
                   "--id", "01", folder=self.folder)
        jwk = jwk_of(*point_of(openssl("pkey", "-pubin", "-inform", "DER", "-outform", "DER", data=der)))
        self.assertEqual(self.dokiem("keygen", "--public").strip(), compact(jwk))
        device = made.split()[1]
        self.assertEqual(device, sha(compact(jwk)))
        self.dokiem("status", words=device)
        self.run_once()
        self.run_once()
        for number, path in enumerate(self.journal(), 1):
            with open(path, encoding="utf-8") as file:
                record = verify(file.read().strip(), jwk, "dokiem-record")
            self.assertEqual((record["seq"], record["device"]["id"]), (number, device))
        self.assertEqual(len(self.journal()), 2)
        self.verify_chain(compact(jwk))
        profile = self.folder + "/rules.ini"
        shutil.copy(os.path.join(os.path.dirname(__file__), "../../config/profiles/vn-2025.ini"), profile)
        self.file("rules.ini.jws", self.dokiem("sign-profile", profile))
        self.file("dokiem.ini", f'[device]\nkey = "{self.uri()}"\n[judge]\nprofile_key = {self.folder}/device.jwk\n')
        self.file("device.jwk", compact(jwk))
        self.run_once(status=69)
        self.dokiem("run", "--server", self.closed, "--profile", profile, status=69)
        self.use(self.uri())
        self.dokiem("enrol", "--collector", collector.url, "--token", collector.token("--approve"), words="approved")

        # Who only reads needs neither the token nor its PIN.
        self.unplug()
        os.rename(self.pin, self.pin + "-away")
        self.dokiem("deliver", "--collector", collector.url)
        self.dokiem("verify", self.state + "/journal", words="OK")
        self.dokiem("list")
        self.dokiem("show", "1", words=device)
        self.dokiem("status", words=device)
        os.rename(self.pin + "-away", self.pin)
        self.plug()
        self.assertEqual(glob.glob(self.state + "/*.pem"), [])

    def test_the_chain_goes_from_key_to_key(self):
        """A file, a token, another key of it, a file again."""
        self.file("dokiem.ini", "[device]\n")
        self.dokiem("keygen")
        first = self.dokiem("keygen", "--public")
        self.run_once()
        one, two = self.uri(), self.uri("token=token;id=%02")
        self.dokiem("keygen", "--rotate", "--new-key", one, words=["from record 3 on", f'key = "{one}"'])
        self.assertEqual(glob.glob(self.state + "/*.pem"), [])
        self.run_once(status=66, words="device.pem")
        self.use(one)
        self.run_once()
        self.dokiem("keygen", "--rotate", "--new-key", one, status=64, words="signs already")
        self.dokiem("keygen", "--rotate", "--new-key", two, words="from record 5 on")
        self.run_once(status=78, words="hands this chain over")
        self.use(two)
        self.run_once()
        self.use(one)
        self.run_once(status=78, words=["is signed by the key", "keygen --rotate"])
        self.use(two)
        self.dokiem("keygen", "--rotate", words=["from record 7 on", "remove now"])
        self.run_once(status=78, words="hands this chain over")
        self.file("dokiem.ini", "[device]\n")
        self.run_once()
        self.assertEqual(len(self.journal()), 7)
        self.assertEqual(os.listdir(self.state).count("device.pem"), 1)
        out = json.loads(self.dokiem("verify", "--format", "json", "--key", self.file("first.jwk", first),
                                     *self.journal()))
        self.assertEqual((out["status"], out["chain"][0]["state"], len(out["chain"][0]["rotations"])),
                         ("ok", "whole", 3))

    def test_a_change_of_key_that_was_broken_off_is_ended(self):
        self.file("dokiem.ini", "[device]\n")
        self.dokiem("keygen")
        first = self.dokiem("keygen", "--public")
        self.run_once()
        shutil.copy(self.state + "/device.pem", self.folder + "/old.pem")
        self.dokiem("keygen", "--rotate", "--new-key", self.uri())
        shutil.copy(self.folder + "/old.pem", self.state + "/device.pem")  # as if it had ended just before
        self.use(self.uri())
        self.run_once()
        self.assertFalse(os.path.exists(self.state + "/device.pem"))
        # Another key in that place is none of its business.
        self.dokiem("keygen", "--rotate", "--new-key", self.uri("token=token;id=%02"))
        shutil.copy(self.folder + "/old.pem", self.state + "/device.pem")
        self.use(self.uri("token=token;id=%02"))
        self.run_once()
        self.assertTrue(os.path.exists(self.state + "/device.pem"))
        os.unlink(self.state + "/device.pem")
        # From the token to a file.
        self.dokiem("keygen", "--rotate")
        os.rename(self.state + "/device.pem", self.state + "/device.new.pem")
        self.run_once(status=78, words="hands this chain over")
        self.file("dokiem.ini", "[device]\n")
        self.run_once()
        self.verify_chain(first)

    def test_a_change_of_key_that_the_token_does_not_sign_changes_nothing(self):
        gone = {"TOKEN_TROUBLE": "removed"}
        self.file("dokiem.ini", "[device]\n")
        self.dokiem("keygen")
        first = self.dokiem("keygen", "--public")
        self.dokiem("keygen", "--rotate", "--new-key", self.uri(module=TROUBLED), status=74, extra=gone)
        self.assertEqual((self.journal(), os.path.exists(self.state + "/device.pem")), ([], True))
        self.run_once()
        self.dokiem("keygen", "--rotate", "--new-key", self.uri())
        self.use(self.uri(module=TROUBLED))
        for new in ([], ["--new-key", self.uri("token=token;id=%02")]):
            self.dokiem("keygen", "--rotate", *new, status=74, words="does not sign", extra=gone)
            self.assertEqual((len(self.journal()), os.path.exists(self.state + "/device.pem")), (2, False))
        self.run_once()
        self.verify_chain(first)

    def test_a_key_that_wants_its_pin_for_each_signature_gets_it(self):
        self.use(self.uri("token=token;object=asks"))
        self.dokiem("keygen")
        self.run_once()
        self.verify_chain(self.dokiem("keygen", "--public"))

    def test_nothing_is_loaded_without_the_setting(self):
        self.file("dokiem.ini", "[device]\n")
        self.dokiem("keygen")
        done = subprocess.run([DOKIEM, "keygen", "--public", "--state", self.state], env=os.environ |
                              {"LD_DEBUG": "files", "HOME": self.folder}, capture_output=True, text=True, timeout=60)
        self.assertTrue("libcrypto.so" in done.stderr)
        self.assertFalse("libp11.so" in done.stderr)

    # --- what can be wrong ------------------------------------------------------------------------------------------

    def test_what_is_wrong_is_said_and_leaves_everything_as_it_was(self):
        self.use(self.uri())
        self.dokiem("keygen")
        self.run_once()
        wrong_pin, open_pin = self.file("wrong", "0000\n"), self.file("open", "1\n")
        os.chmod(open_pin, 0o640)
        slots = tool("softhsm2-util", "--show-slots", folder=self.folder).decode()
        twins = re.findall(r"Serial number: +(\w+)\n.*\n.*\n +Label: +twin", slots)
        self.assertEqual(len(twins), 2)
        not_a_module = glob.glob("/usr/lib/*/libz.so.1")[0]
        damaged = self.folder + "/damaged"
        os.mkdir(damaged)
        with open(damaged + "/libp11.so.3", "w", encoding="utf-8"):
            pass
        device = "token=token;object=device"
        cases = [
            (self.uri("token=nowhere"), 66, ["not there", '"token"'], {}),
            (self.uri("token=token;serial=0"), 66, ["not there"], {}),
            (self.uri("token=token;object=nothing"), 66, ["no such private key", '"device"'], {}),
            (self.uri("token=token;object=device;id=%02"), 66, ["no such private key"], {}),
            (self.uri("token=token;object=same"), 78, ["2 private keys fit", "id="], {}),
            (self.uri("token=token"), 78, ["private keys fit"], {}),
            (self.uri("token=twin"), 78, ["2 tokens fit", "serial="], {}),
            (self.uri("object=device"), 78, ["3 tokens fit"], {}),
            (self.uri("token=token;object=p384"), 65, ["not an ECDSA P-256"], {}),
            (self.uri("token=token;object=rsa"), 65, ["not an ECDSA P-256"], {}),
            (self.uri(module=self.folder + "/no.so"), 78, ["no.so", "cannot be loaded"], {}),
            (self.uri(module=not_a_module), 78, ["not a PKCS#11 module"], {}),
            (self.uri(module=TROUBLED), 74, ["does not start"], {"TOKEN_MODULE": "/none"}),
            (self.uri(), 78, ["libp11.so.3: cannot be loaded", "install"], {"LD_LIBRARY_PATH": damaged}),
            (self.uri(pin=""), 78, ["names no pin-source"], {}),
            (self.uri(pin=self.folder + "/none"), 66, [self.folder + "/none"], {}),
            (self.uri(pin=open_pin), 77, [open_pin, "0640", "chmod 600"], {}),
            (self.uri(pin=self.file("empty", "\n")), 65, ["not one line"], {}),
            (self.uri(pin=self.file("long", "1" * 256)), 65, [self.folder + "/long"], {}),
            (self.uri(pin=self.file("two", "1\n2\n")), 65, ["not one line"], {}),
            (self.uri(pin=wrong_pin), 77, [wrong_pin, "refuses the PIN"], {}),
            (self.uri(module=TROUBLED), 77, ["PIN is locked", "unlock"], {"TOKEN_TROUBLE": "locked"}),
            (self.uri(module=TROUBLED), 77, ["PIN is locked", "unlock"], {"TOKEN_TROUBLE": "locked-flag"}),
            (self.uri(module=TROUBLED), 77, ["one try left"], {"TOKEN_TROUBLE": "final-try"}),
            (self.uri(module=TROUBLED), 65, ["does not fit the public key"], {"TOKEN_TROUBLE": "wrong"}),
            (self.uri(device + ";slot-id=1"), 78, ["dokiem.ini:2 [device] key", "other than"], {}),
            (self.uri(pin="") + "&pin-value=" + PIN, 78, ["dokiem.ini:2 [device] key", "holds a PIN"], {}),
        ]
        before = self.state_files()
        for uri, status, words, extra in cases:
            with self.subTest(uri=uri, extra=extra):
                self.use(uri)
                self.run_once(status=status, words=words, extra=extra)
                self.dokiem("keygen", "--public", status=status, words=words, extra=extra)
                self.assertEqual(self.state_files(), before)
        # With the serial number one of the twins is meant; it has no key.
        for serial in twins:
            self.use(self.uri(f"token=twin;serial={serial}"))
            self.run_once(status=66, words="it has: none")
        self.use(self.uri())
        for new, status, words in ((self.uri("token=nowhere"), 66, "not there"),
                                   (self.uri("token=token;object=rsa"), 65, "P-256"),
                                   (self.uri("token=token;id=%02", pin=wrong_pin), 77, "refuses the PIN"),
                                   ("pkcs11:token=token", 64, "--new-key"),
                                   (self.uri() + "&pin-value=" + PIN, 64, "holds a PIN"),
                                   (self.folder + "/new.pem", 64, "--new-key")):
            with self.subTest(new=new):
                self.dokiem("keygen", "--rotate", "--new-key", new, status=status, words=words)
                self.assertEqual(len(self.journal()), 1)
        self.dokiem("keygen", "--new-key", self.uri(), status=64, words="--rotate")

    def test_a_run_logs_in_once_and_never_with_the_last_try(self):
        logins = self.folder + "/logins"
        extra = {"TOKEN_LOGINS": logins}
        self.use(self.uri(module=TROUBLED))
        self.dokiem("keygen")
        self.run_once(extra=extra)
        with open(logins, encoding="utf-8") as file:
            self.assertEqual(file.read(), "login\n")
        os.unlink(logins)
        for trouble in ("final-try", "locked-flag"):
            self.run_once(status=77, extra=extra | {"TOKEN_TROUBLE": trouble})
        for verb in ("status", "list", "deliver"):
            self.dokiem(verb, extra=extra, status=78 if verb == "deliver" else 0)
        self.assertFalse(os.path.exists(logins))

    # --- the process that has the token -----------------------------------------------------------------------------

    def memory_has(self, pid, needle):
        """Whether the bytes are in what a process may write of its memory."""
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                start, end = (int(match[1], 16), int(match[2], 16)) if match else (0, 0)
                if 0 < end - start <= 64 << 20:
                    memory.seek(start)
                    if needle in memory.read(end - start):
                        return True
        return False

    def test_what_reads_from_the_network_has_neither_token_nor_pin(self):
        self.use(self.uri())
        self.dokiem("keygen")
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(60)
            run = subprocess.Popen([DOKIEM, "run", "--state", self.state, "--config", self.folder + "/dokiem.ini",
                                    "--server", f"http://127.0.0.1:{server.getsockname()[1]}", "--stamp", "off"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {"HOME": self.folder, "LC_ALL": "C.UTF-8",
                                                     "SOFTHSM2_CONF": self.folder + "/softhsm2.conf"})
            self.addCleanup(lambda: (run.poll() is None and run.kill(), run.communicate()))
            connection, _ = server.accept()
            with connection, open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as file:
                signer, = file.read().split()
                for pid, kept, has_it in ((run.pid, 0, False), (signer, 1 << 1 | 1 << 2, True)):
                    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                        found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
                    self.assertEqual(found["NoNewPrivs"], "1")
                    self.assertEqual(int(found["CapPrm"], 16) & ~kept, 0, found["CapPrm"])
                    try:
                        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                            maps = file.read()
                        pin = self.memory_has(pid, PIN.encode())
                    except PermissionError:  # the signer's are root's
                        self.assertNotEqual(os.geteuid(), 0)
                        continue
                    self.assertEqual(["libp11.so" in maps, "softhsm" in maps, pin], [has_it] * 3)
                run.send_signal(signal.SIGINT)
                out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, out + err)
        self.verify_chain(self.dokiem("keygen", "--public"))
        self.assertEqual(len(self.journal()), 1)

    def test_a_module_that_crashes_takes_no_measurement_with_it(self):
        self.use(self.uri(module=TROUBLED))
        self.dokiem("keygen")
        self.run_once(status=74, words=["has ended", "plug the token in"], extra={"TOKEN_TROUBLE": "crash"})
        self.assertEqual(self.journal(), [])
        self.assertTrue(os.path.exists(self.state + "/unsealed/record.json"))
        self.run_once()
        self.assertFalse(os.path.exists(self.state + "/unsealed/record.json"))
        self.assertEqual(len(self.journal()), 2)
        self.verify_chain(self.dokiem("keygen", "--public"))

    # --- the token goes ---------------------------------------------------------------------------------------------

    def unplugging_server(self):
        """Takes the token away when a run asks it for something, and ends."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            connection, _ = server.accept()
            self.unplug()
            connection.close()
            server.close()
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    def test_a_run_that_begins_without_the_token_measures_nothing(self):
        self.use(self.uri())
        self.dokiem("keygen")
        self.run_once()
        before = self.state_files()
        self.unplug()
        self.run_once(status=66, words=["not there", "plug the token in"])
        self.assertEqual(self.state_files(), before)

    def test_what_was_measured_when_the_token_went_is_sealed_when_it_is_back(self):
        self.use(self.uri())
        self.dokiem("keygen")
        jwk = self.dokiem("keygen", "--public")
        self.run_once()
        waiting = self.state + "/unsealed/record.json"
        self.dokiem("run", "--server", self.unplugging_server(), "--site", "66-0042", status=74,
                    words=["does not sign", "plug the token in"])
        self.assertEqual(len(self.journal()), 1)
        with open(waiting, encoding="utf-8") as file:
            payload = file.read()
        self.assertEqual((json.loads(payload)["seq"], json.loads(payload)["site"]["code"]), (2, "66-0042"))
        self.dokiem("status", words="unsealed")
        before = self.state_files()
        self.run_once(status=66)
        self.assertEqual(self.state_files(), before)

        # The same from a token that says that it was removed; nothing is put by over what waits.
        self.plug()
        self.run_once()
        self.assertEqual(len(self.journal()), 3)
        self.assertFalse(os.path.exists(waiting))
        with open(self.journal()[1], encoding="utf-8") as file:
            sealed = file.read()
        self.assertEqual(compact(verify(sealed.strip(), json.loads(jwk), "dokiem-record")), payload)
        self.verify_chain(jwk)
        self.use(self.uri(module=TROUBLED))
        self.run_once(status=74, words="removed", extra={"TOKEN_TROUBLE": "removed"})
        with open(waiting, encoding="utf-8") as file:
            payload = file.read()
        self.dokiem("keygen", "--rotate", "--new-key", self.uri("token=token;id=%02"), status=74,
                    extra={"TOKEN_TROUBLE": "removed"})
        with open(waiting, encoding="utf-8") as file:
            self.assertEqual(file.read(), payload)
        self.assertEqual(len(self.journal()), 3)

        # Broken off between the record and the removal of what was put by.
        self.run_once()
        self.assertEqual(len(self.journal()), 5)
        os.rename(self.journal()[4], self.folder + "/fifth")
        self.file("state/unsealed/record.json", payload)
        self.run_once()
        self.assertFalse(os.path.exists(waiting))
        self.assertEqual(len(self.journal()), 5)
        self.verify_chain(jwk)

        # What is not the next record of this chain is not sealed.
        head = json.loads(payload)
        with open(self.journal()[4], encoding="utf-8") as file:
            prev = sha(file.read())
        for changed in (payload, "{", "", compact(head | {"seq": 7}), compact(head | {"seq": 6}),
                        compact(head | {"seq": 6, "prev": prev, "kind": "rotation"})):
            self.file("state/unsealed/record.json", changed)
            self.run_once(status=65, words=["unsealed/record.json"])
            self.assertEqual(len(self.journal()), 5)
        os.unlink(waiting)
        self.run_once()
        self.verify_chain(jwk)


if __name__ == "__main__":
    unittest.main()
