"""The dataset `/revisions`: the changes of bars, with their commit and the values before and after."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable
from stats.market_data.intervals.bar_grid import BarGrid, utc_grid
from stats.market_data.intervals.windows import bar_range, bar_window
from stats.market_data.ohlcv.bar_rows import vwap_of
from stats.market_data.plan import Plan, SymbolQuery, check_known, reason_for_none
from stats.market_data.query import DatasetForm, MarketDataQuery
from stats.market_data.rows import Rows, WindowedSource
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.datasets import TRADES
from store.declarations import Dataset
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.rows.revisions import BarValues, Revision

_PRICES = ("open", "high", "low", "close")
_NO_BAR = BarValues(np.nan, np.nan, np.nan, np.nan, volume=np.nan, trade_count=0, notional=np.nan)


def revision_columns(*, whole: bool) -> tuple[OutColumn, ...]:
    """The columns of revisions: the bar, the commit, and the bar's values before and after it."""
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        OutColumn("commit", ColumnRole.INTEGER),
        OutColumn("committed_at", ColumnRole.TIME),
        *(column for side in ("before", "after") for column in _of_side(side, whole=whole)),
    )


def _of_side(side: str, *, whole: bool) -> tuple[OutColumn, ...]:
    return (
        *(OutColumn(f"{side}_{name}", ColumnRole.NUMBER) for name in _PRICES),
        OutColumn(f"{side}_volume", ColumnRole.VOLUME, whole),
        OutColumn(f"{side}_vwap", ColumnRole.NUMBER),
        OutColumn(f"{side}_trade_count", ColumnRole.INTEGER),
    )


REVISIONS = DatasetForm(
    name="revisions",
    rows_name="revisions",
    own=("resolution", "after"),
    resolution=Resolution.DAY,
    columns=revision_columns(whole=True),
)


@dataclass(frozen=True, slots=True)
class Revisions:
    """The dataset `/revisions`: changes of bars by late trades, corrections and cancellations."""

    form: DatasetForm = REVISIONS
    log_count: int = 1

    def declared_logs(self, _query: MarketDataQuery) -> tuple[Dataset, ...]:
        """See `MarketDataset.declared_logs`."""
        return (TRADES,)

    def plan(self, symbol_query: SymbolQuery) -> Plan:
        """See `MarketDataset.plan`. Raises `ResolutionUnavailable` for ticks, weeks and months."""
        resolution = _with_revisions(symbol_query.query.resolution)
        (log,) = symbol_query.logs
        if log.is_empty:
            check_known(symbol_query.symbol)
        grid = utc_grid(resolution)
        query_range = bar_range(symbol_query, grid)
        window = bar_window(query_range, grid, (log,))
        # Open-ended, because later volume without a price may be credited to the last bar. It reaches up to the
        # next print with a price, and which print that is varies by commit.
        log = symbol_query.read_point.limited_to(log, Window(window.start_ns, ALL_TIME.end_ns))
        after = _commit_before(log, symbol_query.query.after_ns)
        instrument = symbol_query.instrument
        next_change_ns = (
            grid.constant_window(symbol_query.now_ns).end_ns if symbol_query.query.end_ns is None else None
        )
        reader = _RevisionReader(log, window, grid, instrument.policy, after, instrument.has_integer_volume)
        return Plan(
            source=WindowedSource(reader),
            range=query_range,
            reason=reason_for_none(symbol_query) if log.is_empty else "no_revisions",
            logs=(log,),
            validity=symbol_query.validity(next_change_ns, query_range.end_ns),
            head=(("resolution", resolution.value),),
        )


def _with_revisions(resolution: Resolution) -> Resolution:
    """Return the resolution. Raises `ResolutionUnavailable` if it has no revisions."""
    if resolution in {Resolution.TICK, Resolution.WEEK, Resolution.MONTH}:
        raise ResolutionUnavailable(
            f"revisions exist for bars from 1s to 1d, in UTC, not for {resolution.value}"
        )
    return resolution


@dataclass(frozen=True, slots=True)
class _RevisionReader:
    """Reads revisions of bars, ordered by the bar's time, then by commit.

    after: a commit number; only revisions by later commits are read. whole: whether volumes are integers.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    grid: BarGrid
    policy: BarPolicy
    after: int
    whole: bool

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return revision_columns(whole=self.whole)

    def floor(self, time_ns: int) -> int:
        return self.grid.aligned(time_ns, time_ns + 1).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.grid.part(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        found = sorted(self._found(window), key=lambda each: (each.time_ns, each.commit))
        time_ns = np.array([each.time_ns for each in found], np.int64)
        values = {
            "timestamp": time_ns,
            "commit": [each.commit for each in found],
            "committed_at": [each.committed_at for each in found],
            **self._values("before", time_ns, [each.before for each in found]),
            **self._values("after", time_ns, [each.after for each in found]),
        }
        return Rows.of(Table.of(self.columns, values), time_ns)

    def total_estimate(self) -> int:
        return len(self._found(self.window))

    def _found(self, window: Window) -> list[Revision]:
        if self.log.is_empty or window.start_ns >= window.end_ns:
            return []
        return self.log.store.revisions(
            self.log.symbol,
            window,
            self.grid.resolution.length_ns,
            policy=self.policy,
            after=self.after,
            commit=self.log.commit.number,
        )

    def _values(self, side: str, time_ns: Integers, bars: list[BarValues | None]) -> dict[str, Any]:
        known = [_NO_BAR if bar is None else bar for bar in bars]
        columns = {
            name: np.array([getattr(bar, name) for bar in known])
            for name in (*_PRICES, "volume", "trade_count", "notional")
        }
        made = Bars(time_ns, **columns)
        return {
            **{f"{side}_{name}": columns[name] for name in (*_PRICES, "volume")},
            f"{side}_vwap": vwap_of(made, every_print=self.policy.counts_every_print),
            f"{side}_trade_count": [None if bar is None else bar.trade_count for bar in bars],
        }


def _commit_before(log: LogView, instant_ns: int | None) -> int:
    """The number of the newest commit at or before an instant; 0 if there is none or `instant_ns` is None."""
    if instant_ns is None or log.is_empty:
        return 0
    return log.store.commit_as_of(log.dataset, log.symbol, instant_ns)
