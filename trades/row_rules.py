"""What the columns of one row must be together, as data: for one row, or for many at once as numpy arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_SECOND_NS = 10**9
_MINUTE_NS, _HOUR_NS, _DAY_NS = 60 * _SECOND_NS, 3_600 * _SECOND_NS, 86_400 * _SECOND_NS
_UNITS_NS = {"s": _SECOND_NS, "m": _MINUTE_NS, "h": _HOUR_NS}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the columns of one row must be together.

    `is_broken` takes the values of `columns`, of one row or as numpy arrays of many, a missing number as NaN
    and a missing text as None.
    """

    code: str
    message: str
    columns: tuple[str, ...]
    is_broken: Callable[..., Any]


# A missing number is NaN, the only number that is not equal to itself; `&` and `|` take masks and booleans.
def lacks_both_sides(bid: Any, ask: Any) -> Any:
    return (bid != bid) & (ask != ask)  # noqa: PLR0124


def is_outside_of_its_range(open: Any, high: Any, low: Any, close: Any) -> Any:  # noqa: A002
    return (low > open) | (low > close) | (open > high) | (close > high)


def is_no_split(kind: Any, ratio: Any, amount: Any) -> Any:
    return (kind == "split") & ((ratio != ratio) | (amount == amount))  # noqa: PLR0124


def is_split_in_a_currency(kind: Any, currency: Any) -> Any:
    return (kind == "split") & (currency != None)  # noqa: E711 element by element


def is_no_dividend(kind: Any, ratio: Any, amount: Any) -> Any:
    return (kind == "dividend") & ((amount != amount) | (ratio == ratio))  # noqa: PLR0124


def is_off_its_edge(timestamp: Any, resolution: Any) -> Any:
    """Whether a bar does not begin where an interval of its resolution does.

    Up to 12h intervals are multiples of their length in UTC. A day, week or month begins at midnight UTC (a
    week on a Monday, a month on the first), or with an exchange's session, which is known by the whole minute
    only. What is missing breaks nothing.
    """
    times, names = np.atleast_1d(timestamp), np.atleast_1d(resolution)
    off = np.zeros(len(times), dtype=bool)
    for name in set(names.tolist()) - {None}:
        of_name = names == name
        off[of_name] = _is_off(times[of_name], name)
    return off if np.ndim(timestamp) else bool(off[0])


def _is_off(times: Any, resolution: str) -> Any:
    if resolution[-1] in _UNITS_NS:
        return times % (int(resolution[:-1]) * _UNITS_NS[resolution[-1]]) != 0
    days, is_midnight = times // _DAY_NS, times % _DAY_NS == 0
    off = times % _MINUTE_NS != 0
    if resolution == "1w":
        # 1970-01-01 was a Thursday.
        return off | (is_midnight & ((days + 3) % 7 != 0))
    if resolution == "1M":
        dates = days.astype("datetime64[D]")
        return off | (is_midnight & (dates != dates.astype("datetime64[M]")))
    return off
