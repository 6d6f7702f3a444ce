"""Says how it was let in, and shows the first quote: TOKEN=... python identity.py URL header|subprotocol|message|nothing"""
import json
import os
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

url, how = sys.argv[1:]
token = os.environ["TOKEN"]
subprotocols = ["tickwire.v1.json", f"tickwire.token.{token}"] if how == "subprotocol" else None
headers = {"Authorization": f"Bearer {token}"} if how == "header" else None


def send(socket, method, params):
    socket.send(json.dumps({"method": method, "params": params, "req_id": 1}))


def subscribe(socket):
    send(socket, "subscribe", {"channel": "quote", "symbols": ["SYM00000"]})


def run(socket):
    if socket.subprotocol:
        print(socket.subprotocol)
    if how == "message":
        send(socket, "auth", {"token": token})
    else:
        subscribe(socket)
    while True:
        for message in json.loads(socket.recv()):
            if "error" in message:
                print(message["error"]["code"])
                if how == "nothing":
                    return
            elif message.get("method") == "auth":
                subscribe(socket)
            elif message.get("channel") == "quote":
                print("quote", message["symbol"])
                return


try:
    with connect(url, subprotocols=subprotocols, additional_headers=headers) as socket:
        run(socket)
except InvalidStatus as refused:
    print(refused.response.status_code)
except ConnectionClosed as closed:
    print(closed.rcvd.code)
