#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Resolvers that lie, each on a port of its own, over UDP and TCP: evil_resolver.py ADDRESS OTHER_ADDRESS

Every behaviour of BEHAVIOURS listens on FIRST_PORT + its place.
"""
import selectors
import socket
import struct
import sys

FIRST_PORT = 5300
POINTER = b"\xc0\x0c"  # to the name of the question


def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def answer(query, *records, flags=0x8180, name=None, identity=0, counts=None):
    """A response to `query` with its question, or about another name."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end] if name is None else name + query[end - 4:end]
    head = struct.pack(">HHHHHH", struct.unpack(">H", query[:2])[0] ^ identity, flags, 1,
                       len(records) if counts is None else counts, 0, 0)
    return head + question + b"".join(records)


def right(query):
    kind = query[query.index(b"\0", 12) + 2]
    return answer(query, record(POINTER, kind, bytes(4 if kind == 1 else 16)))


def here(query):
    """Where the first record begins."""
    return struct.pack(">H", 0xc000 | query.index(b"\0", 12) + 5)


# What each one sends for a query: messages, in order; None stands for a datagram from another address.
BEHAVIOURS = {
    "honest": lambda q: [right(q)],
    "spoofed": lambda q: [answer(q, identity=1), answer(q, name=b"\4evil\0"), b"\0" * 5, None, right(q)],
    "flood": lambda q: [answer(q, identity=i) for i in range(1, 101)],
    "garbage": lambda q: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "loop": lambda q: [answer(q, record(here(q), 1, bytes(4)))],
    "forward": lambda q: [answer(q, record(b"\xff\xff", 1, bytes(4)))],
    "counts": lambda q: [answer(q, record(POINTER, 1, bytes(4)), counts=65535)],
    "circle": lambda q: [answer(q, record(POINTER, 5, b"\1b\0"), record(b"\1b\0", 5, POINTER))],
    "stranger": lambda q: [answer(q, record(b"\4evil\0", 1, bytes(4)))],
    "refusing": lambda q: [answer(q, flags=0x8185)],
    "empty": lambda q: [b""],
    "silent": lambda q: [],
    "closing": lambda q: [],
}


def serve(address, other):
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind((other, 0))
    selector = selectors.DefaultSelector()
    for place, (name, messages) in enumerate(BEHAVIOURS.items()):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            listener = socket.socket(socket.AF_INET, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, FIRST_PORT + place))
            if kind == socket.SOCK_STREAM:
                listener.listen(64)
            selector.register(listener, selectors.EVENT_READ, (name, messages, kind))
    while True:
        for key, _ in selector.select():
            name, messages, kind = key.data
            if kind == socket.SOCK_DGRAM:
                query, peer = key.fileobj.recvfrom(4096)
                for message in messages(query):
                    sender = stranger if message is None else key.fileobj
                    sender.sendto(right(query) if message is None else message, peer)
            elif kind == socket.SOCK_STREAM:
                connection, _ = key.fileobj.accept()
                selector.register(connection, selectors.EVENT_READ, (name, messages, None))
            else:
                try:
                    query = key.fileobj.recv(4096)
                    ended = query == b"" or name == "closing"
                    for message in [] if ended else messages(query[2:]):
                        if message is not None:
                            key.fileobj.sendall(struct.pack(">H", len(message)) + message)
                except OSError:
                    ended = True
                if ended:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
