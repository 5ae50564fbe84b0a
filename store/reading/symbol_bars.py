"""Makes one symbol's bars from its trades and stored bars, on the grid that the options ask for."""

from __future__ import annotations

from dataclasses import dataclass

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf, utc_dates
from store.instruments import Instrument
from store.log_views.grids import DayGrid, plain_grid
from store.log_views.known_bars import bars_of_logs
from store.log_views.trade_bars import BarMaker
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    interval_ns,
    resolution_of,
)
from store.reading.bar_choice import BarChoice, policy_named
from store.reading.bar_logs import BarLogs, GridBars, RegularSessions, rows_within
from store.reading.exceptions import NoSessions
from store.resolutions import Resolution
from store.timestamps import DAY_NS

_LONG = frozenset({"1w", "1M", "1mo"})


@dataclass(frozen=True, slots=True)
class SymbolBars:
    """The bars of one symbol. instrument, logs: as of the choice's `as_of`. sessions: None if they are not known."""

    instrument: Instrument
    logs: BarLogs
    sessions: RegularSessions | None
    choice: BarChoice

    def bars(
        self, start: InstantArgument | None, end: InstantArgument | None, interval: IntervalArgument
    ) -> Bars:
        """Return the bars of a window that is extended to whole intervals. Raises `InvalidArgument`s."""
        grid = self._grid(interval)
        if grid is not None:
            return self._on_grid(grid).bars(
                aligned_window(start, end, DAY_NS if grid.resolution.is_period else 1)
            )
        length = interval_ns(interval)
        window = aligned_window(start, end, length)
        if self.choice.is_then and (start is None or end is None):
            window = rows_within([self.logs], window, length)
        return self._of_length(length).bars(window)

    def maker(self, interval: IntervalArgument) -> BarMaker:
        """Return a maker of the bars of an interval. For trading dates it takes windows of dates."""
        grid = self._grid(interval)
        return self._of_length(interval_ns(interval)) if grid is None else self._on_grid(grid)

    def _grid(self, interval: IntervalArgument) -> DayGrid | None:
        """Return the grid of trading dates, weeks, months, hours or an anchor; None for equal intervals in UTC."""
        instrument, choice = self.instrument, self.choice
        if choice.needs_resolution or is_long(interval):
            sessions = self._sessions_for(
                f"weeks, months, hours and bars from the open of {instrument.symbol}"
            )
            resolution = resolution_of(interval)
        elif interval_ns(interval) != DAY_NS or choice.session is not None or not instrument.has_sessions:
            return None
        else:
            sessions = self._sessions_for(f"days of {instrument.symbol} (give session='utc' for UTC days)")
            resolution = Resolution.DAY
        return sessions(
            instrument, resolution, session=choice.session, hours=choice.hours, anchor=choice.anchor
        )

    def _on_grid(self, grid: DayGrid) -> GridBars:
        return GridBars(self.logs, grid, self._policy, self._settle_ns)

    def _of_length(self, length: int) -> BarMaker:
        """Return a maker of bars of one length in UTC."""
        grid = plain_grid(
            length, self._dates_of_stored_days, dates_for_credit(self.instrument, self.sessions, self._policy)
        )
        return bars_of_logs(*self.logs, grid, self._policy, self._settle_ns)

    @property
    def _policy(self) -> BarPolicy:
        return chosen_policy(self.instrument, self.choice)

    @property
    def _settle_ns(self) -> int | None:
        return self.instrument.settle_ns if self.choice.is_then else None

    def _dates_of_stored_days(self, time_ns: Integers) -> Integers:
        if not len(time_ns) or not self.instrument.has_sessions:
            return time_ns // DAY_NS
        what = f"the dates of stored days of {self.instrument.symbol}, which begin at other times than midnight UTC,"
        return self._sessions_for(what)(self.instrument).trading_dates(time_ns)

    def _sessions_for(self, what: str) -> RegularSessions:
        if self.sessions is None:
            raise NoSessions(what)
        return self.sessions


def is_long(interval: IntervalArgument) -> bool:
    """Return whether an interval is a week or a month."""
    return isinstance(interval, str) and interval in _LONG


def chosen_policy(instrument: Instrument, choice: BarChoice) -> BarPolicy:
    """Return the choice's policy, by default the instrument's. Raises `UnknownPolicy`."""
    policy = choice.policy
    if policy is None:
        return instrument.policy
    return policy if isinstance(policy, BarPolicy) else policy_named(policy)


def dates_for_credit(instrument: Instrument, sessions: RegularSessions | None, policy: BarPolicy) -> DatesOf:
    """Return the trading dates that credited volume must not cross: UTC dates without `sessions`."""
    if sessions is None or policy.counts_every_print or not instrument.has_sessions:
        return utc_dates
    return sessions(instrument).dates_for_credit
