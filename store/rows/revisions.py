"""Revisions: changes of bars after they became visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from store.arrays import Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.bar_history import bar_history
from store.bars.bars import Bars
from store.bars.credit import DatesOf
from store.bars.versions import AggregateVersions
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class Revisions:
    """Equally long columns, by time of the bar, then by commit: changes of bars that earlier commits had made visible.

    Late trades count as changes, too. committed_at: nanoseconds UTC. before, after: the bars before and after the
    commit. If there is none, for example because all its trades are cancelled, its prices are NaN.
    """

    commit: Integers
    committed_at: Integers
    before: Bars
    after: Bars

    def __len__(self) -> int:
        return len(self.commit)

    @property
    def time_ns(self) -> Integers:
        """The starts of the bars' intervals."""
        return self.after.time_ns


@dataclass(frozen=True, slots=True)
class RevisionQuery:
    """Selects the revisions of a window's bars by commits after `after`. dates_of: see `credit_dates`."""

    window: Window
    interval_ns: int
    policy: BarPolicy
    after: int
    dates_of: DatesOf | None = None


def revisions_of(
    versions: AggregateVersions,
    query: RevisionQuery,
    first_behind: int | None,
    committed_at: Callable[[Integers], Integers],
) -> Revisions:
    """Return the revisions that a query selects.

    versions: those on which the window's bars depend at any of the commits. first_behind: the first commit with a row
    at or after the window's end; None if there is none. committed_at: returns the times of commits.
    """
    if not len(versions):
        nothing = np.empty(0, np.int64)
        return Revisions(nothing, nothing, Bars.joined([]), Bars.joined([]))
    history = bar_history(versions, query.interval_ns, query.dates_of)
    commit, bars = history.commit, history.bars
    is_same_bar = np.append(False, bars.time_ns[1:] == bars.time_ns[:-1])
    is_passed = history.is_passed if first_behind is None else history.is_passed | (first_behind < commit)
    is_revision = _is_changed(bars, is_same_bar) & (is_passed | _is_seen(bars, is_same_bar))
    is_inside = (bars.time_ns >= query.window.start_ns) & (bars.time_ns < query.window.end_ns)
    found = np.flatnonzero(is_revision & is_inside & (commit > query.after))
    return Revisions(
        commit[found], committed_at(commit[found]), _before(bars, is_same_bar, found), bars[found]
    )


def _exists(bars: Bars) -> Mask:
    return ~np.isnan(bars.open)


def _is_changed(bars: Bars, is_same_bar: Mask) -> Mask:
    """Return whether each bar differs from the one before it, which may be the same bar at an earlier commit."""
    exists = _exists(bars)
    existed = np.append(False, exists[:-1]) & is_same_bar
    columns = [getattr(bars, name) for name in _VALUES]
    differs = np.logical_or.reduce([values[1:] != values[:-1] for values in columns])
    is_changed: Mask = (exists != existed) | (exists & np.append(False, differs))
    return is_changed


_VALUES = tuple(name for name in Bars.__slots__ if name != "time_ns")


def _is_seen(bars: Bars, is_same_bar: Mask) -> Mask:
    """Return whether each bar existed at an earlier commit."""
    exists = _exists(bars)
    count: Integers = np.cumsum(exists) - exists
    starts = np.flatnonzero(~is_same_bar)
    return count > np.repeat(count[starts], np.diff(starts, append=len(exists)))


def _before(bars: Bars, is_same_bar: Mask, index: Integers) -> Bars:
    """Return the bars with some indices as they were before; NaN and 0 where there was none."""
    earlier = np.where(is_same_bar[index], index - 1, -1)
    nothing = {"trade_count": 0}
    columns = (np.append(getattr(bars, name), nothing.get(name, np.nan))[earlier] for name in _VALUES)
    return Bars(bars.time_ns[index], *columns)
