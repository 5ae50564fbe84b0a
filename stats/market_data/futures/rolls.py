"""Rolls of continuous futures: when each contract is in front, and the gaps between their prices.

Dates are trading dates in days since 1970. A roll that is decided on the figures of a date takes effect with the next
trading date's session, so no figure decides before it is known. The series never rolls back to an earlier expiry.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from store.rounding import rounded_sum

# The gap of a roll is measured on the last date before it on which both contracts have a close, at most so far back.
CLOSE_LOOKBACK_DAYS = 14
Figures = Mapping[int, float]


class Figure(StrEnum):
    """A figure of a contract on a trading date."""

    VOLUME = "volume"
    OPEN_INTEREST = "open_interest"


@dataclass(frozen=True, slots=True)
class RollRule:
    """A rule that decides rolls.

    figure: a contract is left after a date on which a later one has more of it; None for a rule by the calendar.
    is_zero_if_missing: whether a contract without the figure counts as having none; else nothing is decided on it.
    days: a contract is left this many calendar days before its expiry; None for a rule by figures.
    """

    name: str
    figure: Figure | None = None
    is_zero_if_missing: bool = False
    days: int | None = None


# Futures on equity indices of CME are rolled eight days before they expire, on a Thursday
# (https://www.cmegroup.com/trading/equity-index/rolldates.html).
DEFAULT_ROLL_DAYS = 8
ROLL_RULES: dict[str, RollRule] = {
    rule.name: rule
    for rule in (
        RollRule("volume", Figure.VOLUME, is_zero_if_missing=True),
        RollRule("open_interest", Figure.OPEN_INTEREST),
        RollRule("days", days=DEFAULT_ROLL_DAYS),
    )
}


class RollAdjustment(StrEnum):
    """How prices before a roll are made comparable with those after it."""

    NONE = "none"
    DIFFERENCE = "difference"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class ContractFigures:
    """What decides the rolls of a contract. expiry: its last trading date. figures: by date, NaN if unknown.

    closes: its close by date.
    """

    expiry: int
    figures: Figures
    closes: Figures


@dataclass(frozen=True, slots=True)
class FrontContract:
    """A contract while it is in front. contract: its index. date: its first date; None for the first contract.

    adjustment: what is added to its prices or, for ratios, what they are multiplied by.
    """

    contract: int
    date: int | None
    adjustment: float


def fronts_of(
    contracts: Sequence[ContractFigures],
    rule: RollRule,
    adjustment: RollAdjustment,
    *,
    first_date: int,
    today: int,
    trading_date: Callable[[int], int],
) -> list[FrontContract]:
    """Return the contracts in front, in order, up to the trading date `today`.

    contracts: at least one, by expiry. first_date: the first date with data. Figures of `today` and later decide
    nothing. trading_date: returns the first trading date at or after a day. Prices are adjusted to the last front.
    """
    (first, _), *later = _rolls(contracts, rule, first_date, today, trading_date)
    rolls = [(contract, date) for contract, date in later if date <= today]
    chosen: list[tuple[int, int | None]] = [(first, None), *rolls]
    gaps = [
        _gap(contracts[old], contracts[new], date, adjustment)
        for (old, _), (new, date) in zip(chosen, rolls, strict=False)
    ]
    total = 1.0 if adjustment is RollAdjustment.RATIO else 0.0
    fronts = [FrontContract(*chosen[-1], total)]
    for (contract, date), gap in zip(reversed(chosen[:-1]), reversed(gaps), strict=True):
        if adjustment is RollAdjustment.RATIO:
            total *= gap
        else:
            total = float(rounded_sum(total, gap))
        fronts.insert(0, FrontContract(contract, date, total))
    return fronts


Roll = tuple[int, int]


def _rolls(
    contracts: Sequence[ContractFigures],
    rule: RollRule,
    first_date: int,
    today: int,
    trading_date: Callable[[int], int],
) -> Iterator[Roll]:
    """Yield the contracts that come to the front, each with its first date. The date of the first one means nothing."""
    left_on = [
        trading_date(each.expiry + 1 if rule.days is None else each.expiry - rule.days) for each in contracts
    ]
    dates = sorted({date for contract in contracts for date in contract.figures if date < today})
    front = _nearest(left_on, 0, first_date)
    yield front, first_date
    while front < len(contracts) - 1:
        effect, new_front = left_on[front], _nearest(left_on, front + 1, left_on[front])
        for date in takewhile(lambda date: date < left_on[front], dates):  # noqa: B023 used at once
            heaviest = _heaviest(contracts, front, date, rule)
            if heaviest is not None and left_on[heaviest] > (next_date := trading_date(date + 1)):
                effect, new_front = next_date, heaviest
                break
        front = new_front
        yield front, effect
        dates = dates[bisect_left(dates, effect) :]


def _nearest(left_on: Sequence[int], first: int, date: int) -> int:
    """Return the nearest contract from `first` on that may be in front on a date; the last one if there is none."""
    return next((i for i in range(first, len(left_on)) if left_on[i] > date), len(left_on) - 1)


def _heaviest(contracts: Sequence[ContractFigures], front: int, date: int, rule: RollRule) -> int | None:
    """Return the later contract with the largest figure of a date, if it is larger than the front's.

    Of equal figures that of the nearest contract counts. An unknown one (NaN), of either, decides nothing.
    """
    own = contracts[front].figures.get(date, 0.0 if rule.is_zero_if_missing else None)
    if rule.figure is None or own is None:
        return None
    larger = [
        (figure, -index)
        for index in range(front + 1, len(contracts))
        if (figure := contracts[index].figures.get(date, math.nan)) > own
    ]
    return -max(larger)[1] if larger else None


def _gap(old: ContractFigures, new: ContractFigures, date: int, adjustment: RollAdjustment) -> float:
    """Return new close - old close, or their ratio, of the last date before a roll that has both.

    Without such a date, and for a ratio of prices that are not positive, prices are not adjusted.
    """
    known = range(date - 1, date - 1 - CLOSE_LOOKBACK_DAYS, -1)
    both = next((day for day in known if day in old.closes and day in new.closes), None)
    if both is None or adjustment is RollAdjustment.NONE:
        return 1.0 if adjustment is RollAdjustment.RATIO else 0.0
    before, after = old.closes[both], new.closes[both]
    if adjustment is RollAdjustment.DIFFERENCE:
        return float(rounded_sum(after, -before))
    return after / before if min(before, after) > 0 else 1.0
