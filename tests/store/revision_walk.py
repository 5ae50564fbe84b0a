"""Revisions found by a walk: the bars of every commit are made and compared. The oracle of `revisions`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from store.bars.bars import Bars
from store.bars.credit import DatesOf, utc_dates
from store.datasets import TRADES
from store.log_views.revisions import Revisions
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window

_VALUES = ("open", "high", "low", "close", "volume", "trade_count", "notional")


@dataclass(frozen=True)
class BarValues:
    """The values of one bar; see `Bars`."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int
    notional: float


@dataclass(frozen=True)
class Revision:
    """A row of `Revisions`; None is a bar that there is not."""

    time_ns: int
    commit: int
    committed_at: int
    before: BarValues | None
    after: BarValues | None


def listed(revisions: Revisions) -> list[Revision]:
    """The rows of revisions, in their order."""
    columns = (revisions.time_ns, revisions.commit, revisions.committed_at)
    sides = (_bars(revisions.before), _bars(revisions.after))
    return [Revision(*row) for row in zip(*(column.tolist() for column in columns), *sides, strict=True)]


def revisions_by_walk(
    store: MarketStore,
    symbol: str,
    window: Window,
    interval_ns: int,
    *,
    after: int,
    commit: int | None = None,
    dates_of: DatesOf = utc_dates,
    **asked: Any,
) -> list[Revision]:
    """What `MarketStore.revisions` must return."""

    def bars_at(number: int) -> dict[int, BarValues | None]:
        bars = store.log(TRADES, symbol).at(number).bars(window, interval_ns, dates_of=dates_of, **asked)
        return dict(zip(bars.time_ns.tolist(), _bars(bars), strict=True))

    found: list[Revision] = []
    seen: set[int] = set()
    known_ns, before = ALL_TIME.start_ns, bars_at(0)
    for number in range(1, store.log(TRADES, symbol).at(commit).commit.number + 1):
        now = bars_at(number)
        seen.update(start for start in now if start + interval_ns <= known_ns)
        if number > after:
            committed_at = store.log(TRADES, symbol).committed_at(number)
            found += [
                Revision(start, number, committed_at, before.get(start), now.get(start))
                for start in seen
                if before.get(start) != now.get(start)
            ]
        seen.update(now)
        times = store.log(TRADES, symbol).at(number).rows(ALL_TIME).column(0).to_numpy()
        known_ns = max(known_ns, int(np.max(times, initial=known_ns)))
        before = now
    return sorted(found, key=lambda each: (each.time_ns, each.commit))


def _bars(bars: Bars) -> list[BarValues | None]:
    rows = zip(*(getattr(bars, name).tolist() for name in _VALUES), strict=True)
    return [None if np.isnan(row[0]) else BarValues(*row) for row in rows]
