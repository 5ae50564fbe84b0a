"""Bars adjusted to today's shares: for splits, and for dividends, too.

A split divides the prices before its ex-date by its ratio and multiplies the volumes. A dividend multiplies
the prices before its ex-date by 1 - amount / close, with the official close before it (CRSP database, "Data
Definitions: Factor to Adjust Price").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from stats.caching.keys import DIFFERS_BY_PAGE
from store.arrays import Floats, Integers
from store.bars.bars import Bars

# The official close before an action, given by its stored time; None if it is not known.
CloseBefore = Callable[[int], float | None]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The factors of bars by the time at which they start.

    time_ns: ascending, when actions take effect. split, dividend: one more than those, the last of them 1.
    Prices are multiplied by `dividend` and divided by `split`; volumes are multiplied by `split`.
    """

    time_ns: Integers
    split: Floats
    dividend: Floats

    def applied(self, bars: Bars) -> Bars:
        """The bars, adjusted to the shares after the last action."""
        if not len(self.time_ns) or not len(bars):
            return bars
        place = np.searchsorted(self.time_ns, bars.time_ns, side="right")
        split, dividend = self.split[place], self.dividend[place]
        prices = {name: getattr(bars, name) * dividend / split for name in ("open", "high", "low", "close")}
        return replace(bars, **prices, volume=bars.volume * split, notional=bars.notional * dividend)


RAW = Adjustment(np.empty(0, np.int64), np.ones(1), np.ones(1))


@dataclass(frozen=True, slots=True)
class Terms:
    """Which actions adjust: splits, or dividends too, that take effect before an instant.

    currency: of the prices; None if not known.
    """

    with_dividends: bool
    currency: str | None
    until_ns: Annotated[int, DIFFERS_BY_PAGE]

    def counts(self, dividend: Mapping[str, Any]) -> bool:
        """Whether a dividend adjusts.

        It does if dividends are asked for, unless its currency is another than the prices'.
        """
        currency = dividend["currency"]
        is_of_prices = None in {self.currency, currency} or currency == self.currency
        return self.with_dividends and is_of_prices


def adjustment_of(
    actions: pa.Table, *, takes_effect: Callable[[int], int], terms: Terms, close_before: CloseBefore
) -> Adjustment:
    """The adjustment by stored corporate actions, ordered by time.

    Ignored are actions in the future, and dividends without a close before them that is above their amount.
    """
    times: list[int] = []
    splits: list[float] = []
    dividends: list[float] = []
    for action in actions.to_pylist():
        time_ns = takes_effect(action["timestamp"])
        if time_ns >= terms.until_ns:
            continue
        if action["kind"] == "split":
            split, dividend = action["ratio"], 1.0
        elif terms.counts(action) and (close := close_before(action["timestamp"]) or 0.0) > action["amount"]:
            split, dividend = 1.0, 1 - action["amount"] / close
        else:
            continue
        times.append(time_ns)
        splits.append(split)
        dividends.append(dividend)
    return Adjustment(np.array(times, np.int64), _from_the_right(splits), _from_the_right(dividends))


def _from_the_right(factors: list[float]) -> Floats:
    """For each action the product of its factor and all later ones; behind the last one 1."""
    return np.append(np.cumprod(np.array(factors, np.float64)[::-1])[::-1], 1.0)
