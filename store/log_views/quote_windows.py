"""Quote bars of a window, one series for each exchange. A bar opens at the last quote before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.quote_bars import QuoteBars, QuoteSide, merged_quote_bars, quote_bars_of, sides_of
from store.lazy_imports import compute as pc
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView, rows_backwards
from store.log_views.session_spans import OUTSIDE
from store.protocol import Window
from store.timestamps import DAY_NS

# The last quote before a window is searched on this many dates that have quotes. A side without a quote on them counts
# as never quoted.
DATES_LOOKED_BACK = 10

# None means the quotes without an exchange.
Exchange: TypeAlias = str | None
# Bid and ask.
_Sides: TypeAlias = tuple[QuoteSide, QuoteSide]
_NEVER = QuoteSide(np.full(1, np.nan), np.full(1, np.nan))


def quote_bars_by_exchange(
    view: LogView, window: Window, grid: BarGrid
) -> Iterator[tuple[Exchange, QuoteBars]]:
    """Yield each exchange's name and bars in an aligned window, ordered by name; that of quotes without one is first.

    The whole window is in memory.
    """
    rows = view.rows(window)
    labels = grid.labels_of(rows.column("timestamp").to_numpy(), window)
    sides, streams = sides_of(rows), _rows_by_exchange(rows)
    before = _last_before(view, window.start_ns, streams)
    for exchange, index in streams.items():
        yield exchange, _bars(_at(sides, index), labels[index], before[exchange])


def _bars(quoted: _Sides, labels: Integers, before: _Sides) -> QuoteBars:
    """Return the bars of one exchange.

    labels: of the bar of each quote; a quote that is `OUTSIDE` makes no bar, though the next bar opens at the last of
    them. before: the last bid and ask before the quotes.
    """
    own = np.flatnonzero(labels != OUTSIDE)
    run = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)[own]
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    if not len(starts):
        return QuoteBars.joined([])
    firsts = own[starts]
    bid, ask = (_known_at(known, side, firsts) for known, side in zip(before, quoted, strict=True))
    return merged_quote_bars(quote_bars_of(_at(quoted, own), starts, labels[firsts], (bid, ask)))


def _known_at(known: QuoteSide, side: QuoteSide, counts: Integers) -> QuoteSide:
    """Return a side after each number of quotes. known: the side before all of them, one row."""
    price, size = np.append(known.price, side.price), np.append(known.size, side.size)
    newest = np.maximum.accumulate(np.where(np.isnan(price), 0, np.arange(len(price))))[counts]
    return QuoteSide(price[newest], size[newest])


def _last_before(view: LogView, start_ns: int, exchanges: Iterable[Exchange]) -> dict[Exchange, _Sides]:
    """Return the last bid and ask of each exchange before an instant, one row each; NaN for a side without one."""
    found = dict.fromkeys(exchanges, (_NEVER, _NEVER))
    missing = set(found)
    for rows in _looked_back(view, start_ns) if missing else ():
        sides = sides_of(rows)
        for exchange, index in _rows_by_exchange(rows).items():
            if exchange in missing:
                found[exchange] = bid, ask = _completed(found[exchange], _at(sides, index))
                if not np.isnan(bid.price[0]) and not np.isnan(ask.price[0]):
                    missing.remove(exchange)
        if not missing:
            break
    return found


def _completed(later: _Sides, earlier: _Sides) -> _Sides:
    """Return the last bid and ask: of the later rows, for a side without one there of the earlier rows."""
    bid, ask = (
        known if not np.isnan(known.price[0]) else _known_at(_NEVER, side, np.array([len(side)]))
        for known, side in zip(later, earlier, strict=True)
    )
    return bid, ask


def _looked_back(view: LogView, start_ns: int) -> Iterator[pa.Table]:
    """Yield the rows of the last `DATES_LOOKED_BACK` dates with rows before an instant, last rows first."""
    seen = set[int]()
    for rows in rows_backwards(view, start_ns):
        dates = rows.column("timestamp").to_numpy() // DAY_NS
        seen.update(np.unique(dates).tolist())
        if len(seen) > DATES_LOOKED_BACK:
            yield rows.slice(int(dates.searchsorted(sorted(seen)[-DATES_LOOKED_BACK])))
            return
        yield rows


def _at(sides: _Sides, rows: Integers) -> _Sides:
    bid, ask = sides
    return bid[rows], ask[rows]


def _rows_by_exchange(quotes: pa.Table) -> dict[Exchange, Integers]:
    """Return the indices of each exchange's quotes, ascending, by exchange; None for quotes without one is first."""
    coded = pc.dictionary_encode(quotes.column("exchange"), null_encoding="encode").combine_chunks()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    rows = np.split(np.argsort(codes, kind="stable"), ends) if names else []
    return dict(sorted(zip(names, rows, strict=True), key=lambda each: each[0] or ""))
