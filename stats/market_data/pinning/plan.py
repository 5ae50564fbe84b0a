"""What a dataset makes of a query for one symbol: which logs, which rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stats.exceptions import WrongClass
from stats.market_data.pinning.logs import Pinned, Snapshot
from stats.market_data.queries.classes import MarketClass, class_of
from stats.market_data.queries.query import DatasetForm, MarketDataQuery
from stats.market_data.sources.rows import Source
from store.instruments import Instrument
from trades.services.instruments import known_instrument
from trades.stores import market_store

# From a page's first instant to the one behind its last, None for the range's: `start`, `end`, `reason`.
AbsenceOfPage = Callable[[int | None, int | None], list[dict[str, str]]]
_RANGE_PARTS = frozenset({"start", "end", "instant"})
KeyParts = tuple[tuple[str, str | int | None], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query for one symbol at an instant.

    now_ns: when the walk began, or the instant of `as_of`, if that is earlier. end_ns: of the range, now
    without one.
    """

    query: MarketDataQuery
    instrument: Instrument
    snapshot: Snapshot
    now_ns: int

    @property
    def symbol(self) -> str:
        """The instrument's."""
        return self.instrument.symbol

    @property
    def is_whole(self) -> bool:
        """Whether volumes of the instrument are whole numbers."""
        return self.instrument.volume_kind == "whole"

    @property
    def end_ns(self) -> int:
        """Behind the last instant of the range."""
        return self.now_ns if self.query.end_ns is None else self.query.end_ns


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of one symbol, fixed to commits.

    logs: in a fixed order, also those that have nothing. key: what else the answer depends on, for cache
    keys. head: what stands before the rows in a document. reason: why there are no rows, should there be
    none. begun_ns: an instant that stands for now on all pages of a walk, the same for all calls whose answer
    is the same. absences: why there are no rows in the parts of the range that have none, if that is asked
    for.
    """

    logs: tuple[Pinned, ...]
    source: Source
    key: KeyParts
    reason: str
    begun_ns: int
    head: Mapping[str, Any] = field(default_factory=dict)
    absences: AbsenceOfPage | None = None

    @property
    def range_key(self) -> KeyParts:
        """The parts of the key that say which rows: where they differ, it is another walk."""
        return tuple(part for part in self.key if part[0] in _RANGE_PARTS)

    @property
    def rules_key(self) -> KeyParts:
        """The parts that say how rows are made, as they were told when the walk began."""
        return tuple(part for part in self.key if part[0] not in _RANGE_PARTS | {"settled", "today", "dates"})

    @property
    def is_open(self) -> bool:
        """Whether rows of the range may still become final."""
        return dict(self.key).get("settled") is not None


class MarketDataset(Protocol):
    """A dataset of the tree."""

    @property
    def form(self) -> DatasetForm: ...

    @property
    def log_count(self) -> int:
        """How many logs a plan has."""
        ...

    def plan(self, asked: Asked) -> Plan:
        """Fix the commits that the answer is of, and how its rows are read.

        Raises `StatsError`s and `StorageError`s.
        """
        ...


def listed(query: MarketDataQuery, symbol: str) -> Instrument:
    """The instrument of a symbol, as of the query's instant. Raises `WrongClass`."""
    if _is_underlying(query):
        return market_store().instrument(symbol, as_of_ns=query.as_of_ns)
    return instrument_in(query.market_class, symbol, query.as_of_ns, name=query.form.name)


def instrument_in(market_class: MarketClass, symbol: str, as_of_ns: int | None, *, name: str) -> Instrument:
    """The instrument of a symbol, as of an instant or now, which is of the class.

    name: the dataset or the report that is asked for. Raises `WrongClass`.
    """
    instrument = market_store().instrument(symbol, as_of_ns=as_of_ns)
    if instrument.instrument_class != market_class.instrument_class:
        check_known(symbol)
        there = class_of(instrument.instrument_class)
        has_none = name in market_class.datasets and name not in there.datasets
        path = f"/api/v1/market-data/{there.path}/{symbol}/{there.datasets[0] if has_none else name}"
        raise WrongClass(
            f"{symbol} is of the class {instrument.instrument_class}: see {path}"
            f" (or tell its class: PUT /api/v1/instruments/{symbol})"
        )
    return instrument


def _is_underlying(query: MarketDataQuery) -> bool:
    """Whether the symbol of another class may be that of what the class's instruments are derived from."""
    return query.form.takes_underlyings and not query.several


def check_known(symbol: str) -> None:
    """Raises `UnknownSymbol` for one that has no rows of any dataset, and that nobody told about."""
    known_instrument(symbol=symbol)


def reason_for_none(asked: Asked) -> str:
    """Why a range of a known symbol may have no rows."""
    is_ahead = asked.query.start_ns is not None and asked.query.start_ns >= asked.now_ns
    return "not_yet" if is_ahead else "no_data"
