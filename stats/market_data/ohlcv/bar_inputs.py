"""What bars are made from: pinned logs, a policy, and the rules of adjustment."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from stats.caching.keys import DIFFERS_BY_PAGE
from stats.market_data.intervals.bar_grid import BarGrid
from store.bar_policies import BarPolicy
from store.bars.adjustment import AdjustmentRules
from store.log_views.adjusted_bars import adjusted_bars
from store.log_views.grids import Grid
from store.log_views.known_bars import KnownLog, bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.stored_bars import stored_bars_window
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window


@dataclass(frozen=True, slots=True)
class BarInputs:
    """Everything that bars are made from.

    settle_ns: see `bars_of_logs`. rules: how actions are applied; None for unadjusted bars. actions_until_ns: actions
    that take effect at or after this time are ignored.
    """

    trades: LogView
    stored_bars: LogView
    actions: LogView
    policy: BarPolicy
    settle_ns: int | None = None
    rules: AdjustmentRules | None = None
    actions_until_ns: Annotated[int, DIFFERS_BY_PAGE] = ALL_TIME.start_ns

    def unadjusted(self, grid: Grid) -> BarMaker:
        """Return the maker of a grid's unadjusted bars."""
        return bars_of_logs(self.trades, self.stored_bars, grid, self.policy, self.settle_ns)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's adjusted bars; unadjusted if `rules` is None."""
        if self.rules is None:
            return self.unadjusted(grid)
        return adjusted_bars(self.unadjusted, grid, self.actions, self.rules, self.actions_until_ns)


@dataclass(frozen=True, slots=True)
class BarKnowledge:
    """Counts the rows of bars by the time that told when they were known."""

    inputs: BarInputs
    grid: BarGrid

    def of_bars(self, first_ns: int, last_ns: int) -> dict[str, int]:
        """Return the counts of the rows of the bars between two labels, both included; see `KnowledgeTimes.counts`."""
        inputs, counts = self.inputs, Counter[str]()
        settle_ns = inputs.settle_ns or 0
        window = Window(first_ns, self.grid.interval(last_ns).end_ns)
        labels = np.array([first_ns, last_ns])
        ends_ns, _ = self.grid.ends_and_dates(labels, self.grid.aligned(window.start_ns, window.end_ns))
        for view in (inputs.trades, inputs.stored_bars):
            if not view.is_empty:
                reach = window if view is inputs.trades else stored_bars_window(window, self.grid)
                found = KnownLog(view, self.grid, inputs.policy, settle_ns).versions(reach)
                counts.update(found.counts(int(ends_ns[0]) + settle_ns, int(ends_ns[1]) + settle_ns))
        return counts
