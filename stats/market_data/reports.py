"""Reports of a symbol: `/latest`, `/snapshot` and `/coverage`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Annotated, Any, Self

from msgspec import Meta, Raw

from stats.caching.keys import Irrelevant
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.exceptions import NoContract, ResolutionUnavailable
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from stats.market_data.answers.report import MarketReport, Report
from stats.market_data.ohlcv.bar_rows import bar_columns
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.options.datasets import OPTION_GREEKS
from stats.market_data.plan import commits_of, instrument_in, is_known, is_of_class, log_at
from stats.market_data.query import MARKET_CLASSES, QUOTED, MarketDataQuery, MarketDataset
from stats.market_data.query_parameters import QueryParameter, RowQuerySerializer, query_serializer
from stats.market_data.quotes import QUOTE_ROWS, QUOTE_TICK_COLUMNS, QuoteOptions
from stats.market_data.ticks import TRADE_TICKS, out_columns
from stats.parameters import WordField, query_values
from stats.rendering.row_schema import row_of
from store.cached_property import cached_property
from store.datasets import DATASETS, TRADES
from store.exceptions import UnknownSymbol
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


@dataclass(frozen=True, slots=True)
class ReportPart:
    """The newest rows of a dataset in a report.

    count: the number of rows, each a field of the report's document, the newest first. resolution: None for the
    dataset's.
    """

    count: int
    dataset: MarketDataset
    resolution: Resolution | None = None

    def rows_query(self, query: "ReportQuery", symbol: str) -> MarketDataQuery:
        """Return the query for a symbol's rows."""
        return MarketDataQuery.of(
            self.dataset,
            (symbol,),
            market_class=MARKET_CLASSES[query.market_class],
            resolution=self.resolution,
            last=self.count,
            as_of_ns=query.as_of_ns,
            skips_unknown=query.skips_unknown,
            adjustment=query.adjustment if self.dataset is OHLCV else "raw",
            options=QuoteOptions(query.two_sided) if self.dataset is QUOTE_ROWS else None,
        )


_TICKS = (ReportPart(1, TRADE_TICKS), ReportPart(1, QUOTE_ROWS))
_BARS = (ReportPart(1, OHLCV, Resolution.MINUTE), ReportPart(2, OHLCV, Resolution.DAY))
OPTION_SNAPSHOT = "option-snapshot"
_PARTS = {
    "latest": _TICKS,
    "snapshot": (*_TICKS, *_BARS),
    # Reports of dialects only.
    OPTION_SNAPSHOT: (*_TICKS, ReportPart(1, OPTION_GREEKS)),
    **{part.dataset.name: (part,) for part in (*_TICKS, _BARS[0])},
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
    def resolved(self) -> "ReportQuery":
        """The query with the canonical symbols. Raises `StorageError`s."""
        market_class = MARKET_CLASSES[self.market_class]
        symbols = tuple(market_class.canonical(symbol, self.symbol_as_of_ns) for symbol in self.symbols)
        return replace(self, symbols=symbols, symbol_as_of_ns=None)


@dataclass(frozen=True, eq=False)
class NewestReport(Report):
    """A report on the newest rows.

    members: for each symbol, the page of each part; None if the part's resolution is unavailable.
    """

    query: ReportQuery
    members: tuple[tuple[PageSnapshot | None, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.query.market_class}-{self.query.report}"

    @cached_property
    def snapshots(self) -> list[PageSnapshot]:
        """The pages of all members."""
        return [page for pages in self.members for page in pages if page is not None]

    @property
    def watched(self) -> frozenset[LogName] | None:
        # A commit to a log that no page names may make a part's resolution available.
        return None if any(None in pages for pages in self.members) else super().watched

    def document(self) -> AnswerDocument:
        """See `AnswerSnapshot.document`."""
        query, parts = self.query, _PARTS[self.query.report]
        one, of_symbols = DOCUMENTS[query.report]
        reports: list[AnswerDocument] = [
            one(symbol, *chain.from_iterable(map(_newest_of, parts, pages)))
            for symbol, pages in zip(query.symbols, self.members, strict=True)
        ]
        document: AnswerDocument = of_symbols(query.symbols, reports) if query.several else reports[0]
        return document


def _newest_of(part: ReportPart, page: PageSnapshot | None) -> Iterable[Raw | None]:
    """Return a part's rows, and None for each that is missing."""
    rows: list[Raw | None] = [] if page is None else [*page.newest_rows]
    return rows + [None] * (part.count - len(rows))


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
    members = tuple(tuple(_members(query, symbol, now_ns)) for symbol in query.symbols)
    return NewestReport(query, members)


def _expected_logs(query: ReportQuery) -> frozenset[LogName]:
    """Return the logs of all parts, for symbols that are no aliases."""
    queries = [part.rows_query(query, symbol) for symbol in query.symbols for part in _PARTS[query.report]]
    return frozenset(chain.from_iterable(each.logs or () for each in queries))


def _members(query: ReportQuery, symbol: str, now_ns: int) -> Iterator[PageSnapshot | None]:
    market_class, parts = MARKET_CLASSES[query.market_class], _PARTS[query.report]
    if query.skips_unknown and not is_of_class(market_class, symbol, query.as_of_ns):
        yield from [None] * len(parts)
        return
    instrument_in(market_class, symbol, query.as_of_ns, name=query.report)
    for part in parts:
        try:
            yield page_snapshot(part.rows_query(query, symbol), now_ns=now_ns)
        except (ResolutionUnavailable, NoContract):
            yield None


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
class CoverageReport(AnswerSnapshot):
    """The coverage of a symbol's logs: first and last time, numbers of rows and commits.

    logs: the logs that have a commit.
    """

    query: ReportQuery
    logs: tuple[LogView, ...]

    @property
    def name(self) -> str:
        return f"{self.query.market_class}-{self.query.report}"

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.query.symbols

    @property
    def as_of_ns(self) -> int | None:
        return self.query.as_of_ns

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
