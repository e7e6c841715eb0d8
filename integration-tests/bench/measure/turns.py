"""One turn: load on one side for a short time, and what its processes did meanwhile, by role."""

import os
from contextlib import contextmanager
from dataclasses import dataclass, field

from measure.load import Generator
from measure.processes import machine_busy_seconds, own_children_seconds, threads, usage
from measure.ratios import rotated
from measure.settings import CONNECTIONS, PROCESSOR, ROUNDS, SECONDS


@dataclass
class Side:
    """What is loaded in turn: PIDs by role behind a port."""

    name: str
    port: int
    roles: dict
    # One entry for each turn: role -> µs per request, role -> switches per request, and Load's figures.
    turns: list = field(default_factory=list)

    def values(self, figure, role=None):
        """A figure of each turn."""
        return [getattr(turn, figure) if role is None else getattr(turn, figure).get(role, 0.0) for turn in self.turns]


@dataclass
class Turn:
    """Figures of one turn, per request where it is not said otherwise. `total` is a role, too."""

    cpu: dict
    switches: dict
    rate: float
    seconds: float
    p50: float
    p99: float
    p999: float
    max: float
    failed: int
    megabytes: float
    # Processors that were used by processes that have no part in it.
    foreign: float


def take(side, path="/", processors=None, meanwhile=None, **options):
    """Loads one side once. `meanwhile` is a context around the load."""
    options = {"connections": CONNECTIONS, "seconds": SECONDS, **options}
    with Generator(side.port, path, processors=processors, **options) as generator, meanwhile() if meanwhile else _nothing():
        if options.get("ramp"):
            generator.begin()
            generator.measuring()
        before = {role: usage(pids) for role, pids in side.roles.items()}
        busy = machine_busy_seconds() - own_children_seconds(generator.child.pid)
        if not options.get("ramp"):
            generator.begin()
        load = generator.result()
        spent = {role: usage(pids) - before[role] for role, pids in side.roles.items()}
        busy = machine_busy_seconds() - own_children_seconds(generator.child.pid) - busy
    requests = max(load.requests, 1)
    cpu = {role: used.nanoseconds / 1000 / requests for role, used in spent.items()}
    switches = {role: used.switches / requests for role, used in spent.items()}
    cpu["total"], switches["total"] = sum(cpu.values()), sum(switches.values())
    foreign = (busy - cpu["total"] * requests / 1e6) / load.seconds
    return Turn(
        cpu, switches, load.requests / load.seconds, load.seconds, load.p50, load.p99, load.p999, load.max, load.failed,
        load.bytes / load.seconds / 1e6, max(foreign, 0.0),
    )


def in_turn(sides, rounds=ROUNDS, progress=lambda number, side: None, **options):
    """Rounds in which each side is loaded once; the order rotates. Fills `turns` of the sides."""
    for number in range(rounds):
        for side in rotated(sides, number):
            progress(number, side)
            side.turns.append(take(side, **options))


@contextmanager
def _nothing():
    yield


@contextmanager
def pinned(pids):
    """Everything on one processor, all threads of these processes; afterwards on all again. Yields the processors."""
    everywhere = os.sched_getaffinity(0)
    one = {PROCESSOR if PROCESSOR in everywhere else min(everywhere)}
    _bind(pids, one)
    try:
        yield one
    finally:
        _bind(pids, everywhere)


def _bind(pids, processors):
    for thread in threads(pids):
        try:
            os.sched_setaffinity(thread, processors)
        except ProcessLookupError:
            continue
