"""Revisions: changes of bars after they became visible, by the states of bars after each commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from store.arrays import Integers, indices_of_ranges
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, merged_by
from store.bars.bars import Bars, bars_of
from store.bars.credit import DatesOf, credit_dates, credit_end_ns, utc_dates
from store.bars.prints import STANDS
from store.bars.versions import AggregateVersions, joined_versions, versions_of
from store.log import Snapshot, windows_behind
from store.protocol import Window

_PRINT_COLUMNS = ("sequence", "price", "volume", "conditions")
_VALUES = tuple(name for name in Bars.__slots__ if name != "time_ns")


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


def revisions_of(
    snapshot: Snapshot,
    window: Window,
    interval_ns: int,
    *,
    policy: BarPolicy,
    dates_of: DatesOf = utc_dates,
    after: int,
) -> Revisions:
    """Return changes to visible bars by the commits after `after`, by time and commit; see `Snapshot.bars`.

    A missing bar counts as visible if an earlier commit stored a row at or after the bar's end. The cost grows with the
    window's changes, and with the square of the corrections of one bar.
    """
    snapshot.check_readable(window)
    left_ns = -(-snapshot.expired.before_ns // interval_ns) * interval_ns
    window = Window(max(window.start_ns, left_ns), window.end_ns)
    # Before its first commit, nothing of the window was visible.
    after = max(after, snapshot.first_commit_from(window.start_ns) or snapshot.commit.number)
    dates = credit_dates(policy, interval_ns, dates_of)
    behind = windows_behind(window.end_ns, interval_ns, credit_end_ns(window.end_ns, interval_ns, dates))
    versions = _versions_for(snapshot, [window, *behind], interval_ns, policy, after)
    states = _States(versions, after, snapshot.commit.number, dates)
    place, commit = states.changed()
    first_behind = snapshot.first_commit_from(window.end_ns)
    visible_from = np.minimum(states.visible_from, STANDS if first_behind is None else first_behind)
    time_ns = states.time[place]
    is_asked = (visible_from[place] < commit) & (time_ns >= window.start_ns) & (time_ns < window.end_ns)
    place, commit = place[is_asked], commit[is_asked]
    before, now = states.bars(place, commit - 1), states.bars(place, commit)
    pairs = ((getattr(before, name), getattr(now, name)) for name in _VALUES)
    differs = np.logical_or.reduce([(old != new) & ~(np.isnan(old) & np.isnan(new)) for old, new in pairs])
    found = np.flatnonzero(differs)
    committed_at = snapshot.log.committed_times(commit[found])
    return Revisions(commit[found], committed_at, before[found], now[found])


def _versions_for(
    snapshot: Snapshot, windows: Iterable[Window], interval_ns: int, policy: BarPolicy, after: int
) -> AggregateVersions:
    """Return the versions on which the bars of a window depend at the commits after `after`, by time.

    windows: first that window, then those whose volume may be credited to its last bar, until a price comes between.
    Once there is such a price, and it stands, what later commits store after it no longer counts.
    """
    parts, price_from = list[AggregateVersions](), snapshot.commit.number + 1
    for window in windows:
        following = snapshot.first_commit_from(window.start_ns)
        if following is None or price_from <= max(following, after):
            break
        found = versions_of(snapshot.versions(window, _PRINT_COLUMNS), policy, interval_ns)
        is_lasting = (found.until == STANDS) & (found.aggregates.price_count > 0)
        if parts:
            price_from = int(found.aggregates.newest[is_lasting].min(initial=price_from))
        parts.append(found)
    versions = joined_versions(parts)
    return versions[np.argsort(versions.aggregates.time, kind="stable")]


class _States:
    """The aggregates of intervals after each commit that changed them, from the commit `after` on.

    time: the starts of the intervals; a place is an index in it. dates_of: see `credit_dates`.
    """

    def __init__(self, versions: AggregateVersions, after: int, head: int, dates_of: DatesOf | None) -> None:
        self.time, place = np.unique(versions.aggregates.time, return_inverse=True)
        self._dates = None if dates_of is None else dates_of(self.time)
        self._after, self._width = after, head + 1
        # The first commit with a row in each interval or a later one, and the one that made a bar, or its lack, visible.
        stored, self.visible_from = np.full((2, len(self.time)), STANDS)
        is_priced = versions.aggregates.price_count > 0
        np.minimum.at(stored, place, versions.aggregates.newest)
        np.minimum.at(self.visible_from, place[is_priced], versions.aggregates.newest[is_priced])
        self._stored = np.minimum.accumulate(stored[::-1])[::-1]
        self.visible_from[:-1] = np.minimum(self.visible_from[:-1], self._stored[1:])
        taken = np.flatnonzero(versions.until > after)
        made, until, place = versions.aggregates[taken], versions.until[taken], place[taken]
        begun, ended = place * self._width + np.maximum(made.newest, after), place * self._width + until
        bases = np.arange(len(self.time)) * self._width + after
        self._keys = np.unique(np.concatenate([bases, begun, ended[until != STANDS]]))
        lasting, passing = np.flatnonzero(until == STANDS), np.flatnonzero(until != STANDS)
        lasting = lasting[np.argsort(begun[lasting], kind="stable")]
        last = begun[lasting].searchsorted(self._keys, side="right") - 1
        has_last = np.flatnonzero(np.append(place[lasting], -1)[last] == self._keys // self._width)
        first, end = (self._keys.searchsorted(edges[passing]) for edges in (begun, ended))
        key, which = indices_of_ranges(first, end), np.repeat(passing, end - first)
        parts = [_running(made[lasting], place[lasting])[last[has_last]], made[which]]
        self._made = merged_by(Aggregates.joined(parts), np.concatenate([has_last, key]))
        self._row = np.full(len(self._keys), -1)
        self._row[self._made.time] = np.arange(len(self._made))
        self._has_price = np.zeros(len(self._keys), np.bool_)
        self._has_price[self._made.time] = self._made.price_count > 0

    def changed(self) -> tuple[Integers, Integers]:
        """Return the places of the bars that may have changed, and by which commit: by place, then by commit."""
        place, commit = np.divmod(self._keys, self._width)
        later = np.flatnonzero(commit > self._after)
        found = [self._keys[later]]
        if self._dates is not None:
            # Such an interval gives its volume to the bar before, or did so before the commit.
            gives = later[~(self._has_price[later] & self._has_price[later - 1])]
            for instant in (commit[gives], commit[gives] - 1):
                for which, at, key in self._neighbours(place[gives], instant, -1):
                    found.append((at * self._width + commit[gives][which])[self._has_price[key]])
        place, commit = np.divmod(np.unique(np.concatenate(found)), self._width)
        return place, commit

    def bars(self, place: Integers, commit: Integers) -> Bars:
        """Return the bars of places as commits left them, with NaN and 0 where there is none."""
        own = self._keys_at(place, commit)
        whiches, keys = [np.arange(len(place))], [own]
        if self._dates is not None:
            priced = np.flatnonzero(self._has_price[own])
            for which, _, key in self._neighbours(place[priced], commit[priced], 1):
                is_credited = ~self._has_price[key]
                whiches.append(priced[which[is_credited]])
                keys.append(key[is_credited])
        which, row = np.concatenate(whiches), self._row[np.concatenate(keys)]
        order = np.argsort(which, kind="stable")
        order = order[row[order] >= 0]
        made = replace(self._made[row[order]], time=np.arange(len(order)))
        bars = bars_of(made, lambda index: which[order][index])
        columns = {name: np.full(len(place), np.nan) for name in _VALUES}
        columns["trade_count"] = np.zeros(len(place), np.int64)
        for name, column in columns.items():
            column[which[order][bars.time_ns]] = getattr(bars, name)
        return Bars(self.time[place], **columns)

    def _keys_at(self, place: Integers, commit: Integers) -> Integers:
        return self._keys.searchsorted(place * self._width + commit, side="right") - 1

    def _neighbours(
        self, place: Integers, commit: Integers, step: int
    ) -> Iterator[tuple[Integers, Integers, Integers]]:
        """Yield the places one step further, as far as they are of the same date and the last one has no price.

        Each time: the indices of the places that are followed, the places reached, and the indices of their states.
        """
        assert self._dates is not None  # noqa: S101 it is asked for credited volume alone
        which, at = np.arange(len(place)), place
        while len(which):
            inside = np.flatnonzero((at + step >= 0) & (at + step < len(self.time)))
            which, at = which[inside], at[inside] + step
            same = (self._dates[at] == self._dates[at - step]) & (self._stored[at] <= commit[which])
            which, at = which[same], at[same]
            key = self._keys_at(at, commit[which])
            yield which, at, key
            which, at = which[~self._has_price[key]], at[~self._has_price[key]]


def _running(rows: Aggregates, group: Integers) -> Aggregates:
    """Return for each row the aggregate of the rows of its group up to it. group: ascending."""
    step = 1
    while len(later := np.flatnonzero(group[step:] == group[:-step]) + step):
        joined = Aggregates.joined([rows, rows[later - step]])
        rows, step = merged_by(joined, np.concatenate([np.arange(len(rows)), later])), 2 * step
    return rows
