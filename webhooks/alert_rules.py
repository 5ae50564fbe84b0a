"""When an alert fires, as functions of prints. Instants are nanoseconds UTC."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from store.arrays import Floats, Integers, Mask

ABOVE, BELOW = "above", "below"
DIRECTIONS = (ABOVE, BELOW)
_HUNDRED = 100.0


@dataclass(frozen=True, slots=True)
class AlertPrints:
    """Equally long columns of prints, in any order. commits: the numbers of the commits that stored them."""

    times: Integers
    prices: Floats
    commits: Integers

    @classmethod
    def none(cls) -> "AlertPrints":
        """Return no prints."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))

    def where(self, mask: Mask | Integers) -> "AlertPrints":
        """Return the prints of a mask, or by their indices."""
        return AlertPrints(self.times[mask], self.prices[mask], self.commits[mask])

    def __add__(self, other: "AlertPrints") -> "AlertPrints":
        columns = ("times", "prices", "commits")
        return AlertPrints(*(np.concatenate([getattr(self, each), getattr(other, each)]) for each in columns))


class Firing(NamedTuple):
    """The print by which an alert fires. reference: the price that it is compared with."""

    time_ns: int
    price: float
    reference: float


def level_firing(prints: AlertPrints, direction: str, price: float) -> Firing | None:
    """Return the first print at a price or beyond it."""
    beyond = prints.prices >= price if direction == ABOVE else prints.prices <= price
    found = prints.where(beyond)
    if not len(found.times):
        return None
    first = int(found.times.argmin())
    return Firing(int(found.times[first]), float(found.prices[first]), price)


def move_firing(
    prints: AlertPrints, is_new: Mask, direction: str, percent: float, window_ns: int
) -> Firing | None:
    """Return the first new print that is so far from the lowest or highest price of the window before it.

    direction: ABOVE, BELOW, or "" for both. percent: of the other price.
    """
    order = prints.times.argsort(kind="stable")
    lows, highs = _Extreme(1.0), _Extreme(-1.0)
    columns = (prints.times[order].tolist(), prints.prices[order].tolist(), is_new[order].tolist())
    for time_ns, price, counts in zip(*columns, strict=True):
        low, high = lows.take(time_ns, price, window_ns), highs.take(time_ns, price, window_ns)
        if not counts:
            continue
        if direction != BELOW and price >= low * (1 + percent / _HUNDRED) and price > low:
            return Firing(time_ns, price, low)
        if direction != ABOVE and price <= high * (1 - percent / _HUNDRED) and price < high:
            return Firing(time_ns, price, high)
    return None


class _Extreme:
    """The lowest price of a moving window, or with the sign -1 the highest."""

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self._kept: deque[tuple[int, float]] = deque()

    def take(self, time_ns: int, price: float, window_ns: int) -> float:
        """Return the extreme of the window that ends with this print."""
        kept = self._kept
        while kept and kept[0][0] < time_ns - window_ns:
            kept.popleft()
        while kept and kept[-1][1] * self._sign >= price * self._sign:
            kept.pop()
        kept.append((time_ns, price))
        return kept[0][1]
