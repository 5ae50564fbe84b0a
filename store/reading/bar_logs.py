"""The two logs from which a symbol's bars are made: trades and stored bars."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.csv.store import CsvStore
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.log_views.grids import DayGrid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import LogView, empty_view, view_as_of
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS


class RegularSessions(Protocol):
    """Returns a grid of an instrument's bars, by default of its regular sessions by day.

    session, hours, anchor: as over HTTP; None is its default.
    """

    def __call__(
        self,
        instrument: Instrument,
        resolution: Resolution = ...,
        *,
        session: str | None = ...,
        hours: str | None = ...,
        anchor: str = ...,
    ) -> DayGrid: ...


# A symbol's trades and stored bars, each as of one commit.
BarLogs: TypeAlias = tuple[LogView, LogView]

# The time of a stored daily bar may be this far from its trading date.
DATES_APART_NS = 14 * DAY_NS


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


@dataclass(frozen=True, slots=True)
class GridBars:
    """Makes the bars of an exchange's grid. The time of a day, week or month is midnight UTC of its first date."""

    logs: BarLogs
    grid: DayGrid
    policy: BarPolicy
    settle_ns: int | None = None

    def bars(self, window: Window) -> Bars:
        """Return the bars of a window. Of days, weeks and months it is a window of dates."""
        grid, window = self.grid, dates_with_rows([self.logs], window, trades_margin_ns=DATES_APART_NS)
        if grid.resolution.is_period:
            window = Window(grid.date_start(window.start_ns), grid.date_start(window.end_ns))
        if window.start_ns >= window.end_ns:
            return joined_bars([])
        window = grid.aligned(window.start_ns, window.end_ns)
        bars = bars_of_logs(*self.logs, grid, self.policy, self.settle_ns).bars(window)
        if not grid.resolution.is_period:
            return bars
        _, days = grid.ends_and_dates(bars.time_ns, window)
        return replace(bars, time_ns=days * DAY_NS)


def dates_with_rows(logs: Iterable[BarLogs], window: Window, *, trades_margin_ns: int = 0) -> Window:
    """Return the part of a window from the first to the last event date with rows in any of the logs.

    It is empty if there are none. It is extended at both ends, because a row's time may differ from its trading
    date: by at most `trades_margin_ns` for trades, and `DATES_APART_NS` for stored bars.
    """
    windows: list[Window] = []
    for trades, stored in logs:
        windows += _dates_with_rows(trades, window, trades_margin_ns)
        windows += _dates_with_rows(stored, window, DATES_APART_NS)
    start_ns = max(window.start_ns, min((each.start_ns for each in windows), default=window.end_ns))
    end_ns = min(window.end_ns, max((each.end_ns for each in windows), default=start_ns))
    return Window(start_ns, max(start_ns, end_ns))


def _dates_with_rows(view: LogView, window: Window, margin_ns: int) -> list[Window]:
    from_start = view.extent(Window(max(window.start_ns - margin_ns, ALL_TIME.start_ns), ALL_TIME.end_ns))
    to_end = view.extent(Window(ALL_TIME.start_ns, min(window.end_ns + margin_ns, ALL_TIME.end_ns)))
    if from_start is None or to_end is None:
        return []
    return [Window(from_start[0] * DAY_NS - margin_ns, (to_end[1] + 1) * DAY_NS + margin_ns)]


def rows_within(logs: Sequence[BarLogs], window: Window, length: int) -> Window:
    """Return the part of a window that may have bars of this length in nanoseconds, in whole intervals."""
    margin_ns = DATES_APART_NS if length == DAY_NS else 0
    dates = dates_with_rows(logs, window, trades_margin_ns=margin_ns)
    return Window(dates.start_ns - dates.start_ns % length, dates.end_ns + -dates.end_ns % length)


def rows_before(logs: BarLogs, window: Window, length: int) -> Window:
    """Return the window before another one that may have bars of this length."""
    start_ns = ALL_TIME.start_ns - ALL_TIME.start_ns % length
    before = Window(start_ns, max(start_ns, window.start_ns))
    rows = rows_within([logs], before, length)
    return Window(rows.start_ns, min(rows.end_ns, before.end_ns))
