#!/usr/bin/env python3
"""Another build of flying-passenger and this one: what a request costs with each, by role and language.

    make bench-compare BASE=/path/to/checkout

BASE is a checkout, its target/release, or a directory with flying-passenger, the module and `loaders`. Both builds are up at
the same time, each with an nginx of its own and an app in each language (BENCH_LANGUAGES, "ruby python asgi node"). Load
alternates between them, BENCH_SECONDS (0.5) each, in BENCH_ROUNDS (10) rounds whose order alternates too; first on all
processors, then with every process pinned to one. The figures are processor time per request of this build over that of the
base: the median of all rounds and the quartiles. A role is cheaper or dearer if both quartiles say so.
"""

import os
import signal
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

from measure.build import NoBuild, build_in, this_build
from measure.ratios import difference, ratio
from measure.settings import CONNECTIONS, ROUNDS, SECONDS
from measure.stage import Stage
from measure.syscall_pass import calls_per_request
from measure.turns import in_turn, pinned
from servers.ours import ours
from servers.start import everybody_ready, sides_of

LANGUAGES = os.environ.get("BENCH_LANGUAGES", "ruby python asgi node").split()
ROLES = ("nginx", "middle", "supervisor", "app", "total")
NAMES = {"middle": "router"}


def builds():
    """The base and this one."""
    if not os.environ.get("BASE"):
        sys.exit(__doc__)
    try:
        return build_in(os.environ["BASE"]), build_in(os.environ["NEW"]) if os.environ.get("NEW") else this_build()
    except NoBuild as error:
        sys.exit(f"BASE: {error}")


def commit(build):
    """What it was built from, if its directory says so."""
    command = ["git", "-C", build.programs, "log", "-1", "--format=%h (%s)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or build.programs.name


def sides(build, stack):
    """One for each language, of a stage of its own."""
    stage = stack.enter_context(Stage(build))
    peers, nginx, missing = everybody_ready(stage, [(ours, language) for language in LANGUAGES])
    if missing:
        sys.exit("\n".join(missing))
    return sides_of(peers, nginx)


def rounds(mode, both, calls, processors=None):
    """Prints a table: the rows of each language."""
    print(f"\n{mode:20}{'µs, base':>9} {'this':>8}{'ratio':>9}{'quartiles':>17}{'':16}{'switches':>14}{'system calls':>17}")
    failed = 0
    for base, this in zip(*both, strict=True):
        pair = [replace(base, turns=[]), replace(this, turns=[])]
        in_turn(pair, processors=processors)
        failed += sum(sum(side.values("failed")) for side in pair)
        for role in ROLES:
            row(*pair, role, calls)
        for figure in ("p50", "p99"):
            found = ratio(pair[1].values(figure), pair[0].values(figure))
            medians = [statistics.median(side.values(figure)) for side in pair]
            print(cells(f"{figure}, µs", *medians, found), flush=True)
    return failed


def row(base, this, role, calls):
    """One role of a language."""
    found = ratio(this.values("cpu", role), base.values("cpu", role))
    if found is None or statistics.median(this.values("cpu", role)) < 0.05:
        return
    medians = [statistics.median(side.values("cpu", role)) for side in (base, this)]
    switches = " -> ".join(f"{statistics.median(side.values('switches', role)):.2f}" for side in (base, this))
    called = " -> ".join(f"{found[base.name].get(role, 0):.2f}" for found in calls if base.name in found)
    name = f"{base.name.removeprefix('ours, '):8}{NAMES.get(role, role)}"
    print(f"{cells(name, *medians, found)}{switches:>16}{called:>17}", flush=True)


def cells(name, before, after, found):
    """What all rows have."""
    quartiles = f"[{found.low:.3f} .. {found.high:.3f}]"
    return f"{name:>19} {before:>9,.1f} {after:>8,.1f}{found.median:>9.3f}{quartiles:>18}  {difference(found):13}"


def main():
    """Measures both, prints a table for all processors and one for a single one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base, this = builds()
    with ExitStack() as stack:
        both = [sides(build, stack) for build in (base, this)]
        print(f"base {commit(base)}, this {commit(this)}")
        print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s each; switches and system calls per request: base -> this")
        calls = [calls_per_request(found) for found in both]
        failed = rounds("all processors", both, calls)
        everything = sorted({pid for found in both for side in found for pids in side.roles.values() for pid in pids})
        with pinned(everything) as processors:
            failed += rounds("one processor", both, calls, processors)
    if failed:
        sys.exit(f"FAILED: {failed} requests failed")


if __name__ == "__main__":
    main()
