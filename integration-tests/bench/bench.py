#!/usr/bin/env python3
"""Side by side: flying-passenger and what one would use instead, behind the same nginx, with the same hello apps.

All peers are up all the time; each is loaded in turn, in interleaved rounds, and the table shows medians.
BENCH_SECONDS is how long one turn takes (3), BENCH_ROUNDS how often each gets one (2). A turn that other processes
disturbed is taken again, at most twice and not after five minutes; the least disturbed counts. Other binaries than those in
target/release are named by FLYING_PASSENGER_BIN_DIR, PASSENGER_MODULE and NGINX.
"""

import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field

import report
from load import wrk
from servers.peers import everybody_ready
from measure.processes import cpu_seconds, machine_busy_seconds, pss_mib
from measure.stage import Stage

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
CONNECTIONS = 16
BIG_CONNECTIONS = 4
BIG_MB = 1.048576
# Processors that others may take before a turn counts as disturbed; how often it is taken at most; until when.
QUIET = 0.15
TRIES = 3
NO_MORE_TRIES_AFTER = 300


@dataclass
class Samples:
    """What was measured of one peer."""

    name: str
    # Each a list with an entry for each round.
    figures: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    idle_memory: dict = field(default_factory=dict)
    failed: int = 0

    def add(self, **figures):
        """Adds a round's."""
        for what, value in figures.items():
            self.figures.setdefault(what, []).append(value)

    def median(self, what):
        """The median of all rounds."""
        return statistics.median(self.figures[what])


def measure(peer, nginx, samples, until):
    """One turn: the hello app until it was not disturbed, then the mebibyte."""
    roles = {"nginx": nginx, **peer.roles()}
    tries = [hello(peer, roles)]
    while tries[-1]["foreign"] > QUIET and len(tries) < TRIES and time.monotonic() < until:
        tries.append(hello(peer, roles))
    big = wrk(peer.url + "/big", BIG_CONNECTIONS, max(1, SECONDS // 2))
    samples.failed += big.failed + sum(figures.pop("failed") for figures in tries)
    samples.add(**min(tries, key=lambda figures: figures["foreign"]), big=big.requests * BIG_MB / big.seconds)
    samples.memory = memory(roles)


def hello(peer, roles):
    """Figures of the hello app, and how many processors were taken by others meanwhile."""
    before = {role: cpu_seconds(pids) for role, pids in roles.items()}
    busy = machine_busy_seconds()
    load = wrk(peer.url + "/", CONNECTIONS, SECONDS)
    spent = {role: cpu_seconds(pids) - before[role] for role, pids in roles.items()}
    foreign = machine_busy_seconds() - busy - sum(spent.values()) - load.cpu_seconds
    micro = {role: seconds * 1e6 / load.requests for role, seconds in spent.items()}
    return {
        "rate": load.requests / load.seconds, "p50": load.p50, "p99": load.p99, "failed": load.failed,
        "foreign": max(foreign, 0) / load.seconds, "total": sum(micro.values()), **micro,
    }


def memory(roles):
    """By role, and of the router alone, which is the last of ours in the middle."""
    found = {role: pss_mib(pids) for role, pids in roles.items()}
    return found | {"router": pss_mib(roles["middle"][-1:])}


def main():
    """Measures everybody, prints the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    until = time.monotonic() + NO_MORE_TRIES_AFTER
    with Stage() as stage:
        peers, nginx, missing = everybody_ready(stage)
        everybody = {peer.name: Samples(peer.name) for peer in peers}
        # All are idle still: the daemon has answered one request of each app.
        for peer in peers:
            everybody[peer.name].idle_memory = memory({"nginx": nginx, **peer.roles()})
        for peer in peers:
            wrk(peer.url + "/", CONNECTIONS, 1)
        for number in range(1, ROUNDS + 1):
            for peer in peers:
                if sys.stderr.isatty():
                    print(f"\rround {number} of {ROUNDS}: {peer.name:30}", end="\r", file=sys.stderr, flush=True)
                measure(peer, nginx, everybody[peer.name], until)
        report.show(everybody, missing, f"wrk -t1 -c{CONNECTIONS}, {ROUNDS} interleaved rounds of {SECONDS} s, medians")
        if any(samples.failed for name, samples in everybody.items() if name.startswith("ours")):
            stage.fail("requests to ours failed")


if __name__ == "__main__":
    main()
