"""The best bid and offer of all venues, as rows of `/quotes?exchange=best`."""

from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa
from rest_framework.serializers import ValidationError

from stats.caching.keys import Irrelevant
from stats.market_data.intervals.windows import NOTHING, tick_range
from stats.market_data.plan import Plan, SymbolQuery, since
from stats.market_data.query_parameters import DURATIONS, QueryParameter, conflict
from stats.market_data.rows import Rows
from stats.market_data.ticks import hours_grid_of, row_plan
from stats.parameters import DurationField, WordField
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.log_views.bar_grid import BarGrid
from store.log_views.best_quotes import BEST, DEFAULT_MAX_AGE_NS, best_quote_rows, window_of_changes
from store.log_views.log_view import LogView
from store.log_views.venue_hours import VenueHours, venue_hours_of
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# Windows have at least this many quotes, because many of them do not change the best.
_FEWEST_QUOTES = 1 << 14


def best_columns(*, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the columns of the best. has_integer_volume: whether sizes are integers."""
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        OutColumn("bid", ColumnRole.NUMBER),
        OutColumn("bid_size", ColumnRole.VOLUME, has_integer_volume),
        OutColumn("ask", ColumnRole.NUMBER),
        OutColumn("ask_size", ColumnRole.VOLUME, has_integer_volume),
        OutColumn("bid_exchange", ColumnRole.TEXT),
        OutColumn("ask_exchange", ColumnRole.TEXT),
        OutColumn("state", ColumnRole.TEXT),
    )


@dataclass(frozen=True, slots=True)
class BestQuoteReader:
    """Reads the changes of the best from the quotes of all venues.

    window: the part of the range that may have changes. max_age_ns: after this time a quote takes part no longer.
    venue_hours: when venues are open. hours_grid: a grid whose hours are the query's; None for all hours.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    has_integer_volume: bool
    max_age_ns: int
    venue_hours: VenueHours
    hours_grid: BarGrid | None

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return best_columns(has_integer_volume=self.has_integer_volume)

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.log.take_window(window, max(count, _FEWEST_QUOTES), from_end=from_end)

    def rows(self, window: Window) -> Rows:
        rows = best_quote_rows(self.log, window, self.max_age_ns, self.venue_hours)
        time_ns = rows.column("timestamp").to_numpy()
        if self.hours_grid is not None:
            inside = self.hours_grid.within_hours(time_ns)
            rows, time_ns = rows.filter(pa.array(inside)), time_ns[inside]
        values = {name: rows.column(name) for name in rows.column_names}
        return Rows.of(Table.of(self.columns, values), time_ns)

    def total_estimate(self) -> int:
        # A quote changes the best at most twice: when it comes and when it ends.
        return 2 * self.log.row_bound(
            Window(max(self.window.start_ns - self.max_age_ns, ALL_TIME.start_ns), self.window.end_ns)
        )


EXCHANGE = QueryParameter(
    "exchange",
    WordField,
    {
        "words": (BEST, "all"),
        "help_text": "`best`: the best bid and offer of all venues, at each change. `all`: every quote, whichever its"
        " venue. Default: `all`; with `join` `best`.",
    },
)
MAX_AGE = QueryParameter(
    "max_age",
    DurationField,
    {
        "least_ns": 1,
        "help_text": f"For `exchange=best`: how long a venue's quote takes part, up to 1d. Default: 1h. {DURATIONS}",
    },
)


@dataclass(frozen=True, slots=True)
class BestOptions:
    """Whether quotes are the best bid and offer of all venues. max_age_ns: the maximum age of a quote in it."""

    is_best: bool = False
    max_age_ns: int = DEFAULT_MAX_AGE_NS

    @classmethod
    def of(cls, values: dict[str, Any]) -> "BestOptions":
        """Return the options of parameters' values."""
        return cls(values.get("exchange") == BEST, values.get("max_age", DEFAULT_MAX_AGE_NS))


def check_best(values: dict[str, Any]) -> None:
    """Raise `ValidationError` for parameters of the best bid and offer that conflict."""
    exchange = values.get("exchange", BEST if "join" in values else "all")
    if "max_age" in values and exchange != BEST:
        raise conflict("max_age is of exchange=best: send both or neither")
    if values.get("max_age", 0) > DAY_NS:
        raise ValidationError("max_age must be at most 1d", code="invalid_duration")
    if exchange == BEST and not values.get("resolution", Resolution.TICK).is_tick:
        raise conflict("exchange=best has no bars: leave out resolution")


def best_quotes_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan of the best bid and offer.

    Raises `UnknownSymbol`, `NoExchange`, `UnknownExchange`, `RangeTooLarge`.
    """
    query, (log,) = symbol_query.query, symbol_query.as_known(symbol_query.logs[0])
    if log.is_empty:
        symbol_query.check_known()
    hours_grid, query_range = hours_grid_of(symbol_query), tick_range(symbol_query)
    max_age_ns, instrument = query.options_of(BestOptions).max_age_ns, symbol_query.instrument
    window = _window(query_range, log, max_age_ns)
    needed = Window(max(window.start_ns - max_age_ns, ALL_TIME.start_ns), window.end_ns)
    log = symbol_query.limited_to(log, needed)
    window = _window(query_range, log, max_age_ns)
    reader = BestQuoteReader(
        log, window, instrument.has_integer_volume, max_age_ns, venue_hours_of(instrument), hours_grid
    )
    return row_plan(symbol_query, log, reader, query_range)


def _window(query_range: Window, log: LogView, max_age_ns: int) -> Window:
    """Return the part of a range in which the best may change."""
    window = window_of_changes(log, since(query_range, ALL_TIME.start_ns), max_age_ns)
    return window if window.start_ns < window.end_ns else NOTHING
