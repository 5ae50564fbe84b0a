"""The classes, dataset forms and queries of the market-data API, and the parser of queries."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from calendars.schedule import Anchor, Hours, SessionMode
from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant, key_parts
from stats.exceptions import RangeTooLarge
from stats.market_data.query_parameters import (
    DEFAULT_HORIZON_NS,
    INSTANT_PARAMETERS,
    PAGE_PARAMETERS,
    STREAM_PARAMETERS,
    RowQuerySerializer,
    query_serializer,
)
from stats.parameters import DEFAULT_PAGE, Bound, SymbolList, query_values
from stats.rendering.format import TimeForm
from stats.rendering.formats import FORMATS
from stats.rendering.table import OutColumn
from store.datasets import OPTION_QUOTES, QUOTES
from store.declarations import Dataset
from store.log_views.best_quotes import BEST, DEFAULT_MAX_AGE_NS
from store.resolutions import BarLength, Resolution
from store.rows.knowledge import Knowledge
from store.timestamps import DAY_NS, SECOND_NS
from trades.instruments.services import requested_symbol, symbol_canonical
from web.lists.pages import PAGE_LIMIT
from web.requests.exceptions import InvalidParameter


@dataclass(frozen=True, slots=True, eq=False)
class MarketClass:
    """A class of instruments in the market-data API, such as `equities`.

    path: its name in URLs. instrument_class: the class of its instruments; "" for any. datasets: the names
    of its datasets in URLs. streamed: the datasets that have a stream. quotes: the stored dataset that holds
    its quotes. has_instruments: whether its symbols are instruments, not names of currencies or universes.
    """

    path: str
    instrument_class: str
    datasets: tuple[str, ...]
    streamed: tuple[str, ...]
    quotes: Dataset = QUOTES
    has_instruments: bool = True

    def canonical(self, symbol: str, on_ns: int | None) -> str:
        """See `symbol_canonical`. The name of a currency or universe has no aliases."""
        return symbol_canonical(symbol, on_ns) if self.has_instruments else symbol


_BARS_AND_TICKS = ("ohlcv", "quotes", "trades")
_COMMON = (*_BARS_AND_TICKS, "revisions", "trading-status", "corporate-actions", "stored-bars")

MARKET_CLASSES = {
    market_class.path: market_class
    for market_class in (
        MarketClass("equities", "equity", _COMMON, _BARS_AND_TICKS),
        MarketClass("futures", "future", (*_COMMON, "open-interest", "continuous"), _BARS_AND_TICKS),
        MarketClass(
            "options",
            "option",
            ("greeks", "implied-volatility", "quotes", "open-interest", "revisions", "trading-status"),
            ("quotes",),
            quotes=OPTION_QUOTES,
        ),
        MarketClass("crypto", "crypto", _COMMON, _BARS_AND_TICKS),
        MarketClass("fx", "fx", _COMMON, _BARS_AND_TICKS),
        # A currency is no instrument: its code may also be a ticker of an equity.
        MarketClass("rates", "", ("interest-rates",), (), has_instruments=False),
        MarketClass("universes", "", ("changes", "members"), (), has_instruments=False),
    )
}


def class_of(instrument_class: str) -> MarketClass:
    """Return the `MarketClass` of an instrument class."""
    return next(
        market_class
        for market_class in MARKET_CLASSES.values()
        if market_class.instrument_class == instrument_class
    )


@dataclass(frozen=True, slots=True, eq=False)
class DatasetForm:
    """A dataset's parameters and the shape of its answers.

    name: its name in URLs. rows_name: the rows' field in a document. own: the parameters that it has besides
    those of every dataset. resolution: the default resolution. columns: all columns that its rows may have.
    takes_underlyings: whether the path's symbol may be an underlying. of_roots: whether symbols are roots of contracts.
    of_instants: whether a row belongs to an instant at every resolution, not to an interval. has_future: whether a
    query without an end has rows that are dated after now. at_one_instant: whether a query has the instant `at`
    instead of a range. stream_resolution: the default resolution of streams; None if it is `resolution`.
    """

    name: str
    rows_name: str
    own: tuple[str, ...]
    resolution: Resolution
    columns: tuple[OutColumn, ...]
    takes_underlyings: bool = False
    of_roots: bool = False
    of_instants: bool = False
    has_future: bool = False
    at_one_instant: bool = False
    stream_resolution: Resolution | None = None

    def default_resolution(self, *, streamed: bool) -> Resolution:
        """Return the resolution of a query without `resolution`."""
        return self.stream_resolution or self.resolution if streamed else self.resolution

    def parameters(self, *, streamed: bool, several: bool) -> tuple[str, ...]:
        """Return the names of all parameters. several: whether the endpoint is for several symbols."""
        own = (
            tuple(name for name in self.own if name not in {"coverage", "rule"})
            if streamed or several
            else self.own
        )
        pages = INSTANT_PARAMETERS if self.at_one_instant else PAGE_PARAMETERS
        names = (*own, *(STREAM_PARAMETERS if streamed else pages))
        return ("symbols", *names) if several else names

    def serializer(self, *, streamed: bool, several: bool) -> RowQuerySerializer:
        """Return the serializer of the parameters."""
        resolution = self.default_resolution(streamed=streamed).value
        return query_serializer(self.parameters(streamed=streamed, several=several), resolution)


@dataclass(frozen=True, slots=True)
class QuoteJoin:
    """How trades are joined with quotes. A quote is at least `lag_ns` and at most `tolerance_ns` (None: any) old.

    horizon_ns: the time from a trade to the midpoint of its realised spread. max_age_ns: how long a venue's quote
    takes part in the best bid and offer; None if every quote replaces the one before, whichever its venue.
    """

    lag_ns: int
    tolerance_ns: int | None
    horizon_ns: int
    max_age_ns: int | None


@dataclass(frozen=True, slots=True)
class RollQuery:
    """How a continuous future rolls. rule: a name of `ROLL_RULES`. days: None for the rule's. adjustment: by what."""

    rule: str = "volume"
    days: int | None = None
    adjustment: str = "none"


@dataclass(frozen=True, slots=True)
class MarketDataQuery:
    """A query for rows of a dataset, for one or several symbols of a class.

    Times are nanoseconds UTC. start_ns: None if the query has no start. end_ns: exclusive; None for now.
    whole_dates: whether start and end were dates without a time. streamed: whether one answer has all rows of
    the range. session, hours: None for the instrument's default. knowledge: None for what is known now. is_best:
    whether quotes are the best bid and offer of all venues. max_age_ns: the maximum age of a quote that takes part in
    it; None for the default. symbol_as_of_ns: when the symbols had the meaning that is asked for; None for now.
    universe: its members are the symbols, which are () until it is read; None for symbols that were given.
    gap_rule: see `GAP_RULES`; None for the instrument's. policy: the bar policy; None for the instrument's.
    """

    market_class: Annotated[MarketClass, Irrelevant("the content's name has it")]
    form: Annotated[DatasetForm, Irrelevant("the content's name has it")]
    symbols: Annotated[tuple[str, ...], Irrelevant("the content has them")]
    several: bool
    streamed: Annotated[bool, Irrelevant("streams are not kept")]
    resolution: Resolution
    start_ns: Annotated[int | None, Irrelevant("plans have the range in whole intervals")]
    end_ns: Annotated[int | None, Irrelevant("plans have the range in whole intervals")]
    whole_dates: Annotated[tuple[bool, bool], Irrelevant("plans have the range in whole intervals")]
    last: int | None
    limit: Annotated[int, DIFFERS_BY_PAGE]
    cursor: Annotated[str | None, DIFFERS_BY_PAGE]
    is_descending: bool
    fields: Annotated[tuple[str, ...] | None, DIFFERS_BY_PAGE]
    as_of_ns: int | None
    session: Annotated[SessionMode | None, Irrelevant("plans have the grid")]
    hours: Annotated[Hours | None, Irrelevant("plans have the hours")]
    adjustment: str
    with_partial: bool
    with_coverage: bool
    time_form: Annotated[TimeForm | None, DIFFERS_BY_PAGE]
    with_trailer: Annotated[bool, Irrelevant("streams are not kept")]
    expiry_ns: int | None = None
    after_ns: int | None = None
    anchor: Annotated[Anchor, Irrelevant("plans have the grid")] = Anchor.CLOCK
    knowledge: Knowledge | None = None
    inputs: tuple[tuple[str, float], ...] = ()
    join: QuoteJoin | None = None
    roll: RollQuery | None = None
    is_best: bool = False
    max_age_ns: int | None = None
    has_maximum_range: Annotated[bool, Irrelevant("a query beyond it has no answer")] = True
    symbol_as_of_ns: Annotated[int | None, Irrelevant("the content has the symbols' meaning")] = None
    universe: str | None = None
    gap_rule: Annotated[str | None, Irrelevant("plans have the rule")] = None
    policy: str | None = None

    @property
    def path_name(self) -> str:
        """The end of the path that was asked for, such as `ohlcv` or `ohlcv/stream`."""
        return f"{self.form.name}/stream" if self.streamed else self.form.name

    @property
    def subject(self) -> str:
        """A text that is the same for all query strings with the same meaning. Cursors are bound to it."""
        own = key_parts(self, of_walk=True).parameters
        return repr((self.market_class.path, self.form.name, self.symbols, own))

    def check_range(self, now_ns: int) -> None:
        """Raise `RangeTooLarge` if the range is too long. Streams and `/stats/ohlc` have no maximum."""
        if self.start_ns is None or not self.has_maximum_range:
            return
        limit, name = maximum_range_ns(self.resolution), self.form.name
        if (now_ns if self.end_ns is None else self.end_ns) - self.start_ns > limit:
            raise RangeTooLarge(
                f"at {self.resolution.value} a range may be at most {_length_text(limit)} long: ask for a shorter one"
                + (f", or for …/{name}/stream" if name in self.market_class.streamed else "")
            )


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset and symbol in a URL's path. symbol: None if the symbols are in the query string."""

    market_class: str
    form: DatasetForm
    symbol: str | None
    streamed: bool = False


@lru_cache(maxsize=4096)
def parse_query(target: Target, query_string: str) -> MarketDataQuery:
    """Parse a URL's query string. Raises `InvalidParameter` and `InvalidValue`."""
    form, several = target.form, target.symbol is None
    values = query_values(form.serializer(streamed=target.streamed, several=several), query_string)
    start, end = values.get("start"), _end(values)
    market_class, symbols = MARKET_CLASSES[target.market_class], _symbols(target, values)
    session, hours, time_form = values.get("session"), values.get("hours"), values.get("time")
    return MarketDataQuery(
        market_class=market_class,
        form=form,
        symbols=symbols.names,
        universe=symbols.universe,
        several=several,
        streamed=target.streamed,
        resolution=values.get("resolution", form.default_resolution(streamed=target.streamed)),
        start_ns=start and start.instant_ns,
        end_ns=end and end.instant_ns,
        whole_dates=(start is not None and start.is_date, end is not None and end.is_date),
        last=values.get("last"),
        limit=values.get("limit") or _default_limit(values),
        cursor=values.get("cursor"),
        is_descending=values.get("sort") == "desc",
        fields=values.get("fields"),
        as_of_ns=values.get("as_of"),
        symbol_as_of_ns=values.get("symbol_as_of"),
        session=session and SessionMode(session),
        hours=hours and Hours(hours),
        adjustment=values.get("adjustment", "raw"),
        with_partial=values.get("partial") != "exclude",
        with_coverage=values.get("coverage", False),
        gap_rule=values.get("rule"),
        policy=values.get("policy"),
        time_form=time_form and TimeForm(time_form),
        with_trailer=values.get("trailer", False),
        expiry_ns=values.get("expiry"),
        after_ns=values.get("after"),
        anchor=Anchor(values.get("anchor", Anchor.CLOCK)),
        knowledge=Knowledge.THEN if values.get("knowledge") == Knowledge.THEN else None,
        inputs=tuple((name, values[name]) for name in ("rate", "dividend_yield") if name in values),
        join=_quote_join(values),
        roll=_roll_query(values),
        # A join has its own.
        is_best="join" not in values and values.get("exchange") == BEST,
        max_age_ns=None if "join" in values else values.get("max_age"),
        has_maximum_range=not target.streamed,
    )


def _symbols(target: Target, values: dict[str, Any]) -> SymbolList:
    """Return the symbols of a query, or the universe of which they are the members. Raises `InvalidParameter`."""
    if target.symbol is not None:
        return SymbolList((requested_symbol(target.symbol),))
    symbols: SymbolList = values["symbols"]
    check_universe(MARKET_CLASSES[target.market_class], symbols.universe)
    return symbols


def _quote_join(values: dict[str, Any]) -> QuoteJoin | None:
    if "join" not in values:
        return None
    horizon_ns = values.get("horizon", DEFAULT_HORIZON_NS)
    is_best = values.get("exchange", BEST) == BEST
    max_age_ns = values.get("max_age", DEFAULT_MAX_AGE_NS) if is_best else None
    return QuoteJoin(values.get("lag", 0), values.get("tolerance"), horizon_ns, max_age_ns)


def _roll_query(values: dict[str, Any]) -> RollQuery | None:
    """Return how a continuous future rolls; None by default."""
    if not {"roll", "adjust"} & set(values):
        return None
    days = values.get("roll_before")
    return RollQuery(
        values.get("roll", "volume"),
        None if days is None else days // DAY_NS,
        values.get("adjust", "none"),
    )


def _end(values: dict[str, Any]) -> Bound | None:
    """Return the exclusive end of the range; None for now."""
    at_ns = values.get("at")
    end: Bound | None = values.get("end") if at_ns is None else Bound(at_ns + 1, is_date=False)
    return end


def check_universe(market_class: MarketClass, universe: str | None) -> None:
    """Raise `InvalidParameter` if a class without instruments is asked for the members of a universe."""
    if universe is not None and not market_class.has_instruments:
        raise InvalidParameter(
            "invalid_parameter", f"symbols: {market_class.path} have no instruments, so no @{universe}"
        )


def _default_limit(values: dict[str, Any]) -> int:
    """Return a page's default limit: `last` if given, else 1,000 rows.

    For several symbols it is at least 1,000, for a universe, which has one page, the largest.
    """
    last: int = values.get("last", DEFAULT_PAGE)
    if "symbols" not in values:
        return last
    return max(last, DEFAULT_PAGE) if values["symbols"].universe is None else PAGE_LIMIT


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
# The maximum range of a page, by the longest resolution that it applies to.
_MAXIMUM_RANGES_NS = (
    (Resolution.TICK, _HOUR_NS),
    (Resolution.SECOND, DAY_NS),
    (Resolution.THREE_MINUTES, 30 * DAY_NS),
    (Resolution.TEN_MINUTES, 90 * DAY_NS),
    (Resolution.HALF_HOUR, 180 * DAY_NS),
    (Resolution.TWELVE_HOURS, 365 * DAY_NS),
    # Ten years, with as many leap days as they may have.
    (Resolution.DAY, 3_653 * DAY_NS),
    (Resolution.MONTH, 36_500 * DAY_NS),
)


def maximum_range_ns(resolution: BarLength) -> int:
    """Return the maximum length of a page's range at a resolution, in nanoseconds."""
    return next(limit for longest, limit in _MAXIMUM_RANGES_NS if resolution.rank <= longest.rank)
