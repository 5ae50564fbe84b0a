"""Adjusts bars for splits and dividends, so that prices before and after them are comparable.

A split divides the prices before its ex-date by its ratio and multiplies the volumes by it. A dividend
multiplies the prices before its ex-date by 1 - amount / close, where close is the last official close before
the ex-date (CRSP database, "Data Definitions: Factor to Adjust Price").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from stats.caching.keys import DIFFERS_BY_PAGE
from store.arrays import Floats, Integers
from store.bars.bars import Bars

# Takes an action's stored time. Returns the last official close before the action; None if it is unknown.
CloseBefore = Callable[[int], float | None]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Adjustment factors of bars, selected by a bar's start.

    time_ns: when the actions take effect, ascending. split, dividend: for the bars before each action, the product
    of its factor and all later factors; then 1 for the bars after the last action. Prices are multiplied by
    `dividend` and divided by `split`; volumes are multiplied by `split`.
    """

    time_ns: Integers
    split: Floats
    dividend: Floats

    def applied(self, bars: Bars) -> Bars:
        """Return the bars, adjusted to the shares after the last action."""
        if not len(self.time_ns) or not len(bars):
            return bars
        index = np.searchsorted(self.time_ns, bars.time_ns, side="right")
        split, dividend = self.split[index], self.dividend[index]
        prices = {name: getattr(bars, name) * dividend / split for name in ("open", "high", "low", "close")}
        return replace(bars, **prices, volume=bars.volume * split, notional=bars.notional * dividend)


@dataclass(frozen=True, slots=True)
class AdjustmentRules:
    """The rules by which actions are applied.

    with_dividends: whether dividends are applied; splits always are. currency: the currency of the prices; None
    if unknown. until_ns: actions that take effect at or after this time are ignored.
    """

    with_dividends: bool
    currency: str | None
    until_ns: Annotated[int, DIFFERS_BY_PAGE]

    def applies(self, dividend: Mapping[str, Any]) -> bool:
        """Return whether a dividend is applied.

        It is applied if `with_dividends` is true and the currencies of dividend and prices are equal or one is unknown.
        """
        currency = dividend["currency"]
        has_same_currency = None in {self.currency, currency} or currency == self.currency
        return self.with_dividends and has_same_currency


def adjustment_of(
    actions: pa.Table,
    *,
    takes_effect: Callable[[int], int],
    rules: AdjustmentRules,
    close_before: CloseBefore,
) -> Adjustment:
    """Return the adjustment for stored corporate actions.

    actions: ordered by time. takes_effect: returns when an action takes effect, given its stored time. A dividend
    is ignored if the close before it is unknown or not above its amount.
    """
    times: list[int] = []
    splits: list[float] = []
    dividends: list[float] = []
    for action in actions.to_pylist():
        time_ns = takes_effect(action["timestamp"])
        if time_ns >= rules.until_ns:
            continue
        if action["kind"] == "split":
            split, dividend = action["ratio"], 1.0
        elif rules.applies(action) and (close := close_before(action["timestamp"]) or 0.0) > action["amount"]:
            split, dividend = 1.0, 1 - action["amount"] / close
        else:
            continue
        times.append(time_ns)
        splits.append(split)
        dividends.append(dividend)
    return Adjustment(
        np.array(times, np.int64), _products_from_right(splits), _products_from_right(dividends)
    )


def _products_from_right(factors: list[float]) -> Floats:
    """Return the cumulative products from the right, followed by 1."""
    return np.append(np.cumprod(np.array(factors, np.float64)[::-1])[::-1], 1.0)
