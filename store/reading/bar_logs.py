"""The two logs from which a symbol's bars are made: trades and stored bars."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.csv.store import CsvStore
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.log_views.grids import DayGrid
from store.log_views.log_view import LogView, empty_view, newest_date, oldest_date, view_as_of
from store.log_views.stored_bars import with_stored_bars
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

# Returns the grid of an instrument's regular sessions, by day.
RegularSessions: TypeAlias = Callable[[Instrument], DayGrid]
# A symbol's trades and stored bars, each as of one commit.
BarLogs: TypeAlias = tuple[LogView, LogView]

# The time of a stored daily bar may be this far from its trading date.
_DATES_APART_NS = 14 * DAY_NS


def bar_logs(store: CsvStore, symbol: str, commit_of: Callable[[Dataset, str], int | None]) -> BarLogs:
    """Return both logs as of the commits that `commit_of` returns (None: the newest; 0: before the first).

    Raises `UnknownSymbol` if neither exists.
    """
    trades, stored = (_log(store, dataset, symbol, commit_of) for dataset in (TRADES, BARS))
    if trades is stored is None:
        raise UnknownSymbol(symbol)
    return trades or empty_view(store, TRADES, symbol), stored or empty_view(store, BARS, symbol)


def _log(
    store: CsvStore, dataset: Dataset, symbol: str, commit_of: Callable[[Dataset, str], int | None]
) -> LogView | None:
    try:
        return view_as_of(store, dataset, symbol, commit_of(dataset, symbol))
    except UnknownSymbol:
        return None


def session_bars(logs: BarLogs, dates: Window, grid: DayGrid, policy: BarPolicy) -> Bars:
    """Return the bars of the trading dates in a window of whole days.

    The bars' time is midnight UTC of their date.
    """
    stored_dates = dates_with_rows([(view, _DATES_APART_NS) for view in logs], dates)
    window = Window(grid.date_start(stored_dates.start_ns), grid.date_start(stored_dates.end_ns))
    if window.start_ns >= window.end_ns:
        return joined_bars([])
    bars = with_stored_bars(*logs, grid, policy).bars(window)
    _, days = grid.ends_and_dates(bars.time_ns, window)
    return replace(bars, time_ns=days * DAY_NS)


def with_bars(logs: Iterable[BarLogs], window: Window) -> Window:
    """Return the part of a window, from midnight to midnight UTC, in which any of the logs may have bars."""
    margins = [
        (view, margin) for each in logs for view, margin in zip(each, (0, _DATES_APART_NS), strict=True)
    ]
    return dates_with_rows(margins, window)


def dates_with_rows(logs: Iterable[tuple[LogView, int]], window: Window) -> Window:
    """Return the part of a window that the event dates of logs cover.

    Each log's dates are widened by its margin, in nanoseconds, at both ends.

    The part is empty if the logs have no rows in the window.
    """
    windows: list[Window] = []
    for view, margin in logs:
        first_ns, end_ns = (
            max(window.start_ns - margin, ALL_TIME.start_ns),
            min(window.end_ns + margin, ALL_TIME.end_ns),
        )
        oldest = oldest_date(view, first_ns)
        newest = newest_date(view, end_ns)
        if oldest is not None and newest is not None:
            windows.append(Window(oldest * DAY_NS - margin, (newest + 1) * DAY_NS + margin))
    start_ns = max(window.start_ns, min((each.start_ns for each in windows), default=window.end_ns))
    end_ns = min(window.end_ns, max((each.end_ns for each in windows), default=start_ns))
    return Window(start_ns, max(start_ns, end_ns))
