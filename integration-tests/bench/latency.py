#!/usr/bin/env python3
"""How long requests take: at half of the greatest load, beside each language's servers; and beside a hostile app.

First the greatest load of each side is measured: 16 connections, each of which sends its next request at once. Then requests
come at half of that rate, whatever the server does, on 64 connections, in BENCH_ROUNDS (10) rounds of BENCH_SECONDS (0.5). A
latency counts from when the request was due (load/load.c). Shown are medians of the rounds, and the quartiles of the 99th
percentile. After that come the neighbours (neighbours.py). BENCH_SIDES="ruby python" leaves out sides with other names.
"""

import os
import signal
import statistics
import sys

import neighbours
from measure.ratios import ratio, rotated, spread
from measure.settings import ROUNDS, SECONDS
from measure.stage import Stage
from measure.turns import in_turn, take
from servers.others import node, puma
from servers.ours import ours
from servers.python import granian, gunicorn, uvicorn, uwsgi
from servers.start import everybody_ready, sides_of

SHARE = 0.5
CONNECTIONS = 64
MAXIMUM_ROUNDS = 3
LANGUAGES = (
    ((ours, "ruby"), (puma, 5)),
    ((ours, "python"), (granian, "wsgi"), (uwsgi,), (gunicorn,)),
    ((ours, "asgi"), (granian, "asgi"), (uvicorn,)),
    ((ours, "node"), (node,)),
)
WORDS = os.environ.get("BENCH_SIDES", "").split()


def half_load(stage):
    """One table; returns how many requests to ours failed."""
    peers, nginx, missing = everybody_ready(stage, [start for language in LANGUAGES for start in language])
    sides = sides_of([peer for peer in peers if not WORDS or any(word in peer.name for word in WORDS)], nginx)
    in_turn(sides, rounds=MAXIMUM_ROUNDS)
    maximum = {side.name: statistics.median(side.values("rate")) for side in sides}
    for side in sides:
        side.turns = []
    for number in range(ROUNDS):
        for side in rotated(sides, number):
            side.turns.append(take(side, rate=maximum[side.name] * SHARE, connections=CONNECTIONS))
    print(f"Latency at half of the greatest load: {CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s; ms")
    print(f"{'':20}{'most req/s':>11}{'req/s':>9}{'p50':>8}{'p99':>8}{'quartiles':>19}{'p99.9':>8}{'p99, ours / this':>24}")
    for side in sides:
        print(row(side, maximum[side.name], first_of(side, sides)), flush=True)
    for line in missing:
        print(line)
    return sum(sum(side.values("failed")) for side in sides if side.name.startswith("ours"))


def first_of(side, sides):
    """Ours of the same language: the side of ours that comes before it."""
    before = [found for found in sides[: sides.index(side)] if found.name.startswith("ours")]
    return None if side.name.startswith("ours") or not before else before[-1]


def row(side, maximum, our):
    """Medians of a side, in milliseconds."""
    p50, p99, p999 = (spread(value / 1000 for value in side.values(figure)) for figure in ("p50", "p99", "p999"))
    compared = ratio(our.values("p99"), side.values("p99")) if our else ""
    rate = statistics.median(side.values("rate"))
    quartiles = f"[{p99.low:.2f} .. {p99.high:.2f}]"
    cells = f"{maximum:>11,.0f}{rate:>9,.0f}{p50.median:>8.2f}{p99.median:>8.2f}{quartiles:>19}{p999.median:>8.2f}"
    return f"{side.name:20}{cells}{compared!s:>24}"


def main():
    """Both parts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Stage() as stage:
        failed = half_load(stage)
        if failed:
            stage.fail(f"{failed} requests to ours failed")
    neighbours.main()


if __name__ == "__main__":
    main()
