"""The members of a universe, from the changes of its membership."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.rows.knowledge import STILL_KNOWN_NS


class _Change(NamedTuple):
    """A change of one member. It counts at the instants in `[from_ns, until_ns)`."""

    time_ns: int
    is_add: bool
    from_ns: int
    until_ns: int


def members_at(universe: LogView, end_ns: int) -> dict[str, int]:
    """Return the members just before an instant, by name, each with the time of the change by which it joined.

    If the log has a `settle`, only changes count that were known at the last instant plus this. A repeated `add`
    of a member changes nothing.
    """
    found = ((member, _since(own, end_ns - 1)) for member, own in _changes(universe, end_ns).items())
    return {member: since_ns for member, since_ns in sorted(found) if since_ns is not None}


def members_within(universe: LogView, window: Window) -> list[str]:
    """Return the names, sorted, of all that were members at some instant of a window: see `members_at`.

    An empty window has the members just before its end.
    """
    start_ns = min(window.start_ns, window.end_ns - 1)
    return sorted(
        member
        for member, own in _changes(universe, window.end_ns).items()
        if any(_since(own, instant) is not None for instant in _instants(own, start_ns, window.end_ns))
    )


def next_change_ns(universe: LogView, from_ns: int) -> int | None:
    """Return the time of the first change at or after an instant; None if there is none."""
    later = universe.rows(Window(from_ns, ALL_TIME.end_ns).within(ALL_TIME))
    first: int | None = later.column("timestamp")[0].as_py() if later.num_rows else None
    return first


def _since(changes: Iterable[_Change], instant_ns: int) -> int | None:
    """Return the time of the change by which a member joined; None if it does not belong at the instant."""
    since_ns = None
    for change in changes:
        if change.from_ns <= instant_ns < change.until_ns:
            joined_ns = change.time_ns if since_ns is None else since_ns
            since_ns = joined_ns if change.is_add else None
    return since_ns


def _instants(changes: list[_Change], start_ns: int, end_ns: int) -> set[int]:
    """Return the start, and all later instants at which changes begin or cease to count."""
    bounds = (bound_ns for change in changes for bound_ns in (change.from_ns, change.until_ns))
    return {start_ns, *(bound_ns for bound_ns in bounds if start_ns < bound_ns < end_ns)}


def _changes(universe: LogView, end_ns: int) -> dict[str, list[_Change]]:
    """Return the changes before an instant by member, in order."""
    window = Window(ALL_TIME.start_ns, end_ns).within(ALL_TIME)
    if universe.settle is None:
        rows = universe.rows(window)
        from_ns, until_ns = rows.column("timestamp").to_numpy(), np.full(rows.num_rows, STILL_KNOWN_NS)
    else:
        rows = universe.versions(window)
        times = universe.known_times(rows)
        # A universe is no instrument, so its `settle` is the same at all times.
        settle_ns = universe.settle.at(end_ns)
        from_ns, until_ns = times.from_ns - settle_ns, times.until_ns - settle_ns
    columns = (rows.column(name).to_pylist() for name in ("timestamp", "member", "action"))
    found: dict[str, list[_Change]] = {}
    for time_ns, member, action, *known in zip(*columns, from_ns.tolist(), until_ns.tolist(), strict=True):
        change = _Change(time_ns, action == "add", max(time_ns, known[0]), known[1])
        found.setdefault(member, []).append(change)
    return found
