#!/usr/bin/env python3
"""Another build of flying-passenger and this one: what a request costs with each, by role and language.

    make bench-compare BASE=/path/to/checkout

BASE is a checkout, its target/release, or a directory with flying-passenger, the module and `loaders`. Both builds are up at
the same time, each with an nginx of its own and an app in each language (BENCH_LANGUAGES, "ruby python asgi node"). Load
alternates between them, BENCH_SECONDS (0.5) each, in BENCH_ROUNDS (10) rounds whose order alternates too; first on all
processors, then with every process pinned to one. The figures are processor time per request of this build over that of the
base: the median of all rounds and the quartiles. A role is cheaper or dearer where both quartiles say so in both tables.
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
# What costs less than this per request is not compared: the supervisor.
LEAST_MICROSECONDS = 0.05


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


def sides(name, build, stack):
    """One for each language, of a stage of its own."""
    stage = stack.enter_context(Stage(build))
    peers, nginx, missing = everybody_ready(stage, [(ours, language) for language in LANGUAGES])
    if missing:
        sys.exit("\n".join(missing))
    print(f"{name} {commit(build)}; native support: {stage.native_support() or 'none in this build'}", flush=True)
    return sides_of(peers, nginx)


def rounds(mode, both, calls, processors=None):
    """Prints a table; returns what differs, by language and figure, and how many requests failed."""
    print(f"\n{mode:20}{'µs, base':>9} {'this':>8}{'ratio':>9}{'quartiles':>17}{'':16}{'switches':>14}{'system calls':>17}")
    differences, failed = {}, 0
    for base, this in zip(*both, strict=True):
        pair = [replace(base, turns=[]), replace(this, turns=[])]
        in_turn(pair, processors=processors)
        failed += sum(sum(side.values("failed")) for side in pair)
        language = base.name.removeprefix("ours, ")
        for role in ROLES:
            differences[language, NAMES.get(role, role)] = row(*pair, role, calls)
        for figure in ("p50", "p99"):
            found = ratio(pair[1].values(figure), pair[0].values(figure))
            medians = [statistics.median(side.values(figure)) for side in pair]
            print(cells(f"{figure}, µs", *medians, found), flush=True)
            differences[language, figure] = difference(found)
    return differences, failed


def row(base, this, role, calls):
    """One role of a language: prints it and returns whether it differs, or None if it does nothing."""
    found = ratio(this.values("cpu", role), base.values("cpu", role))
    if found is None or statistics.median(this.values("cpu", role)) < LEAST_MICROSECONDS:
        return None
    medians = [statistics.median(side.values("cpu", role)) for side in (base, this)]
    switches = " -> ".join(f"{statistics.median(side.values('switches', role)):.2f}" for side in (base, this))
    called = " -> ".join(f"{counted[base.name].get(role, 0):.2f}" for counted in calls if base.name in counted)
    name = f"{base.name.removeprefix('ours, '):8}{NAMES.get(role, role)}"
    print(f"{cells(name, *medians, found)}{switches:>16}{called:>17}", flush=True)
    return difference(found)


def verdicts(tables):
    """What all tables say."""
    print("\nDifferences that both tables show")
    agreed = {key: word for key, word in tables[0].items() if word and all(table.get(key) == word for table in tables)}
    found = [f"  {language:8}{figure:12}{word}" for (language, figure), word in agreed.items() if word != "no difference"]
    print("\n".join(found or ["  none"]))


def cells(name, before, after, found):
    """What all rows have."""
    quartiles = f"[{found.low:.3f} .. {found.high:.3f}]"
    return f"{name:>19} {before:>9,.1f} {after:>8,.1f}{found.median:>9.3f}{quartiles:>18}  {difference(found):13}"


def main():
    """Measures both, prints a table for all processors and one for a single one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base, this = builds()
    with ExitStack() as stack:
        both = [sides(name, build, stack) for name, build in (("base", base), ("this", this))]
        print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s each; switches and system calls per request: base -> this")
        calls = [calls_per_request(found) for found in both]
        everywhere, failed = rounds("all processors", both, calls)
        everything = sorted({pid for found in both for side in found for pids in side.roles.values() for pid in pids})
        with pinned(everything) as processors:
            pinned_to_one, failed_there = rounds("one processor", both, calls, processors)
        verdicts([everywhere, pinned_to_one])
    if failed + failed_there:
        sys.exit(f"FAILED: {failed + failed_there} requests failed")


if __name__ == "__main__":
    main()
