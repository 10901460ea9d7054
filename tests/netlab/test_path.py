#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The path MTU and the route over three routers, as the record says, beside what traceroute says in the same run.
test_path.py DOKIEM REFERENCE

    agent ──lan0── r1 ──── r2 ──narrow── r3 ──── server
"""
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlab

DOKIEM, REFERENCE = "", ""
# Each link: the addresses of its near and its far end. Documentation networks, which are public ones to dokiem.
LINKS = (("10.77.1.1", "10.77.1.254", "fd77:1::1", "fd77:1::254"),
         ("198.51.100.1", "198.51.100.2", "2001:db8:a::1", "2001:db8:a::2"),
         ("203.0.113.1", "203.0.113.2", "2001:db8:b::1", "2001:db8:b::2"),
         ("192.0.2.254", "192.0.2.1", "2001:db8:c::254", "2001:db8:c::1"))
SERVER, SERVER6 = LINKS[-1][1], LINKS[-1][3]
NOBODY = 65534


class Way(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="dokiem-way-"))
        os.chmod(cls.folder, 0o755)
        cls.nodes = []
        for name in ("agent", "r1", "r2", "r3", "server"):
            node = netlab.Node(name)
            cls.addClassCleanup(node.close)
            cls.nodes.append(node)
            for key in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
                node.run("sh", "-c", f"echo {int(name[0] == 'r')} > /proc/sys/{key}")
            # A router answers as often as it is asked.
            for key in ("net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"):
                node.run("sh", "-c", f"echo 0 > /proc/sys/{key}")
        for place, link in enumerate(LINKS):
            cls.join(place, *link)
        for place, node in enumerate(cls.nodes):
            if place > 0:  # everything nearer is behind the near neighbour, the rest behind the far one
                for near, near6 in ((f"{link[0].rsplit('.', 1)[0]}.0/24", link[2].split("::")[0] + "::/64")
                                    for link in LINKS[:place - 1]):
                    node.run("ip", "route", "add", near, "via", LINKS[place - 1][0])
                    node.run("ip", "-6", "route", "add", near6, "via", LINKS[place - 1][2])
            if place < len(LINKS):
                node.run("ip", "route", "add", "default", "via", LINKS[place][1])
                node.run("ip", "-6", "route", "add", "default", "via", LINKS[place][3])
        cls.agent, _, cls.r2, cls.r3, cls.server = cls.nodes
        cls.agent.run("sh", "-c", "echo 0 0 > /proc/sys/net/ipv4/ping_group_range")
        cls.enterClassContext(netlab.Service(
            cls.server, [REFERENCE, "--http", f"{SERVER}:{netlab.HTTP_PORT}"], tcp=(netlab.HTTP_PORT,)))
        cls.enterClassContext(netlab.Service(
            cls.server, [REFERENCE, "--http", f"[{SERVER6}]:{netlab.HTTP_PORT + 1}"], tcp=(netlab.HTTP_PORT + 1,)))
        cls.state = os.path.join(cls.folder, "state")
        netlab.run(DOKIEM, "keygen", "--state", cls.state)

    @classmethod
    def join(cls, place, near, far, near6, far6):
        a, b = cls.nodes[place:place + 2]
        a.run("ip", "link", "add", "right", "type", "veth", "peer", "name", "left", "netns", str(b.holder.pid))
        for node, name, address, address6 in ((a, "right", near, near6), (b, "left", far, far6)):
            node.run("ip", "address", "add", address + "/24", "dev", name)
            node.run("ip", "address", "add", address6 + "/64", "dev", name, "nodad")
            node.run("ip", "link", "set", name, "up")

    def setUp(self):
        self.narrow(1500)

    def narrow(self, mtu, told=True):
        """The link between r2 and r3; not told: r2 says nothing to the agent's side, as behind a bad firewall."""
        for node, name in ((self.r2, "right"), (self.r3, "left")):
            node.run("ip", "link", "set", name, "mtu", str(mtu))
        for family in ("-4", "-6"):
            rule = ("ip", family, "rule", "del", "pref", "50")
            while self.r2.run(*rule, check=False).returncode == 0:
                pass
            if not told:
                self.r2.run("ip", family, "rule", "add", "pref", "50", "iif", "lo", "to",
                            "10.77.1.0/24" if family == "-4" else "fd77:1::/64", "blackhole")
            self.agent.run("ip", family, "route", "flush", "cache")

    def measure(self, *arguments, method="auto", ipv6=False, only="path", as_user=()):
        path = os.path.join(self.folder, "dokiem.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"[path]\nmethod = {method}\n")
        url = f"http://[{SERVER6}]:{netlab.HTTP_PORT + 1}" if ipv6 else f"http://{SERVER}:{netlab.HTTP_PORT}"
        done = self.agent.run(*as_user, DOKIEM, "run", "--config", path, "--state", self.state, "--only", only,
                              "--server", url, "--format", "json", "--progress", "none", *arguments, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        self.assertLess(record["data_used_bytes"], 400_000)
        return record

    def expect(self, found, **expected):
        mtu = found["path"]["mtu"]
        self.assertEqual({key: mtu.get(key) for key in expected}, expected, mtu)

    def test_a_router_says_what_fits(self):
        self.narrow(1400)
        for ipv6 in (False, True):
            for method in ("icmp", "udp"):
                with self.subTest(ipv6=ipv6, method=method):
                    self.expect(self.measure(method=method, ipv6=ipv6), status="ok", path_mtu_bytes=1400,
                                kernel_mtu_bytes=1400, too_long_bytes=1500, router_told=True, black_hole=False)

    def test_a_black_hole(self):
        self.narrow(1380, told=False)
        for ipv6 in (False, True):
            with self.subTest(ipv6=ipv6):
                found = self.measure(method="icmp", ipv6=ipv6)
                self.expect(found, status="ok", path_mtu_bytes=1380, too_long_bytes=1381, router_told=False,
                            black_hole=True)
                # What the silent one does not say of its distance either.
                hops = found["path"]["route"]["hops"]
                self.assertEqual((len(hops), "address" in hops[1], hops[1]["rtt_ns"]), (4, False, [-1, -1, -1]), hops)
                self.expect(self.measure(method="udp", ipv6=ipv6), path_mtu_bytes=1280 if ipv6 else 576,
                            too_long_bytes=1500, router_told=False, black_hole=True)

    def traced(self, *arguments):
        """The addresses that traceroute names, a set for each distance."""
        said = self.agent.run("traceroute", "-n", "-q", "3", "-w", "2", *arguments).stdout
        return [set(re.findall(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]+:[0-9a-f:]+", line)) for line in said.splitlines()[1:]]

    def test_the_route_is_traceroutes(self):
        if shutil.which("traceroute") is None:
            self.skipTest("there is no traceroute")
        for ipv6, server in ((False, SERVER), (True, SERVER6)):
            for method, option in (("udp", "-U"), ("icmp", "-I")):
                with self.subTest(ipv6=ipv6, method=method):
                    truth = self.traced("-6" if ipv6 else "-4", option, *(("-p", "33434") if option == "-U" else ()),
                                        server)
                    found = self.measure(method=method, ipv6=ipv6)
                    self.assertEqual(found["path"]["method"], method)
                    self.expect(found, status="ok", path_mtu_bytes=1500, kernel_mtu_bytes=1500, too_long_bytes=None,
                                router_told=False, black_hole=False)
                    route = found["path"]["route"]
                    self.assertEqual((route["status"], route["reached"], route["unreachable"]), ("ok", True, False))
                    shown = [hop["address"] for hop in route["hops"]]
                    # The user's own router is named by its network only.
                    self.assertEqual(truth[0], {LINKS[0][3 if ipv6 else 1]})
                    self.assertEqual(shown[0], "fd77:1::/48" if ipv6 else "10.77.1.0/24")
                    self.assertEqual([{address} for address in shown[1:]], truth[1:], (shown, truth))
                    self.assertEqual([address for address in shown if address == server], [server])
                    for hop in route["hops"]:
                        self.assertFalse(hop["several"])
                        self.assertTrue(all(0 < rtt < 2_000_000_000 for rtt in hop["rtt_ns"]), hop)

    def test_no_way_on(self):
        self.r3.run("ip", "route", "add", "unreachable", SERVER + "/32", "metric", "1")
        try:
            done = self.agent.run(DOKIEM, "run", "--state", self.state, "--only", "path", "--server",
                                  f"http://{SERVER}:{netlab.HTTP_PORT}", "--format", "json", check=False)
            record = json.loads(done.stdout)
            self.assertEqual((done.returncode, record["path"]["mtu"]["status"], record["path"]["route"]["status"]),
                             (69, "failed", "failed"))
        finally:
            self.r3.run("ip", "route", "del", "unreachable", SERVER + "/32", "metric", "1")

    def test_without_privilege(self):
        """The run goes on: over UDP, without the gateway, saying how to allow it. Then a ping socket will do."""
        if shutil.which("setpriv") is None or os.environ.get("DOKIEM_NETLAB_INSIDE"):
            self.skipTest("cannot become somebody else")
        user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all",
                "--bounding-set=-all")
        if self.agent.run(*user, DOKIEM, "version", check=False).returncode != 0:
            self.skipTest("nobody else may run the program from where it is")
        for folder, _, files in os.walk(self.state):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        try:
            record = self.measure(only="path,latency", as_user=user)
            self.assertEqual(record["path"]["method"], "udp")
            self.expect(record, status="ok", path_mtu_bytes=1500)
            self.assertEqual(len(record["path"]["route"]["hops"]), 4)
            self.assertEqual(record["latency"]["idle"]["method"], "tcp")
            self.assertEqual(record["latency"]["gateway"]["status"], "not_measured")
            self.assertIn("setcap cap_net_raw+ep", record["latency"]["gateway"]["reason"])
            said = self.measure(method="icmp", as_user=user)["path"]
            for part in ("mtu", "route"):
                self.assertEqual(said[part]["status"], "not_measured")
                self.assertIn("net.ipv4.ping_group_range", said[part]["reason"])
            able = json.loads(self.agent.run(*user, DOKIEM, "capabilities", "--format", "json").stdout)
            probes = {probe["name"]: probe for probe in able["probes"]}
            self.assertEqual([probes[name]["available"] for name in ("gateway", "icmp", "path", "dns")],
                             [False, False, True, True])
            self.assertIn("setcap cap_net_raw+ep", probes["gateway"]["todo"])
            self.agent.run("sh", "-c", f"echo {NOBODY} {NOBODY} > /proc/sys/net/ipv4/ping_group_range")
            record = self.measure(only="path,latency", as_user=user)
            self.assertEqual((record["path"]["method"], record["latency"]["idle"]["method"]), ("icmp", "icmp"))
            self.assertEqual(record["latency"]["gateway"]["status"], "ok")
            self.assertEqual([hop.get("address") for hop in record["path"]["route"]["hops"]],
                             ["10.77.1.0/24", LINKS[1][1], LINKS[2][1], SERVER])
        finally:
            self.agent.run("sh", "-c", "echo 0 0 > /proc/sys/net/ipv4/ping_group_range")
            for folder, _, files in os.walk(self.state):
                for name in (folder, *(os.path.join(folder, file) for file in files)):
                    os.chown(name, 0, 0)

    def test_both_legs_are_told_apart(self):
        record = self.measure(only="latency")
        gateway, idle = record["latency"]["gateway"], record["latency"]["idle"]
        self.assertEqual((gateway["status"], gateway["method"], gateway["sent"]), ("ok", "icmp", 10))
        self.assertEqual(idle["status"], "ok")
        self.assertEqual(record["link"]["gateway"], "10.77.1.0/24")
        self.assertNotIn(LINKS[0][1], json.dumps(record))
        self.assertNotIn("path", record)


if __name__ == "__main__":
    netlab.enter()
    DOKIEM, REFERENCE = map(os.path.abspath, sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main(verbosity=2)
