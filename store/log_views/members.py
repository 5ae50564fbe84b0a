"""The members of a universe, from the changes of its membership."""

from __future__ import annotations

from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window

# The time of a change of one member, and whether it is an `add`.
_Change = tuple[int, bool]


def members_at(universe: LogView, end_ns: int) -> list[str]:
    """Return the names, sorted, of the members just before an instant."""
    changes = _changes(universe, end_ns)
    return sorted(member for member, own in changes.items() if _belongs(own, end_ns - 1))


def members_within(universe: LogView, window: Window) -> list[str]:
    """Return the names, sorted, of all that were members at some instant of a window: see `members_at`.

    An empty window has the members just before its end.
    """
    start_ns = min(window.start_ns, window.end_ns - 1)
    return sorted(
        member
        for member, own in _changes(universe, window.end_ns).items()
        if any(_belongs(own, instant) for instant in _instants(own, start_ns, window.end_ns))
    )


def _belongs(changes: list[_Change], instant_ns: int) -> bool:
    """Return whether the last change of a member up to an instant is an `add`."""
    return next((is_add for time_ns, is_add in reversed(changes) if time_ns <= instant_ns), False)


def _instants(changes: list[_Change], start_ns: int, end_ns: int) -> set[int]:
    """Return the start, and the times of all later changes."""
    return {start_ns, *(time_ns for time_ns, _ in changes if start_ns < time_ns < end_ns)}


def _changes(universe: LogView, end_ns: int) -> dict[str, list[_Change]]:
    """Return the changes before an instant by member, in order."""
    rows = universe.rows(Window(ALL_TIME.start_ns, end_ns).within(ALL_TIME))
    columns = (rows.column(name).to_pylist() for name in ("timestamp", "member", "action"))
    found: dict[str, list[_Change]] = {}
    for time_ns, member, action in zip(*columns, strict=True):
        found.setdefault(member, []).append((time_ns, action == "add"))
    return found
