"""Prints live quotes, and ends after so many updates: python quotes.py URL UPDATES SYMBOL..."""
import json
import sys

from websockets.sync.client import connect

url, left, symbols = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
quotes = {}
with connect(url) as socket:
    socket.send(json.dumps({"method": "subscribe", "params": {"channel": "quote", "symbols": symbols}, "req_id": 1}))
    while left > 0:
        for message in json.loads(socket.recv()):
            if refused := message.get("error") or message.get("result", {}).get("rejected"):
                sys.exit(f"refused: {refused}")
            if message.get("channel") != "quote":
                continue
            known = quotes.get(message["symbol"], {}) if message["type"] == "update" else {}
            if message["type"] == "update" and message["prev_seq"] != known.get("seq"):
                sys.exit(f"{message['symbol']}: missed an update")
            quote = quotes[message["symbol"]] = known | message  # an update holds what has changed
            print(quote["symbol"], quote["bid"], quote["ask"], flush=True)
            left -= message["type"] == "update"
