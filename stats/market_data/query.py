"""The classes, datasets and queries of the market-data API, and the parser of queries."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from calendars.schedule import Anchor, Hours, SessionMode
from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant, key_parts
from stats.exceptions import RangeTooLarge
from stats.market_data.query_parameters import (
    PAGE_PARAMETERS,
    STREAM_PARAMETERS,
    Parameters,
    RowQuerySerializer,
    parameter_names,
    query_serializer,
)
from stats.parameters import DEFAULT_PAGE, Bound, query_values
from stats.rendering.format import TimeForm
from stats.rendering.formats import FORMATS
from stats.rendering.table import OutColumn
from store.datasets import OPTION_QUOTES, QUOTES
from store.declarations import Dataset
from store.resolutions import Resolution
from store.rows.knowledge import Knowledge
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from trades.instruments.services import requested_symbol, symbol_canonical
from web.endpoints import Access
from web.requests.exceptions import InvalidParameter

if TYPE_CHECKING:
    from stats.market_data.plan import Plan, SymbolQuery


@dataclass(frozen=True, slots=True, eq=False)
class MarketClass:
    """A class of instruments in the market-data API, such as `equities`.

    path: its name in URLs. instrument_class: the class of its instruments; "" for any. example: a symbol. quotes: the
    stored dataset that holds its quotes. has_instruments: whether its symbols are instruments, not names of universes.
    """

    path: str
    instrument_class: str
    example: str = "AAPL"
    quotes: Dataset = QUOTES
    has_instruments: bool = True

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of its datasets in URLs."""
        return tuple(name for name, each in MARKET_DATASETS.items() if self.path in each.classes)

    def canonical(self, symbol: str, on_ns: int | None) -> str:
        """See `symbol_canonical`. The name of a universe has no aliases."""
        return symbol_canonical(symbol, on_ns) if self.has_instruments else symbol


MARKET_CLASSES = {
    market_class.path: market_class
    for market_class in (
        MarketClass("equities", "equity"),
        MarketClass("futures", "future", "ESH25"),
        MarketClass("options", "option", "AAPL250117C00190000", quotes=OPTION_QUOTES),
        MarketClass("crypto", "crypto", "BTC-USD"),
        MarketClass("fx", "fx", "EUR-USD"),
        MarketClass("universes", "", "SP500", has_instruments=False),
    )
}
# Of symbols of any class, outside the tree of classes.
ANY_CLASS = MarketClass("any", "")
TRADED = ("equities", "futures", "crypto", "fx")
QUOTED = (*TRADED, "options")


def class_of(instrument_class: str) -> MarketClass:
    """Return the `MarketClass` of an instrument class."""
    return next(
        market_class
        for market_class in MARKET_CLASSES.values()
        if market_class.instrument_class == instrument_class
    )


_PAGE = Access("market:read", cost="page")


@dataclass(frozen=True, slots=True, eq=False)
class MarketDataset:
    """A dataset of the market-data API: its parameters, its plan and the shape of its answers.

    name: its name in URLs. rows_name: the rows' field in a document. own: the parameters that it has besides those of
    every dataset. resolution: the default resolution. columns: all columns that its rows may have. plan: makes the
    plan for one symbol; raises `StatsError`s and `StorageError`s. logs_of: returns the stored datasets that the plan
    reads for its symbol; () if the plan itself chooses its logs, because some belong to other symbols. log_count: the
    number of logs of a plan that chooses them itself. check: refuses values that conflict; see `RowQuerySerializer`.
    options: returns the options that only this dataset has, from the parameters' values: a frozen dataclass, part of
    cache keys.

    takes_underlyings: whether the path's symbol may be an underlying; without a range, its answer is for one instant.
    of_roots: whether symbols are roots of contracts. of_instants: whether a row belongs to an instant at every
    resolution, not to an interval. has_future: whether a query without an end has rows that are dated after now.
    classes: the paths of the classes that have it. has_stream: whether they have a stream of it. access: to its pages.
    example: values of the example row in the schema.
    stream_resolution: the default resolution
    of streams; None if it is `resolution`.
    """

    name: str
    rows_name: str
    own: Parameters
    resolution: Resolution
    columns: tuple[OutColumn, ...]
    plan: Callable[["SymbolQuery"], "Plan"]
    logs_of: Callable[["MarketDataQuery"], tuple[Dataset, ...]] = lambda _query: ()
    classes: tuple[str, ...] = ()
    has_stream: bool = False
    access: Access = _PAGE
    example: Mapping[str, Any] = field(default_factory=dict)
    log_count: int = 0
    check: Callable[[dict[str, Any]], None] | None = None
    options: Callable[[dict[str, Any]], Hashable] = lambda _values: None
    takes_underlyings: bool = False
    of_roots: bool = False
    of_instants: bool = False
    has_future: bool = False
    stream_resolution: Resolution | None = None

    def default_resolution(self, *, streamed: bool) -> Resolution:
        """Return the resolution of a query without `resolution`."""
        return self.stream_resolution or self.resolution if streamed else self.resolution

    def parameters(self, *, streamed: bool, several: bool) -> tuple[str, ...]:
        """Return the names of all parameters. several: whether the endpoint is for several symbols."""
        return self.serializer(streamed=streamed, several=several).names

    def serializer(self, *, streamed: bool, several: bool) -> RowQuerySerializer:
        """Return the serializer of the parameters."""
        # Absences are told of one page of one symbol.
        own = self.own if not streamed and not several else _without_absences(self.own)
        return query_serializer(
            (*(("symbols",) if several else ()), *own, *(STREAM_PARAMETERS if streamed else PAGE_PARAMETERS)),
            self.default_resolution(streamed=streamed).value,
            check=self.check,
            needs_range=not self.takes_underlyings,
        )


MARKET_DATASETS: dict[str, MarketDataset] = {}
"""All datasets by their names in URLs, as `datasets` registers them."""


def _without_absences(parameters: Parameters) -> Parameters:
    names = parameter_names(parameters)
    return tuple(
        each for each, name in zip(parameters, names, strict=True) if name not in {"coverage", "rule"}
    )


Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class MarketDataQuery:
    """A query for rows of a dataset, for one or several symbols of a class. See `of`.

    Times are nanoseconds UTC. several: whether the answer is of a list of symbols, also if that has only one. streamed:
    whether one answer has all rows of the range. start_ns: None if the query has no start. end_ns: exclusive; None for
    now. whole_dates: whether start and end were dates without a time. last: the number of newest rows of each symbol;
    None for all. is_descending: whether each symbol's rows are the newest first. session, hours: None for the
    instrument's default. knowledge: None for what is known now. symbol_as_of_ns: when the symbols had the meaning that
    is asked for; None for now. skips_unknown: whether symbols that are unknown or of another class have no rows, instead of an error.
    options: what only the dataset knows; None for its defaults.
    """

    market_class: Annotated[MarketClass, Irrelevant("the snapshot's name has it")]
    dataset: Annotated[MarketDataset, Irrelevant("the snapshot's name has it")]
    symbols: Annotated[tuple[str, ...], Irrelevant("the snapshot has them")]
    resolution: Resolution
    limit: Annotated[int, DIFFERS_BY_PAGE]
    several: bool = False
    streamed: Annotated[bool, Irrelevant("streams are not kept")] = False
    start_ns: Annotated[int | None, Irrelevant("plans have the range in whole intervals")] = None
    end_ns: Annotated[int | None, Irrelevant("plans have the range in whole intervals")] = None
    whole_dates: Annotated[tuple[bool, bool], Irrelevant("plans have the range in whole intervals")] = (
        False,
        False,
    )
    last: int | None = None
    cursor: Annotated[str | None, DIFFERS_BY_PAGE] = None
    is_descending: bool = False
    fields: Annotated[tuple[str, ...] | None, DIFFERS_BY_PAGE] = None
    as_of_ns: int | None = None
    session: Annotated[SessionMode | None, Irrelevant("plans have the grid")] = None
    hours: Annotated[Hours | None, Irrelevant("plans have the hours")] = None
    anchor: Annotated[Anchor, Irrelevant("plans have the grid")] = Anchor.CLOCK
    adjustment: str = "raw"
    with_partial: bool = True
    with_coverage: bool = False
    time_form: Annotated[TimeForm | None, DIFFERS_BY_PAGE] = None
    with_trailer: Annotated[bool, Irrelevant("streams are not kept")] = False
    knowledge: Knowledge | None = None
    has_maximum_range: Annotated[bool, Irrelevant("a query beyond it has no answer")] = True
    symbol_as_of_ns: Annotated[int | None, Irrelevant("the snapshot has the symbols' meaning")] = None
    skips_unknown: bool = False
    options: Hashable = None

    @classmethod
    def of(
        cls,
        dataset: MarketDataset,
        symbols: tuple[str, ...],
        *,
        market_class: MarketClass,
        resolution: Resolution | None = None,
        last: int | None = None,
        limit: int | None = None,
        several: bool = False,
        streamed: bool = False,
        **fields: Any,
    ) -> "MarketDataQuery":
        """Return a query. fields: those of the class, by name; each has a default.

        resolution: None for the dataset's. limit: None for `last` if that is given, else 1,000 rows; for several symbols
        at least 1,000.
        """
        if limit is None:
            limit = last or DEFAULT_PAGE
            limit = max(limit, DEFAULT_PAGE) if several else limit
        return cls(
            market_class,
            dataset,
            symbols,
            resolution or dataset.default_resolution(streamed=streamed),
            limit,
            several=several,
            streamed=streamed,
            last=last,
            **fields,
        )

    def options_of(self, kind: type[Options]) -> Options:
        """Return the options of the dataset that has options of this kind; the defaults if the query has none."""
        return self.options if isinstance(self.options, kind) else kind()

    @property
    def logs(self) -> frozenset[tuple[Dataset, str]] | None:
        """The logs that the answer reads if the symbols are no aliases; None if the plan chooses them."""
        return (
            frozenset((stored, name) for stored in self.dataset.logs_of(self) for name in self.symbols)
            or None
        )

    @property
    def path_name(self) -> str:
        """The end of the path that was asked for, such as `ohlcv` or `ohlcv/stream`."""
        return f"{self.dataset.name}/stream" if self.streamed else self.dataset.name

    @property
    def walk_key(self) -> str:
        """A text that is the same for all query strings with the same meaning. Cursors are bound to it."""
        own = key_parts(self, of_walk=True).parameters
        return repr((self.market_class.path, self.dataset.name, self.symbols, own))

    def check_range(self, now_ns: int) -> None:
        """Raise `RangeTooLarge` if the range is too long. Streams and `/stats/ohlc` have no maximum."""
        if self.start_ns is None or not self.has_maximum_range:
            return
        limit, name = maximum_range_ns(self.resolution), self.dataset.name
        if (now_ns if self.end_ns is None else self.end_ns) - self.start_ns > limit:
            raise RangeTooLarge(
                f"at {self.resolution.value} a range may be at most {_length_text(limit)} long: ask for a shorter one"
                + (f", or for …/{name}/stream" if self.dataset.has_stream else "")
            )


def parse_query(
    dataset: MarketDataset,
    market_class: str,
    symbol: str | None,
    query_string: str,
    *,
    streamed: bool = False,
) -> MarketDataQuery:
    """Parse a URL's query string. symbol: None if the query string has the symbols.

    Raises `InvalidParameter` and `InvalidValue`.
    """
    several, of_class = symbol is None, MARKET_CLASSES[market_class]
    values = query_values(dataset.serializer(streamed=streamed, several=several), query_string)
    symbols = (requested_symbol(symbol),) if symbol is not None else values["symbols"]
    return MarketDataQuery.of(
        dataset,
        symbols,
        market_class=of_class,
        several=several,
        streamed=streamed,
        has_maximum_range=not streamed,
        options=dataset.options(values),
        **range_fields(values.get("start"), values.get("end")),
        **common_fields(values),
    )


def range_fields(start: Bound | None, end: Bound | None) -> dict[str, Any]:
    """Return the fields of a query with a start and an exclusive end."""
    return {
        "start_ns": start and start.instant_ns,
        "end_ns": end and end.instant_ns,
        "whole_dates": (start is not None and start.is_date, end is not None and end.is_date),
    }


# The fields of a query that are parameters' values, by the parameter's name.
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "resolution": ("resolution", lambda value: value),
    "last": ("last", int),
    "limit": ("limit", int),
    "cursor": ("cursor", str),
    "sort": ("is_descending", lambda value: value == "desc"),
    "fields": ("fields", tuple),
    "as_of": ("as_of_ns", int),
    "symbol_as_of": ("symbol_as_of_ns", int),
    "session": ("session", SessionMode),
    "hours": ("hours", Hours),
    "anchor": ("anchor", Anchor),
    "adjustment": ("adjustment", str),
    "partial": ("with_partial", lambda value: value == "include"),
    "coverage": ("with_coverage", bool),
    "time": ("time_form", TimeForm),
    "trailer": ("with_trailer", bool),
    "knowledge": ("knowledge", lambda value: Knowledge.THEN if value == Knowledge.THEN else None),
}


def common_fields(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a query that are given by the common parameters, but for the range and the symbols."""
    given = ((_FIELDS[name], value) for name, value in values.items() if name in _FIELDS)
    return {field: made(value) for (field, made), value in given}


def _length_text(length_ns: int) -> str:
    hours = length_ns // (DAY_NS // 24)
    return f"{hours} h" if hours <= 24 else f"{length_ns // DAY_NS:,} d"


def check_format(query: MarketDataQuery, format_name: str) -> None:
    """Raise `InvalidParameter` if the query asks for absences and the format has only rows."""
    if query.with_coverage and not FORMATS[format_name].has_envelope:
        with_envelope = ", ".join(name for name, each in FORMATS.items() if each.has_envelope)
        raise InvalidParameter(
            "conflicting_parameters", f"coverage: {format_name} has rows only; ask for {with_envelope}"
        )


_HOUR_NS = 3_600 * SECOND_NS
# The maximum range of a page, in days, by the longest resolution that it applies to.
_MAXIMUM_DAYS = (
    (3 * MINUTE_NS, 30),
    (10 * MINUTE_NS, 90),
    (30 * MINUTE_NS, 180),
    (DAY_NS - 1, 365),
    # Ten years, with as many leap days as they may have.
    (DAY_NS, 3_653),
)


def maximum_range_ns(resolution: Resolution) -> int:
    """Return the maximum length of a page's range at a resolution, in nanoseconds."""
    if resolution.is_tick:
        return _HOUR_NS
    length_ns = resolution.length_ns
    days = next((limit for longest_ns, limit in _MAXIMUM_DAYS if length_ns <= longest_ns), 36_500)
    return min(days, length_ns // SECOND_NS) * DAY_NS
