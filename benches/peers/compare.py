#!/usr/bin/env python3
"""Tickwire beside its peers, in one run: one table for each scenario.

    benches/peers/compare.py [--scenarios A,B,…] [--servers tickwire,limit-tick,…] [--rounds 5] [--json FILE]
    make bench-peers ROUNDS=5 SCENARIOS=A,B

Each round starts every server of a scenario once, one after the other on core 0, and loads it from core 1 with
`tickwire load`; the order rotates from round to round, and medians are taken, so that what the machine does beside
touches all of them alike. Builds and installs what is missing; needs Linux, two cores, `taskset`, and what
`benches/peers/setup` needs. Trust ratios, and differences that are larger than the range that stands beside them (±: half the
range of all rounds). `load CPU %` near 100: the load was the bottleneck. `others %`: of one core, what other programs took from
these two meanwhile; where it is more than some percent, no latency and no age means anything.
"""

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TICKWIRE = Path(os.environ.get("TICKWIRE", ROOT / "target/release/tickwire"))
READY_WAIT = 30
# Clients that connect in a second. Bun's kernel queue holds 512, while a turn of 10,000 clients takes it some 300 ms: of
# 2,000 and more, hundreds found no place in it before the load's patience was over.
CONNECT_RATE = 1_000


@dataclass
class Server:
    """How one competitor is started, and what its clients ask beside."""

    peer: str  # of `run`; "tickwire" is ourselves
    options: list = field(default_factory=list)
    load: list = field(default_factory=list)

    def command(self, scenario):
        if self.peer == "tickwire":
            stream = ["--sim-mode", "quotes", "--sim-instruments", scenario.symbols, "--sim-rate", scenario.rate]
            return [TICKWIRE, "serve", "--listen", "127.0.0.1:0", "--shards", "1", "--log", "error", *stream, *self.options]
        precise = ["--precise"] if scenario.is_precise else []
        stream = ["--symbols", scenario.symbols, "--rate", scenario.rate]
        return [HERE / "run", self.peer, "--port", "0", *stream, *precise, *self.options]


SERVERS = {
    "tickwire": Server("tickwire"),
    "tickwire-binary": Server("tickwire", load=["--encoding", "binary"]),
    "tickwire-deflate": Server("tickwire", load=["--compress"]),
    "tickwire-250ms": Server("tickwire", load=["--max-frequency", "250ms"]),
    "limit-update": Server("limit", ["--mode", "update"]),
    "limit-tick": Server("limit", ["--mode", "tick"]),
    "bun": Server("bun"),
    "bun-deflate": Server("bun", ["--compress"], ["--compress"]),
    "node-ws": Server("node-ws"),
    "node-ws-deflate": Server("node-ws", ["--compress"], ["--compress"]),
    "python": Server("python-websockets"),
    "python-deflate": Server("python-websockets", ["--compress"], ["--compress"]),
    "axum": Server("axum-broadcast"),
    "axum-flush-all": Server("axum-broadcast", ["--flush-all"]),
}
PLAIN = ["tickwire", "limit-update", "limit-tick", "bun", "node-ws", "python", "axum", "axum-flush-all"]
DEFLATE = ["tickwire", "tickwire-deflate", "bun", "bun-deflate", "node-ws-deflate", "python-deflate"]


@dataclass
class Scenario:
    """What is offered and who follows it. `limit` names the one that the column `× limit` compares with."""

    title: str
    symbols: int
    rate: int
    clients: int
    load: list
    servers: list
    limit: str = "limit-tick"
    is_precise: bool = False
    verify: int = 20


SCENARIOS = {
    "A": Scenario("1,000 clients × 1 topic × 100 updates/s", 1, 100, 1_000, [], PLAIN, "limit-update"),
    "B": Scenario("1,000 clients × 20 of 200 symbols × 200 updates/s, every client its own list", 200, 200, 1_000,
                  ["--symbols", 20], ["tickwire", "tickwire-binary", *PLAIN[1:]]),
    "B10": Scenario("the same, 10 watch-lists of 100 clients", 200, 200, 1_000,
                    ["--symbols", 20, "--watchlists", 10], ["tickwire", "tickwire-binary", *PLAIN[1:]]),
    "C": Scenario("10,000 clients × 5 of 500 symbols × 10 updates/s", 500, 10, 10_000,
                  ["--symbols", 5], ["tickwire", "tickwire-250ms", *PLAIN[1:]], verify=100),
    "D": Scenario("10,000 connections that are subscribed and idle", 1, 1, 10_000,
                  ["--channel", "status"], ["tickwire", "tickwire-deflate", *PLAIN[1:], "bun-deflate", "node-ws-deflate"],
                  verify=0),
    "Z10": Scenario("compressed: 1,000 clients × 20 of 200 symbols × 50 updates/s, 10 watch-lists", 200, 50, 1_000,
                    ["--symbols", 20, "--watchlists", 10], DEFLATE),
    "Z": Scenario("compressed: 1,000 clients × 20 of 200 symbols × 10 updates/s, every client its own list", 200, 10, 1_000,
                  ["--symbols", 20], DEFLATE),
    "L": Scenario("latency: 1,000 clients × 1 of 200 symbols × 20 updates/s", 200, 20, 1_000,
                  [], PLAIN, "limit-update", is_precise=True, verify=200),
    "S": Scenario("overload: 1,000 clients × 100 of 200 symbols × 300 updates/s, every client its own list", 200, 300,
                  1_000, ["--symbols", 100], PLAIN),
}


def start(command):
    """A server pinned to core 0, and its URL."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    timer = threading.Timer(READY_WAIT, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    url = re.search(r"http://\S+", line)
    if not url:
        stop(process)
        raise RuntimeError(f"{command[0]} does not serve: {line!r} {process.stderr.read()!r}")
    # A pipe that is full would stop it.
    for pipe in (process.stdout, process.stderr):
        threading.Thread(target=pipe.read, daemon=True).start()
    return process, url[0]


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def rss_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def process_cpu(pid):
    """Seconds of CPU time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores_cpu():
    """Seconds that all programs of cores 0 and 1 have run."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    busy = sum(int(number) for line in lines if line[0] in ("cpu0", "cpu1") for number in line[1:4])
    return busy / os.sysconf("SC_CLK_TCK")


def children_cpu():
    """Seconds of CPU time of the processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(scenario, server, duration, warmup):
    """One server under one load."""
    process, url = start(server.command(scenario))
    try:
        time.sleep(0.5)
        empty = rss_kib(process.pid)
        command = ["taskset", "-c", "1", TICKWIRE, "load", url, "--json", "--threads", 1, "--pid", process.pid,
                   "--clients", scenario.clients, "--verify", scenario.verify, "--connect-rate", CONNECT_RATE,
                   "--warmup", f"{warmup}s", "--duration", f"{duration}s", *scenario.load, *server.load]
        before = time.monotonic(), cores_cpu() - process_cpu(process.pid) - children_cpu()
        load = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        sizes = [empty]
        while load.poll() is None:
            sizes.append(rss_kib(process.pid))
            try:
                load.wait(0.25)
            except subprocess.TimeoutExpired:
                pass
        # From the middle of the window: all clients are there, and what connecting took is given back.
        full = sizes[-min(len(sizes), 2 * duration + 1)]
        out, err = load.communicate()
        after = time.monotonic(), cores_cpu() - process_cpu(process.pid) - children_cpu()
        if not out:
            raise RuntimeError(err.strip())
        report = json.loads(out)
        report["others_percent"] = max(0, (after[1] - before[1]) / (after[0] - before[0])) * 100
        report["rss_bytes_per_connection"] = (full - empty) * 1024 // scenario.clients
        return report
    finally:
        stop(process)


def figures(report):
    """The numbers of a run that go into the table; `None` where there is none."""
    delivered, latency, age = report["delivered"], report["latency_us"] or {}, report["age_p99_us"] or {}
    window = report["window_ms"] or 1
    # What a server that merges sends as states is delivered as well.
    updates = delivered["updates"] + delivered["snapshots"]
    known = delivered["counted"] != "unknown" and updates > 0
    per_update = lambda number: number / updates if known else None
    faults = report["faults"]
    return {
        "per_second": updates * 1000 / window if known else None,
        "cpu_us": per_update(report["server_cpu"]["ms"] * 1000),
        "cpu_percent": report["server_cpu"]["ms"] * 100 / window,
        "own_percent": report["harness_cpu"]["ms"] * 100 / window,
        "p50_ms": latency["p50"] / 1000 if latency else None,
        "p99_ms": latency["p99"] / 1000 if latency else None,
        "age_first_ms": age["first_third"] / 1000 if age else None,
        "age_last_ms": age["last_third"] / 1000 if age else None,
        "bytes": per_update(delivered["wire_bytes"]),
        "others_percent": report["others_percent"],
        "rss": report["rss_bytes_per_connection"],
        "faults": sum(faults[name] for name in faults if name.startswith("clients_") or name in ("gaps", "refusals", "disconnects")),
    }


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values):
    """Half the range, as a share of the median."""
    values = [value for value in values if value is not None]
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else None


def show(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(scenario, runs):
    """Medians of all rounds, one server a line."""
    medians = {name: {key: median([run[key] for run in own]) for key in own[0]} for name, own in runs.items() if own}
    cpu = lambda name: medians.get(name, {}).get("cpu_us")
    rows = [["server", "delivered/s", "CPU µs/update", "±", "× limit", "× Bun", "CPU %", "p50 ms", "p99 ms",
             "age p99 ms", "bytes/update", "RSS B/conn", "load CPU %", "others %", "faults"]]
    ratio = lambda own, other: show(own / other if own and other else None, 2)
    for name, row in medians.items():
        wobble = spread([run["cpu_us"] for run in runs[name]])
        age = f"{show(row['age_first_ms'], 1)} → {show(row['age_last_ms'], 1)}"
        rows.append([
            name, show(row["per_second"], 0), show(row["cpu_us"], 3), "–" if wobble is None else f"{wobble:.0%}",
            ratio(row["cpu_us"], cpu(scenario.limit)), ratio(row["cpu_us"], cpu("bun")), show(row["cpu_percent"], 0),
            show(row["p50_ms"], 3), show(row["p99_ms"], 3), age, show(row["bytes"], 1), show(row["rss"], 0),
            show(row["own_percent"], 0), show(row["others_percent"], 0), show(row["faults"], 0),
        ])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join([":" + "-" * (widths[0] + 1)] + ["-" * (width + 1) + ":" for width in widths[1:]]) + "|")
    return "\n".join(lines)


def prepare(names):
    """Builds ourselves and what the peers need, and lifts the limit on open files."""
    if "TICKWIRE" not in os.environ:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "tickwire"], cwd=ROOT, check=True)
    peers = sorted({SERVERS[name].peer for name in names} - {"tickwire"})
    if peers:
        subprocess.run([HERE / "setup", *peers], check=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 12_000:
        print(f"note: only {hard} files may be open: 10,000 clients will not fit", file=sys.stderr)
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("error: a server and its load need a core each")


def names_of(text, known):
    names = list(known) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"error: {', '.join(unknown)} is none of {', '.join(known)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default="all", help="of " + ", ".join(SCENARIOS))
    parser.add_argument("--servers", default="all", help="of " + ", ".join(SERVERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=int, default=5, help="seconds of each window")
    parser.add_argument("--warmup", type=int, default=2, help="seconds before it")
    parser.add_argument("--json", help="a file for all numbers of all rounds")
    args = parser.parse_args()
    chosen, servers = names_of(args.scenarios, SCENARIOS), names_of(args.servers, SERVERS)
    prepare([name for key in chosen for name in SCENARIOS[key].servers if name in servers])

    everything = {}
    for key in chosen:
        scenario = SCENARIOS[key]
        names = [name for name in scenario.servers if name in servers]
        runs = {name: [] for name in names}
        everything[key] = runs
        for number in range(args.rounds):
            turn = number % len(names) if names else 0
            for name in names[turn:] + names[:turn]:
                print(f"{key} round {number + 1} of {args.rounds}: {name}", file=sys.stderr)
                try:
                    report = measure(scenario, SERVERS[name], args.duration, args.warmup)
                    wrong = {key: count for key, count in (report["faults"] | report["errors"]).items() if count}
                    if wrong:
                        print(f"  not as it should be: {wrong}", file=sys.stderr)
                    runs[name].append(figures(report))
                except (RuntimeError, OSError) as error:
                    print(f"  failed: {error}", file=sys.stderr)
        print(f"\n{key}: {scenario.title}; medians of {args.rounds} rounds\n\n{table(scenario, runs)}\n", flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
