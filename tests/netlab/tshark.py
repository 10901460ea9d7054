# SPDX-License-Identifier: Apache-2.0
"""What tshark says of a capture, and why `dokiem wire` may say otherwise.

read() gives the TCP packets as tshark dissects them. Flow replays them by the rules of docs/methodology.md, written
anew with plain sets and lists, and sorts each packet on which these rules and tshark's differ under one of REASONS:

  seen      tshark: out of order. Its bytes are in an earlier packet, so it was sent again.
  too_soon  tshark: sent again. Its bytes are new, and it comes sooner than the sender can have heard of the gap.
  too_late  tshark: out of order. Its bytes are new, and it comes when the sender can have heard of the gap.
  byte_again, byte_overtaken
            tshark: a keep-alive. Its one byte is new and was passed over, so it was sent again or overtaken.

A packet that differs in any other way is `unexplained`.
"""
import collections
import subprocess

REASONS = ("seen", "too_soon", "too_late", "byte_again", "byte_overtaken", "unexplained")
FIELDS = ("frame.number frame.time_epoch tcp.stream ip.src ipv6.src tcp.srcport tcp.seq_raw tcp.ack_raw tcp.len "
          "tcp.flags ip.len ipv6.plen tcp.analysis.retransmission tcp.analysis.out_of_order "
          "tcp.analysis.duplicate_ack tcp.analysis.ack_rtt tcp.analysis.initial_rtt tcp.analysis.keep_alive "
          "tcp.options.timestamp.tsval tcp.options.timestamp.tsecr tcp.dstport").split()
FIN, SYN, RST, ACK = 1, 2, 4, 16
REORDERING_NS = 3_000_000
Packet = collections.namedtuple("Packet", "time stream source port seq ack size flags ip_bytes again out_of_order "
                                          "duplicate_ack ack_rtt initial_rtt keep_alive tsval tsecr")


def nanoseconds(text):
    whole, _, part = text.partition(".")
    return int(whole) * 10**9 + int((part + "0" * 9)[:9])


def rows(path, fields, what):
    command = ["tshark", "-n", "-r", path, "-Y", what, "-T", "fields", "-E", "occurrence=f"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
    return [line.split("\t") for line in done.stdout.split("\n")[:-1]]


def read(path):
    packets = []
    for row in rows(path, FIELDS, "tcp"):
        f = dict(zip(FIELDS, row))
        packets.append(Packet(
            nanoseconds(f["frame.time_epoch"]), int(f["tcp.stream"]), f["ip.src"] or f["ipv6.src"],
            int(f["tcp.srcport"]), int(f["tcp.seq_raw"]), int(f["tcp.ack_raw"] or 0), int(f["tcp.len"]),
            int(f["tcp.flags"], 16), int(f["ip.len"]) if f["ip.len"] else int(f["ipv6.plen"]) + 40,
            f["tcp.analysis.retransmission"] != "", f["tcp.analysis.out_of_order"] != "",
            f["tcp.analysis.duplicate_ack"] != "",
            nanoseconds(f["tcp.analysis.ack_rtt"]) if f["tcp.analysis.ack_rtt"] else None,
            nanoseconds(f["tcp.analysis.initial_rtt"]) if f["tcp.analysis.initial_rtt"] else None,
            f["tcp.analysis.keep_alive"] != "",
            int(f["tcp.options.timestamp.tsval"]) if f["tcp.options.timestamp.tsval"] else None,
            int(f["tcp.options.timestamp.tsecr"]) if f["tcp.options.timestamp.tsecr"] else None))
    return packets


class Direction:
    def __init__(self, first):
        self.base = first.seq
        self.next = None
        self.acked = None  # the highest
        self.seen = bytearray()
        self.gaps = []      # (from, to, when it opened)
        self.waiting = []   # [end, unclear]
        self.first_sent = {}  # of each TSval
        self.counts = collections.Counter()
        self.tshark = collections.Counter()
        self.reasons = collections.Counter()
        self.rtt_ack, self.rtt_timestamp = [], []
        self.left_out = self.kept_alive_rtts = self.kept_alive = 0

    def place(self, number):
        return (number - self.base + (1 << 31)) % (1 << 32) - (1 << 31)


class Flow:
    """One tcp.stream. `directions` by (address, port)."""

    def __init__(self):
        self.directions = {}
        self.initial_rtt = None

    def judge_below(self, own, other, p, start, end):
        end_known = min(end, own.next)
        seen = start < 0 or own.seen[start:end_known].find(1) >= 0
        acknowledged = other.acked is not None and end <= own.place(other.acked)
        since = min((when for left, right, when in own.gaps if left < end_known and right > start), default=p.time)
        within = min(other.rtt_ack, default=REORDERING_NS)
        if seen or acknowledged:
            return "seen"
        return "too_late" if p.time - since >= within else "too_soon"

    def add_data(self, own, other, p, start, end):
        below = own.next is not None and start < own.next
        if below:
            why = self.judge_below(own, other, p, start, end)
            again = why != "too_soon"
            own.counts["retransmissions" if again else "out_of_order"] += 1
            own.counts["retransmitted_bytes"] += p.size if again else 0
            if (again, not again) != (p.again, p.out_of_order):
                explained = p.out_of_order if again else p.again
                if p.keep_alive:
                    why, explained = "byte_again" if again else "byte_overtaken", True
                own.reasons[why if explained else "unexplained"] += 1
            for entry in own.waiting:
                if start < entry[0] <= end:
                    entry[1] = True
        elif p.again or p.out_of_order:
            own.reasons["unexplained"] += 1
        if all(entry[0] != end for entry in own.waiting):
            own.waiting.append([end, below])
        if not below and p.tsval is not None:
            own.first_sent.setdefault(p.tsval, p.time)
        if start >= 0:
            own.seen.extend(b"\0" * (end - len(own.seen)))
            own.seen[start:end] = b"\1" * (end - start)
        own.next = end if own.next is None else max(own.next, end)

    def add_ack(self, own, other, p):
        ack = other.place(p.ack)
        covered = [entry for entry in other.waiting if entry[0] <= ack]
        other.waiting = [entry for entry in other.waiting if entry[0] > ack]
        unclear = any(entry[1] for entry in covered)
        advances = own.acked is None or ack > other.place(own.acked)
        if p.ack_rtt is not None:
            if all(entry[0] != ack for entry in covered):
                other.kept_alive_rtts += 1  # tshark takes the byte of a keep-alive for a segment
            elif unclear:
                other.left_out += 1
            else:
                other.rtt_ack.append(p.ack_rtt)
        if p.tsecr in other.first_sent and advances:
            sent = other.first_sent[p.tsecr]
            if sent is not None and not unclear:
                other.rtt_timestamp.append(p.time - sent)
            other.first_sent[p.tsecr] = None
        if advances:
            own.acked = p.ack

    def add(self, p, ends):
        own, other = (self.directions.setdefault(end, Direction(p)) for end in ends)
        if not own.counts["packets"]:
            own.base = p.seq
        own.counts.update(packets=1, ip_bytes=p.ip_bytes, payload_bytes=p.size)
        own.tshark.update(retransmissions=p.again, out_of_order=p.out_of_order, duplicate_acks=p.duplicate_ack)
        other.tshark.update(rtts=p.ack_rtt is not None)
        self.initial_rtt = self.initial_rtt or p.initial_rtt
        start = own.place(p.seq)
        end = start + p.size + (p.flags & (SYN | FIN) != 0)
        kept_alive = p.keep_alive and not any(left <= start < right for left, right, _ in own.gaps
                                              if own.seen[start:start + 1] != b"\1")
        own.kept_alive += kept_alive and p.size
        if own.next is not None and start > own.next and not p.flags & RST:
            own.gaps.append((own.next, start, p.time))
            own.next = start
        if end > start and not kept_alive and not p.flags & RST:
            self.add_data(own, other, p, start, end)
        elif own.next is None:
            own.next = start
        if p.flags & ACK:
            self.add_ack(own, other, p)


def flows(packets):
    """Of every tcp.stream, in order."""
    ends, found = {}, {}
    for p in packets:
        ends.setdefault(p.stream, {})[(p.source, p.port)] = None
    for p in packets:
        own = (p.source, p.port)
        other = next((end for end in ends[p.stream] if end != own), (None, None))
        found.setdefault(p.stream, Flow()).add(p, (own, other))
    return [found[stream] for stream in sorted(found)]
