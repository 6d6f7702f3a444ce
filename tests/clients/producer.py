"""An ingest of one instrument, by src/bus/broker/protocol.md alone: publishes a quote a second to gateways.

Usage: producer.py HOST PORT. Needs nothing but Python: the client's side of NATS is a few lines of text.
"""

import json
import random
import socket
import struct
import sys
import time
import zlib

EPOCH, SOURCE, QUOTE = b"p%x" % int(time.time()), random.getrandbits(64), 0
BEAT_EVERY, SPEAK_EVERY = 0.25, 1.0


def message(kind, content):
    body = bytes([1, kind]) + content
    return body + struct.pack("<I", zlib.crc32(body))


def text(value):
    return bytes([len(value)]) + value


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def zigzag(value):
    return varint(value << 1 if value >= 0 else -value * 2 - 1)


# Prices in cents, sizes in whole lots; no tick size, no currency, as many levels as there are.
INSTRUMENT = text(b"ACME") + text(b"PRODUCER") + struct.pack("<bb", -2, 0) + b"\0"
DIGEST = zlib.crc32(INSTRUMENT + b"\0")


def state(seq, bid, ask):
    """A snapshot record: topic and form, number, time in microseconds, epoch; then all four fields, whole."""
    record = varint(QUOTE << 2 | 2) + varint(seq) + zigzag(int(time.time() * 1_000_000))
    record += varint(len(EPOCH)) + EPOCH
    record += bytes([0b1111]) + zigzag(bid) + varint(300) + zigzag(ask) + varint(500)
    return message(1, text(EPOCH) + struct.pack("<IQQI", QUOTE, max(seq - 1, 1), seq, 1) + record)


class Broker:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        self.lines = self.socket.makefile("rb")
        assert self.lines.readline().startswith(b"INFO ")
        self.send(b"CONNECT " + json.dumps({"verbose": False, "pedantic": False}).encode() + b"\r\n")

    def send(self, text):
        self.socket.sendall(text)

    def publish(self, subject, payload):
        self.send(b"PUB %s %d\r\n%s\r\n" % (subject, len(payload), payload))

    def next(self):
        """The subject to reply to and the payload of the next request; nothing after a while."""
        try:
            line = self.lines.readline().split()
        except TimeoutError:
            # What is read later begins with a whole line: a request is one packet here.
            self.lines = self.socket.makefile("rb")
            return None
        if not line:
            sys.exit("the broker has gone")
        if line[0] == b"PING":
            self.send(b"PONG\r\n")
        if line[0] != b"MSG":
            return None
        payload = self.lines.read(int(line[-1]) + 2)[:-2]
        return (line[3] if len(line) == 5 else None), payload


def main(host, port):
    broker = Broker(host, int(port))
    broker.send(b"SUB tickwire.v1.follow 1\r\nSUB tickwire.v1.ask 2\r\n")
    broker.socket.settimeout(0.05)
    seq, bid = 1, 10_000
    beat_at = spoken_at = 0.0
    while True:
        request = broker.next()
        now = time.monotonic()
        if request and request[1][:2] == b"\x01\x05":
            (first,) = struct.unpack_from("<I", request[1], 2)
            page = struct.pack("<IIBII", DIGEST, 1, 0, first, 1 - first) + INSTRUMENT[first * len(INSTRUMENT):]
            broker.publish(request[0], message(6, page))
        elif request and request[1][:2] == b"\x01\x04":
            # Whoever follows gets the state: of the newest number, which those who have it do not take again.
            broker.publish(b"tickwire.v1.topic.quote.ACME", state(seq, bid, bid + 1))
        elif request and request[0]:
            broker.publish(request[0], message(10, b""))
        if now - beat_at >= BEAT_EVERY:
            beat_at = now
            broker.publish(b"tickwire.v1.beat", message(3, struct.pack("<QQ", SOURCE, 0) + text(EPOCH) + struct.pack("<IHH", DIGEST, 0, 1)))
        if now - spoken_at >= SPEAK_EVERY:
            spoken_at = now
            seq, bid = seq + 1, bid + random.choice([-2, -1, 1, 2])
            broker.publish(b"tickwire.v1.topic.quote.ACME", state(seq, bid, bid + 1))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
