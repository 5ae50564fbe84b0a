"""Who belongs to a universe, by following its changes one by one for each member alone."""

from collections.abc import Iterable
from typing import NamedTuple


class Change(NamedTuple):
    """A change of a universe: the member joins or leaves at a time."""

    time_ns: int
    member: str
    joins: bool


def is_member(changes: Iterable[Change], member: str, at_ns: int) -> bool:
    own = sorted(each for each in changes if each.member == member and each.time_ns <= at_ns)
    return bool(own) and own[-1].joins


def members_at(changes: list[Change], at_ns: int) -> dict[str, int]:
    """The members at an instant, each with the first of the last changes that all say that it belongs."""
    found = {}
    for member in sorted({each.member for each in changes}):
        if is_member(changes, member, at_ns):
            times = sorted(
                each.time_ns for each in changes if each.member == member and each.time_ns <= at_ns
            )
            since = times[-1]
            for time_ns in reversed(times):
                if not is_member(changes, member, time_ns):
                    break
                since = time_ns
            found[member] = since
    return found


def members_within(changes: list[Change], start_ns: int, end_ns: int) -> list[str]:
    """All that belong at the start or at some change in the range."""
    instants = [start_ns, *(each.time_ns for each in changes if start_ns < each.time_ns < end_ns)]
    return sorted({member for instant in instants for member in members_at(changes, instant)})
