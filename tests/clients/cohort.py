"""Follows a market on several connections that come and go, checks all that they are sent, and prints what was seen:
python cohort.py HOST:PORT SECONDS SEED CONNECTIONS"""
import asyncio
import json
import random
import sys
import time
import zlib
from collections import Counter

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

DEPTH = 10
CHANNELS = ("book", "quote")

address, seconds, seed, connections = sys.argv[1], *map(int, sys.argv[2:5])
counts, evidence = Counter(), []
end = time.monotonic() + seconds


def count(what, why):
    counts[what] += 1
    if len(evidence) < 10:
        evidence.append(why)


def mantissa(decimal):
    """Of prices and sizes of one instrument: the digits alone, as an integer."""
    return int(decimal.replace(".", ""))


def checksum(book):
    asks = sorted(book["asks"].items())[:10]
    bids = sorted(book["bids"].items(), reverse=True)[:10]
    return zlib.crc32("".join(str(abs(digits) or "") for level in asks + bids for digits in level).encode())


class Stretch:
    """While both channels are followed: the changes that were sent, and the market's time of the first and the last."""

    def __init__(self):
        self.is_open, self.changes, self.times = False, 0, ()

    def end(self):
        if self.changes:
            counts["stretch_changes"] += self.changes
            counts["stretch_micros"] += max(self.times) - min(self.times)
        self.__init__()

    def take(self, message):
        """What is sent in place of so many changes."""
        step, changes = message["seq"] - message["prev_seq"], message.get("n", 1)
        # The number of a quote is how often it has changed, that of a book counts changes that are too deep as well.
        if message["channel"] == "quote" and step != changes:
            count("gaps", f"{message['symbol']}: to {message['seq']} by {step} in place of {changes} changes")
        if self.is_open:
            self.changes += changes
            times = (*self.times, message["ts_event"])
            self.times = min(times), max(times)


def take(topics, stretch, message):
    key = message["channel"], message["symbol"]
    held = topics.get(key, {})
    if message["type"] == "snapshot":
        counts["snapshots"] += 1
        if "prev_seq" in message:
            counts["merged"] += 1
            if message["prev_seq"] != held.get("seq"):
                count("gaps", f"{key}: a state instead of what follows {message['prev_seq']}, not {held.get('seq')}")
            stretch.take(message)
        held = topics[key] = {"bids": {}, "asks": {}}
    elif message["type"] != "update":
        return count("gaps", f"{key}: {message['type']}")
    elif message["prev_seq"] != held.get("seq"):
        return count("gaps", f"{key}: an update of {message['prev_seq']}, not of {held.get('seq')}")
    else:
        counts["updates"] += 1
        stretch.take(message)
    held["seq"] = message["seq"]
    if message["channel"] != "book":
        return
    for side in ("bids", "asks"):
        for price, size in message.get(side, ()):
            price, size = mantissa(price), mantissa(size)
            if size == 0:
                held[side].pop(price, None)
            else:
                held[side][price] = size
    if max(len(held["bids"]), len(held["asks"])) > DEPTH:
        count("failures", f"{key}: more than {DEPTH} levels")
    if "checksum" not in message:
        if message["type"] == "snapshot":
            count("failures", f"{key}: a snapshot without a checksum")
    elif checksum(held) == message["checksum"]:
        counts["checksums_ok"] += 1
    else:
        count("checksums_failed", f"{key}: the checksum of {message['seq']} is not {message['checksum']}")


def answer(topics, stretch, message):
    result = message.get("result", {})
    if not message["success"] or result.get("rejected"):
        count("failures", f"{message}")
    elif message["method"] == "unsubscribe":
        stretch.end()
        for symbol in result["removed"]:
            del topics[result["channel"], symbol]
    elif result["channel"] == CHANNELS[-1]:
        stretch.is_open = True


async def read(socket):
    topics, stretch = {}, Stretch()
    async for text in socket:
        counts["text_bytes"] += len(text)  # it is ASCII
        for message in json.loads(text):
            if "method" in message:
                answer(topics, stretch, message)
            elif message["channel"] in CHANNELS:
                take(topics, stretch, message)
    stretch.end()


async def pause(period):
    await asyncio.sleep(max(0, min(period, end - time.monotonic())))


async def act(socket, chance):
    async def ask(method, channel):
        await socket.send(json.dumps({"method": method, "params": {"channel": channel, "symbols": ["*"]}}))

    for channel in CHANNELS:
        await ask("subscribe", channel)
    await pause(chance.uniform(1, 8))
    # Out of the cohort and back into it, on the same connection.
    await ask("unsubscribe", "quote")
    await pause(chance.uniform(0, 1))
    await ask("subscribe", "quote")
    await pause(chance.uniform(1, 8))


async def come_and_go(slot):
    chance = random.Random(seed * 1000 + slot)
    while time.monotonic() < end:
        await pause(chance.uniform(0, 1))
        async with connect(f"ws://{address}/v1/ws") as socket:
            counts["connections"] += 1
            counts["compressed"] += any(e.name == "permessage-deflate" for e in socket.protocol.extensions)
            reader = asyncio.create_task(read(socket))
            try:
                await act(socket, chance)
                if reader.done():
                    count("failures", f"closed: {socket.close_code} {socket.close_reason}")
            except ConnectionClosed as closed:
                count("failures", f"closed: {closed}")
            # What has come is read to its end: `close` waits for the answer behind it.
            await socket.close()
            await reader


async def main():
    await asyncio.gather(*map(come_and_go, range(connections)))


asyncio.run(main())
names = ("connections", "compressed", "updates", "snapshots", "merged", "checksums_ok", "checksums_failed", "gaps",
         "failures", "text_bytes", "stretch_changes", "stretch_micros")
print(json.dumps({name: counts[name] for name in names} | {"evidence": evidence}))
