"""The bars of one symbol for a follower of commits: the same as `GET ohlcv` at these commits."""

from dataclasses import dataclass, replace
from itertools import combinations
from urllib.parse import urlencode

from calendars.schedule import Hours
from stats.exceptions import ResolutionUnavailable, WrongClass
from stats.market_data.intervals.windows import extent_of
from stats.market_data.ohlcv.bar_rows import BarRowReader
from stats.market_data.ohlcv.bar_windows import BarsSnapshot
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.plan import Plan, SymbolQuery, is_known
from stats.market_data.query import MarketDataQuery, class_of, common_fields
from stats.market_data.query_parameters import query_serializer
from stats.market_data.rows import WindowedSource
from stats.parameters import query_values
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid, instrument_grid
from store.log_views.log_view import empty_view, view_of
from store.protocol import NO_COMMIT, CommitId
from store.resolutions import Resolution
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

_PARAMETERS = ("session", "hours", "anchor")


@dataclass(frozen=True, slots=True)
class BarPosition:
    """The commits of which bars are made: of the log of trades and of that of stored bars; `NO_COMMIT` for none."""

    trades: CommitId = NO_COMMIT
    bars: CommitId = NO_COMMIT


def canonical_bar_query(
    symbol: str, resolution: str, query_string: str = ""
) -> tuple[MarketDataQuery, dict[str, str]]:
    """Return the query of `bar_query` with the fewest parameters that make the same bars, and these parameters.

    The bars are the same for the instrument as it is declared now. Raises also `NoExchange` and `UnknownExchange`.
    """
    query = bar_query(symbol, resolution, query_string)
    instrument = market_store().instrument(query.symbols[0])
    grid = _grid(instrument, query)
    asked = {"anchor": grid.anchor.value, "hours": grid.hours.value, "session": grid.session.value}
    for count in range(len(asked) + 1):
        for names in combinations(asked, count):
            parameters = {name: asked[name] for name in names}
            shorter = bar_query(symbol, resolution, urlencode(parameters))
            if _intervals(_grid(instrument, shorter)) == _intervals(grid):
                return shorter, parameters
    raise AssertionError("the grid's own parameters make the same grid")


def _grid(instrument: Instrument, query: MarketDataQuery) -> BarGrid:
    return instrument_grid(
        instrument, query.resolution, session=query.session, hours=query.hours, anchor=query.anchor
    )


def _intervals(grid: BarGrid) -> tuple[bool, bool, Hours]:
    """Return what decides which intervals a grid of an instrument has."""
    return grid.period_calendar is not None, grid.anchor_calendar is not None, grid.hours


def bar_query(symbol: str, resolution: str, query_string: str = "") -> MarketDataQuery:
    """Return the query of all bars of a symbol, unadjusted. The symbol may be an alias.

    query_string: any of `session`, `hours` and `anchor`. Raises `InvalidParameter`, `InvalidValue`, `UnknownSymbol`,
    and `WrongClass` if the symbol's class has no bars.
    """
    symbol = symbol_canonical(requested_symbol(symbol))
    try:
        length = Resolution.of_bars(resolution)
    except ValueError as error:
        raise InvalidValue("unknown_resolution", f"a resolution {error}, not {resolution[:16]}") from None
    if not is_known(symbol):
        raise UnknownSymbol(symbol)
    values = query_values(query_serializer(_PARAMETERS), query_string)
    market_class = class_of(market_store().instrument(symbol).instrument_class)
    if market_class.path not in OHLCV.classes:
        raise WrongClass(f"{symbol} is of the class {market_class.instrument_class}, which has no bars")
    return MarketDataQuery.of(
        OHLCV,
        (symbol,),
        market_class=market_class,
        resolution=length,
        **common_fields(values),
    )


def bars_snapshot(
    query: MarketDataQuery,
    position: BarPosition,
    *,
    instrument: Instrument,
    now_ns: int,
    by_own_log: bool = False,
) -> BarsSnapshot:
    """Return the bars at some commits, which must be in the logs.

    query: as `bar_query` returns it. instrument: the symbol's. by_own_log: whether other logs of the exchange do not make
    bars final. Without rows, and if only coarser bars are stored, there are no bars. Raises `NoExchange`,
    `UnknownExchange` and `StorageError`s.
    """
    store, symbol = market_store(), query.symbols[0]
    trades = view_of(store.log(TRADES, symbol).at(position.trades))
    stored = view_of(store.log(BARS, symbol).at(position.bars))
    extent = extent_of((trades, stored))
    # Rows may be dated ahead. All are in the range.
    end_ns = None if extent is None or extent.end_ns <= now_ns else extent.end_ns
    # Before anything was declared, an exchange has no logs.
    query = replace(query, end_ns=end_ns, as_of_ns=0 if by_own_log else None)
    actions = empty_view(store.log(CORPORATE_ACTIONS, symbol))
    # The logs are fixed, as a cursor's are.
    symbol_query = SymbolQuery(query, instrument, (trades, stored, actions), now_ns, seen=())
    try:
        plan = OHLCV.plan(symbol_query)
    except ResolutionUnavailable:
        nothing = empty_view(store.log(BARS, symbol))
        plan = OHLCV.plan(replace(symbol_query, logs=(trades, nothing, actions)))
    return BarsSnapshot(_reader_of(plan), now_ns, instrument.settle_ns)


def _reader_of(plan: Plan) -> BarRowReader:
    assert isinstance(plan.source, WindowedSource)  # noqa: S101
    assert isinstance(plan.source.reader, BarRowReader)  # noqa: S101
    return plan.source.reader
