"""Who belongs to a universe, by following its changes one by one for each member alone."""

from typing import NamedTuple


class Change(NamedTuple):
    """A change of a universe: the member joins or leaves at a time."""

    time_ns: int
    member: str
    joins: bool


def members_at(changes: list[Change], at_ns: int) -> dict[str, int]:
    """The members at an instant, each with the first of the last changes that all say that it belongs."""
    found = {}
    for member in sorted({each.member for each in changes}):
        own = sorted(each for each in changes if each.member == member and each.time_ns <= at_ns)
        while own and own[-1].joins:
            found[member] = own.pop().time_ns
    return found


def members_within(changes: list[Change], start_ns: int, end_ns: int) -> list[str]:
    """All that belong at the start, or at some change in the range."""
    instants = {start_ns, *(each.time_ns for each in changes if start_ns < each.time_ns < end_ns)}
    return sorted({member for instant in instants for member in members_at(changes, instant)})
