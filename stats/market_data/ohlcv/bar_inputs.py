"""What bars are made from: pinned logs, a policy, and the rules of adjustment."""

from dataclasses import dataclass
from typing import Annotated

from stats.caching.keys import DIFFERS_BY_PAGE
from store.bar_policies import BarPolicy
from store.bars.adjustment import AdjustmentRules
from store.log_views.adjusted_bars import adjusted_bars
from store.log_views.bar_grid import BarGrid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import LogView
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME


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

    def unadjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's unadjusted bars."""
        return bars_of_logs(self.trades, self.stored_bars, grid, self.policy, self.settle_ns)

    def adjusted(self, grid: BarGrid) -> BarMaker:
        """Return the maker of a grid's adjusted bars; unadjusted if `rules` is None."""
        if self.rules is None:
            return self.unadjusted(grid)
        return adjusted_bars(self.unadjusted, grid, self.actions, self.rules, self.actions_until_ns)
