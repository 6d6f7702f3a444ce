#!/usr/bin/env python3
"""Writes seeds of the binary formats, field by field as their specifications have them.

They are committed, so that the fuzzer needs no Python. Seeds that are text are written by hand, those of captures as the
tests of each venue have them; so are the seeds of DBN that are not written here. Those of recordings that are not written here
are a segment of `tickwire record --feed sim --sim-instruments 2 --duration 1s --speed max --out DIR`, whole and cut.
"""

import base64
import gzip
import hashlib
import hmac
import io
import struct
import zipfile
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
NOON = 1_715_169_600_000_000_000  # 8 May 2024, UTC


def save(target: str, name: str, data: bytes) -> None:
    assert len(data) <= 4096, (target, name, len(data))
    folder = SEEDS / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


# NASDAQ ITCH 5.0: big-endian; type, locate, tracking number and six bytes of time, then the fields.


def itch(kind: str, locate: int, nanos: int, fields: str = "", *values: object) -> bytes:
    body = struct.pack(f">{fields}", *values)
    return kind.encode() + struct.pack(">HH", locate, 7) + nanos.to_bytes(6, "big") + body


def stock(name: str) -> bytes:
    return name.ljust(8).encode()


ITCH = [
    itch("S", 0, 1, "c", b"O"),
    itch("R", 1, 2, "8sccIcc2scccccIc", stock("AAPL"), b"Q", b"N", 100, b"N", b"C", b"Z ", b"P", b"N", b"N", b"1", b"N", 0, b"N"),
    itch("R", 2, 2, "8sccIcc2scccccIc", stock("MSFT"), b"Q", b"N", 100, b"N", b"C", b"Z ", b"P", b"N", b"N", b"1", b"N", 0, b"N"),
    itch("H", 1, 3, "8scc4s", stock("AAPL"), b"T", b" ", b"    "),
    itch("A", 1, 4, "QcI8sI", 1, b"B", 100, stock("AAPL"), 1_000_000),
    itch("F", 1, 5, "QcI8sI4s", 2, b"S", 50, stock("AAPL"), 1_000_100, b"ABCD"),
    itch("E", 1, 6, "QIQ", 1, 10, 77),
    itch("C", 1, 7, "QIQcI", 2, 10, 78, b"Y", 1_000_000),
    itch("X", 1, 8, "QI", 1, 20),
    itch("U", 1, 9, "QQII", 2, 3, 30, 1_000_200),
    itch("D", 1, 10, "Q", 1),
    itch("P", 2, 11, "QcI8sIQ", 0, b"B", 5, stock("MSFT"), 500_000, 79),
    itch("Q", 2, 12, "Q8sIQc", 600, stock("MSFT"), 500_000, 80, b"O"),
    itch("B", 2, 13, "Q", 79),
    itch("I", 2, 14, "QQc8sIIIcc", 600, 0, b"N", stock("MSFT"), 500_000, 500_000, 500_000, b"O", b"L"),
    itch("S", 0, 15, "c", b"C"),
]


def framed(messages: list[bytes], order: str = ">") -> bytes:
    return b"".join(struct.pack(f"{order}H", len(message)) + message for message in messages)


save("itch", "every_kind", framed(ITCH))
save("itch", "two_stocks", framed(ITCH[1:5] + [itch("A", 2, 6, "QcI8sI", 9, b"S", 7, stock("MSFT"), 1)]))


# Packet captures: Ethernet, IPv4 and IPv6, UDP.


def mold(first: int, messages: list[bytes]) -> bytes:
    return b"SESSION001" + struct.pack(">QH", first, len(messages)) + framed(messages)


def iex(protocol: int, first: int, messages: list[bytes]) -> bytes:
    body = framed(messages, "<")
    header = struct.pack("<BBHIIHHQQQ", 1, 0, protocol, 1, 1, len(body), len(messages), 0, first, NOON)
    return header + body


def deep(kind: str, code: int, symbol: str, fields: str = "", *values: object) -> bytes:
    return kind.encode() + struct.pack("<Bq8s" + fields, code, NOON, symbol.ljust(8).encode(), *values)


def frame(line: int, payload: bytes, is_ipv6: bool = False) -> bytes:
    udp = struct.pack(">HHHH", 9, 26400, len(payload) + 8, 0) + payload
    if is_ipv6:
        header = struct.pack(">IHBB", 0x6000_0000, len(udp), 17, 64) + bytes(16) + b"\xff" * 15 + bytes([line])
        return b"\1" * 12 + b"\x86\xdd" + header + udp
    header = struct.pack(">BBHHHBBH", 0x45, 0, len(udp) + 20, 1, 0x4000, 64, 17, 0)
    return b"\1" * 12 + b"\x81\0\0\5\x08\0" + header + bytes([10, 0, 0, 1, 233, 54, 12, line]) + udp


def pcap(frames: list[bytes]) -> bytes:
    data = struct.pack("<IHHIIII", 0xA1B2_3C4D, 2, 4, 0, 0, 262_144, 1)
    for number, one in enumerate(frames):
        data += struct.pack("<IIII", NOON // 10**9, number, len(one), len(one)) + one
    return data


def block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack(">II", kind, length) + body + struct.pack(">I", length)


def pcapng(frames: list[bytes]) -> bytes:
    data = block(0x0A0D_0D0A, struct.pack(">IHHq", 0x1A2B_3C4D, 1, 0, -1))
    data += block(1, struct.pack(">HHIHHB3xHH", 1, 0, 0, 9, 1, 9, 0, 0))
    for number, one in enumerate(frames):
        time = NOON + number
        body = struct.pack(">IIIII", 0, time >> 32, time & 0xFFFF_FFFF, len(one), len(one))
        data += block(6, body + one + bytes(-len(one) % 4))
    return data


MOLD = [
    frame(1, mold(1, ITCH[:6])),
    frame(2, mold(1, ITCH[:6])),  # line B
    frame(1, mold(9, ITCH[8:10])),  # before the one that it waits for
    frame(1, mold(7, ITCH[6:8]), is_ipv6=True),
    frame(1, mold(20, ITCH[10:12])),  # after a loss
    frame(1, mold(22, [])),
]
PRICE = 1_890_500
IEX = [
    b"S" + struct.pack("<Bq", ord("O"), NOON),
    deep("D", 0, "AAPL", "IqB", 100, PRICE, 1),
    deep("H", ord("T"), "AAPL", "4s", b"    "),
    deep("O", ord("N"), "AAPL"),
    deep("8", 0, "AAPL", "Iq", 300, PRICE),
    deep("5", 1, "AAPL", "Iq", 200, PRICE + 100),
    deep("T", 0x20, "AAPL", "IqQ", 100, PRICE, 77),
    deep("X", ord("M"), "AAPL", "q", PRICE),
]
QUOTE = deep("Q", 0, "AAPL", "IqqI", 300, PRICE, PRICE + 100, 200)
save("packets", "itch.pcap", pcap(MOLD))
save("packets", "itch.pcapng", pcapng(MOLD))
save("packets", "iex.pcap", pcap([frame(1, iex(0x8004, 1, IEX)), frame(1, iex(0x8004, 12, IEX[4:6]))]))
save("packets", "iex.pcapng", pcapng([frame(1, iex(0x8003, 1, [QUOTE, IEX[6]])), frame(1, iex(0x8004, 1, IEX[4:]))]))


# Databento DBN: little-endian; metadata, then records, of which the header counts words.


def text(value: str, length: int) -> bytes:
    return value.encode().ljust(length, b"\0")


def metadata(version: int) -> bytes:
    name = 22 if version == 1 else 71
    body = text("GLBX.MDP3", 16) + struct.pack("<HQQQ", 0xFFFF, NOON, 2**64 - 1, 0)
    if version == 1:
        body += struct.pack("<QBBB", 0, 1, 0, 0) + bytes(47)
    else:
        body += struct.pack("<BBBH", 1, 0, 0, name) + bytes(53)
    body += struct.pack("<IIIII", 0, 0, 0, 0, 1)
    body += text("ESM4", name) + struct.pack("<III", 1, 20240501, 20240601) + text("5602", name)
    body += bytes(-len(body) % 8)
    return b"DBN" + struct.pack("<BI", version, len(body)) + body


def record(kind: int, fields: str, *values: object) -> bytes:
    body = struct.pack("<" + fields, *values)
    return struct.pack("<BBHIQ", (len(body) + 16) // 4, kind, 1, 5602, NOON) + body


def order(action: str, side: str, number: int, price: int, size: int, flags: int = 128) -> bytes:
    return record(0xA0, "QqIBBccQiI", number, price, size, flags, 0, action.encode(), side.encode(), NOON + 1, 0, number)


def trade(kind: int, price: int, size: int, levels: bytes = b"", action: str = "T") -> bytes:
    return record(kind, f"qIccBBQiI{len(levels)}s", price, size, action.encode(), b"B", 128, 0, NOON + 1, 0, 7, levels)


ONE = 1_000_000_000
PAIR = struct.pack("<qqIIII", 5_000 * ONE, 5_000 * ONE + ONE // 4, 3, 4, 1, 2)
EMPTY = struct.pack("<qqIIII", 2**63 - 1, 2**63 - 1, 0, 0, 0, 0)
BARS = b"".join(record(33, "qqqqQ", 5_000 * ONE, 5_001 * ONE, 4_999 * ONE, 5_000 * ONE, volume) for volume in (1, 9))
ORDERS = [
    order("R", "N", 0, 2**63 - 1, 0, 8),
    order("A", "B", 1, 5_000 * ONE, 3, 32),
    order("A", "A", 2, 5_001 * ONE, 4),
    order("M", "B", 1, 4_999 * ONE, 2),
    order("T", "A", 0, 4_999 * ONE, 1, 0),
    order("F", "B", 1, 4_999 * ONE, 1, 0),
    order("C", "B", 1, 4_999 * ONE, 1),
]
STATUS = record(18, "QHHHccc7s", NOON + 1, 7, 1, 0, b"Y", b"Y", b"~", bytes(7))
for version in (1, 2, 3):
    save("dbn", f"orders_v{version}", metadata(version) + b"".join(ORDERS))
save("dbn", "levels_10", metadata(3) + trade(10, 5_000 * ONE, 1, PAIR + EMPTY * 9) + trade(10, 5_000 * ONE, 1, PAIR * 10, "C"))
save("dbn", "quotes", metadata(2) + trade(1, 5_000 * ONE, 1, PAIR) + trade(1, 5_000 * ONE, 1, EMPTY, "A"))
save("dbn", "bbo", metadata(3) + record(195, "qI2sBBQiI32s", 5_000 * ONE, 1, b"\0B", 128, 0, NOON + 1, 0, 7, PAIR))
save("dbn", "trades_status", metadata(1) + trade(0, 5_000 * ONE, 1) + STATUS + trade(0, 5_000 * ONE + 1, 2))
save("dbn", "bars", metadata(3) + BARS)


# Compressed files.

TEXT = b"a line of text, which comes again\n" * 20


def zip_of(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), TEXT, compression)
    return file.getvalue()


def zstd_raw(data: bytes) -> bytes:
    """A frame of one segment: a block as it is, then one of a byte that repeats."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0x60]) + struct.pack("<H", len(data) + 100 - 256)
    return header + (len(data) << 3).to_bytes(3, "little") + data + (100 << 3 | 2 | 1).to_bytes(3, "little") + b"z"


save("input", "plain", TEXT)
save("input", "two_members.gz", gzip.compress(TEXT, mtime=0) + gzip.compress(b"more", mtime=0))
save("input", "stored.zip", zip_of(zipfile.ZIP_STORED))
save("input", "deflated.zip", zip_of(zipfile.ZIP_DEFLATED))
save("input", "two_frames.zst", zstd_raw(TEXT) * 2)


# Our own recordings, as feeds/src/record/format.md has them, but for the checksums: the target makes those right.


def framed_by_us(tag: bytes, body: bytes, content: bytes = b"") -> bytes:
    total = 88 + len(body)
    head = b"\x54\x2a\x4d\x18" + struct.pack("<I4sI", total - 8, tag, len(content))
    return head + bytes(4) + body + bytes(64) + struct.pack("<I", total) + content


def sources(*names: tuple[str, str, str]) -> bytes:
    data = struct.pack("<Q", len(names))
    for venue, kind, name in names:
        for one in (venue, kind, "wss://ws", name):
            data += struct.pack("<H", len(one)) + one.encode()
    return data


def entry(kind: int, source: int, nanos: int, body: bytes) -> bytes:
    return struct.pack("<IBIq", 13 + len(body), kind, source, NOON + nanos) + body


def stored(data: bytes) -> bytes:
    """A frame of zstd with one block as it is, so that what changes in it changes a record."""
    return b"\x28\xb5\x2f\xfd" + struct.pack("<BI", 0xA0, len(data)) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def segment(head: bytes, blocks: list[tuple[bytes, list[bytes]]], all_sources: bytes = b"") -> bytes:
    data = framed_by_us(b"HEAD", struct.pack("<HQQ", 1, 1, 0) + head)
    first, index = 0, b""
    for told, entries in blocks:
        times = [struct.unpack("<q", one[9:17])[0] for one in entries]
        span = struct.pack("<Qqq", len(entries), min(times), max(times))
        records = b"".join(entries)
        index += struct.pack("<Q", len(data)) + span
        data += framed_by_us(b"BLCK", struct.pack("<QQ", len(records), first) + span + told, stored(records))
        first += len(entries)
    seal = framed_by_us(b"SEAL", struct.pack("<Q", len(blocks)) + index + all_sources)
    return data + seal if all_sources else data


def sim_event(instrument: int, kind: int, fields: str, *values: object) -> bytes:
    return struct.pack("<IqqQB", instrument, NOON, NOON + 1, 7, kind) + struct.pack("<" + fields, *values)


INSTRUMENT = struct.pack("<Q", 4) + b"SIM1" + struct.pack("<bbBqBQ3sBQ", -2, 0, 1, 1, 1, 3, b"USD", 1, 10)
SIM_EVENTS = [
    sim_event(0, 4, "QqqQqq", 1, 100, 5, 1, 101, 6),
    sim_event(0, 1, "qqBBQ", 100, 5, 1, 1, 77),
    sim_event(0, 2, "BqqB", 1, 100, 5, 0),
    sim_event(0, 3, "Bqq", 1, 102, 9),
    sim_event(0, 6, "I", 7) + sim_event(0, 15, "B", 1) + sim_event(0, 14, "QQ", 8, 9) + sim_event(0, 5, ""),
    sim_event(0, 7, "QBqq", 1, 0, 100, 5) + sim_event(0, 7, "QBqq", 2, 1, 101, 5),
    sim_event(0, 10, "QqBqBQB", 1, 1, 1, 100, 1, 78, 1) + sim_event(0, 9, "QBq", 1, 1, 1) + sim_event(0, 8, "Qqq", 1, 99, 3),
    sim_event(0, 11, "QQqq", 2, 3, 102, 4) + sim_event(0, 12, "BQ2s", 1, 2, b"up") + sim_event(0, 16, "qqqqqq", 10**9, 1, 3, 1, 2, 9),
    sim_event(0, 13, "") + INSTRUMENT,
]
SIM = ("SIM", "events", "simulated market")
KRAKEN = ("KRAKEN", "json", "ws.1")
BINANCE = ("BINANCE", "json", "ws.2")
BOOK = b'[7,{"as":[["10.10","1.5","1618678123.481570"]],"bs":[["10.00","2.0","1618678123.481571"]]},"book-10","XBT/EUR"]'
DEPTH = b'{"lastUpdateId":7,"bids":[["9.9","10"]],"asks":[["9.95","20"]]}'
DEPTH_URL = b"https://b/api/v3/depth?symbol=ABCXYZ&limit=9"
SIM_BLOCKS = [
    (sources(SIM), [entry(4, 0, 0, b""), entry(1, 0, 0, b"\0" + struct.pack("<Q", 1) + INSTRUMENT)]),
    (sources(), [entry(1, 0, 1 + at, b"\1" + event) for at, event in enumerate(SIM_EVENTS)]),
    (sources(), [entry(7, 0xFFFF_FFFF, 20, struct.pack("<QQqq", 3, 90, NOON + 18, NOON + 19)), entry(4, 0, 30, b"again")]),
]
VENUE_BLOCKS = [
    (sources(), [entry(4, 0, 0, b""), entry(2, 0, 1, b'{"event":"subscribe"}'), entry(1, 0, 2, BOOK)]),
    (sources(BINANCE), [entry(3, 1, 9, struct.pack("<H", len(DEPTH_URL)) + DEPTH_URL + DEPTH), entry(5, 0, 5, b"reset")]),
    (sources(), [entry(6, 0xFFFF_FFFF, 10, b"a note"), entry(4, 0, 11, b"wss://other"), entry(1, 0, 12, BOOK)]),
]
save("recording", "every_event", segment(sources(), SIM_BLOCKS, sources(SIM)))
save("recording", "venues", segment(sources(KRAKEN), VENUE_BLOCKS, sources(KRAKEN, BINANCE)))
save("recording", "venues_unsealed", segment(sources(KRAKEN), VENUE_BLOCKS))
save("recording", "empty", segment(sources(), []))


# What is presented: a token with HS256 and the secret of the target, and a head and claims that the target signs.


def part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


HEAD = b'{"alg":"HS256","typ":"JWT","kid":"1"}'
CLAIMS = b'{"sub":"anna","exp":1900000000,"nbf":1700000000.5,"aud":["a","b"],"iss":"i","jti":"7","role":"all"}'
ENTITLED = b'{"sub":"anna","exp":1900000000,"entitlement":{"symbols":["BTC-*"],"channels":["quote"],"depth":10,"delayed":true}}'
SIGNED = b".".join(map(part, (HEAD, CLAIMS)))
SIGNATURE = hmac.new(b"a secret of exactly thirty-two b", SIGNED, hashlib.sha256).digest()
save("token", "bearer", b"Bearer twk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
save("token", "signed", SIGNED + b"." + part(SIGNATURE))
save("token", "none", part(b'{"alg":"none"}') + b"." + part(CLAIMS) + b".")
save("token", "parameter", b"symbols=A&access_token=a")
save("token", "claims", HEAD + b"\0" + CLAIMS)
save("token", "entitled", b'{"alg":"HS256"}\0' + ENTITLED)

# The PROXY protocol, version 2: a client of each family with what follows, the proxy itself, and one with a TLV.


def proxied(command: int, family: int, rest: bytes) -> bytes:
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", command, family, len(rest)) + rest


save("proxy_header", "v4", proxied(0x21, 0x11, bytes([192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x1F, 0x90])) + b"GET /")
save("proxy_header", "v6", proxied(0x21, 0x21, b"\x20\x01\x0d\xb8" + bytes(32) + b"\x03\0\x04\1\2\3\4") + b"\x16\x03")
save("proxy_header", "mapped", proxied(0x21, 0x21, bytes(10) + b"\xff\xff\xc0\0\x02\x01" + bytes(20)))
save("proxy_header", "local", proxied(0x20, 0, b"") + b"x")
save("proxy_header", "unix", proxied(0x21, 0x31, bytes(216)))

# Heads of requests: two headers with a zero byte between.
save("forwarded", "list", b"203.0.113.9, 198.51.100.1:4711, 10.2.2.2\n[2001:db8::1]:80, 10.9.9.9")
save("forwarded", "standard", b'\0for=203.0.113.9, By=x;FOR="[2001:db8::1]:80";proto=https, for=10.1.1.1')
save("forwarded", "both", b"198.51.100.1\0for=198.51.100.1")
save("origin", "own", b"example.com:443\0https://example.com")
save("origin", "local", b"[::1]:8080\0http://[::1]:8080")
save("origin", "elsewhere", b"example.com\0http://example.com.evil.example")
save("origin", "null", b"example.com\0null")
save("origin", "any", b"\0*")
# Damage to a checkpoint, which the target has made itself: of which recording, whether with the right hash, how many bytes are
# cut off, and what is changed where.


def damage(right_hash: bool, recording: int, cut: int, *changes: tuple[int, int]) -> bytes:
    kind = (6 if right_hash else 2) + recording
    return struct.pack("<BH", kind, cut) + b"".join(struct.pack("<HB", at, bits) for at, bits in changes)


for recording, name in enumerate(("events", "venues")):
    save("checkpoint", f"{name}_sound", damage(False, recording, 0))
    save("checkpoint", f"{name}_file_changed", damage(False, recording, 0, (120, 1)))
    save("checkpoint", f"{name}_content_cut", damage(True, recording, 40))
    save("checkpoint", f"{name}_content_changed", damage(True, recording, 0, (30, 1), (200, 0x80)))

# Messages of a broker, each behind its length, without version and checksum: of topic 0, the quote of an instrument, a state
# and the update of its bid by 1; beats, what is followed, and two instruments.


def carried(kind: int, prev: int, seq: int, records: bytes) -> bytes:
    return bytes([kind]) + b"\x01e" + struct.pack("<IQQI", 0, prev, seq, 1) + records


def messages(*contents: bytes) -> bytes:
    return b"".join(bytes([len(content)]) + content for content in contents)


QUOTE = carried(1, 4, 5, b"\x02\x05\x00\x01e\x0f\xc8\x01\x03\xca\x01\x04")
ACME = b"\4ACME\3SIM\xfe\0\7" + struct.pack("<q", 5) + b"\3USD" + struct.pack("<I", 1_000)
LISTED = ACME + b"\4OTHR\3SIM\xfe\0\0"
save("bus_message", "quote", messages(QUOTE, carried(2, 5, 6, b"\x00\x06\x00\x41"), carried(2, 6, 6, b"")))
save("bus_message", "hole", messages(QUOTE, carried(2, 6, 7, b"\x00\x07\x00\x41"), QUOTE))
save("bus_message", "beat", messages(b"\3" + struct.pack("<Q", 7) + b"\x01e" + struct.pack("<I", 9)))
save("bus_message", "follow", messages(b"\4\x01e" + struct.pack("<IIBIBIBQ", 3, 0, 0, 1, 1, 2, 2, 5)))
save("bus_message", "listed", messages(b"\6" + struct.pack("<IIBII", zlib.crc32(LISTED + b"\0"), 2, 0, 0, 2) + LISTED))
