"""Bars in the tree: `/ohlcv`."""

from dataclasses import dataclass, replace
from functools import partial

from stats.exceptions import ResolutionUnavailable
from stats.market_data.absence.listing import listed
from stats.market_data.absence.pages import PagesOfAbsences, asked_days
from stats.market_data.absence.reasons import Absences
from stats.market_data.absence.untold import Untold
from stats.market_data.intervals.bar_grid import BarGrid, regular_day_grid
from stats.market_data.intervals.grids import bar_key, grid_of
from stats.market_data.intervals.ranges import Range, bar_range, bar_window
from stats.market_data.ohlcv.adjustment import Terms
from stats.market_data.ohlcv.bar_rows import BarReader, bar_columns
from stats.market_data.ohlcv.corporate_actions import (
    CLOSE_LOOKBACK_NS,
    AdjustedBars,
    BarsOfDays,
    OfficialCloses,
    adjustment_by,
    day_grid,
    minute_grid,
)
from stats.market_data.pinning.logs import PinnedLog
from stats.market_data.pinning.plan import Asked, KeyParts, Plan, check_known, reason_for_none
from stats.market_data.queries.query import DatasetForm
from stats.market_data.sources.rows import DeferredSource, Source, WindowedSource
from stats.sessions.spans import Hours
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.log_views.stored_bars import around, is_made_of, stored_resolutions, with_stored_bars
from store.log_views.trade_bars import BarMaker, TradeBars, trade_bars
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution

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

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        grid = grid_of(asked)
        trades, stored, actions = (
            asked.snapshot.log(dataset, asked.symbol, place)
            for place, dataset in enumerate((TRADES, BARS, CORPORATE_ACTIONS))
        )
        _check_available(asked, trades, stored)
        if asked.query.adjustment == "raw":
            actions = actions.left_out()
        asked_for = bar_range(asked, grid)
        window = bar_window(asked_for, grid, (trades, stored))
        needed = _needed(trade_bars(trades.view, grid, asked.instrument.policy), actions, window)
        if asked.query.with_coverage:
            needed = _needed_for_absences(needed, grid, asked_for)
        stored_grid = grid if actions.is_empty else day_grid(grid)
        stored_needed = around(needed, stored_grid) if needed.start_ns < needed.end_ns else needed
        narrowed = asked.snapshot.narrowed
        logs = (narrowed(trades, needed), narrowed(stored, stored_needed), actions)
        return Plan(
            logs=logs,
            source=DeferredSource(partial(_source, asked, grid, window, logs)),
            key=(*bar_key(asked, grid, asked_for), *_further_key(asked, grid, actions)),
            reason=reason_for_none(asked),
            begun_ns=min(asked_for.end_ns, _steady_until(asked, grid, actions) - 1),
            head={"resolution": grid.resolution.value},
            absences=partial(_absences, asked, grid, asked_for, logs) if asked.query.with_coverage else None,
        )


def _check_available(asked: Asked, trades: PinnedLog, stored: PinnedLog) -> None:
    """Raises `UnknownSymbol`, and `ResolutionUnavailable` where only coarser bars are stored."""
    if not trades.is_empty:
        return
    view = stored.view
    if view is None:
        check_known(asked.symbol)
        return
    resolution, available = asked.query.resolution, stored_resolutions(view)
    if not any(is_made_of(resolution, each) for each in available):
        named = ", ".join(each.value for each in available)
        raise ResolutionUnavailable(
            f"of {asked.symbol} only bars are stored, of {named}: {resolution.value} cannot be made of them"
        )


def _needed(made: TradeBars, actions: PinnedLog, window: Window) -> Window:
    """All that the bars of a window depend on: the official close before a later dividend, too.

    An ex-date on which the exchange is closed may take effect days later in UTC than by trading date.
    """
    needed = made.needed(window)
    return needed if actions.is_empty else Window(needed.start_ns - 2 * CLOSE_LOOKBACK_NS, ALL_TIME.end_ns)


def _needed_for_absences(needed: Window, grid: BarGrid, asked_for: Range) -> Window:
    """All that tells why there is no bar: whether its date has others, and whether anything came before."""
    last = day_grid(grid).whole(asked_for.end_ns - 1, asked_for.end_ns)
    return Window(ALL_TIME.start_ns, max(needed.end_ns, last.end_ns))


def _further_key(asked: Asked, grid: BarGrid, actions: PinnedLog) -> KeyParts:
    """What adjusted bars and absences depend on beside what all bars do."""
    query, calendar = asked.query, grid.calendar
    return (
        ("today", None if actions.is_empty else _today(asked, grid).start_ns),
        ("calendar", calendar.key if calendar is not None and query.with_coverage else None),
        ("dates", _dates(asked) if query.with_coverage and grid.cut_by is not None else None),
        ("expires", asked.instrument.expiry if query.with_coverage else None),
    )


def _dates(asked: Asked) -> str:
    first, behind = asked_days(asked)
    return f"{first}..{behind}"


def _steady_until(asked: Asked, grid: BarGrid, actions: PinnedLog) -> int:
    """The end of the time in which the answer stays as it is: adjusted, it may change with every date."""
    until_ns = grid.steady(asked.now_ns).end_ns
    return until_ns if actions.is_empty else min(until_ns, _today(asked, grid).end_ns)


def _today(asked: Asked, grid: BarGrid) -> Window:
    return day_grid(grid).whole(asked.now_ns, asked.now_ns + 1)


def _source(asked: Asked, grid: BarGrid, window: Window, logs: tuple[PinnedLog, ...]) -> Source:
    trades, stored, _ = logs
    reader = BarReader(
        (trades, stored),
        window,
        grid,
        _adjusted(asked, grid, logs),
        asked.is_whole,
        asked.instrument.policy.counts_every_print,
        grid.steady(asked.now_ns).start_ns,
        partial(_bound, trades, stored, grid, window),
    )
    return WindowedSource(reader)


def _bound(trades: PinnedLog, stored: PinnedLog, grid: BarGrid, window: Window) -> int:
    """At most how many bars a window has."""
    rows = trades.row_bound(window) + stored.row_bound(around(window, grid))
    intervals = -(-(window.end_ns - window.start_ns) // grid.resolution.length_ns)
    return min(rows, intervals)


def _adjusted(asked: Asked, grid: BarGrid, logs: tuple[PinnedLog, ...]) -> BarMaker:
    """What makes the bars, adjusted by what has taken effect."""
    trades, stored, actions = logs
    maker = _maker(asked, grid, trades, stored)
    if actions.is_empty:
        return maker
    terms = Terms(asked.query.adjustment == "all", asked.instrument.currency, _today(asked, grid).end_ns)
    days = _maker(asked, day_grid(grid), trades, stored)
    adjustment = adjustment_by(actions, _official_closes(asked, grid, trades, stored), grid, terms)
    minutes = _maker(asked, minute_grid(grid), trades, stored)
    if grid.resolution not in {Resolution.WEEK, Resolution.MONTH}:
        return AdjustedBars(maker, minutes, grid, adjustment)
    return BarsOfDays(AdjustedBars(days, minutes, day_grid(grid), adjustment), maker, grid)


def _official_closes(asked: Asked, grid: BarGrid, trades: PinnedLog, stored: PinnedLog) -> OfficialCloses:
    """The same closes whatever hours, resolution and session are asked for."""
    regular = regular_day_grid(grid.calendar)
    return OfficialCloses(_maker(asked, regular, trades, stored), regular)


def _maker(asked: Asked, grid: BarGrid, trades: PinnedLog, stored: PinnedLog) -> BarMaker:
    return with_stored_bars(trades.view, stored.view, grid, asked.instrument.policy)


def _untold(asked: Asked, grid: BarGrid, trades: PinnedLog, stored: PinnedLog) -> Untold:
    of_all_hours = replace(grid, hours=Hours.ALL)

    def maker_of(resolution: Resolution) -> BarMaker:
        return _maker(asked, replace(of_all_hours, resolution=resolution), trades, stored)

    return Untold(stored, grid, maker_of, day_grid(of_all_hours))


def _absences(
    asked: Asked,
    grid: BarGrid,
    asked_for: Range,
    logs: tuple[PinnedLog, ...],
    *edges: int | None,
) -> list[dict[str, str]]:
    """Why there are no bars between a page's two edges where there are none."""
    trades, stored, _ = logs
    days = day_grid(grid)
    absences = Absences(
        grid=grid,
        maker=_maker(asked, grid, trades, stored),
        days=_maker(asked, days, trades, stored),
        day_grid=days,
        untold=_untold(asked, grid, trades, stored),
        listed=listed(asked.instrument, days, (trades, stored)),
        settled_ns=grid.steady(asked.now_ns).start_ns,
    )
    return PagesOfAbsences(absences, asked, asked_for)(*edges)
