"""Quote bars as they were known when they ended."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.quote_bars import (
    QuoteBars,
    QuoteSide,
    joined_quote_bars,
    merged_quote_bars,
    quote_bars_after,
    sides_of,
)
from store.log_views.grids import OUTSIDE
from store.log_views.known_bars import KnownLog, KnownVersions
from store.log_views.last_rows import RowFilter
from store.log_views.quote_windows import (
    Exchange,
    exchanges_of,
    is_of_exchange,
    looked_back,
    whole_intervals,
)
from store.protocol import Window
from store.rows.knowledge import KnowledgeTimes


def windowed_known_quote_bars(log: KnownLog, window: Window, exchange: Exchange) -> QuoteBars:
    """Return quote bars of the log's grid in an aligned window. exchange: None means all quotes as one stream."""
    is_in_stream = _is_any if exchange is None else partial(is_of_exchange, exchange=exchange)
    return joined_quote_bars(
        [
            _known_quote_bars(log, log.versions(part), part, is_in_stream)
            for part in whole_intervals(log.view, window, log.grid)
        ]
    )


def known_quote_bars_by_exchange(log: KnownLog, window: Window) -> Iterator[tuple[Exchange, QuoteBars]]:
    """Yield each exchange's name and bars in an aligned window, ordered by name. The whole window is in memory."""
    versions = log.versions(window)
    for name in exchanges_of(versions.rows):
        yield name, _known_quote_bars(log, versions, window, partial(is_of_exchange, exchange=name))


def _known_quote_bars(
    log: KnownLog, versions: KnownVersions, window: Window, is_in_stream: RowFilter
) -> QuoteBars:
    """Return the bars of one stream of quotes in an aligned window, each as it was known at its end plus `settle`.

    versions: all versions of the window's quotes, of all streams. A bar opens at the last quote before it that was
    known by then. Quotes outside the hours that count make no bar.
    """
    found = versions.taken(is_in_stream(versions.rows))
    labels = log.grid.labels_of(found.rows.column("timestamp").to_numpy(), window)
    own = np.flatnonzero(found.known & (labels != OUTSIDE))
    if not len(own):
        return joined_quote_bars([])
    run = np.cumsum(np.diff(labels, prepend=labels[0]) != 0)[own]
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    firsts = own[starts]

    def older() -> Iterator[tuple[pa.Table, KnowledgeTimes, Integers]]:
        yield found.rows, found.times, firsts
        for rows in looked_back(log.view, window.start_ns, log.view.versions):
            chosen = is_in_stream(rows)
            stream, times = rows.filter(pa.array(chosen)), log.view.known_times(rows).taken(chosen)
            yield stream, times, np.full(len(starts), stream.num_rows)

    before = _before(older(), found.instant_ns[firsts])
    bid, ask = sides_of(found.rows)
    return merged_quote_bars(quote_bars_after(before, (bid.at(own), ask.at(own)), starts, labels[firsts]))


def _is_any(rows: pa.Table) -> Mask:
    """The stream of all quotes."""
    return np.ones(rows.num_rows, np.bool_)


def _before(
    older: Iterator[tuple[pa.Table, KnowledgeTimes, Integers]], instant_ns: Integers
) -> tuple[QuoteSide, QuoteSide]:
    """Return bid and ask known before each of some bars at its instant; NaN if they are unknown.

    older: versions of quotes, the newest table first, when they were known, and how many of them are before each bar.
    """
    nothing = np.full(len(instant_ns), np.nan)
    known = QuoteSide(nothing, nothing), QuoteSide(nothing, nothing)
    for rows, times, counts in older:
        bid, ask = (
            _filled(side, quoted, times, counts, instant_ns)
            for side, quoted in zip(known, sides_of(rows), strict=True)
        )
        known = bid, ask
        if not np.isnan(np.concatenate([bid.price, ask.price])).any():
            break
    return known


def _filled(
    side: QuoteSide, quoted: QuoteSide, times: KnowledgeTimes, counts: Integers, instant_ns: Integers
) -> QuoteSide:
    """Return the side; where it is unknown, that of the last of the first `counts` rows that was known."""
    missing, rows = np.flatnonzero(np.isnan(side.price)), np.flatnonzero(~np.isnan(quoted.price))
    index = times.taken(rows).last_at(rows.searchsorted(counts[missing]), instant_ns[missing])
    missing, found = missing[index >= 0], quoted.at(rows[index[index >= 0]])
    price, size = side.price.copy(), side.size.copy()
    price[missing], size[missing] = found.price, found.size
    return QuoteSide(price, size)
