"""A change of a bar: what it said before a commit, and what it says from it on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BarValues:
    """What one bar says; see `Bars`."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int
    notional: float


@dataclass(frozen=True, slots=True)
class Revision:
    """A change, by a commit, of a bar that an earlier commit had made visible; late trades change bars, too.

    time_ns: start of the bar's interval. commit, committed_at: which commit, and when, in nanoseconds UTC.
    before, after: what the bar said before that commit and from it on; None where there was, or is, none (all
    of its trades cancelled).
    """

    time_ns: int
    commit: int
    committed_at: int
    before: BarValues | None
    after: BarValues | None
