"""What is newest of a symbol: `/latest` and `/snapshot`, put together of the tree's own answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import orjson

from http_requests.conditional import etag_of
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.keys import CacheKey
from stats.exceptions import ResolutionUnavailable
from stats.market_data.answers.answer import page_of
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.pinning.pinned import PinnedMarketData, Representation, commits_of, pin
from stats.market_data.queries.parameters import query_serializer
from stats.market_data.queries.query import Target, parse_query
from stats.parameters.query_values import query_values
from stats.rendering.document import TimeForm
from stats.rendering.json_rows import row_objects
from store.timestamps import SECOND_NS, format_timestamp
from trades.named_symbol import named_symbol
from trades.services.instruments import symbol_canonical


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A member of a report: row number `back` from the newest of a dataset, at a resolution if it has one."""

    name: str
    dataset: str
    resolution: str | None = None
    back: int = 1

    @property
    def query_string(self) -> str:
        """The part's own query."""
        return f"last={self.back}" + (f"&resolution={self.resolution}" if self.resolution else "")


_TRADE, _QUOTE = ReportPart("trade", "trades"), ReportPart("quote", "quotes")
_BARS = (
    ReportPart("minute_bar", "ohlcv", "1m"),
    ReportPart("daily_bar", "ohlcv", "1d"),
    ReportPart("previous_daily_bar", "ohlcv", "1d", back=2),
)
REPORTS = {"latest": (_TRADE, _QUOTE), "snapshot": (_TRADE, _QUOTE, *_BARS)}


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which report of which symbols; as_of_ns: of what was stored by then."""

    report: str
    market_class: str
    symbols: tuple[str, ...]
    several: bool
    as_of_ns: int | None


@dataclass(frozen=True)
class PinnedReport:
    """A report fixed to commits: each symbol's members, in their order.

    None where there is nothing of the kind.
    """

    query: ReportQuery
    members: tuple[tuple[tuple[ReportPart, PinnedMarketData | None], ...], ...]

    @cached_property
    def pinned(self) -> list[PinnedMarketData]:
        """The members' queries."""
        return [pinned for members in self.members for _, pinned in members if pinned is not None]

    @property
    def cache_symbol(self) -> str:
        return ",".join(self.query.symbols)

    @property
    def cache_end_ns(self) -> int | None:
        return None

    @property
    def cache_coarse(self) -> bool:
        return False

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

    @cached_property
    def commits(self) -> str:
        """What the header `X-Commit` says."""
        logs = {(log.dataset.name, log.symbol): log for each in self.pinned for log in each.logs}
        return commits_of(logs.values(), named=self.query.several)

    @cached_property
    def etag(self) -> str:
        return etag_of(self.cache_key)

    @cached_property
    def cache_key(self) -> str:
        members = orjson.dumps([each.cache_key for each in self.pinned]).decode()
        return str(
            CacheKey(
                symbol=self.cache_symbol,
                dataset=f"{self.query.market_class}-{self.query.report}",
                parameters=(("as_of", self.as_of_ns), ("several", int(self.query.several))),
                version=etag_of(members).strip('"'),
                representation="json",
            )
        )


@lru_cache(maxsize=4096)
def parse_report_query(report: str, market_class: str, symbol: str | None, query_string: str) -> ReportQuery:
    """The query in a URL. Raises `InvalidParameter` and `InvalidValue`."""
    names = ("symbols", "as_of") if symbol is None else ("as_of",)
    found = query_values(query_serializer(f"{report}{len(names)}", names), query_string)
    symbols = found["symbols"] if symbol is None else (named_symbol(symbol),)
    return ReportQuery(report, market_class, symbols, symbol is None, found.get("as_of"))


def pin_report(query: ReportQuery, *, now_ns: int) -> PinnedReport:
    """Fix the commits of a report. Raises `UnknownSymbol`, `WrongClass` and the store's errors."""
    query = replace(query, symbols=tuple(map(symbol_canonical, query.symbols)))
    members = tuple(tuple(_members(query, symbol, now_ns)) for symbol in query.symbols)
    return PinnedReport(query, members)


@cached()
def report_answer(pinned: PinnedReport, now_ns: int) -> Entry:
    """The finished report."""
    query = pinned.query
    reports = [
        {"symbol": symbol, **{part.name: _row(part, each) for part, each in members}}
        for symbol, members in zip(query.symbols, pinned.members, strict=True)
    ]
    document: Any = {"symbols": query.symbols, query.report: reports} if query.several else reports[0]
    return Entry(
        body=orjson.dumps(document),
        content_type="application/json",
        etag=pinned.etag,
        computed_at=now_ns / SECOND_NS,
    )


def _members(
    query: ReportQuery, symbol: str, now_ns: int
) -> Iterator[tuple[ReportPart, PinnedMarketData | None]]:
    as_of = "" if query.as_of_ns is None else f"&as_of={format_timestamp(query.as_of_ns)}"
    for part in REPORTS[query.report]:
        dataset = MARKET_DATASETS[part.dataset]
        parsed = parse_query(Target(query.market_class, dataset.form, symbol), part.query_string + as_of)
        try:
            yield part, pin(dataset, parsed, Representation("json"), now_ns=now_ns)
        except ResolutionUnavailable:
            yield part, None


def _row(part: ReportPart, pinned: PinnedMarketData | None) -> orjson.Fragment | None:
    """The member's row as a JSON object; None where there are not so many."""
    rows = page_of(pinned).rows if pinned is not None else ()
    if len(rows) < part.back:
        return None
    first = rows[:1].table  # type: ignore[union-attr] # there is at least one
    return orjson.Fragment(row_objects(first, TimeForm.RFC3339, ""))
