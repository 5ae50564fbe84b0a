"""Bars for a query: which commits they are of, which of them a page holds, and the finished answer."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson

from http_requests.conditional import etag_of
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.keys import CacheKey
from stats.cursors import Cursor, seen_commits
from stats.exceptions import NoData, RangeTooLarge
from stats.fields import DEFAULT_PAGE
from stats.ohlc_query import OhlcQuery
from stats.position import Position
from trades.bar_policies import BAR_POLICIES, BarPolicy
from trades.datasets import TRADES
from trades.services.instruments import known_instrument
from trades.storage.bars.aggregate import Bars
from trades.storage.exceptions import UnknownSymbol
from trades.storage.instruments import FRACTIONAL
from trades.storage.protocol import NO_COMMIT, CommitId, Window
from trades.stores import market_store
from trades.timestamps import SECOND_NS

BARS_LIMIT = 50_000
# Of those that the encoder writes by itself.
_LARGEST_INTEGER = 2**63


@dataclass(frozen=True)
class PinnedOhlc:
    """A query pinned to the log's commits, of which `head` is the newest one that it may see, and to a bar policy.

    version: the newest commit that touches what the answer depends on. has_whole_volume: whether volumes are
    counts.
    """

    query: OhlcQuery
    policy: BarPolicy
    has_whole_volume: bool
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
        snapshot = self.head if self.query.is_paged else None
        return _key(self.query, self.policy.key, self.has_whole_volume, self.version, snapshot)

    @property
    def etag(self) -> str:
        """The answer's tag."""
        return etag_of(self.cache_key)

    @property
    def commits(self) -> str:
        """What the header `X-Commit` says."""
        return f"trades={self.head.token}"

    @property
    def as_of_ns(self) -> int | None:
        """The instant by which all that the answer says was stored; None for now."""
        return self.query.as_of_ns


@lru_cache(maxsize=4096)
def _key(
    query: OhlcQuery, policy_key: str, has_whole_volume: bool, version: CommitId, snapshot: CommitId | None
) -> str:
    """Query, policy and version; a page's key also names the snapshot, which is part of its cursors."""
    parameters: list[tuple[str, str | int | None]] = [
        ("interval", query.interval.value),
        ("policy", policy_key),
        ("volume", None if has_whole_volume else FRACTIONAL),
        ("start", query.window.start_ns),
        ("end", query.window.end_ns),
    ]
    if snapshot is not None:
        parameters += [
            ("limit", query.limit),
            ("cursor", query.cursor_text),
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
    try:
        head = store.head(TRADES, query.symbol)
    except UnknownSymbol:
        known_instrument(symbol=query.symbol)
        raise _no_data(query) from None
    if query.cursor is not None:
        head = _walked(query.cursor, query.symbol, head)
    elif query.as_of_ns is not None:
        head = store.head(TRADES, query.symbol, at=store.commit_as_of(TRADES, query.symbol, query.as_of_ns))
    instrument = store.instrument(query.symbol, as_of_ns=query.as_of_ns)
    policy = instrument.policy
    version = store.version(TRADES, query.symbol, _needed(query, policy.name, head), at=head.number)
    if version == NO_COMMIT:
        raise _no_data(query)
    return PinnedOhlc(query, policy, instrument.has_whole_volume, head, version)


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


def _walked(cursor: Cursor, symbol: str, head: CommitId) -> CommitId:
    """The commit at which the walk began. Raises `Resync` if the log no longer has it."""
    (seen,) = cursor.commits
    begun = head if seen.number > head.number else market_store().head(TRADES, symbol, at=seen.number)
    seen.check(begun)
    return begun


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
