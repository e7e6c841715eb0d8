#!/usr/bin/env python3
"""Side by side: flying-passenger and what one would use instead, behind the same nginx, with the same hello apps.

All peers are up all the time; each is loaded in turn, in interleaved rounds, and the table shows medians.
BENCH_SECONDS is how long one turn takes (3), BENCH_ROUNDS how often each gets one (2). Other binaries than those in
target/release are named by FLYING_PASSENGER_BIN_DIR, PASSENGER_MODULE and NGINX.
"""

import os
import signal
import statistics
import sys
from dataclasses import dataclass, field

import report
from load import wrk
from peers import everybody_ready
from processes import cpu_seconds, machine_busy_seconds, pss_mib
from stage import Stage

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
CONNECTIONS = 16
BIG_CONNECTIONS = 4
BIG_MB = 1.048576


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


def measure(peer, nginx, samples):
    """One turn: the hello app, then the mebibyte."""
    roles = {"nginx": nginx, **peer.roles()}
    before = {role: cpu_seconds(pids) for role, pids in roles.items()}
    busy = machine_busy_seconds()
    load = wrk(peer.url + "/", CONNECTIONS, SECONDS)
    spent = {role: cpu_seconds(pids) - before[role] for role, pids in roles.items()}
    foreign = machine_busy_seconds() - busy - sum(spent.values()) - load.cpu_seconds
    micro = {role: seconds * 1e6 / load.requests for role, seconds in spent.items()}
    big = wrk(peer.url + "/big", BIG_CONNECTIONS, max(1, SECONDS // 2))
    samples.add(
        rate=load.requests / load.seconds, p50=load.p50, p99=load.p99, total=sum(micro.values()),
        foreign=max(foreign, 0) / load.seconds, big=big.requests * BIG_MB / big.seconds, **micro,
    )
    samples.failed += load.failed + big.failed
    samples.memory = memory(roles)


def memory(roles):
    """By role, and of the router alone, which is the last of ours in the middle."""
    found = {role: pss_mib(pids) for role, pids in roles.items()}
    return found | {"router": pss_mib(roles["middle"][-1:])}


def main():
    """Measures everybody, prints the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
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
                measure(peer, nginx, everybody[peer.name])
        report.show(everybody, missing, f"wrk -t1 -c{CONNECTIONS}, {ROUNDS} interleaved rounds of {SECONDS} s, medians")
        if any(samples.failed for name, samples in everybody.items() if name.startswith("ours")):
            stage.fail("requests to ours failed")


if __name__ == "__main__":
    main()
