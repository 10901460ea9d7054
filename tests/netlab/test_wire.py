# SPDX-License-Identifier: Apache-2.0
"""`dokiem wire` against tshark, on captures of curl and iperf3 over emulated links, and captures that a run takes.

test_wire.py DOKIEM DOKIEM_REFERENCE LINK_EMULATOR

Duplicate ACKs, bytes and handshakes are what tshark says. Packets sent again, packets out of order and round trips are
what tshark says but for differences that tshark.py explains one by one; the tables printed have both.
"""
import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import jsonschema

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netlab
import tshark

DOKIEM = REFERENCE = ""
BASE = {"rate_bps": 20_000_000, "delay_us": 8000}
MSS = 1448
MARK = b"dokiem: the end of this capture"


def send_mark(node, path):
    """Sends a datagram and waits until the capture has it: then it has all that came before."""
    end = time.monotonic() + 20
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(%r, ('10.77.3.1', 9))" % MARK
    node.run(sys.executable, "-c", send)
    while True:
        with open(path, "rb") as file:
            if MARK in file.read():
                return
        if time.monotonic() > end:
            raise RuntimeError("tcpdump does not write what it captures")
        time.sleep(0.02)


@contextlib.contextmanager
def capture(node, path, interface="wan0", snap="128", what="tcp"):
    """tcpdump on a node, of headers only. The body runs when it listens."""
    process = node.start("tcpdump", "-i", interface, "-n", "-s", snap, "-B", "16384", "-U", "--immediate-mode", "-Z",
                         "root", "-w", path, f"{what} or udp port 9", stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        while said and "listening on" not in said:
            said = process.stderr.readline()
        if not said:
            raise RuntimeError("tcpdump does not start")
        yield
        send_mark(node, path)
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    dropped = re.search(r"(\d+) packets? dropped by kernel", said)
    if dropped is None or dropped.group(1) != "0":
        raise RuntimeError("tcpdump lost packets: " + said)


def wire(path, *extra, check=True):
    done = netlab.run(DOKIEM, "wire", path, "--format", "json", *extra, check=check)
    return json.loads(done.stdout) if check else done


def quantile(values, permille):
    return sorted(values)[max(1, math.ceil(len(values) * permille / 1000)) - 1]


def median(values):
    values = sorted(values)
    a, b = values[(len(values) - 1) // 2], values[len(values) // 2]
    return (a + b + 1) // 2


class Wire(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="dokiem-wire-"))

    def same_round_trips(self, values, left_out, said, name):
        self.assertEqual(said["count"], len(values), name)
        if left_out is not None:
            self.assertEqual(said["left_out"], left_out, name)
        if values:
            self.assertEqual([said[f"rtt_{q}_ns"] for q in ("min", "median", "p95", "max")],
                             [min(values), median(values), quantile(values, 950), max(values)], name)

    def same_direction(self, name, model, said):
        for key in ("packets", "ip_bytes", "payload_bytes", "retransmissions", "retransmitted_bytes", "out_of_order"):
            self.assertEqual(said[key], model.counts[key], f"{name}: {key}")
        self.assertEqual(said["duplicate_acks"], model.tshark["duplicate_acks"], name)
        reasons = model.reasons
        self.assertEqual(reasons["unexplained"], 0, name)
        # What is left when the differences are explained is equal.
        change = reasons["seen"] + reasons["too_late"] - reasons["too_soon"]
        self.assertEqual(said["retransmissions"],
                         model.tshark["retransmissions"] + change + reasons["byte_again"], name)
        self.assertEqual(said["out_of_order"],
                         model.tshark["out_of_order"] - change + reasons["byte_overtaken"], name)
        self.assertLessEqual(model.kept_alive_rtts, model.kept_alive, name)
        self.assertEqual(said["rtt_ack"]["count"] + said["rtt_ack"]["left_out"] + model.kept_alive_rtts,
                         model.tshark["rtts"], name)
        self.same_round_trips(model.rtt_ack, model.left_out, said["rtt_ack"], name + ": rtt_ack")
        self.same_round_trips(model.rtt_timestamp, None, said["rtt_timestamp"], name + ": rtt_timestamp")

    def compare(self, what, path):
        """Every flow of the capture, both directions. The sums over all flows and why they differ."""
        said = wire(path)
        packets = tshark.read(path)
        models = tshark.flows(packets)
        self.assertEqual(len(said["flows"]), len(models), what)
        self.assertEqual(said["totals"]["kinds"]["tcp"], len(packets))
        self.assertEqual(said["totals"]["frames"], sum(said["totals"]["kinds"].values()))
        total, reasons = {"retransmissions": 0, "out_of_order": 0, "duplicate_acks": 0}, {}
        for number, (flow, model) in enumerate(zip(said["flows"], models)):
            for end in ("client", "server"):
                direction = model.directions[(flow[end]["address"], flow[end]["port"])]
                self.same_direction(f"{what}, flow {number}, {end}", direction, flow[end])
                for key in total:
                    total[key] += direction.tshark[key]
                for key, count in direction.reasons.items():
                    reasons[key] = reasons.get(key, 0) + count
            if "handshake_ns" in flow:
                self.assertEqual(flow["handshake_ns"], model.initial_rtt, what)
        print(f"    {what}: {len(packets)} packets; " + ", ".join(
            f"{key} {said['totals'][key]} (tshark {count})" for key, count in total.items()) +
            (f"; why: {reasons}" if reasons else ""), flush=True)
        return said

    @staticmethod
    def sent_again(node):
        """Segments that the kernel of this node sent again, by its own count."""
        lines = [line.split() for line in node.run("cat", "/proc/self/net/snmp").stdout.splitlines()]
        names, values = (line for line in lines if line[0] == "Tcp:")
        return int(values[names.index("RetransSegs")])

    def both_ends(self, what, link, *extra):
        """An iperf3 test seen from both ends. The sender's end must know how often its kernel sent something again."""
        paths = {end: f"{self.folder}/{end}.pcap" for end in ("agent", "server")}
        with netlab.EmulatedLab(link, link, seed=7) as lab:
            with netlab.Service(lab.server, ["iperf3", "-s", "-1"], tcp=(5201,)), \
                    capture(lab.agent, paths["agent"]), capture(lab.server, paths["server"]):
                lab.agent.run("iperf3", "-c", netlab.SERVER, "-t", "2", "-P", "2", *extra)
            kernels = self.sent_again(lab.server if "-R" in extra else lab.agent)
        agent, server = (self.compare(f"{what}, {end}", path) for end, path in paths.items())
        sender, receiver = (server, agent) if "-R" in extra else (agent, server)
        segments = sender["totals"]["retransmitted_bytes"] / MSS
        print(f"      at the sender {segments:.1f} segments sent again, {kernels} by its kernel's count")
        self.assertLess(abs(segments - kernels), 2)
        return sender["totals"], receiver["totals"]

    def test_loss(self):
        for name, extra in (("upload", ()), ("download", ("-R",))):
            sender, receiver = self.both_ends(f"loss, {name}", {**BASE, "loss_ppm": 10_000}, *extra)
            self.assertGreater(sender["retransmissions"], 0)
            # Of what was lost on its way this end sees the second time only, as what fills a gap.
            self.assertGreater(receiver["retransmissions"], 0)

    def test_ipv6_and_any(self):
        with netlab.EmulatedLab({**BASE, "loss_ppm": 5000}, BASE, seed=8) as lab:
            path = f"{self.folder}/any.pcap"
            with netlab.Service(lab.server, ["iperf3", "-s", "-1"], tcp=(5201,)), \
                    capture(lab.agent, path, "any"):
                lab.agent.run("iperf3", "-t", "1", "-R", "-c", netlab.SERVER6)
        self.assertIn(self.compare("any, IPv6, download", path)["capture"]["link"], ("LINUX_SLL", "LINUX_SLL2"))

    def test_order_and_duplicates(self):
        for name, extra in (("upload", ()), ("download", ("-R",))):
            link = {**BASE, "reorder_ppm": 10_000, "reorder_us": 2000}
            sender, receiver = self.both_ends(f"order, {name}", link, *extra)
            # What is sent again very soon looks the same there.
            self.assertLess(4 * sender["out_of_order"], receiver["out_of_order"])
            self.assertGreater(receiver["out_of_order"], receiver["retransmissions"])
        sender, receiver = self.both_ends("twice, download", {**BASE, "duplicate_ppm": 10_000}, "-R")
        self.assertGreater(receiver["retransmissions"], sender["retransmissions"])

    def dokiem_run(self, lab, *extra):
        state = f"{self.folder}/state"
        netlab.run(DOKIEM, "keygen", "--state", state, check=False)
        done = lab.agent.run(DOKIEM, "run", "--server", f"http://{netlab.SERVER}:{netlab.HTTP_PORT}", "--duration", "2",
                             "--format", "json", "--state", state, *extra)
        record = json.loads(done.stdout)
        with open(os.path.join(netlab.ROOT, "docs/record.schema.json"), encoding="utf-8") as file:
            jsonschema.validate(record, json.load(file))
        return record

    def test_a_run_sees_what_tcpdump_sees(self):
        """A capture that dokiem takes itself, and one that tcpdump takes beside it: the same packets, the same sums."""
        path = f"{self.folder}/run.pcap"
        link = {**BASE, "loss_ppm": 3000, "reorder_ppm": 2000, "reorder_us": 2000}
        with netlab.EmulatedLab(link, link, seed=11) as lab, netlab.start_reference(lab.server, REFERENCE):
            with capture(lab.agent, path):
                record = self.dokiem_run(lab, "--only", "download,upload,wire")
            kernels = self.sent_again(lab.agent)
            self.assertNotIn("wire", self.dokiem_run(lab, "--only", "download"))
        said, live = self.compare("dokiem run", path), record["wire"]
        self.assertEqual((live["status"], live["interface"], live["dropped"], live["malformed"]),
                         ("ok", "wan0", 0, 0), live)
        ends = {"up": [flow["client"] for flow in said["flows"]], "down": [flow["server"] for flow in said["flows"]]}
        # The first connection, by which the server was reached, is older than the capture; its end may be in it.
        self.assertIn(len(said["flows"]) - live["flows"], (0, 1))
        for direction, flows in ends.items():
            for key in flows[0].keys() & live[direction].keys():
                later = sum(flow[key] for flow in flows[1:])
                self.assertTrue(later <= live[direction][key] <= later + flows[0][key],
                                f"{direction} {key}: {later}, {live[direction][key]}, {flows[0][key]}")
        self.assertLess(abs(live["up"]["retransmitted_bytes"] / MSS - kernels), 3)
        self.assertGreater(live["syn"]["rtt_min_ns"], 16_000_000)
        self.assertLess(live["syn"]["rtt_min_ns"], 40_000_000)
        self.assertGreater(live["rtt_timestamp"]["count"], 20)

    def test_evidence(self):
        """The headers that a run keeps say what its record says, and hold nothing of what was carried."""
        state = f"{self.folder}/state"
        link = {**BASE, "loss_ppm": 3000, "reorder_ppm": 2000, "reorder_us": 2000}
        with netlab.EmulatedLab(link, link, seed=12) as lab, netlab.start_reference(lab.server, REFERENCE):
            records = [self.dokiem_run(lab, "--only", "latency,download,upload", "--evidence") for _ in range(2)]
            with open(f"{self.folder}/small.ini", "w", encoding="utf-8") as file:
                file.write("[evidence]\nmax_bytes = 64kB\n")
            records.append(self.dokiem_run(lab, "--only", "download", "--evidence", "--config",
                                           f"{self.folder}/small.ini"))
        for record in records:
            kept = record["wire"]["evidence"]
            path = f"{state}/evidence/{record['id']}.pcap"
            with open(path, "rb") as file:
                data = file.read()
            self.assertEqual(kept["file"], os.path.basename(path))
            self.assertEqual((kept["bytes"], kept["sha256"]), (len(data), hashlib.sha256(data).hexdigest()))
            self.assertEqual(wire(path)["totals"]["frames"], kept["packets"])
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            for mark in (b"dokiem/", b"HTTP/1.1", b"Content-Length", b"garbage"):
                self.assertNotIn(mark, data)
        for record in records[:2]:
            self.assertTrue(record["wire"]["evidence"]["complete"])
            self.assertNotIn("capture_disagrees", [flag["code"] for flag in record["validity"]["flags"]])
            self.same_as_record(record["wire"], wire(f"{state}/evidence/{record['id']}.pcap", "--server",
                                                     netlab.SERVER))
        self.assertFalse(records[2]["wire"]["evidence"]["complete"])
        self.assertLessEqual(records[2]["wire"]["evidence"]["bytes"], 64_000)
        self.assertLess(records[2]["wire"]["evidence"]["packets"], records[2]["wire"]["frames"])
        self.verify_evidence(records[0])

    def verify_evidence(self, record):
        """A byte changed in a file of evidence is seen; one that is gone is said."""
        state = f"{self.folder}/state"
        verify = [DOKIEM, "verify", "--state", state, "--evidence", f"{state}/evidence", f"{state}/journal"]
        self.assertIn("3 files of evidence", netlab.run(*verify).stdout)
        path = f"{state}/evidence/{record['id']}.pcap"
        with open(path, "r+b") as file:
            file.seek(60)
            byte = file.read(1)
            file.seek(60)
            file.write(bytes([byte[0] ^ 1]))
        done = netlab.run(*verify, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn(f"BAD  {record['id']}.pcap", done.stdout)
        said = json.loads(netlab.run(*verify, "--format", "json", check=False).stdout)
        self.assertEqual((said["evidence"], said["status"]), ({"ok": 2, "bad": 1, "missing": 0}, "bad"))
        os.remove(path)
        self.assertIn("NOTE the evidence of record 1", netlab.run(*verify).stdout)

    def same_as_record(self, live, said):
        totals = said["totals"]
        self.assertEqual((totals["frames"], totals["frame_bytes"]), (live["frames"], live["frame_bytes"]))
        self.assertEqual((totals["kinds"]["truncated"], totals["kinds"]["malformed"], totals.get("other_bytes")),
                         (live["truncated"], live["malformed"], 0))
        self.assertGreater(totals["kinds"]["udp"], 0)
        self.assertEqual(len(said["flows"]), live["flows"])
        for direction in ("up", "down"):
            ends = [next(end for end in (flow["client"], flow["server"])
                         if (end["address"] == netlab.SERVER) == (direction == "down")) for flow in said["flows"]]
            for key in ends[0].keys() & live[direction].keys():
                self.assertEqual(sum(end[key] for end in ends), live[direction][key], f"{direction} {key}")

    def test_other_traffic(self):
        """What another program moves meanwhile over the interface is counted, and not kept."""
        state = f"{self.folder}/state"
        with netlab.EmulatedLab(BASE, BASE, seed=13) as lab, netlab.start_reference(lab.server, REFERENCE):
            quiet = self.dokiem_run(lab, "--only", "download,wire")["wire"]
            with netlab.Service(lab.server, ["iperf3", "-s", "-1"], tcp=(5201,)):
                flood = lab.agent.start("iperf3", "-6", "-c", netlab.SERVER6, "-u", "-b", "4M", "-l", "1000",
                                        "-t", "60", "--forceflush", stdout=subprocess.PIPE, text=True)
                try:
                    while "connected to" not in flood.stdout.readline():
                        self.assertIsNone(flood.poll())
                    record = self.dokiem_run(lab, "--only", "download", "--evidence")
                finally:
                    flood.terminate()
                    flood.communicate()
        loud = record["wire"]
        for one in (quiet, loud):
            share = one["other_bytes"] / (one["other_bytes"] + one["frame_bytes"])
            self.assertLess(abs(share * 1e6 - one["other_share_ppm"]), 1000)
        self.assertLess(quiet["other_share_ppm"], 1000)
        # 4 Mb/s of payload of 1000 bytes in frames of 1062.
        rate = loud["other_bytes"] * 8 / (loud["duration_ns"] / 1e9)
        print(f"    other traffic: {rate / 1e6:.2f} Mb/s, sent 4.25; {loud['other_share_ppm'] / 1e4:.1f} %", flush=True)
        self.assertLess(abs(rate - 4_248_000), 600_000)
        said = wire(f"{state}/evidence/{record['id']}.pcap", "--server", netlab.SERVER)["totals"]
        self.assertEqual((said["other_bytes"], said["frames"]), (0, loud["frames"]))

    def test_tshark_reads_our_stamp_packets(self):
        """RFC 8762 is TWAMP-Test on the wire: every packet is decoded, and says what the record says."""
        path = f"{self.folder}/stamp.pcap"
        fields = ("udp.srcport", "udp.length", "twamp.test.seq_number", "twamp.test.sender_seq_number",
                  "twamp.test.timestamp", "twamp.test.sender_timestamp", "twamp.test.error_estimate.multiplier",
                  "twamp.test.sender_ttl", "_ws.malformed", "_ws.expert.message")
        with netlab.EmulatedLab(BASE, BASE, seed=14) as lab, netlab.start_reference(lab.server, REFERENCE):
            with capture(lab.agent, path, snap="0", what=f"udp port {netlab.STAMP_PORT}"):
                record = self.dokiem_run(lab, "--only", "latency", "--stamp", f"{netlab.SERVER}:{netlab.STAMP_PORT}")
        idle = record["latency"]["idle"]
        self.assertEqual((idle["method"], idle["lost"]), ("stamp", 0))
        lines = netlab.run("tshark", "-r", path, "-Y", f"udp.port == {netlab.STAMP_PORT}", "-d",
                           f"udp.port=={netlab.STAMP_PORT},twamp.test", "-T", "fields",
                           *(word for field in fields for word in ("-e", field))).stdout.splitlines()
        sent, answered = [], []
        for line in lines:
            port, length, *rest, malformed, complaint = line.split("\t")
            self.assertEqual((malformed, complaint), ("", ""), line)
            self.assertGreaterEqual(int(length), 8 + 44)
            (answered if int(port) == netlab.STAMP_PORT else sent).append(rest)
        self.assertEqual((len(sent), len(answered)), (idle["sent"], idle["received"]))
        self.assertEqual([int(packet[0]) for packet in sent], list(range(idle["sent"])))
        # What the reflector says that it was sent is what was sent: number and time.
        self.assertEqual([(packet[1], packet[3]) for packet in answered], [(packet[0], packet[2]) for packet in sent])
        # RFC 4656, 4.1.2: a multiplier is never 0. What tshark reads behind a request's own is zeros.
        for packet in sent:
            self.assertNotEqual(packet[4].split(",")[0], "0")
        for packet in answered:
            self.assertNotIn("0", packet[4].split(","))
        self.assertEqual({packet[5] for packet in answered}, {"64"})

    def test_a_run_without_the_right_to_capture(self):
        """The run goes on, and the record says how to grant it."""
        with netlab.EmulatedLab(BASE, BASE) as lab, netlab.start_reference(lab.server, REFERENCE):
            state = f"{self.folder}/state"
            netlab.run(DOKIEM, "keygen", "--state", state)
            done = lab.agent.run("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", DOKIEM, "run", "--server",
                                 f"http://{netlab.SERVER}:{netlab.HTTP_PORT}", "--duration", "1", "--format", "json",
                                 "--state", state, "--only", "download,wire")
        record = json.loads(done.stdout)
        self.assertEqual((record["wire"]["status"], record["download"]["status"]), ("not_measured", "ok"))
        self.assertIn("setcap cap_net_raw+ep", record["wire"]["reason"])

    def download(self, lab, files, path, megabytes=1):
        """A download and an upload with curl, HTTP and HTTPS, captured on the agent."""
        with netlab.start_nginx(lab.server, files), capture(lab.agent, path):
            for url in (f"http://{netlab.SERVER}:{netlab.HTTP_PORT}", f"https://{netlab.SERVER}:{netlab.HTTPS_PORT}"):
                lab.agent.run("curl", "-sS", "--cacert", f"{files}/ca.pem", "-o", "/dev/null",
                              f"{url}/garbage?ckSize={megabytes}")
                lab.agent.run("curl", "-sS", "--cacert", f"{files}/ca.pem", "-o", "/dev/null", "-T",
                              f"{netlab.ROOT}/LICENSE", "-X", "POST", f"{url}/empty")

    def test_curl_and_other_forms_of_the_same_capture(self):
        path = f"{self.folder}/curl.pcap"
        with netlab.nginx_files() as files, netlab.EmulatedLab(BASE, BASE) as lab:
            self.download(lab, files, path, 1)
        said = self.compare("curl", path)
        self.assertEqual(len(said["flows"]), 4)
        for flow in said["flows"]:
            # 8 ms each way, and what the link and the server take.
            self.assertGreater(flow["syn_ns"], 16_000_000)
            self.assertLess(flow["syn_ns"], 40_000_000)
        ours = wire(path, "--server", netlab.SERVER)["totals"]
        self.assertEqual(ours["server_bytes"] + ours["other_bytes"], ours["ip_bytes"])
        self.assertLess(ours["other_bytes"], 1000)  # the mark
        self.assertEqual(wire(path, "--server", "192.0.2.9")["totals"]["server_bytes"], 0)
        with open(path, "rb") as file:
            data = file.read()
        self.other_forms(data, said)

    def other_forms(self, data, said):
        frames, at = [], 24
        while at < len(data):
            header = struct.unpack_from("<IIII", data, at)
            frames.append((header, data[at + 16:at + 16 + header[2]]))
            at += 16 + header[2]
        top = struct.unpack_from("<IHHiIII", data, 0)
        path = f"{self.folder}/other.pcap"

        def write(order, magic, scale, shorter=0, cut=0):
            with open(path, "wb") as file:
                out = struct.pack(order + "IHHiIII", magic, *top[1:])
                for (s, us, size, wire_size), body in frames:
                    body = body[:len(body) - shorter]
                    out += struct.pack(order + "IIII", s, us * scale, len(body), wire_size) + body
                file.write(out[:len(out) - cut])
        for order in "<>":
            for magic, scale in ((0xa1b2c3d4, 1), (0xa1b23c4d, 1000)):
                write(order, magic, scale)
                self.assertEqual(wire(path), said)
        write("<", 0xa1b2c3d4, 1, cut=1)
        done = wire(path, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("cut", done.stderr)
        self.assertEqual(json.loads(done.stdout)["totals"]["frames"], len(frames) - 1)
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", *top[:6], 105))
        done = wire(path, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("IEEE802_11", done.stderr)
        text = netlab.run(DOKIEM, "wire", f"{self.folder}/curl.pcap").stdout
        self.assertIn("sent again", text)


if __name__ == "__main__":
    netlab.enter()
    for tool in ("tshark", "tcpdump", "iperf3", "nginx"):
        if shutil.which(tool) is None:
            print(f"skipped: there is no {tool}")
            sys.exit(netlab.SKIP)
    DOKIEM = sys.argv.pop(1)
    REFERENCE = sys.argv.pop(1)
    if "without libpcap" in netlab.run(DOKIEM, "wire", "/dev/null", check=False).stderr:
        print("skipped: built without libpcap")
        sys.exit(netlab.SKIP)
    os.environ["DOKIEM_EMULATOR"] = sys.argv.pop(1)
    unittest.main(verbosity=2)
