#!/usr/bin/env python3
"""A million clients lose their connections, and come back: when, and what the gateways admit meanwhile.

    docs/reconnect_storm.py [--svg docs/reconnect-storm.svg]

A model, not a measurement. Clients wait as ours do: web/client/src/backoff.ts (first wait 0.5 s, then twice that, up to
15 s) and src/client/backoff.rs (0.25 s, up to 30 s), half of each, each wait between its half and its whole by lot, and no
shorter than what the server has said (RECONNECT_AFTER_MS of src/limits.rs). All of these are read from there. Those who drain close each connection at a moment by lot
within `--drain`. A gateway takes so many handshakes in a tenth of a second as its CPU does; more are refused (503), and
wait as above. That a refusal costs less than a handshake, and that a queue of the kernel would hold some of them for that
tenth, is left out: both would only make it milder.
"""
import argparse
import random
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def numbers(file, pattern):
    """Those of a constant in a source."""
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    return tuple(int(number.replace("_", "")) for number in found.groups())


CLIENTS = 1_000_000
GATEWAYS = 50
# Of one: half of two cores, at 0.25 ms of CPU for TLS, handshake, subscription and snapshot. See docs/capacity.md.
HANDSHAKES_PER_SECOND = 4_000
TICK_MS = 100
TICKS_A_SECOND = 1_000 // TICK_MS
SHARE_MAX = 0.15  # no second is to hold more of those who come back

# First wait and longest, ms.
BROWSER = (
    *numbers("web/client/src/limits.ts", r"BACKOFF_MS_MIN = ([\d_]+);"),
    *numbers("web/client/src/limits.ts", r"BACKOFF_MS_MAX = ([\d_]+);"),
)
RUST = (
    *numbers("src/client.rs", r"backoff_first: Duration::from_millis\((\d+)\)"),
    *(1000 * seconds for seconds in numbers("src/client.rs", r"backoff_max: Duration::from_secs\((\d+)\)")),
)
TOLD = numbers("src/limits.rs", r"RECONNECT_AFTER_MS: \(u64, u64\) = \(([\d_]+), ([\d_]+)\)")


@dataclass
class Case:
    name: str
    drain_ms: int = 0
    reconnect_after_ms: tuple = None  # None: nobody said good-bye
    gateways: int = GATEWAYS
    clients: int = CLIENTS


def run(case, seed=1):
    """How many try, and how many are back, in each tick."""
    lot = random.Random(seed)
    per_tick = case.gateways * HANDSHAKES_PER_SECOND // TICKS_A_SECOND
    tries = {}  # tick → those who try in it, each by (first wait, longest, next whole wait)

    def waits(at_ms, not_before_ms, first, longest, whole):
        wait = max(not_before_ms, whole / 2 + lot.random() * whole / 2)
        tries.setdefault(int((at_ms + wait) // TICK_MS), []).append((first, longest, min(2 * whole, longest)))

    for client in range(case.clients):
        first, longest = BROWSER if client % 2 else RUST
        closed = lot.random() * case.drain_ms
        said = lot.uniform(*case.reconnect_after_ms) if case.reconnect_after_ms else 0
        waits(closed, said, first, longest, first)
    tried, back, tick = [], [], 0
    while tries:
        now = tries.pop(tick, [])
        lot.shuffle(now)
        tried.append(len(now))
        back.append(min(len(now), per_tick))
        for first, longest, whole in now[per_tick:]:
            waits((tick + lot.random()) * TICK_MS, 0, first, longest, whole)
        tick += 1
    return tried, back


def share(counts):
    """Of the fullest second, wherever it begins."""
    windows = (sum(counts[at:at + TICKS_A_SECOND]) for at in range(len(counts)))
    return max(windows) / sum(counts)


def percentile(back, part):
    left = part * sum(back)
    for tick, count in enumerate(back):
        left -= count
        if left <= 0:
            return (tick + 1) / TICKS_A_SECOND
    return len(back) / TICKS_A_SECOND


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def plot(results, path):
    """Tries a second, over the time since the first connection was closed."""
    width, height, left, top, seconds = 860, 420, 80, 20, 16
    x_of = lambda second: left + second * (width - left - 20) / seconds
    y_of = lambda part: top + (1 - part / 0.3) * (height - top - 60)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        "<title>A million clients come back</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for part in (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        lines.append(f'<line x1="{left}" x2="{width - 20}" y1="{y_of(part):.1f}" y2="{y_of(part):.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y_of(part) + 4:.1f}" text-anchor="end">{CLIENTS * part:,.0f}</text>')
    for part, what in ((SHARE_MAX, f"{SHARE_MAX:.0%} of the clients"), (GATEWAYS * HANDSHAKES_PER_SECOND / CLIENTS, "what the gateways admit")):
        lines.append(f'<line x1="{left}" x2="{width - 20}" y1="{y_of(part):.1f}" y2="{y_of(part):.1f}" stroke="#333" stroke-dasharray="6 4"/>')
        lines.append(f'<text x="{width - 24}" y="{y_of(part) - 6:.1f}" text-anchor="end">{what}</text>')
    for second in range(0, seconds + 1, 2):
        lines.append(f'<text x="{x_of(second):.1f}" y="{height - 40}" text-anchor="middle">{second}</text>')
    lines.append(f'<text x="{(left + width) / 2}" y="{height - 18}" text-anchor="middle">seconds since the first was closed; tries to connect in the second around</text>')
    for at, ((case, tried, _), colour) in enumerate(zip(results, COLOURS)):
        half = TICKS_A_SECOND // 2
        points = []
        for tick in range(min(seconds * TICKS_A_SECOND, len(tried) + half) + 1):
            around = sum(tried[max(0, tick - half):tick + half])
            points.append(f"{x_of(tick / TICKS_A_SECOND):.1f},{y_of(min(around / CLIENTS, 0.3)):.1f}")
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>')
        lines.append(f'<text x="{width - 200}" y="{top + 18 + 18 * at}" fill="{colour}">{case.name}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, "</svg>"]) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--svg", help="where to draw the first four")
    svg = arguments.parse_args().svg
    cases = []
    for told in (TOLD, (500, 5_500), (500, 7_500)):
        name = f"{told[0] / 1000:g}–{told[1] / 1000:g} s"
        cases += [Case(f"{name}, drain 5 s", 5_000, told), Case(f"{name}, at once", 0, told)]
    cases += [
        Case("no good-bye, of all", 0, None),
        Case("no good-bye, of all, if clients waited 0–8 s at first", 0, (0, 8_000)),
        Case(f"no good-bye, of one gateway in {GATEWAYS}", 0, None, GATEWAYS - 1, CLIENTS // GATEWAYS),
    ]
    print(f"{CLIENTS:,} clients, {GATEWAYS} gateways of {HANDSHAKES_PER_SECOND:,} handshakes a second each")
    print("| what clients are told | fullest second: tries | of the clients | back | refused | p50 | p99 | p99.9 | all back |")
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    for case in cases:
        tried, back = run(case)
        assert sum(back) == case.clients
        results.append((case, tried, back))
        fullest = share(tried) * sum(tried)
        times = " | ".join(f"{percentile(back, part):.1f} s" for part in (0.5, 0.99, 0.999, 1))
        print(f"| {case.name} | {fullest:,.0f} | {fullest / case.clients:.1%} | {share(back):.1%} | {sum(tried) - case.clients:,} | {times} |")
    if svg:
        plot(results, svg)


if __name__ == "__main__":
    main()
