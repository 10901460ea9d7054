# SPDX-License-Identifier: Apache-2.0
"""Recorded captures read again: all that `dokiem wire --format json` says of them is compared.

captures.py DOKIEM

Both were made with tcpdump between network namespaces, 20 Mb/s and 8 ms each way, and hold headers only. tshark counts
the same but where it is said.

curl_loss: curl downloads from nginx; 2 % of what comes down is lost; captured at the client, the first 450 packets.
    The handshake takes the 16 ms of the link. 3 segments are seen only when they are sent again, a round trip after the
    gap: `retransmissions`. The 32 duplicate ACKs are the client's answers to what came behind the gaps.
iperf3_reorder: iperf3 uploads 300 kB; 3 % of what goes up comes 3 ms late; captured at the server, both
    connections. The SYN-ACK comes at once (0.02 ms), the handshake ends 16 ms later. 5 segments fill a gap sooner
    than the client can have heard of it: `out_of_order`. tshark calls 4 of them sent again, since SACK names the gap.
"""
import json
import os
import subprocess
import sys
import unittest

DOKIEM = ""
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "captures")


class Replay(unittest.TestCase):
    maxDiff = None

    def test_captures(self):
        names = sorted(name[:-5] for name in os.listdir(FOLDER) if name.endswith(".pcap"))
        self.assertEqual(names, ["curl_loss", "iperf3_reorder"])
        for name in names:
            path = os.path.join(FOLDER, name)
            done = subprocess.run([DOKIEM, "wire", path + ".pcap", "--server", "10.77.2.1", "--format", "json"],
                                  stdout=subprocess.PIPE, text=True, timeout=20, check=True)
            with open(path + ".json", encoding="utf-8") as file:
                self.assertEqual(json.loads(done.stdout), json.load(file), name)


if __name__ == "__main__":
    DOKIEM = sys.argv.pop(1)
    if "without libpcap" in subprocess.run([DOKIEM, "wire", "/dev/null"], stderr=subprocess.PIPE, text=True,
                                           check=False).stderr:
        print("skipped: built without libpcap")
        sys.exit(77)
    unittest.main()
