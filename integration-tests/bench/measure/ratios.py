"""Ratios of two sides that were loaded in turn: one for each round, their median and quartiles, and what follows from them."""

import statistics
from dataclasses import dataclass

HOLDS, FAILS, UNDECIDED = "holds", "DOES NOT HOLD", "undecided"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a list of numbers."""

    low: float
    median: float
    high: float

    def __str__(self):
        return f"{self.median:.2f} [{self.low:.2f} .. {self.high:.2f}]"


def spread(values):
    """Of at least one value."""
    values = list(values)
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def ratio(ours, peers):
    """Round by round; None if a round of the peer has nothing to divide by."""
    pairs = list(zip(ours, peers, strict=True))
    if not pairs or any(peer <= 0 for _, peer in pairs):
        return None
    return spread(our / peer for our, peer in pairs)


def verdict(found, limit, at_least=False):
    """Whether a target holds. It is decided only where both quartiles are on one side of the limit."""
    inside = [value >= limit if at_least else value <= limit for value in (found.low, found.high)]
    if all(inside):
        return HOLDS
    return UNDECIDED if any(inside) else FAILS


def difference(found, words=("cheaper", "dearer"), least=0.01):
    """Whether a figure differs: both quartiles say so, and by more than two equal builds can differ."""
    if found.low > 1 + least:
        return words[1]
    return words[0] if found.high < 1 - least else "no difference"


def rotated(sides, number):
    """The order of a round: each side is first in one of them."""
    start = number % len(sides)
    return [*sides[start:], *sides[:start]]
