#!/usr/bin/env python3
"""What the scheduling policy of router and app processes changes: `batch` beside `other`, by processor time, latency, switches.

Two daemons are up, one with each policy. A daemon without --scheduling-policy gets it from outside: SCHED_BATCH is set for its
router and its apps. Each has a hello app in Ruby, Python and Node.js, and an app that computes for 20 ms at each request. In
rounds (BENCH_ROUNDS, 10) of BENCH_SECONDS (0.5) that alternate:

1. the hello apps under full load: what a request costs, how long it takes, and how often processes are switched;
2. the Python hello app at 500 requests/s while two requests at a time occupy the computing app: the latency of hello, and what
   the computing app still does.

A ratio is batch over other, with quartiles.
"""

import os
import signal
import statistics
import sys
from contextlib import ExitStack, contextmanager

from measure.load import Generator
from measure.processes import descendants, threads
from measure.ratios import difference, ratio, rotated
from measure.settings import CONNECTIONS, ROUNDS, SECONDS
from measure.stage import Stage
from measure.turns import in_turn, take
from servers.ours import POOL, daemon_of, has_flag, ours
from servers.start import sides_of

FLAG = "--scheduling-policy"
POLICIES = ("other", "batch")
APPS = ("ruby", "python", "node", "burner")
RATE = 500
BURNER_CONNECTIONS = 2


def sides_with(stack, policy):
    """A daemon with this policy behind an nginx of its own; its sides by app."""
    stage = stack.enter_context(Stage())
    has_policy = has_flag(stage.build.daemon, FLAG)
    daemon_of(stage, *([f"{FLAG}={policy}"] if has_policy else []), pool=POOL)
    peers = [ours(stage, app) for app in APPS]
    master = stage.start_nginx("".join(peer.server() for peer in peers))
    for peer in peers:
        stage.wait_for_answer(peer.url + "/")
    stage.eventually("two processes each", lambda: stage.serving() == 2 * len(APPS))
    found = dict(zip(APPS, sides_of(peers, descendants(master)), strict=True))
    if not has_policy and policy == "batch":
        for side in found.values():
            for thread in threads(side.roles["middle"] + side.roles["app"]):
                os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
    return found


def policies_of(side):
    """What the kernel says, by role: proof that the flag has an effect."""
    names = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch"}
    found = {role: {names.get(os.sched_getscheduler(pid) & 0xFF, "?") for pid in side.roles[role]} for role in ("middle", "app")}
    return ", ".join(f"{'router' if role == 'middle' else role} {'/'.join(sorted(words))}" for role, words in found.items())


def line(name, other, batch):
    """One figure of both."""
    found = ratio(batch, other)
    if found is None:
        return
    medians = f"{statistics.median(other):>11,.2f}{statistics.median(batch):>11,.2f}"
    print(f"{name:44}{medians}   {found!s:24}{difference(found, ('less', 'more'))}", flush=True)


def full_load(sides, app):
    """The first table's rows of an app."""
    pair = [sides[policy][app] for policy in POLICIES]
    in_turn(pair)
    for role, label in (("total", "total"), ("nginx", "nginx"), ("middle", "router"), ("app", "app")):
        line(f"{app}: CPU µs per request, {label}", *(side.values("cpu", role) for side in pair))
    for role, label in (("middle", "router"), ("app", "app")):
        line(f"{app}: switches per request, {label}", *(side.values("switches", role) for side in pair))
    line(f"{app}: req/s", *(side.values("rate") for side in pair))
    for figure in ("p50", "p99"):
        line(f"{app}: {figure}, µs", *(side.values(figure) for side in pair))
    return sum(sum(side.values("failed")) for side in pair)


def beside_burner(sides):
    """The second table."""
    hello = [sides[policy]["python"] for policy in POLICIES]
    for side in hello:
        side.turns = []
    burnt = {policy: [] for policy in POLICIES}

    @contextmanager
    def burning(policy):
        with Generator(sides[policy]["burner"].port, connections=BURNER_CONNECTIONS, seconds=SECONDS) as generator:
            generator.begin()
            yield
            load = generator.result()
            burnt[policy].append(load.requests / load.seconds)

    for number in range(ROUNDS):
        for policy in rotated(POLICIES, number):
            side = sides[policy]["python"]
            side.turns.append(take(side, rate=RATE, meanwhile=lambda policy=policy: burning(policy)))
    for figure in ("p50", "p99", "p999"):
        line(f"hello beside computing: {figure}, µs", *(side.values(figure) for side in hello))
    line("the computing app: req/s", *burnt.values())
    return sum(sum(side.values("failed")) for side in hello)


def main():
    """Both tables."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        sides = {policy: sides_with(stack, policy) for policy in POLICIES}
        print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s each")
        for policy in POLICIES:
            print(f"{policy}: {policies_of(sides[policy]['python'])}")
        print(f"\n{'':44}{'other':>11}{'batch':>11}   batch / other")
        failed = sum(full_load(sides, app) for app in APPS if app != "burner")
        failed += beside_burner(sides)
    if failed:
        sys.exit(f"FAILED: {failed} requests failed")


if __name__ == "__main__":
    main()
