"""The two logs from which a symbol's bars are made: trades and stored bars."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.log import Snapshot
from store.log_views.log_view import LogView, empty_view, view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

# A symbol's trades and stored bars, each as of one commit.
BarLogs: TypeAlias = tuple[LogView, LogView]

# The time of a stored daily bar may be this far from its trading date.
DATES_APART_NS = 14 * DAY_NS


def bar_logs(store: MarketStore, symbol: str, snapshot_of: Callable[[Dataset, str], Snapshot]) -> BarLogs:
    """Return both logs as `snapshot_of` returns them; a log that does not exist is empty.

    Raises `UnknownSymbol` if neither exists.
    """
    trades, stored = (_log(dataset, symbol, snapshot_of) for dataset in (TRADES, BARS))
    if trades is stored is None:
        raise UnknownSymbol(symbol)
    return trades or empty_view(store.log(TRADES, symbol)), stored or empty_view(store.log(BARS, symbol))


def _log(dataset: Dataset, symbol: str, snapshot_of: Callable[[Dataset, str], Snapshot]) -> LogView | None:
    try:
        return view_of(snapshot_of(dataset, symbol))
    except UnknownSymbol:
        return None


def dates_with_rows(logs: Iterable[tuple[LogView, int]], window: Window) -> Window:
    """Return the part of a window from the first to the last event date with rows in any of the logs.

    It is empty if there are none. It is extended at both ends, because a row's time may differ from its trading
    date. logs: each with the longest such difference in nanoseconds.
    """
    windows = [each for log, margin_ns in logs for each in _dates_with_rows(log, window, margin_ns)]
    start_ns = max(window.start_ns, min((each.start_ns for each in windows), default=window.end_ns))
    end_ns = min(window.end_ns, max((each.end_ns for each in windows), default=start_ns))
    return Window(start_ns, max(start_ns, end_ns))


def _dates_with_rows(view: LogView, window: Window, margin_ns: int) -> list[Window]:
    from_start = view.snapshot.extent(
        Window(max(window.start_ns - margin_ns, ALL_TIME.start_ns), ALL_TIME.end_ns)
    )
    to_end = view.snapshot.extent(Window(ALL_TIME.start_ns, min(window.end_ns + margin_ns, ALL_TIME.end_ns)))
    if from_start is None or to_end is None:
        return []
    return [Window(from_start[0] * DAY_NS - margin_ns, (to_end[1] + 1) * DAY_NS + margin_ns)]
