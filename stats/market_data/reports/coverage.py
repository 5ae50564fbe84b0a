"""What is stored of a symbol at all: `/coverage`."""

from dataclasses import dataclass
from functools import cached_property

import orjson

from http_requests.conditional import etag_of
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.keys import CacheKey
from stats.market_data.pinning.logs import PinnedLog, Snapshot
from stats.market_data.pinning.pinned import commits_of
from stats.market_data.pinning.plan import check_known, instrument_in
from stats.market_data.queries.classes import MARKET_CLASSES
from stats.market_data.reports.newest import ReportQuery
from store.datasets import DATASETS
from store.log_views.coverage import log_coverage
from store.protocol import NO_COMMIT
from store.timestamps import SECOND_NS, format_timestamp
from trades.services.instruments import symbol_canonical
from trades.stores import market_store

COVERAGE = "coverage"


@dataclass(frozen=True)
class PinnedCoverage:
    """The logs of a symbol as of their newest commits, those of `as_of_ns` if it is given.

    Logs without a commit are left out.
    """

    market_class: str
    symbol: str
    as_of_ns: int | None
    logs: tuple[PinnedLog, ...]

    @property
    def cache_symbol(self) -> str:
        return self.symbol

    @property
    def cache_end_ns(self) -> int | None:
        return None

    @property
    def cache_coarse(self) -> bool:
        return False

    @cached_property
    def commits(self) -> str:
        """What the header `X-Commit` says."""
        return commits_of(self.logs, named=False)

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)

    @cached_property
    def cache_key(self) -> str:
        return str(
            CacheKey(
                symbol=self.symbol,
                dataset=f"{self.market_class}-{COVERAGE}",
                parameters=(("as_of", self.as_of_ns),),
                version=",".join(log.version for log in self.logs) or "none",
                representation="json",
            )
        )


def pin_coverage(query: ReportQuery) -> PinnedCoverage:
    """Fix the commits of the answer. Raises `UnknownSymbol`, `WrongClass` and the store's errors."""
    symbol = symbol_canonical(query.symbols[0])
    instrument_in(MARKET_CLASSES[query.market_class], symbol, query.as_of_ns, name=COVERAGE)
    snapshot = Snapshot(query.as_of_ns, None)
    logs = tuple(
        log for dataset in DATASETS.values() if (log := snapshot.log(dataset, symbol, 0)).head != NO_COMMIT
    )
    if not logs:
        check_known(symbol)
    return PinnedCoverage(query.market_class, symbol, query.as_of_ns, logs)


@cached()
def coverage_answer(pinned: PinnedCoverage, now_ns: int) -> Entry:
    """The finished answer: of each dataset the first and the last time, and how many rows and commits there are."""
    document = {"symbol": pinned.symbol, "datasets": [_row(log) for log in pinned.logs]}
    return Entry(
        body=orjson.dumps(document),
        content_type="application/json",
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
    )


def _row(log: PinnedLog) -> dict[str, str | int | None]:
    found = log_coverage(market_store(), log.dataset, log.symbol, at=log.head.number)
    return {
        "dataset": log.dataset.name,
        "first": _text(found.first_ns),
        "last": _text(found.last_ns),
        "rows": found.rows,
        "commits": found.commits,
        "head": found.head.token,
    }


def _text(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else format_timestamp(instant_ns)
