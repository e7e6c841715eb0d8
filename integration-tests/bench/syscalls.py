#!/usr/bin/env python3
"""System calls per request, by role, at four connections: strace -c on one role at a time, so that it disturbs less.

Exits with 1 if ours connects, accepts or makes a socket per request. BENCH_SECONDS is how long one count takes (3).
"""

import os
import re
import signal
import subprocess
import sys

from load import wrk
from peers import everybody_ready, floors, node, ours
from processes import is_traced, threads
from stage import Stage

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
CONNECTIONS = 4
# Never per request. The connections of the load itself are opened once.
ONCE = ("connect", "accept", "accept4", "socket")
MOST_PER_REQUEST = 0.01


def count(stage, url, pids):
    """Calls by name, per request, in these processes under load."""
    output = stage.dir / "strace"
    command = ["strace", "-f", "-c", "-o", str(output)]
    tracer = subprocess.Popen(
        command + [f"--attach={pid}" for pid in pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        stage.eventually("strace to attach", lambda: all(map(is_traced, threads(pids))))
        load = wrk(url, CONNECTIONS, SECONDS)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    if load.failed:
        stage.fail(f"{load.failed} requests failed")
    return {name: calls / load.requests for name, calls in parse(output.read_text())}


def parse(text):
    """Rows of strace's summary: share, seconds, microseconds per call, calls, perhaps errors, name."""
    for row in re.finditer(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", text, re.MULTILINE):
        if row[2] != "total":
            yield row[2], int(row[1])


def show(peer, role, calls):
    """One row; returns what of it must not be."""
    rare = {name: calls.get(name, 0) for name in ONCE if calls.get(name, 0) > MOST_PER_REQUEST}
    often = sorted(calls.items(), key=lambda item: -item[1])
    detail = ", ".join(f"{name} {times:.2f}" for name, times in often if times >= 0.005)
    print(f"{peer.name:24}{role:8}{sum(calls.values()):6.1f}   {detail}", flush=True)
    return [f"{peer.name}, {role}: {name} {times:.2f} per request" for name, times in rare.items()]


def peers_of(stage):
    """Ours, and what shows where the floor is."""
    yield from list(floors(stage))[1:]
    for language in ("ruby", "python", "node"):
        yield ours(stage, language)
    yield node(stage)


def main():
    """Counts, prints the table and the verdict."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong = []
    with Stage() as stage:
        peers, nginx = everybody_ready(stage, peers_of)
        print(f"System calls per request at {CONNECTIONS} connections\n{'':24}{'':8}{'all':>6}   of these")
        for peer in peers:
            wrk(peer.url + "/", CONNECTIONS, 1)
            for role, pids in {"nginx": nginx, **peer.roles()}.items():
                if pids:
                    found = show(peer, role, count(stage, peer.url + "/", pids))
                    wrong += found if peer.is_ours else []
    for line in wrong:
        print(f"WRONG: {line}")
    if wrong:
        sys.exit(1)
    print(f"No {', '.join(ONCE)} per request in ours (at most {MOST_PER_REQUEST}).")


if __name__ == "__main__":
    main()
