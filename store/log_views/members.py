"""The members of a universe, from the changes of its membership."""

from __future__ import annotations

from dataclasses import replace

from store import lazy_pyarrow as pa
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window


def members_at(universe: LogView, end_ns: int | None) -> dict[str, int]:
    """Return the members just before an instant, by name, each with the time of the change by which it joined.

    end_ns: None for all changes, as known now. If the log is of changes as they were known then, those known at the
    instant plus `settle_ns` count. A repeated `add` of a member changes nothing.
    """
    since_ns: dict[str, int] = {}
    window = ALL_TIME if end_ns is None else Window(ALL_TIME.start_ns, end_ns).within(ALL_TIME)
    if end_ns is None:
        changes = replace(universe, settle_ns=None).rows(window)
    elif universe.settle_ns is None:
        changes = universe.rows(window)
    else:
        changes = universe.rows_at(window, end_ns - 1 + universe.settle_ns)
    for time_ns, member, action in _listed(changes):
        if action == "add":
            since_ns.setdefault(member, time_ns)
        else:
            since_ns.pop(member, None)
    return dict(sorted(since_ns.items()))


def members_within(universe: LogView, window: Window) -> list[str]:
    """Return the names, sorted, of all that were members at some instant of a window."""
    # A change at the start holds from then on.
    start_ns = min(window.start_ns + 1, window.end_ns)
    names = set(members_at(universe, start_ns))
    joined = {member for _, member, action in _changes(universe, start_ns, window.end_ns) if action == "add"}
    return sorted(names | joined)


def next_change_ns(universe: LogView, from_ns: int) -> int | None:
    """Return the time of the first change at or after an instant; None if there is none."""
    later = _changes(universe, from_ns, ALL_TIME.end_ns)
    return later[0][0] if later else None


def _changes(universe: LogView, start_ns: int, end_ns: int) -> list[tuple[int, str, str]]:
    return _listed(universe.rows(Window(start_ns, end_ns).within(ALL_TIME)))


def _listed(changes: pa.Table) -> list[tuple[int, str, str]]:
    """Return time, member and action of each change, in order."""
    columns = (changes.column(name).to_pylist() for name in ("timestamp", "member", "action"))
    return list(zip(*columns, strict=True))
