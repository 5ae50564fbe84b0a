"""The dataset `/ohlcv`: plans of bars."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable
from stats.market_data.intervals.finality import final_bars_of, finality_of, has_final
from stats.market_data.intervals.windows import (
    bar_range,
    bar_window,
    grid_of,
    next_change_ns_of,
    plain_grid_of,
)
from stats.market_data.ohlcv.absences import PENDING_WINDOWS, BarAbsences, queried_days
from stats.market_data.ohlcv.bar_rows import BarInputs, BarKnowledge, BarRowReader, NoActions, bar_columns
from stats.market_data.plan import Plan, SymbolQuery, reason_for_none, walk_now_ns
from stats.market_data.query import TRADED, MarketDataset
from stats.market_data.query_parameters import QueryParameter, conflict
from stats.market_data.rows import WindowedSource
from stats.parameters import WordField
from store.bars.adjustment import AdjustmentRules
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES, TRADING_STATUS
from store.instruments import EQUITY, GAP_RULES
from store.log_views.adjusted_bars import CLOSE_LOOKBACK_NS, effects_until_ns
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView, empty_view
from store.log_views.stored_bars import stored_bars_window
from store.log_views.stored_resolutions import stored_resolutions
from store.log_views.trade_bars import TradeBars
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS


def _ohlcv_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan of bars made from trades or, for intervals without trades, from stored bars."""
    trades, stored_bars, actions, *_ = symbol_query.logs
    _check_available(symbol_query, trades, stored_bars)
    return _bars_plan(symbol_query, grid_of(symbol_query), trades, stored_bars, actions)


RULE = QueryParameter(
    "rule",
    WordField,
    {
        "words": GAP_RULES,
        "help_text": "When an interval without a bar is a gap. `calendar`: always. `evidence`: if the dates before"
        " make it unlikely that nobody traded. Default: the instrument's `gap_rule`.",
    },
)


@dataclass(frozen=True, slots=True)
class OhlcvOptions:
    """What only bars have. gap_rule: see `GAP_RULES`; None for that of the instrument."""

    gap_rule: Annotated[str | None, Irrelevant("plans have the rule")] = None


def _check(values: dict[str, Any]) -> None:
    if values.get("coverage") and values.get("resolution", Resolution.DAY).is_tick:
        raise conflict("every nanosecond without a trade would be listed: ask for a resolution from 1s on")
    if "rule" in values and not values.get("coverage"):
        raise conflict("rule is of the reasons of missing bars: send coverage=1 with it")


_OF_BARS = (TRADES, BARS, CORPORATE_ACTIONS)
OHLCV = MarketDataset(
    name="ohlcv",
    rows_name="bars",
    classes=TRADED,
    has_stream=True,
    own=(
        "resolution",
        "session",
        "hours",
        "anchor",
        "adjustment",
        "knowledge",
        "partial",
        "coverage",
        RULE,
    ),
    resolution=Resolution.DAY,
    columns=bar_columns(has_integer_volume=True, with_date=True),
    stream_resolution=Resolution.MINUTE,
    plan=_ohlcv_plan,
    check=_check,
    options=lambda values: OhlcvOptions(values.get("rule")),
    logs_of=lambda query: (*_OF_BARS, TRADING_STATUS) if query.with_coverage else _OF_BARS,
)


def trade_bars_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan of bars made from trades alone, unadjusted, in UTC: of times, prices and volumes."""
    (trades,) = symbol_query.logs
    if trades.is_empty:
        symbol_query.check_known()
    stored_bars, actions = (
        empty_view(trades.log_of(dataset, symbol_query.symbol)) for dataset in (BARS, CORPORATE_ACTIONS)
    )
    grid = plain_grid_of(symbol_query.instrument, symbol_query.query.resolution)
    plan = _bars_plan(symbol_query, grid, trades, stored_bars, actions, is_plain=True)
    return replace(plan, logs=plan.logs[:1])


def _bars_plan(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    trades: LogView,
    stored_bars: LogView,
    actions: LogView,
    *,
    is_plain: bool = False,
) -> Plan:
    query, settle_ns = symbol_query.query, symbol_query.settle_ns
    query_range = bar_range(symbol_query, grid)
    window = bar_window(query_range, grid, (trades, stored_bars))
    is_unadjusted = (
        actions.is_empty and query.adjustment != "raw" and symbol_query.instrument.instrument_class == EQUITY
    )
    # No action is known before it takes effect, so prices that were known then are unadjusted.
    if not actions.is_empty and (query.adjustment == "raw" or settle_ns is not None):
        actions = empty_view(actions.log_of(actions.dataset, actions.symbol))
    inputs = _bar_inputs(symbol_query, grid, query_range, window, (trades, stored_bars, actions))
    logs = (inputs.trades, inputs.stored_bars, inputs.actions)
    final_bars = None
    if has_final(query):
        by_trades = finality_of(symbol_query, grid, query_range, trades, symbol_query.instrument.policy)
        final_bars = final_bars_of(symbol_query, grid, query_range, logs[:2], by_trades)
    pending = _pending_windows(symbol_query)
    absences = None
    if query.with_coverage:
        absences = _absences(symbol_query, grid, query_range, inputs, pending or ())
    next_change_ns = _next_change_ns(symbol_query, grid, query_range, inputs, absences)
    reader = BarRowReader(
        inputs, window, grid, symbol_query.instrument.has_integer_volume, final_bars, is_plain=is_plain
    )

    notes = (
        None if inputs.rules is None else reader,
        NoActions() if is_unadjusted else None,
        None if settle_ns is None else BarKnowledge(logs[:2], grid, inputs.policy, settle_ns),
        absences,
    )
    return Plan(
        source=WindowedSource(reader),
        range=query_range,
        reason=reason_for_none(symbol_query),
        logs=(*logs, *symbol_query.logs[len(_OF_BARS) :]),
        walk_now_ns=walk_now_ns(next_change_ns, query_range.end_ns if absences is None else absences.end_ns),
        expires_ns=symbol_query.expires_ns(
            next_change_ns,
            None if pending is None else symbol_query.now_ns + SECOND_NS,
            None if final_bars is None else final_bars.expires_ns,
        ),
        head=(("resolution", grid.resolution.value),),
        notes=tuple(note for note in notes if note is not None),
        final_until_ns=None if final_bars is None else final_bars.until_ns,
    )


def _bar_inputs(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    query_range: Window,
    window: Window,
    logs: tuple[LogView, LogView, LogView],
) -> BarInputs:
    """Return what the bars of a window are made of: the logs (trades, stored bars, actions), limited to what counts."""
    trades, stored_bars, actions = logs
    instrument = symbol_query.instrument
    if symbol_query.seen is not None:
        # A cursor's logs are not limited.
        needed = ALL_TIME
    else:
        trades_window = TradeBars(trades, grid, instrument.policy).needed(window)
        needed = _needed(symbol_query, grid, query_range, trades_window, actions)
    stored_grid = grid if actions.is_empty else grid.days()
    stored_needed = stored_bars_window(needed, stored_grid) if needed.start_ns < needed.end_ns else needed
    inputs = BarInputs(
        _limited(symbol_query, trades, needed),
        _limited(symbol_query, stored_bars, stored_needed),
        actions,
        instrument.policy,
        symbol_query.settle_ns,
    )
    return inputs if actions.is_empty else _adjusted(inputs, symbol_query, grid)


def _limited(symbol_query: SymbolQuery, log: LogView, needed: Window) -> LogView:
    """Return a log at the newest commit that counts. For absences, declarations and fills without a row count."""
    limited = symbol_query.limited_to(log, needed)
    if symbol_query.query.with_coverage and log.commit != limited.commit:
        declared_ns, known_ns = (each.snapshot.completeness().complete_until_ns for each in (log, limited))
        if known_ns < min(declared_ns, needed.end_ns) or log.snapshot.fills(needed) != limited.snapshot.fills(
            needed
        ):
            return log
    return limited


def _check_available(symbol_query: SymbolQuery, trades: LogView, stored_bars: LogView) -> None:
    """Raise `UnknownSymbol`, or `ResolutionUnavailable` if only coarser bars are stored."""
    if not trades.is_empty:
        return
    if stored_bars.is_empty:
        symbol_query.check_known()
        return
    resolution, available = symbol_query.query.resolution, stored_resolutions(stored_bars)
    if not any(resolution.is_made_of(each) for each in available):
        names = ", ".join(each.value for each in available)
        raise ResolutionUnavailable(
            f"{symbol_query.symbol} has only stored bars of {names}; {resolution.value} cannot be made from them"
        )


def _needed(
    symbol_query: SymbolQuery, grid: BarGrid, query_range: Window, trades_window: Window, actions: LogView
) -> Window:
    """Return the window of trades on which the bars of a range depend.

    Bars as they were known depend on what was known until `settle` after their end. Adjusted bars also depend on all
    later trades and on the close before a dividend. An action on a closed day takes effect days later, hence twice
    the lookback. Absences also depend on all earlier trades, because they
    need the first row, and on the whole last day.
    """
    needed = trades_window
    if symbol_query.query.knowledge is not None and needed.start_ns < needed.end_ns:
        settled_ns = needed.end_ns + symbol_query.instrument.settle_ns
        needed = Window(needed.start_ns, min(settled_ns, ALL_TIME.end_ns))
    if not actions.is_empty:
        needed = Window(needed.start_ns - 2 * CLOSE_LOOKBACK_NS, ALL_TIME.end_ns)
    if symbol_query.query.with_coverage:
        last_day = grid.days().interval(query_range.end_ns - 1)
        needed = Window(ALL_TIME.start_ns, max(needed.end_ns, last_day.end_ns))
    return needed


def _adjusted(inputs: BarInputs, symbol_query: SymbolQuery, grid: BarGrid) -> BarInputs:
    """Return the inputs with the query's adjustment, for actions that take effect up to today."""
    rules = AdjustmentRules(symbol_query.query.adjustment == "all", symbol_query.instrument.currency)
    return replace(inputs, rules=rules, actions_until_ns=effects_until_ns(grid, symbol_query.now_ns))


def _next_change_ns(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    query_range: Window,
    inputs: BarInputs,
    absences: BarAbsences | None,
) -> int | None:
    """Return the next instant at which bars or absences change if nothing is written; None for never.

    Adjusted bars may change every day, because actions take effect.
    """
    query, constant_window = symbol_query.query, grid.constant_window(symbol_query.now_ns)
    changes_ns = [] if inputs.rules is None else [inputs.actions_until_ns]
    if absences is not None and (query.end_ns is None or constant_window.start_ns < absences.end_ns):
        # After midnight UTC, a query without an end covers one more day.
        changes_ns += [constant_window.end_ns, (symbol_query.now_ns // DAY_NS + 1) * DAY_NS]
    if has_final(query) or query.end_ns is None or not query.with_partial:
        bar_change_ns = next_change_ns_of(symbol_query, grid, query_range)
        changes_ns += [] if bar_change_ns is None else [bar_change_ns]
    return min(changes_ns, default=None)


def _pending_windows(symbol_query: SymbolQuery) -> tuple[Window, ...] | None:
    """Return the ranges whose gaps are to be filled; None if the answer tells nothing of them."""
    query = symbol_query.query
    is_told = query.with_coverage and query.as_of_ns is None
    return PENDING_WINDOWS.get()(symbol_query.symbol) if is_told else None


def _absences(
    symbol_query: SymbolQuery,
    grid: BarGrid,
    query_range: Window,
    inputs: BarInputs,
    pending: tuple[Window, ...],
) -> BarAbsences:
    query = symbol_query.query
    days, over_until_ns = queried_days(symbol_query), grid.constant_window(symbol_query.now_ns).start_ns
    # Closed days at the end of the range last until the start of the next trading date.
    next_date_ns = grid.days().date_start(days[1] * DAY_NS)
    absences_end_ns = max(query_range.end_ns, grid.days().interval(next_date_ns).end_ns)
    return BarAbsences(
        inputs,
        grid,
        query_range,
        days,
        absences_end_ns,
        min(over_until_ns, absences_end_ns),
        symbol_query.instrument.expiry,
        symbol_query.logs[-1],
        query.options_of(OhlcvOptions).gap_rule or symbol_query.instrument.gap_rule,
        pending,
    )
