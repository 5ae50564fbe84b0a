"""Gaps of symbols: the report `/gaps`, and the functions by which other apps find what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self, cast

from msgspec import UNSET, Meta, UnsetType

from calendars.schedule import Hours
from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable, WrongClass
from stats.market_data.answers.page import PageSnapshot, PlannedAnswer, page_snapshot
from stats.market_data.answers.report import MarketReport, SymbolsReport
from stats.market_data.documents import ResolutionName
from stats.market_data.ohlcv.absences import BarAbsences
from stats.market_data.ohlcv.dataset import OHLCV, RULE, OhlcvOptions
from stats.market_data.ohlcv.found_gaps import GAP, NO_TRADES, PENDING, Gap
from stats.market_data.plan import Plan, instrument_in
from stats.market_data.query import MARKET_CLASSES, MarketClass, MarketDataQuery, class_of, range_fields
from stats.market_data.query_parameters import QueryParameter, RowQuerySerializer, query_serializer
from stats.parameters import Bound, SwitchField, query_values
from store.instrument_calendars import calendar_if_known
from store.instruments import EVIDENCE, GAP_RULES, Instrument
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import format_timestamp
from trades.instruments.services import requested_symbol, require_known_then, symbol_canonical
from trades.stores import market_store
from web.documents import AnswerDocument, Instant, about, like
from web.endpoints import Access
from web.requests.work import WorkKind, count_work

GAPS = "gaps"
QUIET = QueryParameter(
    "quiet",
    SwitchField,
    {"help_text": "`1`: also list the runs without a bar that were judged to be no gaps (`no_trades`)."},
)


def gaps_serializer(several: bool) -> RowQuerySerializer:
    """Return the serializer of a query for gaps. several: whether the endpoint is for several symbols."""
    names = ("start", "end", "resolution", "hours", RULE, QUIET, "as_of", "symbol_as_of")
    return query_serializer((*(("symbols",) if several else ()), *names), Resolution.DAY.value)


class GapDocument(AnswerDocument):
    """A gap. The figures by which it was judged are in it if the rule has them."""

    start: Annotated[Instant, like("2025-01-02T15:20:00Z")]
    end: Annotated[Instant, like("2025-01-02T15:50:00Z")]
    expected_bars: Annotated[int, like(30)]
    actual_bars: Annotated[int, like(0)]
    reason: Literal["gap", "no_trades", "pending"]
    minutes: Annotated[int | UnsetType, about("The minutes of the judged runs in it.")] = UNSET
    expected_trades: Annotated[float | UnsetType, about("How many trades they would have, at the least.")] = (
        UNSET
    )
    longest_empty_minutes: Annotated[
        int | UnsetType, about("The longest run without a trade on the dates before.")
    ] = UNSET
    history_dates: Annotated[
        int | UnsetType, about("The number of these dates; without 20 nothing is judged.")
    ] = UNSET
    empty_dates: Annotated[int | UnsetType, about("The dates without any bar.")] = UNSET

    @classmethod
    def of(cls, gap: Gap) -> Self:
        """Return the document of a gap."""
        start, end = format_timestamp(gap.start_ns), format_timestamp(gap.end_ns)
        figures: dict[str, Any] = {**gap.figures}
        return cls(start, end, gap.expected_bars, 0, cast("Any", gap.reason), **figures)


class GapsDocument(AnswerDocument):
    """The gaps of a symbol."""

    symbol: Annotated[str, like("AAPL")]
    resolution: ResolutionName
    rule: Annotated[str, Meta(extra_json_schema={"enum": list(GAP_RULES)}, examples=[EVIDENCE])]
    gaps: list[GapDocument]


class GapsOfSymbolsDocument(AnswerDocument):
    """The gaps of several symbols."""

    symbols: Annotated[list[str], like(["AAPL"])]
    gaps: list[GapsDocument]


@dataclass(frozen=True, slots=True)
class GapsQuery:
    """A query for gaps.

    market_class: the class in the URL; None for symbols of any class. hours: None for each instrument's usual ones.
    start, end: None for the first row, and for now. rule: None for each instrument's. with_quiet: whether runs that were judged to be no gaps are listed, too.
    symbol_as_of_ns: as in `MarketDataQuery`.
    """

    market_class: Annotated[str | None, Irrelevant("the snapshot's name has it")]
    symbols: Annotated[tuple[str, ...], Irrelevant("the snapshot has them")]
    several: bool
    resolution: Resolution = Resolution.DAY
    start: Annotated[Bound | None, Irrelevant("pages have the range")] = None
    end: Annotated[Bound | None, Irrelevant("pages have the range")] = None
    hours: Annotated[Hours | None, Irrelevant("pages have the grid")] = None
    rule: Annotated[str | None, Irrelevant("pages have the rule")] = None
    as_of_ns: int | None = None
    symbol_as_of_ns: Annotated[int | None, Irrelevant("the key has the symbols' meaning")] = None
    with_quiet: bool = False

    def bars_query(self, instrument: Instrument, market_class: MarketClass) -> MarketDataQuery:
        """Return the query for the bars of an instrument whose gaps are asked for."""
        return MarketDataQuery.of(
            OHLCV,
            (instrument.symbol,),
            market_class=market_class,
            resolution=self.resolution,
            hours=self.hours or usual_hours(instrument),
            fields=("close",),
            as_of_ns=self.as_of_ns,
            with_coverage=True,
            has_maximum_range=False,
            options=OhlcvOptions(gap_rule=self.rule),
            **range_fields(self.start, self.end),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the runs that are listed."""
        return (GAP, PENDING, NO_TRADES) if self.with_quiet else (GAP, PENDING)


def parse_gaps_query(market_class: str, symbol: str | None, query_string: str) -> GapsQuery:
    """Parse a URL's query string. symbol: None if the query string has the symbols.

    Raises `InvalidParameter`, `InvalidValue` and `ResolutionUnavailable`.
    """
    values = query_values(gaps_serializer(symbol is None), query_string)
    if values.get("resolution") == Resolution.TICK:
        raise ResolutionUnavailable("ticks have no gaps: ask for a resolution from 1s on")
    symbols = values["symbols"] if symbol is None else (requested_symbol(symbol),)
    return GapsQuery(
        None if symbol is None else market_class,
        symbols,
        several=symbol is None,
        resolution=values.get("resolution", Resolution.DAY),
        start=values.get("start"),
        end=values.get("end"),
        hours=Hours(values["hours"]) if "hours" in values else None,
        rule=values.get("rule"),
        as_of_ns=values.get("as_of"),
        symbol_as_of_ns=values.get("symbol_as_of"),
        with_quiet=values.get("quiet", False),
    )


@dataclass(frozen=True, eq=False)
class GapsReport(SymbolsReport, PlannedAnswer):
    """The gaps of symbols. pages: for each symbol the bars of the range, with the reasons of those that are missing."""

    query: GapsQuery
    pages: tuple[PageSnapshot, ...]

    @property
    def name(self) -> str:
        path = self.query.market_class
        return GAPS if path is None else f"{path}-{GAPS}"

    def all_plans(self) -> list[Plan]:
        """See `PlannedAnswer.all_plans`."""
        return [plan for page in self.pages for plan in page.plans]

    @property
    def end_ns(self) -> int | None:
        return None if self.query.end is None else self.query.end.instant_ns

    @property
    def is_period(self) -> bool:
        return self.query.resolution.is_period

    def document(self) -> GapsDocument | GapsOfSymbolsDocument:
        """See `AnswerSnapshot.document`. Raises `RangeTooLarge`."""
        reports = [self._report(page) for page in self.pages]
        return GapsOfSymbolsDocument(list(self.symbols), reports) if self.query.several else reports[0]

    def _report(self, page: PageSnapshot) -> GapsDocument:
        absences = absences_of(page)
        found = absences.gaps(self.query.reasons, is_bounded=True)
        count_work(WorkKind.ROWS, len(found))
        gaps = [GapDocument.of(gap) for gap in found]
        return GapsDocument(page.symbols[0], self.query.resolution.value, absences.rule, gaps)


def gaps_snapshot(query: GapsQuery, *, now_ns: int) -> GapsReport:
    """Return the gaps of symbols at the newest commits.

    Raises `UnknownSymbol`, `WrongClass`, and the errors of the plan of bars.
    """
    symbols = tuple(symbol_canonical(symbol, query.symbol_as_of_ns) for symbol in query.symbols)
    pages = tuple(bars_page(query, symbol, now_ns) for symbol in symbols)
    query = replace(query, symbols=symbols, symbol_as_of_ns=None)
    return GapsReport(query, pages)


def gaps_of(
    symbol: str,
    window: Window,
    resolution: Resolution,
    rule: str | None = None,
    *,
    hours: Hours | None = None,
    now_ns: int,
) -> list[Gap]:
    """Return the gaps of a symbol in a window of any length, ascending.

    rule: one of `GAP_RULES`; None for the instrument's. Raises the errors of `gaps_snapshot`.
    """
    start, end = (Bound(instant_ns, is_date=False) for instant_ns in (window.start_ns, window.end_ns))
    query = GapsQuery(None, (symbol,), False, resolution, start, end, hours=hours, rule=rule)
    return [gap for _, gap in gaps_found(query, now_ns=now_ns)]


def gaps_found(query: GapsQuery, *, now_ns: int) -> Iterator[tuple[str, Gap]]:
    """Yield the gaps of a query's symbols, each with its symbol, one symbol after the other, of a range of any length.

    Raises the errors of `gaps_snapshot`.
    """
    for page in gaps_snapshot(query, now_ns=now_ns).pages:
        for gap in absences_of(page).gaps(query.reasons, is_bounded=False):
            yield page.symbols[0], gap


def usual_hours(instrument: Instrument) -> Hours:
    """Return the hours in which an instrument's bars are expected by default."""
    return Hours.ALL if calendar_if_known(instrument) is None else Hours.REGULAR


def bars_page(query: GapsQuery, symbol: str, now_ns: int) -> PageSnapshot:
    """Return the page of bars of a symbol, whose plan decides why some are missing."""
    market_class = query.market_class
    instrument = market_store().instrument(symbol, as_of_ns=query.as_of_ns)
    if market_class is None:
        found = class_of(instrument.instrument_class)
        if found.path not in OHLCV.classes:
            require_known_then(symbol, query.as_of_ns)
            raise WrongClass(
                f"{symbol} is of the class {instrument.instrument_class}, which has no bars, so no gaps"
            )
        market_class = found.path
    instrument_in(MARKET_CLASSES[market_class], symbol, query.as_of_ns, name=GAPS)
    return page_snapshot(query.bars_query(instrument, MARKET_CLASSES[market_class]), now_ns=now_ns)


def absences_of(page: PageSnapshot) -> BarAbsences:
    absences = page.plans[0].notes[-1]
    assert isinstance(absences, BarAbsences)  # noqa: S101 the plan of bars with coverage
    return absences


_ACCESS = Access("market:read", is_heavy=True)
REPORTS = (
    MarketReport(
        name=GAPS,
        document=GapsDocument,
        of_symbols=GapsOfSymbolsDocument,
        serializer=gaps_serializer,
        parse=parse_gaps_query,
        snapshot=gaps_snapshot,
        classes=OHLCV.classes,
        access=_ACCESS,
        # All symbols at once: a large key would keep a processor busy with it.
        access_of_symbols=replace(_ACCESS, cost="stream", bucket=GAPS, rate=20),
    ),
)
