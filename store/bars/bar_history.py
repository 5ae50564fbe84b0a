"""The bars of a window as of every commit that may have changed them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store.arrays import EqualColumns, Floats, Integers, Mask
from store.bars.aggregates import Aggregates
from store.bars.bars import Bars, priced_bars
from store.bars.credit import DatesOf
from store.bars.exact_sums import ExactSums, combined, grid_parts
from store.bars.lifetimes import Lifetimes, StandingItems
from store.bars.prints import STANDS
from store.bars.versions import AggregateVersions


@dataclass(frozen=True, slots=True)
class BarHistory:
    """Equally long columns, by time, then by commit: a bar as each commit left it that may have changed it.

    is_passed: whether an earlier commit had stored a row in a later interval. bars: with the start of their interval
    and NaN for open if there was no bar.
    """

    commit: Integers
    is_passed: Mask
    bars: Bars

    def at(self, time_ns: Integers, commit: Integers) -> Bars:
        """Return the bars with these times, ascending, each as its commit left it, where there was a bar."""
        index = np.minimum(time_ns.searchsorted(self.bars.time_ns), len(time_ns) - 1)
        is_due = (time_ns[index] == self.bars.time_ns) & (self.commit <= commit[index])
        is_last = is_due & ~np.append(is_due[1:] & (index[1:] == index[:-1]), False)[: len(index)]
        return self.bars[is_last & ~np.isnan(self.bars.open)]


def bar_history(versions: AggregateVersions, interval_ns: int, dates_of: DatesOf | None = None) -> BarHistory:
    """Return the history of bars. versions: of intervals that divide `interval_ns`. dates_of: see `credit_dates`."""
    aggregates, ends = versions.aggregates, versions.until[versions.until != STANDS]
    start_ns, bar = np.unique(aggregates.time // interval_ns * interval_ns, return_inverse=True)
    commits = np.unique(np.concatenate([aggregates.newest, ends]))
    first, behind = commits.searchsorted(aggregates.newest), commits.searchsorted(versions.until)
    states = _states_of(aggregates, bar, first, behind, len(commits))
    if dates_of is not None and (states.has_bar < (states.trade_count > 0)).any():
        states = _credited(states, len(commits), dates_of(start_ns))
    newest_bar = np.full(len(commits) + 1, -1)
    np.maximum.at(newest_bar, first + 1, bar)
    is_passed = np.maximum.accumulate(newest_bar)[states.instant] > states.bar
    return BarHistory(commits[states.instant], is_passed, states.bars(start_ns[states.bar]))


@dataclass(frozen=True, slots=True)
class _States(EqualColumns):
    """Equally long columns, by bar, then by instant: an interval's aggregate after each commit that changed it.

    bar: the interval's number. instant: the commit's number. Other columns: see `Aggregates`.
    """

    bar: Integers
    instant: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: ExactSums
    trade_count: Integers
    notional: ExactSums

    @property
    def has_bar(self) -> Mask:
        """Whether a print that stands sets a price. Otherwise the volume is still to be credited."""
        return ~np.isnan(self.open)

    def bars(self, time_ns: Integers) -> Bars:
        """Return the bars, with NaN and 0 where there is none."""
        has_bar = self.has_bar
        high, low, volume, notional = (
            np.where(has_bar, values, np.nan)
            for values in (self.high, self.low, self.volume.total, self.notional.total)
        )
        trade_count = np.where(has_bar, self.trade_count, 0)
        return priced_bars(Bars(time_ns, self.open, high, low, self.close, volume, trade_count, notional))


def _states_of(
    aggregates: Aggregates, bar: Integers, first: Integers, behind: Integers, instants: int
) -> _States:
    """Return the states of aggregates. bar, first, behind: of each, the bar's number and the instants of its life."""
    # An aggregate that still stands ends where the next bar's states begin.
    width = instants + 1
    begun, ended = bar * width + first, bar * width + behind
    keys = np.unique(np.concatenate([begun, ended[behind < instants]]))
    lifetimes = Lifetimes(keys.searchsorted(begun), keys.searchsorted(ended), len(keys))
    count, is_priced = len(bar), aggregates.price_count > 0

    def price_at(price: Floats, order: Integers, ufunc: np.ufunc, nothing: int) -> Floats:
        """Return the price of the first or last aggregate in an order."""
        rank = np.empty(count, np.int64)
        rank[order] = np.arange(count)
        index = lifetimes.extremes(ufunc, np.where(is_priced, rank, nothing), nothing)
        found: Floats = np.append(price[order], np.nan)[index]
        return found

    by_first = np.lexsort((aggregates.first_arrival, aggregates.first_sequence, aggregates.first_time))
    by_last = np.lexsort((aggregates.last_arrival, aggregates.last_sequence, aggregates.last_time))
    high, low = (
        lifetimes.extremes(ufunc, np.where(np.isnan(values), nothing, values), nothing)
        for ufunc, values, nothing in (
            (np.maximum, aggregates.high, -np.inf),
            (np.minimum, aggregates.low, np.inf),
        )
    )
    return _States(
        bar=keys // width,
        instant=keys % width,
        open=price_at(aggregates.open, by_first, np.minimum, count),
        high=np.where(np.isinf(high), np.nan, high),
        low=np.where(np.isinf(low), np.nan, low),
        close=price_at(aggregates.close, by_last, np.maximum, -1),
        volume=lifetimes.sums(aggregates.volume_sums),
        trade_count=lifetimes.counts(aggregates.trade_count).astype(np.int64),
        notional=lifetimes.sums(aggregates.notional_sums),
    )


def _credited(states: _States, instants: int, dates: Integers) -> _States:
    """Return the states with the volume of intervals without a price credited to the bar before, see `credit`.

    instants: their number. dates: the trading date of each interval.
    """
    is_first = np.diff(states.bar, prepend=-1) > 0
    is_last = np.append(is_first[1:], True)
    behind = np.where(is_last, instants, np.append(states.instant[1:], 0))
    has_bar, had_bar = states.has_bar, np.append(False, states.has_bar[:-1]) & ~is_first
    begins, ends = has_bar & ~had_bar, has_bar & (is_last | ~np.append(has_bar[1:], False))
    priced = StandingItems(states.bar[begins], states.instant[begins], behind[ends], len(dates))
    lacks = np.flatnonzero(~has_bar & (states.trade_count > 0))
    given = states[lacks]
    standing = StandingItems(given.bar, given.instant, behind[lacks], len(dates))

    owners = _with_owners(states, ~has_bar | ~had_bar, priced, dates)
    date_end = dates.searchsorted(dates, side="right")[owners.bar]
    first, end = owners.bar + 1, np.minimum(priced.nearest_from(owners.bar + 1, owners.instant), date_end)
    gets = np.flatnonzero(owners.has_bar & (first < end))
    volumes, notionals = (
        list(grid_parts(each.parts, 2 * len(lacks))) for each in (given.volume, given.notional)
    )
    columns = [given.trade_count.astype(np.float64), *volumes, *notionals]
    trade_count, *sums = standing.sums(columns, first[gets], end[gets], owners.instant[gets])
    trade_counts = owners.trade_count.copy()
    trade_counts[gets] += trade_count.astype(np.int64)
    return replace(
        owners,
        volume=_with_added(owners.volume, gets, sums[: len(volumes)]),
        trade_count=trade_counts,
        notional=_with_added(owners.notional, gets, sums[len(volumes) :]),
    )


def _with_owners(states: _States, moves: Mask, priced: StandingItems, dates: Integers) -> _States:
    """Return the states, and those that the bars before get by commits that change other intervals.

    moves: which states have or follow no price: these change the bar before, which gets or loses their volume.
    """
    bar, instant = states.bar[moves], states.instant[moves]
    owner = priced.nearest_before(bar, instant)
    is_owned = (owner >= 0) & (dates[owner] == dates[bar])
    width = int(states.instant.max()) + 1
    own = states.bar * width + states.instant
    keys = np.unique(np.concatenate([own, (owner * width + instant)[is_owned]]))
    found = states[own.searchsorted(keys, side="right") - 1]
    return replace(found, instant=keys % width)


def _with_added(sums: ExactSums, index: Integers, added: list[Floats]) -> ExactSums:
    """Return the sums, those with some indices with values added to each. added: columns whose sum is added."""
    columns = tuple(column.copy() for column in sums.parts)
    for column, values in zip(columns, combined([*sums[index].parts, *added]).parts, strict=True):
        column[index] = values
    return ExactSums(*columns)
