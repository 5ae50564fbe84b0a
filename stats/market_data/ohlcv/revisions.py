"""The dataset `/revisions`: the changes of bars, with their commit and the values before and after."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.windows import bar_range, bar_window, plain_grid_of
from stats.market_data.ohlcv.bar_rows import vwap_of
from stats.market_data.plan import MarketDataset, Plan, SymbolQuery, reason_for_none
from stats.market_data.query import DatasetForm
from stats.market_data.rows import Rows, WindowedSource
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.datasets import TRADES
from store.log_views.log_view import LogView
from store.log_views.trade_bars import credited_until_ns
from store.protocol import Window
from store.resolutions import Resolution
from store.rows.revisions import BarValues, Revision

_PRICES = ("open", "high", "low", "close")
_NO_BAR = BarValues(np.nan, np.nan, np.nan, np.nan, volume=np.nan, trade_count=0, notional=np.nan)


def revision_columns(*, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the columns of revisions: the bar, the commit, and the bar's values before and after it."""
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        OutColumn("commit", ColumnRole.INTEGER),
        OutColumn("committed_at", ColumnRole.TIME),
        *(
            column
            for side in ("before", "after")
            for column in _of_side(side, has_integer_volume=has_integer_volume)
        ),
    )


def _of_side(side: str, *, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    return (
        *(OutColumn(f"{side}_{name}", ColumnRole.NUMBER) for name in _PRICES),
        OutColumn(f"{side}_volume", ColumnRole.VOLUME, has_integer_volume),
        OutColumn(f"{side}_vwap", ColumnRole.NUMBER),
        OutColumn(f"{side}_trade_count", ColumnRole.INTEGER),
    )


def _revisions_plan(symbol_query: SymbolQuery) -> Plan:
    query, instrument, (whole_log,) = symbol_query.query, symbol_query.instrument, symbol_query.logs
    if query.resolution in {Resolution.TICK, Resolution.WEEK, Resolution.MONTH}:
        raise ResolutionUnavailable(
            f"revisions exist for bars from 1s to 1d, in UTC, not for {query.resolution.value}"
        )
    if whole_log.is_empty:
        symbol_query.check_known()
    grid = plain_grid_of(instrument, query.resolution)
    query_range = bar_range(symbol_query, grid)
    window = bar_window(query_range, grid, (whole_log,))
    # Which print ends the credit depends on the commit, so the rest of the trading date counts.
    end_ns = credited_until_ns(grid, instrument.policy, window)
    log = symbol_query.read_point.limited_to(whole_log, Window(window.start_ns, end_ns))
    after = _commit_before(log, query.after_ns)
    reader = _RevisionReader(log, window, grid, instrument.policy, after, instrument.has_integer_volume)
    next_change_ns = grid.constant_window(symbol_query.now_ns).end_ns if query.end_ns is None else None
    return Plan(
        source=WindowedSource(reader),
        range=query_range,
        reason=reason_for_none(symbol_query) if whole_log.is_empty else "no_revisions",
        logs=(log,),
        validity=symbol_query.validity(next_change_ns, query_range.end_ns),
        head=(("resolution", query.resolution.value),),
    )


REVISIONS = MarketDataset(
    form=DatasetForm(
        name="revisions",
        rows_name="revisions",
        own=("resolution", "after"),
        resolution=Resolution.DAY,
        columns=revision_columns(has_integer_volume=True),
    ),
    plan=_revisions_plan,
    logs_of=lambda _query: (TRADES,),
)


@dataclass(frozen=True, slots=True)
class _RevisionReader:
    """Reads revisions of bars, ordered by the bar's time, then by commit.

    after: a commit number; only revisions by later commits are read. has_integer_volume: whether volumes are
    integers.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    grid: BarGrid
    policy: BarPolicy
    after: int
    has_integer_volume: bool

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return revision_columns(has_integer_volume=self.has_integer_volume)

    def floor(self, time_ns: int) -> int:
        return self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.grid.part(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        revisions = sorted(self._revisions(window), key=lambda each: (each.time_ns, each.commit))
        time_ns = np.array([each.time_ns for each in revisions], np.int64)
        values = {
            "timestamp": time_ns,
            "commit": [each.commit for each in revisions],
            "committed_at": [each.committed_at for each in revisions],
            **self._values("before", time_ns, [each.before for each in revisions]),
            **self._values("after", time_ns, [each.after for each in revisions]),
        }
        return Rows.of(Table.of(self.columns, values), time_ns)

    def total_estimate(self) -> int:
        return len(self._revisions(self.window))

    def _revisions(self, window: Window) -> list[Revision]:
        if self.log.is_empty or window.start_ns >= window.end_ns:
            return []
        return self.log.store.revisions(
            self.log.symbol,
            window,
            self.grid.resolution.length_ns,
            policy=self.policy,
            dates_of=self.grid.dates_for_credit,
            after=self.after,
            commit=self.log.commit.number,
        )

    def _values(self, side: str, time_ns: Integers, bars: list[BarValues | None]) -> dict[str, Any]:
        values = [_NO_BAR if bar is None else bar for bar in bars]
        columns = {
            name: np.array([getattr(each, name) for each in values])
            for name in (*_PRICES, "volume", "trade_count", "notional")
        }
        return {
            **{f"{side}_{name}": columns[name] for name in (*_PRICES, "volume")},
            f"{side}_vwap": vwap_of(Bars(time_ns, **columns), every_print=self.policy.counts_every_print),
            f"{side}_trade_count": [None if bar is None else bar.trade_count for bar in bars],
        }


def _commit_before(log: LogView, instant_ns: int | None) -> int:
    """Return the number of the newest commit at or before an instant; 0 if there is none or `instant_ns` is None."""
    if instant_ns is None or log.is_empty:
        return 0
    return log.store.commit_as_of(log.dataset, log.symbol, instant_ns)
