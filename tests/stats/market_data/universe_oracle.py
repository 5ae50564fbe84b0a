"""Who belongs to a universe, by following its changes one by one for each member alone."""

from collections.abc import Iterable
from typing import NamedTuple


class Change(NamedTuple):
    """A change of a universe: the member joins or leaves at a time. known_ns: when it could be known; 0 for always."""

    time_ns: int
    member: str
    joins: bool
    known_ns: int = 0


def counted(changes: Iterable[Change], at_ns: int, settle_ns: int) -> list[Change]:
    """The changes until an instant that were known at it plus `settle_ns`, in order."""
    return sorted(each for each in changes if each.time_ns <= at_ns and each.known_ns <= at_ns + settle_ns)


def members_at(changes: list[Change], at_ns: int, settle_ns: int = 0) -> dict[str, int]:
    """The members at an instant, each with the first of the last changes that all say that it belongs."""
    found = {}
    for member in sorted({each.member for each in changes}):
        own = [each for each in counted(changes, at_ns, settle_ns) if each.member == member]
        while own and own[-1].joins:
            found[member] = own.pop().time_ns
    return found


def members_within(changes: list[Change], start_ns: int, end_ns: int, settle_ns: int = 0) -> list[str]:
    """All that belong at the start, at some change in the range, or when a change became known in it."""
    instants = {
        start_ns,
        *(
            instant_ns
            for each in changes
            for instant_ns in (each.time_ns, each.known_ns - settle_ns)
            if start_ns < instant_ns < end_ns
        ),
    }
    return sorted({member for instant in instants for member in members_at(changes, instant, settle_ns)})
