"""Bars for a query: which commits they are of, which of them a page holds, and the finished answer."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson

from stats.caching.conditional import etag_of
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.keys import CacheKey
from stats.cursors import Cursor
from stats.exceptions import NoData, RangeTooLarge, Resync
from stats.ohlc_query import OhlcQuery
from trades.bar_policies import BAR_POLICIES, BarPolicy
from trades.datasets import TRADES
from trades.storage.aggregate import Bars
from trades.storage.protocol import NO_COMMIT, CommitId, Window
from trades.stores import market_store
from trades.timestamps import SECOND_NS

BARS_LIMIT = 50_000
DEFAULT_PAGE = 1_000


@dataclass(frozen=True)
class PinnedOhlc:
    """A query pinned to the log's commits, of which `head` is the newest one that it may see, and to a bar policy.

    version: the newest commit that touches what the answer depends on.
    """

    query: OhlcQuery
    policy: BarPolicy
    head: CommitId
    version: CommitId

    @property
    def cache_symbol(self) -> str:
        return self.query.symbol

    @property
    def cache_end_ns(self) -> int | None:
        return self.query.end_ns

    @property
    def cache_coarse(self) -> bool:
        return self.query.interval.is_coarse

    @property
    def cache_key(self) -> str:
        return _key(self.query, self.policy.key, self.version, self.head if self.query.is_paged else None)

    @property
    def etag(self) -> str:
        """The answer's tag."""
        return etag_of(self.cache_key)


@lru_cache(maxsize=4096)
def _key(query: OhlcQuery, policy_key: str, version: CommitId, snapshot: CommitId | None) -> str:
    """Query, policy and version; a page's key also names the snapshot, which is part of its cursors."""
    parameters: list[tuple[str, str | int | None]] = [
        ("interval", query.interval.value),
        ("policy", policy_key),
        ("start", query.window.start_ns),
        ("end", query.window.end_ns),
    ]
    if snapshot is not None:
        cursor = query.cursor.encode() if query.cursor else None
        parameters += [
            ("limit", query.limit),
            ("cursor", cursor),
            ("as_of", query.as_of_ns),
            ("snapshot", snapshot.token),
        ]
    return str(
        CacheKey(
            symbol=query.symbol,
            dataset="ohlc",
            parameters=tuple(parameters),
            version=f"trades={version.token}",
            representation="json",
        )
    )


def pin_ohlc(query: OhlcQuery) -> PinnedOhlc:
    """Fix the commits that the answer is of. Raises `UnknownSymbol`, `NoData`, `Resync`."""
    store = market_store()
    head = store.head(TRADES, query.symbol)
    if query.cursor is not None:
        head = _walked(query.cursor, query.symbol, head)
    elif query.as_of_ns is not None:
        head = store.head(TRADES, query.symbol, at=store.commit_as_of(TRADES, query.symbol, query.as_of_ns))
    policy = store.instrument(query.symbol, as_of_ns=query.as_of_ns).policy
    version = store.version(TRADES, query.symbol, _needed(query, policy.name, head), at=head.number)
    if version == NO_COMMIT:
        raise _no_data(query)
    return PinnedOhlc(query, policy, head, version)


@lru_cache(maxsize=4096)
def _needed(query: OhlcQuery, policy_name: str, head: CommitId) -> Window:
    """The window that the answer depends on, as of a commit."""
    return market_store().influence(
        query.symbol,
        query.window,
        query.interval.length_ns,
        policy=BAR_POLICIES[policy_name],
        at=head.number,
    )


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
        raise _no_data(query)
    if query.is_paged:
        body = _page(pinned, bars)
    elif len(bars) > BARS_LIMIT:
        raise RangeTooLarge(
            f"the range has {len(bars):,} bars and an answer at most {BARS_LIMIT:,}: ask for a shorter range, or page"
            " with limit and cursor (a stream of bars, …/ohlcv/stream, is not served yet)"
        )
    else:
        body = _document(query, bars)
    return Entry(
        body=orjson.dumps(body),
        content_type="application/json",
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
    )


def _walked(cursor: Cursor, symbol: str, head: CommitId) -> CommitId:
    """The commit at which the walk began. Raises `Resync` if the log no longer has it."""
    if cursor.commit_number <= head.number:
        begun = market_store().head(TRADES, symbol, at=cursor.commit_number)
        if cursor.is_of(begun):
            return begun
    raise Resync("the log was restored since the cursor was made; begin the walk anew")


def _no_data(query: OhlcQuery) -> NoData:
    then = " and were stored by as_of" if query.as_of_ns is not None else ""
    return NoData(f"no trades of {query.symbol} lie in the range{then}")


def _page(pinned: PinnedOhlc, bars: Bars) -> dict[str, object]:
    """The page at the query's cursor, with the cursors of its neighbours.

    `bars` are those of the whole window: each page that is not in the cache costs a slice or a merge of its
    rollups, whatever the page's size, and a walk through n pages costs it n times.
    """
    query, count = pinned.query, len(bars)
    limit = query.limit or DEFAULT_PAGE
    start, end = 0, min(limit, count)
    if query.cursor is not None:
        place = int(np.searchsorted(bars.time_ns, query.cursor.position_ns))
        start, end = (
            (max(place - limit, 0), place) if query.cursor.backward else (place, min(place + limit, count))
        )

    def cursor_at(place: int, *, backward: bool) -> str:
        position_ns = int(bars.time_ns[place])
        return Cursor(backward, position_ns, pinned.head.number, pinned.head.hash, query.subject).encode()

    return {
        **_document(query, bars[start:end]),
        "next_cursor": cursor_at(end, backward=False) if end < count else None,
        "prev_cursor": cursor_at(start, backward=True) if start > 0 else None,
        "total_estimate": count,
    }


def _document(query: OhlcQuery, bars: Bars) -> dict[str, object]:
    times = np.char.add(np.datetime_as_string(bars.time_ns.view("datetime64[ns]"), unit="s"), "Z").tolist()
    columns = (times, *(column.tolist() for column in (bars.open, bars.high, bars.low, bars.close)))
    volumes = [int(volume) if volume.is_integer() else volume for volume in bars.volume.tolist()]
    names = ("timestamp", "open", "high", "low", "close", "volume")
    data = [dict(zip(names, row, strict=True)) for row in zip(*columns, volumes, strict=True)]
    return {"symbol": query.symbol, "interval": query.interval.value, "data": data}
