#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How resolvers answer, as the record says: a real one with signed and unsigned zones, and some that lie.
test_dns.py DOKIEM REFERENCE

    agent ──wan0── server (unbound, the zones' own server; evil_resolver.py; dokiem-reference)
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import evil_resolver
import netlab

DOKIEM, REFERENCE = "", ""
OTHER = "10.77.2.9"
SIGNED, PLAIN, BOGUS = "signed.example", "plain.example", "bogus.example"
ZONE = """$ORIGIN {name}.
$TTL 60
@ IN SOA ns.{name}. root.{name}. 1 3600 600 86400 60
@ IN NS ns.{name}.
ns IN A {server}
speed IN A {server}
speed IN AAAA fd77:2::1
www IN CNAME speed.{name}.
"""
CONFIGURATION = """server:
  interface: {server}
  access-control: 10.77.0.0/16 allow
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  module-config: "validator iterator"
  num-threads: 1
  val-override-date: "-1"
{anchors}
remote-control:
  control-enable: no
"""
AUTHORITY = """auth-zone:
  name: "{name}"
  zonefile: "{folder}/{name}.zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""


def sign(folder, name):
    """Signs the zone in place; returns its DS record."""
    key = netlab.run("sh", "-c", 'cd "$1" && ldns-keygen -a ECDSAP256SHA256 -k "$2"', "sh", folder, name).stdout.strip()
    netlab.run("sh", "-c", 'cd "$1" && ldns-signzone -e 20380101 -f "$2.zone.signed" "$2.zone" "$3" && '
               'mv "$2.zone.signed" "$2.zone"', "sh", folder, name, key)
    with open(os.path.join(folder, key + ".ds"), encoding="ascii") as file:
        return file.read().strip()


def write_zones(folder):
    anchors, zones = [], []
    for name in (SIGNED, PLAIN, BOGUS):
        with open(os.path.join(folder, name + ".zone"), "w", encoding="ascii") as zone:
            zone.write(ZONE.format(name=name, server=netlab.SERVER))
            for i in range(200 if name == PLAIN else 0):
                zone.write(f"many IN A 192.0.2.{i}\n")
        if name != PLAIN:
            anchor = sign(folder, name)
            if name == BOGUS:  # another key's hash
                anchor = re.sub(r"[0-9a-f]{64}", "00" * 32, anchor)
            anchors.append(f"  trust-anchor: '{anchor}'")
        zones.append(AUTHORITY.format(name=name, folder=folder))
    with open(os.path.join(folder, "unbound.conf"), "w", encoding="ascii") as file:
        file.write(CONFIGURATION.format(server=netlab.SERVER, folder=folder, anchors="\n".join(anchors)) +
                   "".join(zones))


class Resolvers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-dns-"))
        cls.lab = lab = cls.enterClassContext(netlab.Lab(100_000_000))
        lab.server.run("ip", "address", "add", OTHER + "/24", "dev", "wan0")
        write_zones(cls.folder)
        cls.enterClassContext(netlab.Service(lab.server, ["unbound", "-d", "-c", cls.folder + "/unbound.conf"],
                                             tcp=(53,), udp=(53,)))
        cls.enterClassContext(netlab.Service(lab.server, [sys.executable, evil_resolver.__file__, netlab.SERVER, OTHER],
                                             tcp=(evil_resolver.FIRST_PORT,), udp=(evil_resolver.FIRST_PORT,)))
        cls.enterClassContext(netlab.start_reference(lab.server, REFERENCE))
        cls.state = os.path.join(cls.folder, "state")
        netlab.run(DOKIEM, "keygen", "--state", cls.state)
        cls.resolve_by(netlab.SERVER)

    @classmethod
    def resolve_by(cls, *addresses):
        """The resolvers of the agent's system."""
        path = os.path.join(cls.folder, "resolv.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(f"nameserver {address}\n" for address in addresses))
        cls.lab.agent.run("sh", "-c", 'umount /etc/resolv.conf 2>/dev/null; mount --bind "$1" /etc/resolv.conf', "sh",
                          path)

    def measure(self, host, only="dns", **options):
        """The record of a run against `host`; `options` are those of [dns]."""
        path = os.path.join(self.folder, "dokiem.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write("[dns]\n" + "".join(f'{key} = "{value}"\n' for key, value in options.items()))
        done = self.lab.agent.run(DOKIEM, "run", "--config", path, "--state", self.state, "--only", only,
                                  "--server", f"http://{host}:{netlab.HTTP_PORT}", "--format", "json",
                                  "--progress", "none", check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        self.assertLessEqual(record["data_used_bytes"], 3_000_000)
        return record

    def queries(self, host, **options):
        dns = self.measure(host, **options)["dns"]
        return dns, {(q["port"], q["name"], q["type"], q["transport"]): q for q in dns["queries"]}

    def test_a_real_resolver(self):
        names = (f"www.{SIGNED}", f"none.{SIGNED}", f"speed.{BOGUS}")
        dns, queries = self.queries(f"speed.{SIGNED}", names=", ".join(names))
        self.assertEqual(dns["status"], "ok")
        self.assertEqual(len(queries), 4 * 4)
        # With DO, dig's own words are the truth.
        for name, rcode, authenticated, answers in ((f"speed.{SIGNED}", 0, True, 1), (names[0], 0, True, 1),
                                                    (names[1], 3, True, 0), (names[2], 2, False, 0)):
            for kind in ("A", "AAAA"):
                for transport in ("udp", "tcp"):
                    q = queries[53, name, kind, transport]
                    with self.subTest(name=name, kind=kind, transport=transport):
                        self.assertEqual((q["status"], q["rcode"], q["authenticated"], q["answers"], q["truncated"]),
                                         ("ok", rcode, authenticated, answers, False), q)
                        self.assertEqual((q["server"], q["configured"]), ("10.77.2.0/24", False))
                        self.assertEqual((q["malformed"], q["mismatched"], q["unrelated"]), (0, 0, 0))
                        self.assertGreater(q["response_ns"], 0)

    def test_an_unsigned_zone_and_a_long_answer(self):
        dns, queries = self.queries(f"speed.{PLAIN}", names=f"many.{PLAIN}")
        q = queries[53, f"speed.{PLAIN}", "A", "udp"]
        self.assertEqual((q["rcode"], q["authenticated"], q["answers"]), (0, False, 1))
        udp, tcp = (queries[53, f"many.{PLAIN}", "A", transport] for transport in ("udp", "tcp"))
        self.assertTrue(udp["truncated"])
        self.assertEqual((tcp["truncated"], tcp["answers"], tcp["authenticated"]), (False, 200, False))

    def test_liars(self):
        """Each lie has its name and its count, and none is believed."""
        ports = {name: evil_resolver.FIRST_PORT + i for i, name in enumerate(evil_resolver.BEHAVIOURS)}
        expected = {  # over UDP: status, failure, malformed, mismatched; over TCP: status, failure
            "honest": ("ok", None, 0, 0, "ok", None),
            "spoofed": ("ok", None, 1, 3, "failed", "mismatched"),
            "flood": ("failed", "mismatched", 0, 32, "failed", "mismatched"),
            "garbage": ("failed", "mismatched", 0, 1, "failed", "mismatched"),
            "loop": ("failed", "malformed", 1, 0, "failed", "malformed"),
            "forward": ("failed", "malformed", 1, 0, "failed", "malformed"),
            "counts": ("failed", "malformed", 1, 0, "failed", "malformed"),
            "circle": ("failed", "malformed", 1, 0, "failed", "malformed"),
            "stranger": ("ok", None, 0, 0, "ok", None),
            "refusing": ("ok", None, 0, 0, "ok", None),
            "empty": ("failed", "malformed", 1, 0, "failed", "malformed"),
            "silent": ("failed", "timeout", 0, 0, "failed", "timeout"),
            "closing": ("failed", "timeout", 0, 0, "failed", "closed"),
        }
        self.assertEqual(expected.keys(), ports.keys())
        names = list(ports)
        for i in range(0, len(names), 3):
            chosen = names[i:i + 3]
            _, queries = self.queries(netlab.SERVER, names="liar.example",
                                      servers=", ".join(f"{netlab.SERVER}:{ports[name]}" for name in chosen))
            for name in chosen:
                status, failure, malformed, mismatched, tcp_status, tcp_failure = expected[name]
                with self.subTest(liar=name):
                    udp, tcp = (queries[ports[name], "liar.example", "A", transport] for transport in ("udp", "tcp"))
                    self.assertEqual((udp["status"], udp.get("failure"), udp["malformed"], udp["mismatched"]),
                                     (status, failure, malformed, mismatched), udp)
                    self.assertEqual((tcp["status"], tcp.get("failure")), (tcp_status, tcp_failure), tcp)
                    self.assertTrue(udp["configured"])
                    self.assertNotIn("rcode", udp if status == "failed" else {})
                    if status == "ok":
                        self.assertEqual((udp["rcode"], udp["answers"], udp["unrelated"]),
                                         {"stranger": (0, 0, 1), "refusing": (5, 0, 0)}.get(name, (0, 1, 0)))

    def test_nobody_there(self):
        """No listener, no way, and no name to ask for: data, and the run goes on."""
        dns, queries = self.queries(netlab.SERVER, names="x.example", servers=f"{netlab.SERVER}:5399, [fd99::1]:53")
        for transport in ("udp", "tcp"):
            self.assertEqual(queries[5399, "x.example", "A", transport]["failure"], "refused")
        self.assertEqual([q["failure"] for q in dns["queries"] if q["server"] == "fd99::/48"], ["unreachable"] * 4)
        dns = self.measure(netlab.SERVER)["dns"]
        self.assertEqual((dns["status"], "queries" in dns), ("not_measured", False))
        self.assertIn("no name", dns["reason"])
        self.resolve_by(OTHER)  # which answers nothing but has no resolver
        try:
            record = self.measure(netlab.SERVER, names="x.example")
            self.assertEqual((record["kind"], record["dns"]["status"]), ("measurement", "failed"))
            self.assertIn("refused", record["dns"]["reason"])
        finally:
            self.resolve_by(netlab.SERVER)

    def test_what_is_kept_is_read_again(self):
        self.measure(netlab.SERVER, names=f"speed.{SIGNED}")
        last = sorted(os.listdir(self.state + "/journal"))[-1]
        for verb in (("show", "last"), ("list",), ("report", "last", "-o", os.path.join(self.folder, "page.html")),
                     ("recompute", os.path.join(self.state, "journal", last))):
            done = netlab.run(DOKIEM, verb[0], "--state", self.state, *verb[1:], check=False)
            self.assertIn(done.returncode, (0,), (verb, done.stdout, done.stderr))


if __name__ == "__main__":
    netlab.enter()
    DOKIEM, REFERENCE = map(os.path.abspath, sys.argv[1:3])
    del sys.argv[1:3]
    for tool in ("unbound", "ldns-signzone"):
        if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, check=False).returncode != 0:
            print(f"skipped: there is no {tool}")
            sys.exit(netlab.SKIP)
    unittest.main(verbosity=2)
