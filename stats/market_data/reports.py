"""Reports of a symbol: `/latest`, `/snapshot` and `/coverage`."""

import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from typing import Annotated, Any, Self

from cachetools import LRUCache
from msgspec import Meta, Raw

from stats.caching.keys import Irrelevant
from stats.delivery.answers import LogName
from stats.exceptions import NoContract, ResolutionUnavailable
from stats.market_data.answers.page import PlannedAnswer
from stats.market_data.answers.report import MarketReport, SymbolsReport
from stats.market_data.ohlcv.bar_rows import bar_columns
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.options.datasets import OPTION_GREEKS
from stats.market_data.plan import (
    Plan,
    SymbolQuery,
    commits_of,
    instrument_in,
    is_known,
    is_of_class,
    log_at,
)
from stats.market_data.query import MARKET_CLASSES, QUOTED, MarketDataQuery
from stats.market_data.query_parameters import QueryParameter, RowQuerySerializer, query_serializer
from stats.market_data.quotes import QUOTE_ROWS, QUOTE_TICK_COLUMNS, QuoteOptions
from stats.market_data.ticks import TRADE_TICKS, out_columns
from stats.parameters import WordField, query_values
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from stats.rendering.row_schema import row_of
from stats.rendering.table import Table
from store.cached_property import cached_property
from store.datasets import DATASETS, TRADES
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.log_views.log_view import LogView, log_coverage
from store.resolutions import Resolution
from trades.instruments.services import requested_symbol
from web.documents import AnswerDocument, Instant, about, instant_or_null, like

_MINUTE_BAR = row_of(bar_columns(has_integer_volume=True, with_date=False))
_DAILY_BAR = row_of(bar_columns(has_integer_volume=True, with_date=True))


class LatestDocument(AnswerDocument):
    """The newest trade and quote of a symbol."""

    symbol: Annotated[str, like("AAPL")]
    trade: Annotated[Raw | None, row_of(out_columns(TRADES, has_integer_volume=True))]
    quote: Annotated[Raw | None, row_of(QUOTE_TICK_COLUMNS)]


class SnapshotDocument(LatestDocument):
    """The newest trade, quote and bars of a symbol."""

    minute_bar: Annotated[Raw | None, _MINUTE_BAR]
    daily_bar: Annotated[Raw | None, _DAILY_BAR]
    previous_daily_bar: Annotated[Raw | None, _DAILY_BAR]


class LatestOfSymbolsDocument(AnswerDocument):
    """The newest trades and quotes of several symbols."""

    symbols: Annotated[list[str], like(["AAPL"])]
    latest: list[LatestDocument]


class SnapshotOfSymbolsDocument(AnswerDocument):
    """The newest rows of several symbols."""

    symbols: Annotated[list[str], like(["AAPL"])]
    snapshot: list[SnapshotDocument]


OPTION_SNAPSHOT = "option-snapshot"
_TICKS = ((TRADE_TICKS, Resolution.TICK, 1), (QUOTE_ROWS, Resolution.TICK, 1))
_MINUTE = (OHLCV, Resolution.MINUTE, 1)
# The parts of each report: a dataset, its resolution, and the number of its rows, each a field of the document.
_PARTS = {
    "latest": _TICKS,
    "snapshot": (*_TICKS, _MINUTE, (OHLCV, Resolution.DAY, 2)),
    # Reports of dialects only.
    OPTION_SNAPSHOT: (*_TICKS, (OPTION_GREEKS, Resolution.TICK, 1)),
    **{part[0].name: (part,) for part in (*_TICKS, _MINUTE)},
}
# The documents of each report: of a symbol, and of several.
DOCUMENTS: dict[str, tuple[Any, Any]] = {
    "latest": (LatestDocument, LatestOfSymbolsDocument),
    "snapshot": (SnapshotDocument, SnapshotOfSymbolsDocument),
}
COVERAGE = "coverage"
_BY_SPLITS = "split"
_ADJUSTMENT = QueryParameter(
    "adjustment",
    WordField,
    {
        "words": ("raw", _BY_SPLITS, "all"),
        "schema_default": _BY_SPLITS,
        "help_text": "The prices of the bars. `raw`: as traded; `split`: adjusted for splits; `all`: for dividends, too.",
    },
)


def _serializer(report: str, several: bool) -> RowQuerySerializer:
    """Return the serializer of a report's query. several: whether the endpoint is for several symbols."""
    adjusted = (_ADJUSTMENT,) if report == "snapshot" else ()
    names = (*(("symbols",) if several else ()), "as_of", "symbol_as_of", *adjusted)
    return query_serializer(names)


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """A report and its symbols.

    as_of_ns: commits stored later are ignored; None for no bound.
    symbol_as_of_ns: when the symbols had the meaning that is asked for; None for now.
    skips_unknown: whether symbols that are unknown or of another class have no rows, instead of an error.
    adjustment: of the bars' prices, as in `MarketDataQuery`. two_sided: whether the quote is the newest with both sides.
    """

    report: Annotated[str, Irrelevant("the snapshot's name has it")]
    market_class: Annotated[str, Irrelevant("the snapshot's name has it")]
    symbols: Annotated[tuple[str, ...], Irrelevant("the key has them")]
    several: bool
    as_of_ns: int | None
    symbol_as_of_ns: Annotated[int | None, Irrelevant("the key has the symbols' meaning")] = None
    skips_unknown: bool = False
    adjustment: str = "raw"
    two_sided: bool = False

    @property
    def parts(self) -> list[MarketDataQuery]:
        """The queries for the rows of each part, of any symbol."""
        return [
            MarketDataQuery.of(
                dataset,
                (),
                market_class=MARKET_CLASSES[self.market_class],
                resolution=resolution,
                last=count,
                as_of_ns=self.as_of_ns,
                skips_unknown=self.skips_unknown,
                adjustment=self.adjustment if dataset is OHLCV else "raw",
                options=QuoteOptions(self.two_sided) if dataset is QUOTE_ROWS else None,
            )
            for dataset, resolution, count in _PARTS[self.report]
        ]

    @property
    def resolved(self) -> "ReportQuery":
        """The query with the canonical symbols. Raises `StorageError`s."""
        market_class = MARKET_CLASSES[self.market_class]
        symbols = tuple(market_class.canonical(symbol, self.symbol_as_of_ns) for symbol in self.symbols)
        return replace(self, symbols=symbols, symbol_as_of_ns=None)


@dataclass(frozen=True, eq=False)
class NewestRows:
    """The newest rows of a dataset for a symbol. plan: the one that they were read by. table: the newest row is last."""

    plan: Plan
    table: Table

    @cached_property
    def objects(self) -> list[Raw]:
        """The rows as JSON objects, the newest first."""
        lines = row_objects(self.table, TimeForm.RFC3339, "\n").splitlines()
        return [Raw(line) for line in reversed(lines)]

    @cached_property
    def key(self) -> str:
        """The rows' text. It stands for them in cache keys, so that a commit which leaves them leaves the key."""
        return b"".join(map(bytes, self.objects)).decode()


@dataclass(frozen=True, eq=False)
class NewestReport(SymbolsReport, PlannedAnswer):
    """A report on the newest rows.

    members: for each symbol, the rows of each part; None if the part's resolution is unavailable.
    """

    query: ReportQuery
    members: tuple[tuple[NewestRows | None, ...], ...]

    def all_plans(self) -> list[Plan]:
        """See `PlannedAnswer.all_plans`."""
        return [rows.plan for rows in chain.from_iterable(self.members) if rows is not None]

    @property
    def watched(self) -> frozenset[LogName] | None:
        # A commit to a log that no plan names may make a part's resolution available.
        return None if any(None in rows for rows in self.members) else super().watched

    def document(self) -> AnswerDocument:
        """See `AnswerSnapshot.document`."""
        query, parts = self.query, _PARTS[self.query.report]
        one, of_symbols = DOCUMENTS[query.report]
        reports = list[AnswerDocument]()
        for symbol, newest in zip(query.symbols, self.members, strict=True):
            fields = [
                rows.objects[index] if rows is not None and index < len(rows.objects) else None
                for (_, _, count), rows in zip(parts, newest, strict=True)
                for index in range(count)
            ]
            reports.append(one(symbol, *fields))
        document: AnswerDocument = of_symbols(query.symbols, reports) if query.several else reports[0]
        return document


def parse_report_query(report: str, market_class: str, symbol: str | None, query_string: str) -> ReportQuery:
    """Parse a URL's query string. symbol: None if the query string has the symbols.

    Raises `InvalidParameter` and `InvalidValue`.
    """
    values = query_values(_serializer(report, symbol is None), query_string)
    symbols = values["symbols"] if symbol is None else (requested_symbol(symbol),)
    return ReportQuery(
        report,
        market_class,
        symbols,
        several=symbol is None,
        as_of_ns=values.get("as_of"),
        symbol_as_of_ns=values.get("symbol_as_of"),
        adjustment=values.get("adjustment", _BY_SPLITS) if report == "snapshot" else "raw",
    )


def report_snapshot(query: ReportQuery, *, now_ns: int) -> NewestReport:
    """Return a report on symbols at the newest commits, without the parts whose resolution is unavailable.

    Raises `UnknownSymbol`, `WrongClass`, and the store's errors.
    """
    query = query.resolved
    now_ns = now_ns if query.as_of_ns is None else min(now_ns, query.as_of_ns)
    return NewestReport(query, tuple(tuple(_members(query, each, now_ns)) for each in query.symbols))


def _expected_logs(query: ReportQuery) -> frozenset[LogName]:
    """Return the logs of all parts, for symbols that are no aliases."""
    stored = {each for part in query.parts for each in part.dataset.logs_of(part)}
    return frozenset(product(stored, query.symbols))


def _members(query: ReportQuery, symbol: str, now_ns: int) -> Iterator[NewestRows | None]:
    market_class, parts = MARKET_CLASSES[query.market_class], query.parts
    if query.skips_unknown and not is_of_class(market_class, symbol, query.as_of_ns):
        yield from [None] * len(parts)
        return
    instrument = instrument_in(market_class, symbol, query.as_of_ns, name=query.report)
    for part in parts:
        logs = tuple(log_at(stored, symbol, query.as_of_ns) for stored in part.dataset.logs_of(part))
        try:
            yield _newest_rows(part, instrument, logs, now_ns)
        except (ResolutionUnavailable, NoContract):
            yield None


MOST_READ = 2_048
# Rows by query, instrument and logs, each with the "now" that they were read at. A commit to one log leaves those of others.
_read: LRUCache[Hashable, tuple[int, NewestRows]] = LRUCache(MOST_READ)
_lock = threading.Lock()


def _newest_rows(
    part: MarketDataQuery, instrument: Instrument, logs: tuple[LogView, ...], now_ns: int
) -> NewestRows:
    key = part, instrument, logs
    with _lock:
        from_ns, rows = _read.get(key, (0, None))
    if not logs or rows is None or not from_ns <= now_ns < (rows.plan.expires_ns or now_ns + 1):
        plan = part.dataset.plan(SymbolQuery(part, instrument, logs, now_ns))
        rows = NewestRows(plan, plan.source.before(None, part.limit).table)
        with _lock:
            _read[key] = now_ns, rows
    return rows


class LogDocument(AnswerDocument):
    """The coverage of a log."""

    dataset: Annotated[str, Meta(extra_json_schema={"enum": list(DATASETS)}, examples=["quotes"])]
    first: Annotated[Instant | None, like("2025-01-02T14:30:00Z")]
    last: Annotated[Instant | None, like("2025-01-02T20:59:59.5Z")]
    rows: Annotated[int, like(48_211)]
    commits: Annotated[int, like(17)]
    head: Annotated[str, about("The newest commit, as in X-Commit.", "17-9f3a2c")]

    @classmethod
    def of(cls, log: LogView) -> Self:
        """Return the document of a log's coverage."""
        found = log_coverage(log)
        first, last = instant_or_null(found.first_ns), instant_or_null(found.last_ns)
        return cls(log.dataset.name, first, last, found.rows, found.commits, found.head.token)


class CoverageDocument(AnswerDocument):
    """The stored data of a symbol."""

    symbol: Annotated[str, like("AAPL")]
    datasets: list[LogDocument]


@dataclass(frozen=True, eq=False)
class CoverageReport(SymbolsReport):
    """The coverage of a symbol's logs: first and last time, numbers of rows and commits.

    logs: the logs that have a commit.
    """

    query: ReportQuery
    logs: tuple[LogView, ...]

    @property
    def watched(self) -> frozenset[LogName]:
        return frozenset((dataset, symbol) for dataset in DATASETS.values() for symbol in self.symbols)

    @cached_property
    def commits(self) -> str:
        return commits_of(self.logs, with_symbols=False)

    def document(self) -> CoverageDocument:
        """See `AnswerSnapshot.document`."""
        return CoverageDocument(self.symbols[0], [LogDocument.of(log) for log in self.logs])


def coverage_snapshot(query: ReportQuery, *, now_ns: int) -> CoverageReport:
    """Return the coverage of a symbol at its newest commits, at any time the same.

    Raises `UnknownSymbol`, `WrongClass` and the store's errors.
    """
    query = query.resolved
    (symbol,) = query.symbols
    instrument_in(MARKET_CLASSES[query.market_class], symbol, query.as_of_ns, name=query.report)
    logs = tuple(
        log for dataset in DATASETS.values() if not (log := log_at(dataset, symbol, query.as_of_ns)).is_empty
    )
    if not logs and not is_known(symbol):
        raise UnknownSymbol(symbol)
    return CoverageReport(query, logs)


REPORTS = (
    *(
        MarketReport(
            name=name,
            document=document,
            of_symbols=of_symbols,
            serializer=partial(_serializer, name),
            parse=partial(parse_report_query, name),
            snapshot=report_snapshot,
            logs=_expected_logs,
            classes=QUOTED,
            classes_of_symbols=QUOTED,
        )
        for name, (document, of_symbols) in DOCUMENTS.items()
    ),
    MarketReport(
        name=COVERAGE,
        document=CoverageDocument,
        serializer=partial(_serializer, COVERAGE),
        parse=partial(parse_report_query, COVERAGE),
        snapshot=coverage_snapshot,
        classes=tuple(MARKET_CLASSES),
    ),
)
