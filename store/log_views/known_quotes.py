"""Quote bars as they were known when they ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.quote_bars import (
    QuoteBars,
    QuoteSide,
    merged_quote_bars,
    quote_bars_after,
    sides_of,
)
from store.log_views.known_bars import KnownLog
from store.log_views.quote_windows import (
    Exchange,
    is_of_exchange,
    looked_back,
    rows_by_exchange,
    whole_intervals,
)
from store.log_views.session_spans import OUTSIDE
from store.protocol import Window
from store.rows.knowledge import KnowledgeTimes

# Returns the indices of each stream's rows, ascending.
_Streams: TypeAlias = "Callable[[pa.Table], dict[Exchange, Integers]]"
_Sides: TypeAlias = tuple[QuoteSide, QuoteSide]


def windowed_known_quote_bars(log: KnownLog, window: Window, exchange: Exchange) -> QuoteBars:
    """Return quote bars of the log's grid in an aligned window. exchange: None means all quotes as one stream."""

    def streams(rows: pa.Table) -> dict[Exchange, Integers]:
        if exchange is None:
            return {None: np.arange(rows.num_rows)}
        return {exchange: np.flatnonzero(is_of_exchange(rows, exchange))}

    return QuoteBars.joined(
        [
            _known_quote_bars(log, part, streams)[exchange]
            for part in whole_intervals(log.view, window, log.grid)
        ]
    )


def known_quote_bars_by_exchange(log: KnownLog, window: Window) -> Iterator[tuple[Exchange, QuoteBars]]:
    """Yield each exchange's name and bars in an aligned window, ordered by name. The whole window is in memory."""
    yield from _known_quote_bars(log, window, rows_by_exchange).items()


def _known_quote_bars(log: KnownLog, window: Window, streams: _Streams) -> dict[Exchange, QuoteBars]:
    """Return the bars of each stream of quotes in an aligned window, each as it was known at its end plus `settle`.

    A bar opens at the last quote before it that was known by then. Quotes outside the hours that count make no bar.
    """
    versions = log.versions(window)
    labels = log.grid.labels_of(versions.rows.column("timestamp").to_numpy(), window)
    is_own, sides = versions.known & (labels != OUTSIDE), sides_of(versions.rows)
    bars: dict[Exchange, _UnopenedBars] = {}
    for name, rows in streams(versions.rows).items():
        quoted = _at(sides, rows)
        bars[name] = _unopened(quoted, labels[rows], versions.instant_ns[rows], np.flatnonzero(is_own[rows]))
        bars[name].look_at(quoted, versions.times.taken(rows), bars[name].first_rows)
    _look_back(
        log, window.start_ns, streams, {name: each for name, each in bars.items() if each.is_incomplete}
    )
    return {name: each.opened() for name, each in bars.items()}


def _look_back(
    log: KnownLog, start_ns: int, streams: _Streams, incomplete: dict[Exchange, _UnopenedBars]
) -> None:
    """Search the quotes before an instant for what was known before each stream's bars."""
    for rows in looked_back(log.view, start_ns, log.view.versions) if incomplete else ():
        times, sides = log.view.known_times(rows), sides_of(rows)
        for name, index in streams(rows).items():
            if name in incomplete:
                bars = incomplete[name]
                bars.look_at(_at(sides, index), times.taken(index), np.full(len(bars.time_ns), len(index)))
        incomplete = {name: each for name, each in incomplete.items() if each.is_incomplete}
        if not incomplete:
            break


@dataclass(slots=True)
class _UnopenedBars:
    """The bars of one stream, for which the quotes known before each bar are searched.

    quotes: bid and ask of the quotes that make the bars. starts: each bar's first one of them. first_rows: the same
    as a row of the stream in the window. time_ns: the bars' times. instant_ns: the instant as of which each bar is
    known. before: bid and ask known before each bar; NaN if none is found.
    """

    quotes: _Sides
    starts: Integers
    first_rows: Integers
    time_ns: Integers
    instant_ns: Integers
    before: _Sides

    @property
    def is_incomplete(self) -> bool:
        """Whether a side before a bar is not found."""
        return any(bool(np.isnan(side.price).any()) for side in self.before)

    def look_at(self, sides: _Sides, times: KnowledgeTimes, counts: Integers) -> None:
        """Search older rows of the stream. counts: how many of them are before each bar."""
        bid, ask = (
            _filled(side, quoted, times, counts, self.instant_ns)
            for side, quoted in zip(self.before, sides, strict=True)
        )
        self.before = bid, ask

    def opened(self) -> QuoteBars:
        """Return the bars."""
        if not len(self.starts):
            return QuoteBars.joined([])
        return merged_quote_bars(quote_bars_after(self.before, self.quotes, self.starts, self.time_ns))


def _unopened(sides: _Sides, labels: Integers, instant_ns: Integers, own: Integers) -> _UnopenedBars:
    """Return the bars of a stream's rows in a window. own: the rows that make bars."""
    run = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)[own]
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    firsts, nothing = own[starts], np.full(len(starts), np.nan)
    before = QuoteSide(nothing, nothing), QuoteSide(nothing, nothing)
    return _UnopenedBars(_at(sides, own), starts, firsts, labels[firsts], instant_ns[firsts], before)


def _at(sides: _Sides, rows: Integers) -> _Sides:
    bid, ask = sides
    return bid[rows], ask[rows]


def _filled(
    side: QuoteSide, quoted: QuoteSide, times: KnowledgeTimes, counts: Integers, instant_ns: Integers
) -> QuoteSide:
    """Return the side; where it is unknown, that of the last of the first `counts` rows that was known."""
    missing, rows = np.flatnonzero(np.isnan(side.price)), np.flatnonzero(~np.isnan(quoted.price))
    index = times.taken(rows).last_at(rows.searchsorted(counts[missing]), instant_ns[missing])
    missing, found = missing[index >= 0], quoted[rows[index[index >= 0]]]
    price, size = side.price.copy(), side.size.copy()
    price[missing], size[missing] = found.price, found.size
    return QuoteSide(price, size)
