"""Lower bounds of numbers, and rules over several columns of a row, declared as data."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS


@dataclass(frozen=True, slots=True)
class LowerBound:
    """A lower bound of zero, and the error for values below it.

    zero_allowed: whether zero itself is valid. waivable: whether instruments with `allow_nonpositive_price`
    are exempt.
    """

    code: str
    message: str
    zero_allowed: bool = True
    waivable: bool = False


_HOW = (
    "unless the instrument has the setting allow_nonpositive_price (manage.py instrument SYMBOL"
    " --allow-nonpositive-price, or PUT /api/v1/instruments/SYMBOL)"
)
PRICE = LowerBound("nonpositive_price", f"must be greater than 0 {_HOW}", zero_allowed=False, waivable=True)
QUOTED = LowerBound("negative_price", f"must be 0 or more {_HOW}", waivable=True)
VOLUME = LowerBound("negative_volume", "must be 0 or more")
SIZE = LowerBound("negative_size", "must be 0 or more")
POSITIVE = LowerBound("out_of_range", "must be greater than 0", zero_allowed=False)
NOT_NEGATIVE = LowerBound("out_of_range", "must be 0 or more")
# Of splits. Beyond them prices and volumes lose their digits, and products of ratios overflow.
SMALLEST_RATIO, LARGEST_RATIO = 1e-6, 1e6


# A trading date begins at most this long before its midnight UTC. A month's first session is on the 12th at
# the latest.
_EARLIEST_EVENING_NS = 14 * Resolution.HOUR.length_ns
_LATEST_FIRST_DAY = 14


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule over several columns of one row.

    is_broken: takes the values of `columns`, either of one row or of many rows as numpy arrays. A missing
    number is NaN; a missing text is None.
    """

    code: str
    message: str
    columns: tuple[str, ...]
    is_broken: Callable[..., Any]


# A missing number is NaN, which is not equal to itself. `&` and `|` take both masks and booleans.
def has_neither_side(bid: Any, ask: Any) -> Any:
    return (bid != bid) & (ask != ask)  # noqa: PLR0124


def is_inconsistent_bar(open: Any, high: Any, low: Any, close: Any) -> Any:  # noqa: A002
    return (low > open) | (low > close) | (open > high) | (close > high)


def is_invalid_split(kind: Any, ratio: Any, amount: Any) -> Any:
    return (kind == "split") & ((ratio != ratio) | (amount == amount))  # noqa: PLR0124


def is_invalid_dividend(kind: Any, ratio: Any, amount: Any) -> Any:
    is_dividend = (kind == "dividend") | (kind == "special_dividend")
    return is_dividend & ((amount != amount) | (ratio == ratio))  # noqa: PLR0124


def is_invalid_spin_off(kind: Any, amount: Any) -> Any:
    return (kind == "spin_off") & (amount != amount)  # noqa: PLR0124


def is_invalid_rename(kind: Any, ratio: Any, amount: Any) -> Any:
    return (kind == "rename") & ((ratio == ratio) | (amount == amount))  # noqa: PLR0124


def is_currency_of_nothing(amount: Any, currency: Any) -> Any:
    return (amount != amount) & (currency != None)  # noqa: E711, PLR0124 element by element


def is_absurd_ratio(ratio: Any) -> Any:
    return (ratio < SMALLEST_RATIO) | (ratio > LARGEST_RATIO)


def is_misplaced_bar(timestamp: Any, resolution: Any) -> Any:
    """Return whether a bar's time cannot be the start of an interval of its resolution. Missing values pass.

    Intervals up to hours start at multiples of their length in UTC. Periods start at a date or at an exchange's
    session, whose calendar may be declared later. So any whole minute is valid in the first two weeks of a period.
    """
    times, names = np.atleast_1d(timestamp), np.atleast_1d(resolution)
    is_misplaced = np.zeros(len(times), dtype=bool)
    for name in set(names.tolist()) - {None}:
        has_name = names == name
        with suppress(ValueError):  # other names are reported by the column's own check
            is_misplaced[has_name] = _is_misplaced(times[has_name], Resolution.of_bars(name))
    return is_misplaced if np.ndim(timestamp) else bool(is_misplaced[0])


def _is_misplaced(times: Any, resolution: Resolution) -> Any:
    if not resolution.is_period:
        return times % resolution.length_ns != 0
    dates = (times + _EARLIEST_EVENING_NS) // DAY_NS
    first_dates = resolution.first_day(resolution.number_of_day(dates))
    return (times % MINUTE_NS != 0) | (dates - first_dates >= _LATEST_FIRST_DAY)
