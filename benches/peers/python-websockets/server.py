"""Python with `websockets`: its `broadcast` to the followers of each symbol.

    benches/peers/run python-websockets --symbols 200 --rate 20 [--port 0] [--compress] [--precise]
"""

import argparse
import asyncio
import json
import os
import random
import time

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosedError

FIRST_SEQ = 1000


def now_us() -> int:
    return time.time_ns() // 1000


class Quote:
    """One instrument's best bid and offer: a walk of one cent an update, all numbers of the same width."""

    def __init__(self, index: int, ts_event: int) -> None:
        self.symbol = f"SYM{index:05}"
        self.topic = index
        self.seq = FIRST_SEQ
        self.ts_event = ts_event
        self.base = self.bid = random.randrange(11_000, 98_000)
        self.bid_size = self.ask_size = size()
        self.followers = set()

    def advance(self, ts_event: int) -> None:
        away = self.bid - self.base
        up = random.random() < 0.5 if abs(away) < 500 else away < 0
        self.bid += 1 if up else -1
        self.bid_size = size()
        self.ask_size = size()
        self.seq += 1
        self.ts_event = ts_event

    def update(self) -> str:
        return (
            f'[{{"channel":"quote","type":"update","symbol":"{self.symbol}",'
            f'"seq":{self.seq},"prev_seq":{self.seq - 1},{self._fields()}}}]'
        )

    def snapshot(self, epoch: str) -> str:
        return (
            f'{{"channel":"quote","type":"snapshot","symbol":"{self.symbol}","epoch":"{epoch}",'
            f'"seq":{self.seq},{self._fields()}}}'
        )

    def _fields(self) -> str:
        bid, ask = self.bid, self.bid + 1
        return (
            f'"ts_event":{self.ts_event},"bid":"{bid // 100}.{bid % 100:02}","bid_size":"{self.bid_size}",'
            f'"ask":"{ask // 100}.{ask % 100:02}","ask_size":"{self.ask_size}"'
        )


def size() -> int:
    return 100 * (10 + int(random.random() * 90))


class Market:
    """K x R events a second, event n at n / (K x R) seconds, the instruments in turn."""

    def __init__(self, symbols: int, rate: int, precise: bool) -> None:
        self.precise = precise
        self.epoch = f"peer{os.getpid()}"
        self.start = now_us()
        self.per_second = symbols * rate
        self.turn_max = -(-self.per_second // 100)
        self.quotes = [Quote(index, self.start) for index in range(symbols)]
        self.by_symbol = {quote.symbol: quote for quote in self.quotes}

    async def play(self) -> None:
        """Sends each event once it is due, late or not, for ever; in one turn those of 10 ms at most, to hear who connects."""
        event = 0
        while True:
            now = now_us()
            last = event + self.turn_max
            while (due := self.start + event * 1_000_000 // self.per_second) <= now and event < last:
                quote = self.quotes[event % len(self.quotes)]
                quote.advance(due)
                if quote.followers:
                    broadcast(quote.followers, quote.update())
                event += 1
            wait = (due - now_us()) / 1e6
            if wait <= 0:
                await asyncio.sleep(0)
                continue
            wait = max(0.001, wait)
            # The loop's own timers have whole milliseconds; a thread's have not, but cost more.
            await (asyncio.to_thread(time.sleep, wait) if self.precise else asyncio.sleep(wait))

    def answer(self, text: str) -> tuple[list[str], list[Quote]]:
        """The messages that answer a request, and the quotes that it subscribes to."""
        request = json.loads(text)
        method, params = request["method"], request.get("params", {})
        head = {"method": method, "req_id": request.get("req_id")}
        channel = params.get("channel")
        if method != "subscribe" or channel not in ("quote", "status"):
            message = "a peer only subscribes to quote and status"
            error = {"code": "UNSUPPORTED", "message": message, "retryable": False}
            return [json.dumps([{**head, "success": False, "error": error}])], []
        names = list(self.by_symbol) if params["symbols"][0] == "*" else params["symbols"]
        quotes = [self.by_symbol[name] for name in names if name in self.by_symbol]
        is_status = channel == "status"
        granted = [
            {
                "symbol": quote.symbol,
                "topic": 2 * quote.topic + is_status,
                "price_exponent": -2,
                "size_exponent": 0,
                "seq": 0 if is_status else quote.seq,
            }
            for quote in quotes
        ]
        rejected = [{"symbol": name, "code": "UNKNOWN_SYMBOL"} for name in names if name not in self.by_symbol]
        result = {"channel": channel, "epoch": self.epoch, "granted": granted, "rejected": rejected}
        messages = [json.dumps([{**head, "success": True, "result": result}])]
        if quotes:
            snapshots = (self.status(quote) if is_status else quote.snapshot(self.epoch) for quote in quotes)
            messages.append(f"[{','.join(snapshots)}]")
        return messages, [] if is_status else quotes

    def status(self, quote: Quote) -> str:
        return (
            f'{{"channel":"status","type":"snapshot","symbol":"{quote.symbol}","epoch":"{self.epoch}",'
            '"seq":0,"ts_event":0,"state":"trading","reason":""}'
        )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=int, default=20)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--precise", action="store_true")
    options = parser.parse_args()
    market = Market(options.symbols, options.rate, options.precise)

    async def follow(socket) -> None:
        followed = set()
        try:
            async for text in socket:
                messages, quotes = market.answer(text)
                # Without a step in which an update could come between a snapshot and its subscription, as `send` has.
                for message in messages:
                    broadcast([socket], message)
                for quote in quotes:
                    quote.followers.add(socket)
                followed.update(quotes)
        except ConnectionClosedError:
            pass  # left without a word
        finally:
            for quote in followed:
                quote.followers.discard(socket)

    async with serve(
        follow,
        "127.0.0.1",
        options.port,
        # Who offers no subprotocol is welcome too, unlike with `subprotocols`.
        select_subprotocol=lambda _, offered: "tickwire.v1.json" if "tickwire.v1.json" in offered else None,
        compression="deflate" if options.compress else None,
        ping_interval=None,
        backlog=4096,
    ) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await market.play()


asyncio.run(main())
