#!/usr/bin/env python3
"""What a request costs with more threads of the router, more connections and more apps, as a ratio to the first.

Threads: 1, 2 and 4, each a daemon of its own, all up at the same time. Connections: 16 to 4,000, for the same Python app.
Apps: 1 and 200 running ones, 2,000 configured ones of which one runs, and 2,000 running ones, of one small process each, which
get requests in turn. Load is on one at a time, BENCH_SECONDS (0.5) long, in BENCH_ROUNDS (10) rounds. Target: the total of all
processes and the router cost at most 1.15 times the first. Also memory of the daemon, and what it uses while nothing happens for
BENCH_IDLE (5) seconds, which must be less than 0.1 % of a processor.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

from measure.load import run
from measure.processes import descendants, is_router, pss_mib, usage
from measure.ratios import ratio, rotated, verdict
from measure.settings import CONNECTIONS, ROUNDS, SECONDS
from measure.stage import Stage, free_port
from measure.turns import Side, in_turn, take
from servers.ours import daemon_of, has_flag, ours
from servers.start import sides_of

LIMIT = 1.15
THREADS = (1, 2, 4)
COUNTS = (16, 256, 1000, 4000)
# Configured apps, and how many of them run.
APPS = ((1, 1), (200, 200), (2000, 1), (2000, 2000))
IDLE = float(os.environ.get("BENCH_IDLE", "5"))
MOST_IDLE_SHARE = 0.001
PARTS = os.environ.get("BENCH_PARTS", "threads connections apps").split()


def head(what):
    """Of a table."""
    print(f"\n{what:30}{'req/s':>9}{'p99 ms':>9}{'router µs':>11}{'supervisor':>11}{'total µs':>10}{'  router / first':26}"
          f"{'':16}{'total / first':24}  target <= {LIMIT}")


def row(name, side, first):
    """One side beside the first one; returns how many of its requests failed."""
    figures = [statistics.median(values) for values in (
        side.values("rate"), [value / 1000 for value in side.values("p99")], side.values("cpu", "middle"), side.values("cpu", "supervisor"),
        side.values("cpu", "total"),
    )]
    found = [ratio(side.values("cpu", role), first.values("cpu", role)) for role in ("middle", "total")]
    ratios = "" if side is first else "  ".join(f"{one!s:22}  {verdict(one, LIMIT):14}" for one in found)
    failed = sum(side.values("failed"))
    print(f"{name:30}{figures[0]:>9,.0f}{figures[1]:>9.2f}{figures[2]:>11.1f}{figures[3]:>11.1f}{figures[4]:>10.1f}  {ratios}".rstrip()
          + (f", {failed} requests failed" if failed else ""), flush=True)
    return failed


def daemon_with(stack, *flags):
    """A daemon with these flags and an nginx of its own: the side of its Python app."""
    stage = stack.enter_context(Stage())
    daemon_of(stage, *flags)
    peer = ours(stage, "python")
    master = stage.start_nginx(peer.server())
    stage.wait_for_answer(peer.url + "/")
    stage.eventually("two processes", lambda: stage.serving() == 2)
    return sides_of([peer], descendants(master))[0]


def threads():
    """The table of threads."""
    head("threads of the router")
    with ExitStack() as stack:
        if not has_flag(Stage().build.daemon, "--router-threads"):
            print("not measured: the daemon has no --router-threads")
            return 0
        sides = {count: daemon_with(stack, f"--router-threads={count}") for count in THREADS}
        in_turn(list(sides.values()))
        return sum(row(f"{count}", side, sides[THREADS[0]]) for count, side in sides.items())


def connections():
    """The table of connections."""
    head("connections")
    with ExitStack() as stack:
        side = daemon_with(stack)
        sides = {count: Side(side.name, side.port, side.roles) for count in COUNTS}
        for number in range(ROUNDS):
            for count in rotated(COUNTS, number):
                sides[count].turns.append(take(sides[count], connections=count, ramp=True))
        return sum(row(f"{count:,}", found, sides[COUNTS[0]]) for count, found in sides.items())


def many_apps(stack, configured, running):
    """A daemon with this many apps; its side and the PIDs of the daemon."""
    stage = stack.enter_context(Stage())
    program = stage.dir / "apps/small/server"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, f"{program}.c"], check=True)
    for number in range(1, configured + 1):
        (stage.dir / f"apps/{number}/public").mkdir(parents=True)
    subprocess.run(["chmod", "-R", "a+rX", stage.dir / "apps"], check=True)
    listen, daemon = daemon_of(stage, pool=running + 10)
    port = free_port()
    shared = (
        f"server_names_hash_max_size 16384; passenger_fly_with {listen}; passenger_app_listen fd; "
        f"passenger_force_max_concurrent_requests_per_process 1; passenger_log_level 1; "
        f"passenger_app_start_command {program};"
    )
    servers = [
        f"server {{ listen 127.0.0.1:{port}; server_name app{number}.example; root {stage.dir}/apps/{number}/public; "
        f"passenger_enabled on; passenger_max_instances 1; {'passenger_min_instances 1;' if number <= running else ''} }}"
        for number in range(1, configured + 1)
    ]
    master = stage.start_nginx("\n".join([shared, *servers]))
    stage.eventually(f"{running} processes", lambda: stage.serving() == running, seconds=120, pause=0.5)
    supervisor, *children = descendants(daemon)
    router = [pid for pid in children if is_router(pid)]
    apps = [pid for pid in children if os.readlink(f"/proc/{pid}/exe") == str(program)]
    roles = {"nginx": descendants(master), "middle": router, "supervisor": [supervisor], "app": apps}
    return Side(f"{configured}, {running}", port, roles)


def apps():
    """The table of apps, then that of memory and idling."""
    head("apps configured, running")
    with ExitStack() as stack:
        sides = {counts: many_apps(stack, *counts) for counts in APPS}
        # The first requests of an app also have its files checked.
        for counts, side in sides.items():
            run(side.port, connections=8, hosts=counts[1], seconds=max(0.5, counts[1] / 350))
        idle = idle_shares(sides)
        for number in range(ROUNDS):
            for counts in rotated(list(sides), number):
                sides[counts].turns.append(take(sides[counts], connections=8, hosts=counts[1]))
        failed = sum(row(f"{counts[0]:,}, {counts[1]:,}", side, sides[APPS[0]]) for counts, side in sides.items())
        print(f"\n{'apps configured, running':30}{'memory of the daemon, MiB':>27}{'idle, % of a processor':>25}")
        for counts, side in sides.items():
            memory = pss_mib(side.roles["supervisor"] + side.roles["middle"])
            print(f"{counts[0]:,}, {counts[1]:,}".ljust(30) + f"{memory:>27.1f}{idle[counts] * 100:>25.3f}")
        if max(idle.values()) > MOST_IDLE_SHARE:
            sys.exit("FAILED: the daemon does something while there is nothing to do")
        return failed


def idle_shares(sides):
    """What supervisor and router of each use of a processor while nothing happens."""
    time.sleep(2)
    pids = {counts: side.roles["supervisor"] + side.roles["middle"] for counts, side in sides.items()}
    before = {counts: usage(found).nanoseconds for counts, found in pids.items()}
    time.sleep(IDLE)
    return {counts: (usage(found).nanoseconds - before[counts]) / 1e9 / IDLE for counts, found in pids.items()}


def main():
    """The parts that BENCH_PARTS names, by default all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{CONNECTIONS} connections where nothing else is said, {ROUNDS} rounds of {SECONDS:g} s each")
    failed = sum({"threads": threads, "connections": connections, "apps": apps}[part]() for part in PARTS)
    if failed:
        sys.exit(f"FAILED: {failed} requests failed")


if __name__ == "__main__":
    main()
