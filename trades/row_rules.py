"""What the columns of one row must be together, as data: for one row, or for many at once as numpy arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
