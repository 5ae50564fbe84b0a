"""Bars in the tree: `/ohlcv`."""

from dataclasses import dataclass, replace

from stats.exceptions import ResolutionUnavailable
from stats.market_data.intervals.bar_grid import BarGrid, utc_grid
from stats.market_data.intervals.windows import bar_range, bar_window, grid_of, open_until
from stats.market_data.ohlcv.absences import BarAbsences, asked_days
from stats.market_data.ohlcv.adjustment import Terms
from stats.market_data.ohlcv.bar_rows import BarReader, bar_columns
from stats.market_data.ohlcv.corporate_actions import CLOSE_LOOKBACK_NS, BarInputs, day_grid
from stats.market_data.plan import Asked, Plan, Range, begun, check_known, reason_for_none
from stats.market_data.query import DatasetForm, MarketDataQuery
from stats.market_data.rows import WindowedSource
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.declarations import Dataset
from store.log_views.log_view import LogView, nothing_of
from store.log_views.stored_bars import around, is_made_of, stored_resolutions
from store.log_views.trade_bars import trade_bars
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

OHLCV = DatasetForm(
    name="ohlcv",
    rows_name="bars",
    own=("resolution", "session", "hours", "adjustment", "partial", "coverage"),
    resolution=Resolution.DAY,
    columns=bar_columns(whole=True, with_date=True),
    stream_resolution=Resolution.MINUTE,
)


@dataclass(frozen=True, slots=True)
class Ohlcv:
    """Bars made from trades, and from stored bars where there are no trades."""

    form: DatasetForm = OHLCV
    log_count: int = 3

    def declared_logs(self, _query: MarketDataQuery) -> tuple[Dataset, ...]:
        """See `MarketDataset.declared_logs`."""
        return TRADES, BARS, CORPORATE_ACTIONS

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        trades, stored, actions = asked.logs
        _check_available(asked, trades, stored)
        return bars_plan(asked, grid_of(asked), trades, stored, actions)


@dataclass(frozen=True, slots=True)
class BarsOfTrades:
    """Bars made from trades alone, as printed, in UTC."""

    form: DatasetForm
    log_count: int = 1

    def declared_logs(self, _query: MarketDataQuery) -> tuple[Dataset, ...]:
        """See `MarketDataset.declared_logs`."""
        return (TRADES,)

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        (trades,) = asked.logs
        if trades.is_empty:
            check_known(asked.symbol)
        stored, actions = (
            nothing_of(trades.store, dataset, asked.symbol) for dataset in (BARS, CORPORATE_ACTIONS)
        )
        plan = bars_plan(asked, utc_grid(asked.query.resolution), trades, stored, actions)
        return replace(plan, logs=plan.logs[: self.log_count])


def bars_plan(asked: Asked, grid: BarGrid, trades: LogView, stored: LogView, actions: LogView) -> Plan:
    """The plan for bars of a grid, made from these logs."""
    query = asked.query
    if query.adjustment == "raw":
        actions = actions.left_out()
    asked_for = bar_range(asked, grid)
    window = bar_window(asked_for, grid, (trades, stored))
    needed = _needed(
        asked, grid, asked_for, trade_bars(trades, grid, asked.instrument.policy).needed(window), actions
    )
    stored_grid = grid if actions.is_empty else day_grid(grid)
    stored_needed = around(needed, stored_grid) if needed.start_ns < needed.end_ns else needed
    narrowed = asked.snapshot.narrowed
    logs = (narrowed(trades, needed), narrowed(stored, stored_needed), actions)
    terms = None if actions.is_empty else _terms(asked, grid)
    inputs = BarInputs(*logs, asked.instrument.policy, terms)
    settled_ns = min(grid.steady(asked.now_ns).start_ns, asked_for.end_ns) if _tells_final(query) else None
    absences = _absences(asked, grid, asked_for, inputs) if query.with_coverage else None
    changes_ns = _changes(asked, grid, asked_for, terms, absences)
    return Plan(
        source=WindowedSource(
            BarReader(inputs, window, grid, asked.instrument.has_integer_volume, settled_ns)
        ),
        range=asked_for,
        reason=reason_for_none(asked),
        logs=logs,
        begun_ns=begun(changes_ns, asked_for.end_ns if absences is None else absences.judged_until_ns),
        valid_until_ns=asked.valid_until(changes_ns),
        head=(("resolution", grid.resolution.value),),
        absences=absences,
    )


def _check_available(asked: Asked, trades: LogView, stored: LogView) -> None:
    """Raises `UnknownSymbol`, and `ResolutionUnavailable` where only coarser bars are stored."""
    if not trades.is_empty:
        return
    if stored.is_empty:
        check_known(asked.symbol)
        return
    resolution, available = asked.query.resolution, stored_resolutions(stored)
    if not any(is_made_of(resolution, each) for each in available):
        named = ", ".join(each.value for each in available)
        raise ResolutionUnavailable(
            f"of {asked.symbol} only bars are stored, of {named}: {resolution.value} cannot be made of them"
        )


def _needed(asked: Asked, grid: BarGrid, asked_for: Range, of_trades: Window, actions: LogView) -> Window:
    """All that the bars of a range depend on, in addition to what they depend on as printed.

    Adjusted ones also on the official close before a later dividend: an ex-date on which the exchange is closed
    may take effect days later in UTC than by trading date. With their absences also on whether a date without
    a bar has others, and whether anything came before.
    """
    needed = of_trades
    if not actions.is_empty:
        needed = Window(needed.start_ns - 2 * CLOSE_LOOKBACK_NS, ALL_TIME.end_ns)
    if asked.query.with_coverage:
        last = day_grid(grid).aligned(asked_for.end_ns - 1, asked_for.end_ns)
        needed = Window(ALL_TIME.start_ns, max(needed.end_ns, last.end_ns))
    return needed


def _terms(asked: Asked, grid: BarGrid) -> Terms:
    today = day_grid(grid).aligned(asked.now_ns, asked.now_ns + 1)
    return Terms(asked.query.adjustment == "all", asked.instrument.currency, today.end_ns)


def _tells_final(query: MarketDataQuery) -> bool:
    return query.fields is None or "final" in query.fields


def _changes(
    asked: Asked, grid: BarGrid, asked_for: Range, terms: Terms | None, absences: BarAbsences | None
) -> int | None:
    """The first instant at which other bars or absences are answered if nothing is written; None for never.

    Adjusted, they may change with every date.
    """
    query, steady = asked.query, grid.steady(asked.now_ns)
    found = [] if terms is None else [terms.until_ns]
    if absences is not None and (query.end_ns is None or steady.start_ns < absences.judged_until_ns):
        # Without an end the days asked for change at midnight.
        found += [steady.end_ns, (asked.now_ns // DAY_NS + 1) * DAY_NS]
    if _tells_final(query) or query.end_ns is None or not query.with_partial:
        until_ns = open_until(asked, grid, asked_for)
        found += [] if until_ns is None else [until_ns]
    return min(found, default=None)


def _absences(asked: Asked, grid: BarGrid, asked_for: Range, inputs: BarInputs) -> BarAbsences:
    days, settled_ns = asked_days(asked), grid.steady(asked.now_ns).start_ns
    # Closed days at the end of the range last until the next trading date opens.
    next_date_ns = day_grid(grid).date_start(days[1] * DAY_NS)
    judged_until_ns = max(asked_for.end_ns, day_grid(grid).aligned(next_date_ns, next_date_ns + 1).end_ns)
    return BarAbsences(
        inputs,
        grid,
        asked_for,
        days,
        judged_until_ns,
        min(settled_ns, judged_until_ns),
        asked.instrument.expiry,
    )
