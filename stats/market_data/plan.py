"""Plans. A plan holds the logs that a query for one symbol reads, and the source of its rows.

A walk is the sequence of pages that a client reads by following cursors (see `stats.cursors`).
"""

from dataclasses import dataclass, replace
from typing import Annotated, Protocol

from stats.caching.keys import Irrelevant, key_parts
from stats.exceptions import WrongClass
from stats.market_data.documents import AbsenceDocument, NotAppliedDocument
from stats.market_data.pinned_logs import PinnedLog, ReadPoint
from stats.market_data.query import MarketClass, MarketDataQuery, class_of
from stats.market_data.rows import RowSource
from store.exceptions import UnknownSymbol
from store.instruments import Instrument, default_instrument
from store.log_views.log_view import LogView
from store.protocol import Window
from store.terms import Settle, TermsPeriod, terms_then
from trades.instruments.services import instrument_get
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Range:
    """A range of whole intervals, end exclusive. start_ns: None to start at the first stored row."""

    start_ns: int | None
    end_ns: int

    def since(self, first_ns: int) -> Window:
        """Return the range as a window. first_ns: the window's start if the range has no start."""
        start_ns = first_ns if self.start_ns is None else self.start_ns
        return Window(start_ns, max(start_ns, self.end_ns))


class AbsencesOfPage(Protocol):
    """Tells why parts of a page have no rows. Must be a frozen dataclass, because it is part of cache keys."""

    def of_page(self, start_ns: int | None, end_ns: int | None) -> list[AbsenceDocument]:
        """Return each run of intervals without rows in `[start_ns, end_ns)`.

        start_ns: None for the start of the range. end_ns: None for the end of the range.
        """
        ...


class KnowledgeOfPage(Protocol):
    """Counts how it was told when the stored rows of a page were known. Part of cache keys, as absences are."""

    def of_rows(self, first_ns: int, last_ns: int) -> dict[str, int]:
        """Return the number of stored rows by the time that told it. first_ns, last_ns: of the page's rows."""
        ...


class NotAppliedOfPage(Protocol):
    """Names the corporate actions that a page's bars are not adjusted for."""

    def not_applied_after(self, start_ns: int | None) -> list[NotAppliedDocument]:
        """Return each that takes effect after `start_ns`. None: as for absences."""
        ...


@dataclass(frozen=True, slots=True)
class SymbolQuery:
    """A query, limited to one of its symbols.

    logs: the logs of the datasets that `MarketDataset.logs_of` returns, as of the newest commits that the read
    point allows. now_ns: the walk's frozen "now", or `as_of` if that is earlier. walk_final_until_ns: up to where
    bars are final, as the walk's first page found; None on a first page.
    """

    query: MarketDataQuery
    instrument: Instrument
    read_point: ReadPoint
    logs: tuple[LogView, ...]
    now_ns: int
    walk_final_until_ns: int | None = None

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def settle_ns(self) -> int | None:
        """The `settle` declared last for `knowledge=then`; None for what is known now."""
        return None if self.query.knowledge is None else self.instrument.settle_ns

    @property
    def terms(self) -> tuple[TermsPeriod, ...]:
        """The instrument's terms by period; see `terms_of`."""
        return self.terms_of(self.instrument)

    def terms_of(self, instrument: Instrument) -> tuple[TermsPeriod, ...]:
        """Return the terms of an instrument by period; for a query of what is known now, the last ones."""
        if self.query.knowledge is None or not self.query.market_class.has_instruments:
            return terms_then(instrument, ())
        declarations = market_store().declarations(instrument.symbol, as_of_ns=self.query.as_of_ns)
        instrument_of = self.query.dataset.instrument_of
        return terms_then(
            instrument, [(told, instrument_of(self.query, each)) for told, each in declarations]
        )

    @property
    def settle(self) -> Settle:
        """The instrument's `settle` of each instant; for a query of what is known now, the last one."""
        return Settle.of(self.terms)

    def as_known(self, *logs: LogView) -> tuple[LogView, ...]:
        """Return the logs with `settle`, so that `knowledge=then` reads their rows as they were known at their time."""
        if self.query.knowledge is None:
            return logs
        settle = self.settle
        return tuple(replace(log, settle=settle) for log in logs)

    @property
    def end_ns(self) -> int:
        """The exclusive end of the range; `now_ns` if the query has no end."""
        return self.now_ns if self.query.end_ns is None else self.query.end_ns

    @property
    def is_ahead(self) -> bool:
        """Whether the range starts in the future."""
        return self.query.start_ns is not None and self.query.start_ns >= self.now_ns

    def check_known(self) -> None:
        """Raise `UnknownSymbol` if the symbol is unknown and the query does not skip it.

        A member of a universe need not be known: it has no rows.
        """
        if self.query.universe is None and not self.query.skips_unknown and not is_known(self.symbol):
            raise UnknownSymbol(self.symbol)

    def check_range(self) -> None:
        """Raise `RangeTooLarge` if the range is too long. Only first pages are checked; later pages keep the range."""
        if self.read_point.seen is None:
            self.query.check_range(self.now_ns)

    def validity(self, next_change_ns: int | None, range_end_ns: int) -> "Validity":
        """Return the validity of a plan.

        next_change_ns: when its rows first change if nothing is written; None for never. range_end_ns: the end of
        the range, used as the walk's "now" if the rows never change.
        """
        walk_now_ns = range_end_ns if next_change_ns is None else next_change_ns - 1
        changes_ns = [] if next_change_ns is None else [next_change_ns]
        if self.is_ahead and self.query.start_ns is not None:
            changes_ns.append(self.query.start_ns + 1)
        return Validity(walk_now_ns, min(changes_ns, default=None))


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a plan is valid if nothing is written.

    walk_now_ns: the walk's frozen "now", by which every page decides which intervals are over. expires_ns: the
    first instant at which the same query gets another plan; None for never.
    """

    walk_now_ns: int
    expires_ns: Annotated[int | None, Irrelevant("it says how long the plan is used, not what the rows are")]

    def until(self, instant_ns: int | None) -> "Validity":
        """Return the validity that ends at an instant, if that is earlier; None for no end. The "now" stays."""
        instants = [each for each in (self.expires_ns, instant_ns) if each is not None]
        return replace(self, expires_ns=min(instants, default=None))


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the rows of one symbol are made from; nothing is looked up later.

    source: makes the rows. range: cursors are bound to it. reason: the document's `reason` if there are no rows.
    logs: in the dataset's order, including empty logs. head: the document's fields between the symbol and the
    rows. absences: tells why intervals have no rows; None without `coverage`. knowledge: None without
    `knowledge=then`. not_applied: None for unadjusted rows. final_until_ns: bars that end later are not final, and
    realised spreads whose horizon ends later are not known; None if the rows have neither. final_expires_ns: when
    `final_until_ns` may grow although nothing is written and no interval ends; None if it cannot.
    """

    source: RowSource
    range: Range
    reason: str
    logs: Annotated[
        tuple[PinnedLog, ...], Irrelevant("those of them that rows are made from are in the source")
    ]
    validity: Validity
    head: tuple[tuple[str, str | float], ...] = ()
    absences: AbsencesOfPage | None = None
    knowledge: KnowledgeOfPage | None = None
    not_applied: Annotated[NotAppliedOfPage | None, Irrelevant("it is the source's reader")] = None
    final_until_ns: Annotated[int | None, Irrelevant("the source has it")] = None
    final_expires_ns: Annotated[int | None, Irrelevant("it is part of the validity")] = None

    @property
    def inputs_text(self) -> str:
        """A text of everything that the rows are made from, with the commits. It is the same on all pages of a walk."""
        return repr(key_parts(self.source, of_walk=True))


def queried_instrument(query: MarketDataQuery, symbol: str) -> Instrument:
    """Return the symbol's instrument as it was declared at the query's `as_of`.

    Raises `WrongClass` if it belongs to another class. The class is not checked if the query has one symbol and
    its dataset accepts underlyings, which belong to other classes; nor are roots of contracts. Currencies and
    universes have the terms of an undeclared instrument.
    """
    if not query.market_class.has_instruments:
        return default_instrument(symbol)
    if query.dataset.of_roots or (query.dataset.takes_underlyings and not query.several):
        return market_store().instrument(symbol, as_of_ns=query.as_of_ns)
    instrument = instrument_in(query.market_class, symbol, query.as_of_ns, name=query.path_name)
    return query.dataset.instrument_of(query, instrument)


def instrument_in(market_class: MarketClass, symbol: str, as_of_ns: int | None, *, name: str) -> Instrument:
    """Return the symbol's instrument as it was declared at `as_of_ns`; None for now.

    name: the path's end, such as `ohlcv`, `ohlcv/stream` or `latest`, for the message. Raises `WrongClass` if the
    symbol is known and its instrument has another class.
    """
    instrument = market_store().instrument(symbol, as_of_ns=as_of_ns)
    if market_class.instrument_class not in {"", instrument.instrument_class} and is_known(symbol):
        own_class = class_of(instrument.instrument_class)
        path = f"/api/v1/market-data/{own_class.path}/{symbol}"
        raise WrongClass(
            f"{symbol} is of the class {instrument.instrument_class}: see {path}/{_nearest(name, market_class, own_class)}"
            f" (or declare its class: PUT /api/v1/instruments/{symbol})"
        )
    return instrument


def _nearest(name: str, asked: MarketClass, own: MarketClass) -> str:
    """Return the end of a path in a symbol's own class: the same, without a stream that it lacks, or its first dataset."""
    dataset, _, stream = name.partition("/")
    if dataset in asked.datasets and dataset not in own.datasets:
        dataset = own.datasets[0]
    return f"{dataset}/{stream}" if stream and dataset in own.streamed else dataset


def is_known(symbol: str) -> bool:
    """Return whether the symbol has rows or was declared."""
    try:
        instrument_get(symbol=symbol)
    except UnknownSymbol:
        return False
    return True


def reason_for_none(symbol_query: SymbolQuery) -> str:
    """Return the document's `reason` for a range without rows. The symbol must be known."""
    return "not_yet" if symbol_query.is_ahead else "no_data"
