"""Bars for a pinned query: all of them or the page that it asks for, as the finished answer."""

import numpy as np
import orjson

from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.exceptions import RangeTooLarge
from stats.ohlc.pinned import PinnedOhlc, no_data
from stats.paging.cursors import Cursor, seen_commits
from stats.paging.position import Position
from stats.parameters.fields import DEFAULT_PAGE
from store.bars.bars import Bars
from store.timestamps import SECOND_NS
from trades.stores import market_store

BARS_LIMIT = 50_000
# Of those that the encoder writes by itself.
_LARGEST_INTEGER = 2**63


@cached()
def ohlc_answer(pinned: PinnedOhlc, now_ns: int) -> Entry:
    """The finished JSON answer, computed at `now_ns`. Raises `NoData` and `RangeTooLarge`."""
    query = pinned.query
    bars = market_store().bars(
        query.symbol,
        query.window,
        query.interval.length_ns,
        policy=pinned.policy,
        at=pinned.head.number,
    )
    if not len(bars):
        raise no_data(query)
    if query.is_paged:
        body = _page(pinned, bars)
    elif len(bars) > BARS_LIMIT:
        raise RangeTooLarge(
            f"the range has {len(bars):,} bars and an answer at most {BARS_LIMIT:,}: ask for a shorter range, page"
            f" with limit and cursor, or take the stream /api/v1/market-data/…/{query.symbol}/ohlcv/stream"
        )
    else:
        body = _document(pinned, bars)
    return Entry(
        body=orjson.dumps(body),
        content_type="application/json",
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
    )


def _page(pinned: PinnedOhlc, bars: Bars) -> dict[str, object]:
    """The page at the query's cursor, with the cursors of its neighbours.

    `bars` are those of the whole window: each page that is not in the cache costs a slice or a merge of its
    rollups, whatever the page's size, and a walk through n pages costs it n times.
    """
    query, count = pinned.query, len(bars)
    limit = query.limit or DEFAULT_PAGE
    start, end = 0, min(limit, count)
    if query.cursor is not None:
        place = int(np.searchsorted(bars.time_ns, query.cursor.position.time_ns))
        start, end = (
            (max(place - limit, 0), place) if query.cursor.earlier else (place, min(place + limit, count))
        )

    def cursor_at(row: int, *, earlier: bool) -> str:
        position = Position(0, int(bars.time_ns[row]))
        return Cursor(earlier, position, seen_commits([pinned.head])).encode(query.subject)

    return {
        **_document(pinned, bars[start:end]),
        "next_cursor": cursor_at(end, earlier=False) if end < count else None,
        "prev_cursor": cursor_at(start, earlier=True) if start > 0 else None,
        "total_estimate": count,
    }


def _document(pinned: PinnedOhlc, bars: Bars) -> dict[str, object]:
    times = np.char.add(np.datetime_as_string(bars.time_ns.view("datetime64[ns]"), unit="s"), "Z").tolist()
    columns = (times, *(column.tolist() for column in (bars.open, bars.high, bars.low, bars.close)))
    volumes = bars.volume.tolist()
    if pinned.has_whole_volume:
        volumes = list(map(_counted, volumes))
    names = ("timestamp", "open", "high", "low", "close", "volume")
    data = [dict(zip(names, row, strict=True)) for row in zip(*columns, volumes, strict=True)]
    return {"symbol": pinned.query.symbol, "interval": pinned.query.interval.value, "data": data}


def _counted(volume: float) -> int | float | orjson.Fragment:
    """A count as an integer; a fraction that was stored all the same as it is."""
    if not volume.is_integer():
        return volume
    count = int(volume)
    return count if count < _LARGEST_INTEGER else orjson.Fragment(str(count).encode())
