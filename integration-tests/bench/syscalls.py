#!/usr/bin/env python3
"""System calls per request, by role, at four and at sixteen connections.

strace -c is attached to one role at a time, so that it disturbs less. Exits with 1 if ours connects, accepts or makes a
socket per request. BENCH_SECONDS is how long one count takes (3).
"""

import os
import re
import signal
import subprocess
import sys

from measure.load import Generator, run
from measure.processes import is_traced, threads
from measure.stage import Stage
from servers.nginx import back_nginx, relay
from servers.others import node
from servers.ours import ours
from servers.start import everybody_ready

SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
CONNECTIONS = (4, 16)
PEERS = ((back_nginx,), (relay,), (ours, "ruby"), (ours, "python"), (ours, "asgi"), (ours, "node"), (node,))
# Never per request. The connections of the load itself are opened once.
ONCE = ("connect", "accept", "accept4", "socket")
MOST_PER_REQUEST = 0.01
# System calls a request may take in ours, with eight connections and more.
BUDGET = {"nginx": 5.6, "router": 5, "app": 3}


def count(stage, port, pids, connections):
    """Calls by name, per request, in these processes under load."""
    output = stage.dir / "strace"
    command = ["strace", "-f", "-c", "-o", str(output)]
    # Its connections are open, and have had a request each, before strace comes.
    with Generator(port, connections=connections, seconds=SECONDS) as generator:
        tracer = subprocess.Popen(
            command + [f"--attach={pid}" for pid in pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            stage.eventually("strace to attach", lambda: all(map(is_traced, threads(pids))))
            generator.begin()
            load = generator.result()
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


def show(peer, role, calls, has_budget):
    """One row; returns what of it must not be."""
    rare = {name: calls.get(name, 0) for name in ONCE if calls.get(name, 0) >= MOST_PER_REQUEST}
    often = sorted(calls.items(), key=lambda item: -item[1])
    detail = ", ".join(f"{name} {times:.2f}" for name, times in often if times >= 0.005)
    total = sum(calls.values())
    over = "over" if has_budget and round(total, 1) > BUDGET.get(role, total) else ""
    print(f"{peer.name:24}{role:12}{total:6.2f} {over:5} {detail}", flush=True)
    return [f"{peer.name}, {role}: {name} {times:.3f} per request" for name, times in rare.items()]


def roles_of(peer, nginx):
    """PIDs by role; the worker of nginx without its master."""
    roles = {**peer.roles(nginx), "nginx": nginx[1:]}
    if peer.is_ours:
        roles["router"] = roles.pop("middle")
    return {role: pids for role, pids in roles.items() if pids}


def measure(stage, peers, nginx, connections):
    """One table; returns what must not be."""
    print(f"\nSystem calls per request at {connections} connections")
    print(f"{'':24}{'':12}{'all':>6} {'':5} of these", flush=True)
    wrong = []
    for peer in peers:
        run(peer.port, connections=connections)
        for role, pids in roles_of(peer, nginx).items():
            calls = count(stage, peer.port, pids, connections)
            found = show(peer, role, calls, peer.is_ours and connections >= 8)
            wrong += found if peer.is_ours else []
    return wrong


def main():
    """Counts, prints the tables and the verdict."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong = []
    with Stage() as stage:
        peers, nginx, missing = everybody_ready(stage, PEERS)
        for connections in CONNECTIONS:
            wrong += measure(stage, peers, nginx, connections)
    budget = ", ".join(f"{role} {calls}" for role, calls in BUDGET.items())
    print(f"\nBudget, system calls per request at eight connections and more: {budget}.")
    for line in missing:
        print(line)
    for line in wrong:
        print(f"WRONG: {line}")
    if wrong:
        sys.exit(1)
    if any(peer.is_ours for peer in peers):
        print(f"No {', '.join(ONCE)} per request in ours (less than {MOST_PER_REQUEST}).")


if __name__ == "__main__":
    main()
