#!/usr/bin/env python3
"""Two builds of flying-passenger in pairs: what a request costs with each, by role, as a ratio with quartiles.

    OLD=/path/to/another/checkout make bench-pairs

Both builds are up at the same time, with an app in each language. Load alternates between them, a second each, and the order
within a pair alternates too. The figures are processor time per request of the new build over that of the old one: the median
of all pairs and the quartiles. A role is more expensive if its lower quartile is above 1. BENCH_PAIRS is the number of pairs
(12), BENCH_LANGUAGES the languages. OLD has its own target/release; NEW is this checkout unless it is set.
"""

import os
import signal
import statistics
import sys
from pathlib import Path

from load import wrk
from servers.peers import everybody_ready, ours
from measure.processes import cpu_nanoseconds, is_router
from measure.stage import ROOT, Stage

PAIRS = int(os.environ.get("BENCH_PAIRS", "12"))
LANGUAGES = os.environ.get("BENCH_LANGUAGES", "ruby python node").split()
CONNECTIONS = 16


def roles_of(peer, nginx):
    """PIDs by role."""
    middle = peer.roles()["middle"]
    router = [pid for pid in middle if is_router(pid)]
    supervisor = [pid for pid in middle if pid not in router]
    return {"nginx": nginx, "router": router, "supervisor": supervisor, "app": peer.roles()["app"]}


def cost(peer, nginx):
    """Nanoseconds of each role per request, during a second of load."""
    roles = roles_of(peer, nginx)
    before = {role: cpu_nanoseconds(pids) for role, pids in roles.items()}
    load = wrk(peer.url + "/", CONNECTIONS, 1)
    if load.failed:
        sys.exit(f"FAILED: {load.failed} requests to {peer.name}")
    spent = {role: cpu_nanoseconds(pids) - before[role] for role, pids in roles.items()}
    spent["total"] = sum(spent.values())
    return {role: nanoseconds / load.requests for role, nanoseconds in spent.items()}


def compare(old, new):
    """Ratios by role, one for each pair."""
    ratios = {}
    for pair in range(PAIRS):
        order = (old, new) if pair % 2 else (new, old)
        costs = {side is new: cost(*side) for side in order}
        for role, nanoseconds in costs[True].items():
            if costs[False][role] > 0:
                ratios.setdefault(role, []).append((nanoseconds / costs[False][role], nanoseconds))
    return ratios


def main():
    """Measures, prints a row for each language and role."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if "OLD" not in os.environ:
        sys.exit(__doc__)
    checkouts = [Path(os.environ["OLD"]).resolve(), Path(os.environ.get("NEW") or ROOT).resolve()]
    which = [(ours, language) for language in LANGUAGES]
    with Stage(checkouts[0]) as old_stage, Stage(checkouts[1]) as new_stage:
        sides = [everybody_ready(stage, which) for stage in (old_stage, new_stage)]
        for line in sides[0][2] + sides[1][2]:
            sys.exit(line)
        print(f"{PAIRS} pairs of a second, wrk -t1 -c{CONNECTIONS}: processor time per request, new over old")
        print(f"{'language':9} {'role':11} {'new, µs':>8} {'median':>7} {'quartiles':>13}")
        for old, new in zip(sides[0][0], sides[1][0], strict=True):
            for peer in (old, new):
                wrk(peer.url + "/", CONNECTIONS, 1)
            for role, samples in compare((old, sides[0][1]), (new, sides[1][1])).items():
                low, median, high = statistics.quantiles([ratio for ratio, _ in samples], n=4)
                micro = statistics.median(nanoseconds for _, nanoseconds in samples) / 1000
                language = new.name.removeprefix("ours, ")
                print(f"{language:9} {role:11} {micro:8.1f} {median:7.3f} {low:6.3f} {high:6.3f}", flush=True)


if __name__ == "__main__":
    main()
