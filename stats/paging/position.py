"""Where a row stands in an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A row's place: of its symbol among those asked for, its time in nanoseconds UTC, its number among rows that share both."""

    place: int
    time_ns: int
    ordinal: int = 0
