"""The dataset `/revisions`: the changes of bars, with their commit and the values before and after."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable
from stats.market_data.intervals.windows import NOTHING, bar_range, bar_window, plain_grid_of
from stats.market_data.ohlcv.bar_rows import vwap_of
from stats.market_data.plan import Plan, SymbolQuery, reason_for_none, walk_now_ns
from stats.market_data.query import QUOTED, MarketDataset
from stats.market_data.query_parameters import QueryParameter
from stats.market_data.rows import Rows, WindowedSource, joined
from stats.parameters import QueryTimeField
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf, credit_dates
from store.datasets import TRADES
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.log_views.revisions import revisions_of
from store.log_views.trade_bars import credited_until_ns
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, EARLIEST_NS
from web.endpoints import Access

_PRICES = ("open", "high", "low", "close")
# How many rows are read at first for each wanted revision; then four times as many, and so on.
_ROWS_FOR_ONE = 16
_DAYS = np.arange(1, 17) * DAY_NS


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


@dataclass(frozen=True, slots=True)
class RevisionOptions:
    """What only revisions have. after_ns: only changes by later commits; None for all."""

    after_ns: int | None = None


def _revisions_plan(symbol_query: SymbolQuery) -> Plan:
    query, instrument, (whole_log,) = symbol_query.query, symbol_query.instrument, symbol_query.logs
    if query.resolution.is_tick or query.resolution > Resolution.DAY:
        raise ResolutionUnavailable(
            f"revisions exist for bars from 1s to 1d, in UTC, not for {query.resolution.value}"
        )
    if whole_log.is_empty:
        symbol_query.check_known()
    grid = plain_grid_of(instrument, query.resolution)
    query_range = bar_range(symbol_query, grid)
    window = bar_window(query_range, grid, (whole_log,))
    # Which print ends the credit depends on the commit, so the rest of the trading date counts.
    needed = Window(window.start_ns, credited_until_ns(grid, instrument.policy, window))
    log = symbol_query.limited_to(whole_log, needed)
    after = _commit_before(log, query.options_of(RevisionOptions).after_ns)
    has_integer_volume = instrument.has_integer_volume
    reader = _RevisionReader(log, window, needed, grid, instrument.policy, after, has_integer_volume)
    next_change_ns = grid.constant_window(symbol_query.now_ns).end_ns if query.end_ns is None else None
    return Plan(
        source=WindowedSource(replace(reader, window=reader.changed_part())),
        range=query_range,
        reason=reason_for_none(symbol_query) if whole_log.is_empty else "no_revisions",
        logs=(log,),
        walk_now_ns=walk_now_ns(next_change_ns, query_range.end_ns),
        expires_ns=symbol_query.expires_ns(next_change_ns),
        head=(("resolution", query.resolution.value),),
    )


AFTER = QueryParameter("after", QueryTimeField, {"help_text": "Only changes by commits after this instant."})


REVISIONS = MarketDataset(
    name="revisions",
    rows_name="revisions",
    classes=QUOTED,
    access=Access("market:read", sensitivity="internal", cost="page", is_heavy=True),
    own=("resolution", AFTER),
    resolution=Resolution.DAY,
    columns=revision_columns(has_integer_volume=True),
    plan=_revisions_plan,
    options=lambda values: RevisionOptions(values.get("after")),
    logs_of=lambda _query: (TRADES,),
)


@dataclass(frozen=True, slots=True)
class _RevisionReader:
    """Reads revisions of bars, ordered by the bar's time, then by commit.

    needed: the window of the rows on which the bars depend. after: a commit number; only revisions by later commits are
    read. has_integer_volume: whether volumes are integers.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    needed: Annotated[Window, Irrelevant("the window, grid and policy say it")]
    grid: BarGrid
    policy: BarPolicy
    after: int
    has_integer_volume: bool

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return revision_columns(has_integer_volume=self.has_integer_volume)

    def changed_part(self) -> Window:
        """Return the part of the window that may have revisions: from the first to the last date with later commits.

        Their volume may be credited to bars before these dates that belong to the same trading date.
        """
        dates = self.log.snapshot.extent(self.needed, after=self.after)
        if dates is None:
            return NOTHING
        length_ns = self.grid.resolution.length_ns
        credited_dates = credit_dates(self.policy, length_ns, self.grid.trading_dates)
        start_ns = _credit_start_ns(dates[0] * DAY_NS, credited_dates)
        changed = self.grid.aligned(start_ns, (dates[1] + 1) * DAY_NS)
        return Window(max(self.window.start_ns, changed.start_ns), min(self.window.end_ns, changed.end_ns))

    def floor(self, time_ns: int) -> int:
        return self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        row_count = min(_ROWS_FOR_ONE * count, ROWS_AT_ONCE)
        rows = self.log.take_window(window, row_count, from_end=from_end)
        if from_end:
            return Window(max(window.start_ns, self.floor(rows.start_ns)), window.end_ns)
        return Window(window.start_ns, min(window.end_ns, self.grid.interval(rows.end_ns - 1).end_ns))

    def rows(self, window: Window) -> Rows:
        if self.log.is_empty or window.start_ns >= window.end_ns:
            return joined(self.columns, [])
        revisions = revisions_of(
            self.log.snapshot,
            window,
            self.grid.resolution.length_ns,
            policy=self.policy,
            dates_of=self.grid.trading_dates,
            after=self.after,
        )
        values = {
            "timestamp": revisions.time_ns,
            "commit": revisions.commit,
            "committed_at": revisions.committed_at,
            **self._values("before", revisions.before),
            **self._values("after", revisions.after),
        }
        return Rows.of(Table.of(self.columns, values), revisions.time_ns)

    def total_estimate(self) -> int:
        """See `WindowReader.total_estimate`. A commit that changes an interval may also change the bar before it."""
        if self.log.is_empty or self.window.start_ns >= self.window.end_ns:
            return 0
        length_ns = self.grid.resolution.length_ns
        changes = self.log.snapshot.change_bound(self.needed, length_ns, after=self.after)
        return changes if self.policy.counts_every_print else 2 * changes

    def _values(self, side: str, bars: Bars) -> dict[str, Any]:
        columns = {name: getattr(bars, name) for name in (*_PRICES, "volume")}
        columns["vwap"] = vwap_of(bars, every_print=self.policy.counts_every_print)
        columns["trade_count"] = pa.array(bars.trade_count, mask=np.isnan(bars.open))
        return {f"{side}_{name}": values for name, values in columns.items()}


def _commit_before(log: LogView, instant_ns: int | None) -> int:
    """Return the number of the newest commit at or before an instant; 0 if there is none or `instant_ns` is None."""
    if instant_ns is None or log.is_empty:
        return 0
    return log.snapshot.log.as_of(instant_ns).commit.number


def _credit_start_ns(start_ns: int, dates_of: DatesOf | None) -> int:
    """Return an instant, whole days before `start_ns`, before which no bar gets volume of intervals from `start_ns` on."""
    if dates_of is None:
        return start_ns
    date = dates_of(np.array([start_ns]))[0]
    while start_ns >= EARLIEST_NS:
        days_ns = start_ns - _DAYS
        earlier = np.flatnonzero(dates_of(days_ns) < date)
        if len(earlier):
            return int(days_ns[earlier[0]])
        start_ns = int(days_ns[-1])
    return start_ns
