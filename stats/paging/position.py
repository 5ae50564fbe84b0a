"""Where a row stands in an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A row's place.

    place: of its symbol among those asked for. time_ns: nanoseconds UTC. ordinal: among rows that share both.
    """

    place: int
    time_ns: int
    ordinal: int = 0
