"""Adjusts bars for corporate actions, so that prices before and after them are comparable.

A split divides the prices before its ex-date by its ratio and multiplies the volumes by it. Dividends, special
dividends and spin-offs of one ex-date multiply the prices before it by 1 - (sum of amounts) / close, where close is
the last official close before the ex-date (CRSP database, "Data Definitions: Factor to Adjust Price"): all of them
leave the share that had this close. Mergers and renames change no price.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers
from store.bars.bars import Bars
from store.rounding import without_noise

# Takes an action's stored time. Returns the last official close before the action; None if it is unknown.
CloseBefore: TypeAlias = Callable[[int], float | None]
# Their amount leaves the share on the ex-date.
_DISTRIBUTIONS = frozenset({"dividend", "special_dividend", "spin_off"})


class WhyNotApplied(StrEnum):
    """Why an action was not applied."""

    CHANGES_NO_PRICE = "changes_no_price"
    OTHER_CURRENCY = "other_currency"
    NO_CLOSE = "no_close"
    NOT_BELOW_CLOSE = "not_below_close"
    WITHIN_BAR = "within_bar"


class Factors(NamedTuple):
    """The factors of one action, see `Adjustment`. Distributions of one ex-date have one: the first of them has it."""

    split: float
    dividend: float


class NotApplied(NamedTuple):
    """An action that was not applied, or not to all of a bar.

    effect_ns: when it takes effect. timestamp_ns: its stored time.
    """

    effect_ns: int
    timestamp_ns: int
    kind: str
    reason: WhyNotApplied


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Adjustment factors of bars, selected by a bar's start.

    time_ns: when the actions take effect, ascending. split, dividend: for the bars before each action, the product
    of its factor and all later factors; then 1 for the bars after the last action. Prices are multiplied by
    `dividend` and divided by `split`; volumes are multiplied by `split`. applied_actions: the stored time and kind of
    each. not_applied: the actions without a factor.
    """

    time_ns: Integers
    split: Floats
    dividend: Floats
    applied_actions: tuple[tuple[int, str], ...] = ()
    not_applied: tuple[NotApplied, ...] = ()

    def at_stored_times(self) -> Adjustment:
        """Return the adjustment by the same actions if they took effect at their stored times."""
        times = [timestamp_ns for timestamp_ns, _ in self.applied_actions]
        return replace(self, time_ns=np.array(times, np.int64))

    def within_bar(self, index: int) -> NotApplied:
        """Return an applied action as one that takes effect within a bar. index: its position."""
        timestamp_ns, kind = self.applied_actions[index]
        return NotApplied(int(self.time_ns[index]), timestamp_ns, kind, WhyNotApplied.WITHIN_BAR)

    def applied(self, bars: Bars) -> Bars:
        """Return the bars, adjusted to the shares after the last action."""
        if not len(self.time_ns) or not len(bars):
            return bars
        index = np.searchsorted(self.time_ns, bars.time_ns, side="right")
        split, dividend = self.split[index], self.dividend[index]
        is_raw = (split == 1) & (dividend == 1)
        raw_prices: dict[str, Floats] = {
            name: getattr(bars, name) for name in ("open", "high", "low", "close")
        }
        prices = {
            name: np.where(is_raw, raw, without_noise(raw * dividend / split))
            for name, raw in raw_prices.items()
        }
        volume = np.where(is_raw, bars.volume, without_noise(bars.volume * split))
        return replace(bars, **prices, volume=volume, notional=bars.notional * dividend)


@dataclass(frozen=True, slots=True)
class AdjustmentRules:
    """The rules by which actions are applied.

    with_dividends: whether dividends and spin-offs are applied; splits always are. currency: the currency of the
    prices; None if unknown.
    """

    with_dividends: bool
    currency: str | None

    def concerns(self, kind: str) -> bool:
        """Return whether an action is of a kind that is asked for."""
        return self.with_dividends or kind not in _DISTRIBUTIONS

    def factors(
        self, actions: Sequence[Mapping[str, Any]], close_before: CloseBefore
    ) -> Iterator[Factors | WhyNotApplied]:
        """Yield the factors of each action of one ex-date, or why it has none.

        The first distribution that is applied has the factor of all. They have one if the sum of their amounts is
        below the close before them.
        """
        paid = [each for each in actions if each["kind"] in _DISTRIBUTIONS and self._has_currency(each)]
        of_paid = self._cash_factor(paid, close_before) if paid else 1.0
        for action in actions:
            if action["kind"] == "split":
                yield Factors(action["ratio"], 1.0)
            elif action["kind"] not in _DISTRIBUTIONS:
                yield WhyNotApplied.CHANGES_NO_PRICE
            elif action not in paid:
                yield WhyNotApplied.OTHER_CURRENCY
            elif isinstance(of_paid, WhyNotApplied):
                yield of_paid
            else:
                yield Factors(1.0, of_paid if action is paid[0] else 1.0)

    def _has_currency(self, action: Mapping[str, Any]) -> bool:
        """Return whether the currencies of an action and of the prices are equal, or one of them is unknown."""
        return action["currency"] == self.currency or None in {action["currency"], self.currency}

    def _cash_factor(
        self, paid: Sequence[Mapping[str, Any]], close_before: CloseBefore
    ) -> float | WhyNotApplied:
        """Return the factor of distributions of one ex-date, or why they have none."""
        close = close_before(paid[0]["timestamp"])
        if close is None:
            return WhyNotApplied.NO_CLOSE
        amount = math.fsum(each["amount"] for each in paid)
        return 1 - amount / close if amount < close else WhyNotApplied.NOT_BELOW_CLOSE


def distinct_actions(actions: pa.Table) -> list[dict[str, Any]]:
    """Return the actions, but not those without a currency that were sent again with one."""

    def facts(action: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(action[name] for name in ("timestamp", "kind", "amount", "ratio", "action_id"))

    found = actions.to_pylist()
    with_currency = {facts(action) for action in found if action["currency"] is not None}
    return [
        action for action in found if action["currency"] is not None or facts(action) not in with_currency
    ]


def adjustment_of(
    actions: pa.Table,
    *,
    rules: AdjustmentRules,
    takes_effect: Callable[[int], int],
    until_ns: int,
    close_before: CloseBefore,
) -> Adjustment:
    """Return the adjustment for stored corporate actions.

    actions: ordered by time. takes_effect: returns when an action takes effect, given its stored time. until_ns:
    actions that take effect at or after this time are ignored.
    """
    times: list[int] = []
    applied: list[tuple[int, str]] = []
    found: list[Factors] = []
    not_applied: list[NotApplied] = []
    asked = (action for action in distinct_actions(actions) if rules.concerns(action["kind"]))
    for effect_ns, grouped in groupby(asked, key=lambda action: takes_effect(action["timestamp"])):
        if effect_ns >= until_ns:
            continue
        of_date = list(grouped)
        for action, factors in zip(of_date, rules.factors(of_date, close_before), strict=True):
            if isinstance(factors, WhyNotApplied):
                not_applied.append(NotApplied(effect_ns, action["timestamp"], action["kind"], factors))
            else:
                times.append(effect_ns)
                applied.append((action["timestamp"], action["kind"]))
                found.append(factors)
    return Adjustment(
        np.array(times, np.int64),
        _products_from_right([each.split for each in found]),
        _products_from_right([each.dividend for each in found]),
        tuple(applied),
        tuple(not_applied),
    )


def _products_from_right(factors: list[float]) -> Floats:
    """Return the cumulative products from the right, followed by 1."""
    return np.append(np.cumprod(np.array(factors, np.float64)[::-1])[::-1], 1.0)
