# SPDX-License-Identifier: Apache-2.0
"""A TWAMP Light reflector, unauthenticated, read out of RFC 5357 (4.2.1, appendix I) and RFC 4656 (4.1.2) and out of
nothing of dokiem's: Debian has no program that is one.

A test packet is the sender's sequence number (4 bytes), timestamp (8), error estimate (2) and padding. The answer:

     0  sequence number: the reflector's own count, or, without any state, the sender's number
     4  timestamp of sending      12  error estimate      14  must be zero
    16  timestamp of receiving    24  the sender's sequence number, timestamp, error estimate
    38  must be zero              40  the sender's TTL
    41  padding: the sender's, without its last 27 bytes, so that both packets have the same length
"""
import socket
import struct
import threading
import time

ADDRESS = "127.0.0.1"
SINCE_1900 = 2_208_988_800
IP_RECVTTL = 12  # ip(7); not in this module
HEADER, ANSWER = struct.Struct("!IIIH"), struct.Struct("!IIIHHIIIIIHHB")
ERROR_ESTIMATE = 0x8001  # synchronised; multiplier 1, which must not be 0


def ntp(time_ns):
    """Seconds since 1900, and their fraction in 2^-32 s."""
    return time_ns // 10**9 + SINCE_1900, (time_ns % 10**9 << 32) // 10**9


class Reflector:
    """On a free UDP port. Use as a context manager.

    own_count   numbers its answers itself
    hold_s      waits so long before it answers, and says so
    fate        how many answers the n-th packet gets, from 0; by default one
    """

    def __init__(self, own_count=False, hold_s=0.0, fate=lambda number: 1):
        self.own_count, self.hold_s, self.fate = own_count, hold_s, fate
        self.packets, self.wrong = [], []
        self.answers = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 0))
        self._socket.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # An empty datagram of its own ends it: no test packet is empty.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", (ADDRESS, self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            packet, control, _, peer = self._socket.recvmsg(2048, 256)
            received_ns = time.time_ns()
            if not packet:
                return
            ttl = next((struct.unpack("i", data[:4])[0] for level, kind, data in control
                        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL)), 255)
            self._reflect(packet, received_ns, ttl, peer)

    def _reflect(self, packet, received_ns, ttl, peer):
        if len(packet) < HEADER.size + 27:
            self.wrong.append(f"{len(packet)} bytes: no room for an answer of the same length")
            return
        sequence, seconds, fraction, error = HEADER.unpack_from(packet)
        if error & 0xff == 0:
            self.wrong.append("the multiplier of the error estimate is 0")
        if abs(seconds - SINCE_1900 - received_ns / 1e9) > 3600:
            self.wrong.append("the timestamp is no time of today")
        number = len(self.packets)
        self.packets.append((sequence, len(packet)))
        if self.hold_s:
            time.sleep(self.hold_s)
        for _ in range(self.fate(number)):
            answer = ANSWER.pack(self.answers if self.own_count else sequence, *ntp(time.time_ns()), ERROR_ESTIMATE, 0,
                                 *ntp(received_ns), sequence, seconds, fraction, error, 0, ttl)
            self._socket.sendto(answer + packet[HEADER.size:len(packet) - 27], peer)
            self.answers += 1
