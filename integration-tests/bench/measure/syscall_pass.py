"""A separate turn for each side in which its system calls are counted, so that counting is not in the other figures."""

from measure.counters import counting, works
from measure.turns import take


def calls_per_request(sides):
    """By name of the side and role; nothing where perf does not work."""
    return {side.name: _of(side) for side in sides} if works() else {}


def _of(side):
    calls = {}
    turn = take(side, meanwhile=lambda: counting(side.roles, calls))
    requests = max(turn.rate * turn.seconds, 1)
    found = {role: count / requests for role, count in calls.items()}
    return {**found, "total": sum(found.values())}
