"""Which commits the bars for a query are of, and what else names their answer."""

from dataclasses import dataclass
from functools import lru_cache

from http_requests.conditional import etag_of
from stats.caching.keys import CacheKey
from stats.exceptions import NoData
from stats.ohlc.query import OhlcQuery
from stats.paging.cursors import Cursor
from store.bar_policies import BAR_POLICIES, BarPolicy
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.instruments import FRACTIONAL
from store.protocol import NO_COMMIT, CommitId, Window
from trades.services.instruments import known_instrument
from trades.stores import market_store


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
        raise no_data(query) from None
    if query.cursor is not None:
        head = _walked(query.cursor, query.symbol, head)
    elif query.as_of_ns is not None:
        head = store.head(TRADES, query.symbol, at=store.commit_as_of(TRADES, query.symbol, query.as_of_ns))
    instrument = store.instrument(query.symbol, as_of_ns=query.as_of_ns)
    policy = instrument.policy
    version = store.version(TRADES, query.symbol, _needed(query, policy.name, head), at=head.number)
    if version == NO_COMMIT:
        raise no_data(query)
    return PinnedOhlc(query, policy, instrument.has_whole_volume, head, version)


@lru_cache(maxsize=4096)
def _needed(query: OhlcQuery, policy_name: str, head: CommitId) -> Window:
    """The window that the answer depends on, as of a commit."""
    return market_store().dependency_window(
        query.symbol,
        query.window,
        query.interval.length_ns,
        policy=BAR_POLICIES[policy_name],
        at=head.number,
    )


def _walked(cursor: Cursor, symbol: str, head: CommitId) -> CommitId:
    """The commit at which the walk began. Raises `Resync` if the log no longer has it."""
    (seen,) = cursor.commits
    begun = head if seen.number > head.number else market_store().head(TRADES, symbol, at=seen.number)
    seen.check(begun)
    return begun


def no_data(query: OhlcQuery) -> NoData:
    """What is said where the query has no bars."""
    then = " and were stored by as_of" if query.as_of_ns is not None else ""
    return NoData(f"no trades of {query.symbol} lie in the range{then}")
