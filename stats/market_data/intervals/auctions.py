"""Decides whether bars may get prints of auctions from outside of their hours."""

import threading

from cachetools import LRUCache, cached

from calendars.schedule import Hours
from store.bar_policies import BarPolicy
from store.datasets import TRADES
from store.log import Snapshot
from store.log_views.bar_grid import BarGrid, utc_grid
from store.log_views.log_view import LogView
from store.log_views.trade_bars import is_of_auctions
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from store.window_list import WindowList

# In so many days before today a print of an auction shows that the feed has such prints.
_DAYS_NS = 7 * DAY_NS
MOST_KEPT = 8_192


def has_auctions(grid: BarGrid, log: LogView, policy: BarPolicy, now_ns: int) -> bool:
    """Return whether the bars of a grid may get prints of auctions from outside of their hours.

    With a daily table they always may, otherwise if the log had such prints in the last days.
    """
    if log.dataset is not TRADES or grid.hours is Hours.ALL:
        return False
    if is_of_auctions(grid, policy):
        return True
    today = utc_grid(Resolution.DAY).interval(now_ns)
    earlier = Window(max(today.start_ns - _DAYS_NS, ALL_TIME.start_ns), today.start_ns)
    # The days before today seldom change, so that their answer is kept over the commits of today.
    return any(_has_prints(log.snapshot, window, policy.auctions) for window in (earlier, today))


# Kept by the newest commit that touches the window's dates: it decides which prints they have.
@cached(
    LRUCache(MOST_KEPT),
    key=lambda snapshot, window, policy: (snapshot.version(window), window, policy.key),
    lock=threading.Lock(),
)
def _has_prints(snapshot: Snapshot, window: Window, policy: BarPolicy) -> bool:
    """Return whether a window of whole dates has prints that a policy counts."""
    return len(snapshot.aggregates(WindowList.of(window), SECOND_NS, policy)) > 0
