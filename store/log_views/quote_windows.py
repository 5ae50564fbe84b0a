"""Quote bars of a window, as they are known now or as they were known when they ended. A bar opens at the last quote before it.

A *stream* is a series of quotes that makes bars of its own: the quotes of one exchange, or all quotes of a
log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bar_policies import EVERY_PRINT
from store.bars.quote_bars import QuoteBars, QuoteSide, merged_quote_bars, quote_bars_of, sides_of
from store.lazy_imports import compute as pc
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import KnownLog
from store.log_views.log_view import ROWS_AT_ONCE, LogView, rows_backwards
from store.log_views.session_spans import OUTSIDE
from store.protocol import Window
from store.rows.knowledge import KnowledgeTimes
from store.timestamps import DAY_NS

# The last quote before a window is searched on this many dates that have quotes. A side without a quote on them counts
# as never quoted.
DATES_LOOKED_BACK = 10

# The exchange of a stream. None means the quotes without an exchange; in `windowed_quote_bars` it means all
# quotes.
Exchange: TypeAlias = str | None
# Returns the indices of each stream's rows, ascending.
_Streams: TypeAlias = "Callable[[pa.Table], dict[Exchange, Integers]]"
_Sides: TypeAlias = tuple[QuoteSide, QuoteSide]


def windowed_quote_bars(
    view: LogView, window: Window, grid: BarGrid, exchange: Exchange, settle_ns: int | None = None
) -> QuoteBars:
    """Return a grid's quote bars in an aligned window.

    exchange: None means all quotes as one stream. settle_ns: each bar is as it was known at its end plus this; None for
    bars as they are known now.
    """

    def streams(rows: pa.Table) -> dict[Exchange, Integers]:
        if exchange is None:
            return {None: np.arange(rows.num_rows)}
        return {exchange: np.flatnonzero(_is_of_exchange(rows, exchange))}

    carried: dict[Exchange, _KnownSides] = {}
    parts = []
    for part in _whole_intervals(view, window, grid):
        quotes = _Quotes.of(view, part, grid, settle_ns)
        from_ns = window.start_ns if settle_ns is None else part.start_ns
        parts.append(_bars(quotes, streams, from_ns, carried)[exchange])
    return QuoteBars.joined(parts)


def quote_bars_by_exchange(
    view: LogView, window: Window, grid: BarGrid, settle_ns: int | None = None
) -> Iterator[tuple[Exchange, QuoteBars]]:
    """Yield each exchange's name and bars in an aligned window, ordered by name; that of quotes without one is first.

    The whole window is in memory. settle_ns: see `windowed_quote_bars`.
    """
    quotes = _Quotes.of(view, window, grid, settle_ns)
    yield from _bars(quotes, _rows_by_exchange, window.start_ns, {}).items()


@dataclass(frozen=True, slots=True)
class _Quotes:
    """The quotes of a window, equally long columns.

    label: of the bar of each; `OUTSIDE` for quotes that make no bar, though the next bar opens at the last of them. times,
    instant_ns: when each was known, and the instant as of which its bar is known; None for bars as they are known now.
    """

    view: LogView
    rows: pa.Table
    label: Integers
    times: KnowledgeTimes | None
    instant_ns: Integers | None

    @classmethod
    def of(cls, view: LogView, window: Window, grid: BarGrid, settle_ns: int | None) -> _Quotes:
        if settle_ns is None:
            rows = view.rows(window)
            return cls(view, rows, grid.labels_of(rows.column("timestamp").to_numpy(), window), None, None)
        found = KnownLog(view, grid, EVERY_PRINT, settle_ns).versions(window)
        labels = grid.labels_of(found.rows.column("timestamp").to_numpy(), window)
        return cls(view, found.rows, np.where(found.known, labels, OUTSIDE), found.times, found.instant_ns)

    def looked_back(self, start_ns: int) -> Iterator[tuple[pa.Table, KnowledgeTimes | None]]:
        """Yield the rows of the last `DATES_LOOKED_BACK` dates with rows before an instant, last rows first."""
        read, seen = self.view.rows if self.times is None else self.view.versions, set[int]()
        for rows in rows_backwards(self.view, start_ns, read=read):
            dates = rows.column("timestamp").to_numpy() // DAY_NS
            seen.update(np.unique(dates).tolist())
            is_last = len(seen) > DATES_LOOKED_BACK
            found = rows.slice(int(dates.searchsorted(sorted(seen)[-DATES_LOOKED_BACK]))) if is_last else rows
            yield found, None if self.times is None else self.view.known_times(found)
            if is_last:
                return


def _bars(
    quotes: _Quotes, streams: _Streams, from_ns: int, carried: dict[Exchange, _KnownSides]
) -> dict[Exchange, QuoteBars]:
    """Return the bars of each stream of quotes.

    from_ns: quotes before the bars are searched back from here. carried: the last quote of each stream before these
    quotes; it is updated. Only bars as they are known now have one.
    """
    sides, made, pending = sides_of(quotes.rows), {}, {}
    for name, rows in streams(quotes.rows).items():
        quoted, times = _at(sides, rows), None if quotes.times is None else quotes.times.taken(rows)
        bars = made[name] = _Unopened.of(quotes, quoted, rows)
        bars.known.look_at(quoted, times, bars.first_rows)
        if times is not None:
            pending[name] = bars.known
        elif len(rows) and name not in carried:
            pending[name] = carried[name] = _KnownSides.of(1)
    _look_back(quotes, streams, from_ns, {name: each for name, each in pending.items() if each.is_incomplete})
    for name, each in carried.items():
        if name in made:
            made[name].known.look_at(each.sides, None, np.ones(len(made[name].starts), np.int64))
            carried[name] = made[name].last(each)
    return {name: each.opened() for name, each in made.items()}


def _look_back(
    quotes: _Quotes, streams: _Streams, start_ns: int, incomplete: dict[Exchange, _KnownSides]
) -> None:
    """Search the quotes before an instant for what was known before each stream's bars."""
    for rows, times in quotes.looked_back(start_ns) if incomplete else ():
        sides = sides_of(rows)
        for name, index in streams(rows).items():
            if name in incomplete:
                known, of_stream = incomplete[name], None if times is None else times.taken(index)
                known.look_at(_at(sides, index), of_stream, np.full(len(known.sides[0]), len(index)))
        incomplete = {name: each for name, each in incomplete.items() if each.is_incomplete}
        if not incomplete:
            break


@dataclass(slots=True)
class _KnownSides:
    """Bid and ask that are known before each of some bars; NaN until they are found. instant_ns: see `_Quotes`."""

    sides: _Sides
    instant_ns: Integers | None

    @classmethod
    def of(cls, count: int, instant_ns: Integers | None = None) -> _KnownSides:
        nothing = np.full(count, np.nan)
        return cls((QuoteSide(nothing, nothing), QuoteSide(nothing, nothing)), instant_ns)

    @property
    def is_incomplete(self) -> bool:
        """Whether a side before a bar is not found."""
        return any(bool(np.isnan(side.price).any()) for side in self.sides)

    def look_at(self, quoted: _Sides, times: KnowledgeTimes | None, counts: Integers) -> None:
        """Search older rows of the stream for the sides that are not found. counts: how many of them are before each bar."""
        bid, ask = (
            self._filled(side, of_side, times, counts)
            for side, of_side in zip(self.sides, quoted, strict=True)
        )
        self.sides = bid, ask

    def _filled(
        self, side: QuoteSide, quoted: QuoteSide, times: KnowledgeTimes | None, counts: Integers
    ) -> QuoteSide:
        missing, rows = np.flatnonzero(np.isnan(side.price)), np.flatnonzero(~np.isnan(quoted.price))
        ends = rows.searchsorted(counts[missing])
        if times is None or self.instant_ns is None:
            index = ends - 1
        else:
            index = times.taken(rows).last_at(ends, self.instant_ns[missing])
        missing, found = missing[index >= 0], quoted[rows[index[index >= 0]]]
        price, size = side.price.copy(), side.size.copy()
        price[missing], size[missing] = found.price, found.size
        return QuoteSide(price, size)


@dataclass(frozen=True, slots=True)
class _Unopened:
    """The bars of one stream, for which the quotes known before each bar are searched.

    quoted: bid and ask of the stream's quotes. own: the rows that make bars. starts: each bar's first one of them.
    first_rows: the same as a row of the stream. time_ns: the bars' times. known: bid and ask before each bar.
    """

    quoted: _Sides
    own: Integers
    starts: Integers
    first_rows: Integers
    time_ns: Integers
    known: _KnownSides

    @classmethod
    def of(cls, quotes: _Quotes, quoted: _Sides, rows: Integers) -> _Unopened:
        labels = quotes.label[rows]
        own = np.flatnonzero(labels != OUTSIDE)
        run = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)[own]
        starts = np.flatnonzero(np.diff(run, prepend=-1))
        firsts = own[starts]
        instant_ns = None if quotes.instant_ns is None else quotes.instant_ns[rows[firsts]]
        return cls(quoted, own, starts, firsts, labels[firsts], _KnownSides.of(len(starts), instant_ns))

    def last(self, before: _KnownSides) -> _KnownSides:
        """Return the last bid and ask of the stream. before: those before its quotes."""
        last = _KnownSides.of(1)
        last.look_at(self.quoted, None, np.array([len(self.quoted[0])]))
        last.look_at(before.sides, None, np.ones(1, np.int64))
        return last

    def opened(self) -> QuoteBars:
        """Return the bars."""
        if not len(self.starts):
            return QuoteBars.joined([])
        quoted = _at(self.quoted, self.own)
        return merged_quote_bars(quote_bars_of(quoted, self.starts, self.time_ns, self.known.sides))


def _at(sides: _Sides, rows: Integers) -> _Sides:
    bid, ask = sides
    return bid[rows], ask[rows]


def _whole_intervals(view: LogView, window: Window, grid: BarGrid) -> Iterator[Window]:
    """Yield an aligned window in parts of whole intervals with about `ROWS_AT_ONCE` rows each."""
    while window.start_ns < window.end_ns:
        end_ns = view.take_window(window, ROWS_AT_ONCE).end_ns
        end_ns = min(grid.aligned(end_ns - 1, end_ns).end_ns, window.end_ns)
        yield Window(window.start_ns, end_ns)
        window = Window(end_ns, window.end_ns)


def _rows_by_exchange(quotes: pa.Table) -> dict[Exchange, Integers]:
    """Return the indices of each exchange's quotes, ascending, by exchange; None for quotes without one is first."""
    coded = pc.dictionary_encode(quotes.column("exchange"), null_encoding="encode").combine_chunks()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    rows = np.split(np.argsort(codes, kind="stable"), ends) if names else []
    return dict(sorted(zip(names, rows, strict=True), key=lambda each: each[0] or ""))


def _is_of_exchange(rows: pa.Table, exchange: str) -> Mask:
    mask: Mask = pc.equal(rows.column("exchange"), exchange).fill_null(False).to_numpy()
    return mask
