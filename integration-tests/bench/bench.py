#!/usr/bin/env python3
"""flying-passenger beside what one would use instead, behind the same nginx, with the same hello apps; which targets hold.

Everything is up all the time. Load is on one side at a time, BENCH_SECONDS (0.5) long, in BENCH_ROUNDS (10) rounds in which
each side has one turn and whose order rotates; first on all processors, then with every process pinned to one (the first, or
BENCH_PROCESSOR). Compared are two sides of the same round; shown are the median and the quartiles of these ratios. Other
binaries than those in target/release are named by FLYING_PASSENGER_BIN_DIR, PASSENGER_MODULE and NGINX; NGINX Unit by UNITD.
BENCH_SIDES="ruby python" leaves out sides whose names contain none of these words.
"""

import os
import signal
import sys
from dataclasses import replace

import report
from measure.processes import pss_mib
from measure.settings import CONNECTIONS, ROUNDS, SECONDS
from measure.stage import Stage
from measure.syscall_pass import calls_per_request
from measure.turns import Side, in_turn, pinned
from servers.start import everybody_ready, sides_of

BIG_CONNECTIONS = 4
MODES = ("all processors", "one processor")
WORDS = os.environ.get("BENCH_SIDES", "").split()


def measure(sides, mode, path="/", **options):
    """Rounds of all sides."""
    copies = [replace(side, turns=[]) for side in sides]

    def progress(number, side):
        if sys.stderr.isatty():
            print(f"\r{mode}, {path}, round {number + 1} of {ROUNDS}: {side.name:30}", end="\r", file=sys.stderr, flush=True)

    in_turn(copies, path=path, progress=progress, **options)
    return {side.name: side for side in copies}


def router_memory(sides):
    """Of the router, in MiB."""
    routers = [side.roles["middle"] for side in sides if side.name.startswith("ours")]
    return pss_mib(routers[0]) if routers else None


def main():
    """Measures, prints tables and verdicts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Stage() as stage:
        peers, nginx, missing = everybody_ready(stage)
        wanted = [peer for peer in peers if not WORDS or any(word in peer.name for word in WORDS)]
        idle_memory = router_memory([Side(peer.name, peer.port, peer.roles(nginx)) for peer in wanted])
        sides = sides_of(wanted, nginx)
        everything = sorted({pid for side in sides for pids in side.roles.values() for pid in pids})
        results = {MODES[0]: measure(sides, MODES[0])}
        calls = calls_per_request(sides)
        has_big = [side for side in sides if not side.name.startswith("static")]
        big = measure(has_big, MODES[0], "/big", connections=BIG_CONNECTIONS, seconds=SECONDS / 2)
        with pinned(everything) as processors:
            results[MODES[1]] = measure(sides, MODES[1], processors=processors)
        memory = (idle_memory, router_memory(sides))
        native = stage.native_support() or "none in this build"
        how = f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s each; 1 nginx worker, 2 app processes each"
        how += f"\nnative support: {native}"
        report.show(results, calls, big, memory, missing, how)
        failed = {side.name: sum(side.values("failed")) for mode in (*results.values(), big) for side in mode.values()}
        if any(count for name, count in failed.items() if name.startswith("ours")):
            stage.fail(f"requests failed: {failed}")


if __name__ == "__main__":
    main()
