#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lab itself, judged by tools that are not ours: what curl and iperf3 get is the link's payload rate, and nginx
with the shipped configuration receives every byte of a long upload. Figures of dokiem mean something only after this.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlab

WITHIN = 0.01
SECONDS = 4


def received_bytes(node, interface):
    return int(node.run("cat", f"/sys/class/net/{interface}/statistics/rx_bytes").stdout)


class Rates(unittest.TestCase):
    def near(self, what, rate_bps, lab):
        off = rate_bps / lab.payload_bps - 1
        print(f"    {what}: {rate_bps / 1e6:.2f} of {lab.payload_bps / 1e6:.2f} Mb/s, {off:+.2%}")
        self.assertLess(abs(off), WITHIN, f"{what}: {rate_bps:.0f} bit/s")

    def iperf3(self, lab, *extra):
        with netlab.Service(lab.server, ["iperf3", "-s"], tcp=(5201,)):
            report = json.loads(lab.agent.run("iperf3", "-c", netlab.SERVER, "-P", "4", "-t", str(SECONDS), "-O", "1",
                                              "-J", *extra).stdout)
        return report["end"]["sum_received"]["bits_per_second"]

    def test_iperf3(self):
        for rate_bps, router in ((30_000_000, False), (260_000_000, False), (130_000_000, True)):
            with self.subTest(rate_bps=rate_bps, router=router), netlab.Lab(rate_bps, router) as lab:
                self.near("iperf3 up", self.iperf3(lab), lab)
                self.near("iperf3 down", self.iperf3(lab, "-R"), lab)

    def test_nginx_sends_and_receives_at_the_rate_of_the_link(self):
        with netlab.Lab(260_000_000) as lab, netlab.start_nginx(lab.server) as server:
            report = "%{http_code} %{size_download} %{size_upload} %{speed_download} %{speed_upload}"
            for scheme, port in (("http", netlab.HTTP_PORT), ("https", netlab.HTTPS_PORT)):
                url = f"{scheme}://{netlab.SERVER}:{port}"
                curl = ["curl", "-sS", "--cacert", f"{server.directory}/ca.pem", "-o", "/dev/null", "-w", report]
                code, size, _, speed, _ = lab.agent.run(*curl, f"{url}/garbage?ckSize=100").stdout.split()
                self.assertEqual((code, int(size)), ("200", 100 << 20))
                self.near(f"{scheme} download", float(speed) * 8, lab)

    def test_nginx_reads_the_whole_of_a_long_upload(self):
        """10 s at the full speed of the machine, far over what a buffer could hide."""
        with netlab.Lab(260_000_000) as lab, netlab.start_nginx(lab.server) as server, \
                tempfile.TemporaryFile() as body:
            node = lab.server
            url = f"http://{netlab.SERVER}:{netlab.HTTP_PORT}"
            before = received_bytes(node, "lo")
            code, sent, again = node.run(
                "sh", "-c", "timeout 10 cat /dev/zero | curl -sS -X POST -H Expect: -T - -o /dev/null "
                f"-w '%{{http_code}} %{{size_upload}} ' {url}/empty --next -sS -o /dev/null -w '%{{num_connects}}' "
                f"{url}/getIP").stdout.split()
            received = received_bytes(node, "lo") - before
            print(f"    {int(sent) / 1e9:.2f} GB sent, {received / 1e9:.2f} GB received")
            self.assertEqual(code, "200")
            self.assertGreater(int(sent), 1 << 30)
            self.assertGreaterEqual(received, int(sent))
            self.assertEqual(again, "0", "the connection was not kept")

            # The same through the link: the time it took shows that nothing was cut.
            body.truncate(100 << 20)
            for scheme, port in (("http", netlab.HTTP_PORT), ("https", netlab.HTTPS_PORT)):
                before = received_bytes(node, "wan0")
                code, sent, speed = lab.agent.run(
                    "curl", "-sS", "--cacert", f"{server.directory}/ca.pem", "-X", "POST", "-H", "Expect:",
                    "-T", f"/proc/{os.getpid()}/fd/{body.fileno()}", "-o", "/dev/null",
                    "-w", "%{http_code} %{size_upload} %{speed_upload}",
                    f"{scheme}://{netlab.SERVER}:{port}/empty").stdout.split()
                self.assertEqual((code, int(sent)), ("200", 100 << 20))
                self.assertGreater(received_bytes(node, "wan0") - before, int(sent) * 0.97)
                self.near(f"{scheme} upload", float(speed) * 8, lab)


if __name__ == "__main__":
    netlab.enter()
    unittest.main(verbosity=2)
