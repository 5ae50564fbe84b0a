"""Plans: the logs and rows of a query for one symbol."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from stats.caching.keys import Irrelevant, key_parts
from stats.exceptions import WrongClass
from stats.market_data.pinned_logs import PinnedLog, ReadPoint
from stats.market_data.query import DatasetForm, MarketClass, MarketDataQuery, class_of
from stats.market_data.rows import RowSource
from store.declarations import Dataset
from store.instruments import Instrument
from store.log_views.log_view import LogView
from store.protocol import Window
from trades.instruments.services import instrument_get
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Range:
    """A range of whole intervals. start_ns: None for the first stored row on."""

    start_ns: int | None
    end_ns: int

    def since(self, first_ns: int) -> Window:
        """The window; `first_ns` is its start where the range has none."""
        start_ns = first_ns if self.start_ns is None else self.start_ns
        return Window(start_ns, max(start_ns, self.end_ns))


class AbsencesOfPage(Protocol):
    """The reasons why parts of a page have no rows; a frozen dataclass of everything that decides them."""

    def of_page(self, start_ns: int | None, end_ns: int | None) -> list[dict[str, str]]:
        """`start`, `end`, `reason` of each run, from a page's first instant to the one behind its last.

        None for the range's own edges.
        """
        ...


@dataclass(frozen=True, slots=True)
class SymbolQuery:
    """A query for one symbol at an instant.

    logs: those that the dataset declares, each as of the newest commit at the read point. now_ns: when the
    walk began, or `as_of` if that is earlier.
    """

    query: MarketDataQuery
    instrument: Instrument
    read_point: ReadPoint
    logs: tuple[LogView, ...]
    now_ns: int

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def end_ns(self) -> int:
        """The exclusive end of the range; now if the query has none."""
        return self.now_ns if self.query.end_ns is None else self.query.end_ns

    @property
    def is_ahead(self) -> bool:
        """Whether the range starts in the future."""
        return self.query.start_ns is not None and self.query.start_ns >= self.now_ns

    def check_range(self) -> None:
        """Raise `RangeTooLarge` on a walk's first page. Later pages have the range of the first."""
        if self.read_point.seen is None:
            self.query.check_range(self.now_ns)

    def validity(self, next_change_ns: int | None, range_end_ns: int) -> "Validity":
        """The validity of rows that change at `next_change_ns` at the earliest, None for never.

        range_end_ns: the end of the range, which is the walk's "now" where rows never change.
        """
        walk_now_ns = range_end_ns if next_change_ns is None else next_change_ns - 1
        begins = [self.query.start_ns + 1] if self.is_ahead and self.query.start_ns is not None else []
        changes = [] if next_change_ns is None else [next_change_ns]
        return Validity(walk_now_ns, min([*begins, *changes], default=None))


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a plan holds while nothing is written.

    walk_now_ns: the walk's frozen "now": every page uses it to decide which bars are final. expires_ns: the
    first instant at which the same query gets another plan; None for never.
    """

    walk_now_ns: int
    expires_ns: Annotated[int | None, Irrelevant("it says how long the plan is used, not what the rows are")]


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of one symbol, with everything that they are made from: nothing is looked up later.

    source: makes the rows. range: in whole intervals; another range is another walk. reason: why there are no
    rows, if there are none. head: the document's fields before the rows. logs: in the dataset's order, empty
    ones included. absences: why intervals have no rows, if the query asks for it.
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

    @property
    def rules(self) -> str:
        """How the rows are made, commits included; the same on all pages of a walk."""
        return repr(key_parts(self.source, of_walk=True))


class MarketDataset(Protocol):
    """A dataset of the tree."""

    @property
    def form(self) -> DatasetForm: ...

    @property
    def log_count(self) -> int:
        """The number of logs in a plan."""
        ...

    def declared_logs(self, query: MarketDataQuery) -> tuple[Dataset, ...] | None:
        """The datasets of the symbol's logs that a plan needs; None if it needs logs of other symbols."""
        ...

    def plan(self, symbol_query: SymbolQuery) -> Plan:
        """Fix the answer's commits and everything else that its rows are made from.

        Raises `StatsError`s and `StorageError`s.
        """
        ...


def listed(query: MarketDataQuery, symbol: str) -> Instrument:
    """The symbol's instrument as of the query's instant. Raises `WrongClass`."""
    if _is_underlying(query):
        return market_store().instrument(symbol, as_of_ns=query.as_of_ns)
    return instrument_in(query.market_class, symbol, query.as_of_ns, name=query.form.name)


def instrument_in(market_class: MarketClass, symbol: str, as_of_ns: int | None, *, name: str) -> Instrument:
    """The symbol's instrument, as of an instant or now, if it is of the class.

    name: the dataset or report, for the message. Raises `WrongClass`.
    """
    instrument = market_store().instrument(symbol, as_of_ns=as_of_ns)
    if market_class.instrument_class not in {"", instrument.instrument_class}:
        check_known(symbol)
        there = class_of(instrument.instrument_class)
        has_none = name in market_class.datasets and name not in there.datasets
        path = f"/api/v1/market-data/{there.path}/{symbol}/{there.datasets[0] if has_none else name}"
        raise WrongClass(
            f"{symbol} is of the class {instrument.instrument_class}: see {path}"
            f" (or declare its class: PUT /api/v1/instruments/{symbol})"
        )
    return instrument


def _is_underlying(query: MarketDataQuery) -> bool:
    """Whether the path may name an underlying instead of an instrument of the class."""
    return query.form.takes_underlyings and not query.several


def check_known(symbol: str) -> None:
    """Raise `UnknownSymbol` for a symbol without rows that nobody declared."""
    instrument_get(symbol=symbol)


def reason_for_none(symbol_query: SymbolQuery) -> str:
    """The reason why a range of a known symbol has no rows."""
    return "not_yet" if symbol_query.is_ahead else "no_data"
