"""By which print an alert of a level or a move fires."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from store.arrays import Floats, Integers
from store.cached_property import cached_property
from store.timestamps import SECOND_NS
from webhooks.models import ABOVE, BELOW, LEVEL, SILENCE, MarketAlert

_Booleans = npt.NDArray[np.bool_]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _MICROSECOND_NS = timedelta(microseconds=1), 1000
_HUNDRED = 100.0
# A move may be so much of a price smaller, because sums of floating point numbers are not exact.
_TOLERANCE = 1e-12
# So many prints are compared at a time: a table of them has some 10 MB.
CHUNK = 2**16


class AlertPrints(NamedTuple):
    """Equally long columns of prints, by time. commits: the numbers of the commits that stored them."""

    times: Integers
    prices: Floats
    commits: Integers


class Firing(NamedTuple):
    """The print by which an alert fires. reference: the price that it is compared with."""

    time_ns: int
    price: float
    reference: float


def armed_ns(alert: MarketAlert) -> int:
    return (alert.armed_at - _EPOCH) // _MICROSECOND * _MICROSECOND_NS


def seconds_ns(alert: MarketAlert) -> int:
    return (alert.seconds or 0) * SECOND_NS


def firings(alerts: Sequence[MarketAlert], prints: AlertPrints) -> Iterator[tuple[MarketAlert, Firing]]:
    """Yield the alerts of levels and moves that fire, each with the first new print by which it does.

    A move is the distance from the lowest or the highest price of the window that ends with the print. The window begins with the arming at the
    earliest.
    """
    waiting = [alert for alert in alerts if alert.kind != SILENCE]
    oldest = min((alert.commit for alert in waiting), default=0)
    for start in range(0, len(prints.times), CHUNK):
        if not (prints.commits[start : start + CHUNK] > oldest).any():
            continue
        chunk = _PrintsChunk(prints, start, waiting)
        for alert in list(waiting):
            firing = chunk.firing_of(alert)
            if firing is not None:
                waiting.remove(alert)
                yield alert, firing


class _PrintsChunk:
    """Consecutive prints, with those before them. alerts: all that it may be asked for."""

    def __init__(self, prints: AlertPrints, start: int, alerts: Sequence[MarketAlert]) -> None:
        self._prints, self._start, self._alerts = prints, start, list(alerts)
        part = slice(start, start + CHUNK)
        self._part = AlertPrints(prints.times[part], prints.prices[part], prints.commits[part])

    @cached_property
    def _lows(self) -> "_RangeLows":
        return _RangeLows(self._prints.prices[: self._start + CHUNK], self._start)

    @cached_property
    def _negative_highs(self) -> "_RangeLows":
        return _RangeLows(-self._prints.prices[: self._start + CHUNK], self._start)

    @cached_property
    def _largest_moves(self) -> Floats:
        """The largest move that each print can be to any of the alerts, as a share: most alerts need no closer look.

        Infinite if a price is zero or less: a longer window need not have a larger move then.
        """
        prices = self._part.prices
        longest = max(map(seconds_ns, self._alerts))
        indexes = np.arange(self._start, self._start + len(prices))
        lows, highs = self._extremes(indexes, longest, min(map(armed_ns, self._alerts)))
        with np.errstate(divide="ignore", invalid="ignore"):
            moves = np.maximum((prices - lows) / lows, (highs - prices) / highs)
        return np.where(lows > 0, moves, np.inf)

    def firing_of(self, alert: MarketAlert) -> Firing | None:
        """Return the first new print of the chunk by which an alert fires."""
        times, prices, commits = self._part
        may_fire = (commits > alert.commit) & (times >= armed_ns(alert))
        found = self._levels(alert, may_fire) if alert.kind == LEVEL else self._moves(alert, may_fire)
        for index, reference in found:
            return Firing(int(times[index]), float(prices[index]), float(reference))
        return None

    def _levels(self, alert: MarketAlert, may_fire: _Booleans) -> Iterator[tuple[int, float]]:
        """Yield the indexes of the prints that are at the level or beyond it, each with the level."""
        prices, value = self._part.prices, alert.value or 0.0
        for index in np.flatnonzero(
            may_fire & (prices >= value if alert.direction == ABOVE else prices <= value)
        ):
            yield int(index), value

    def _moves(self, alert: MarketAlert, may_fire: _Booleans) -> Iterator[tuple[int, float]]:
        """Yield the indexes of the prints that are a move, each with the price that it is compared with."""
        share = (alert.value or 0.0) / _HUNDRED - _TOLERANCE
        candidates = np.flatnonzero(may_fire & (self._largest_moves >= share - _TOLERANCE))
        prices = self._part.prices[candidates]
        lows, highs = self._extremes(candidates + self._start, seconds_ns(alert), armed_ns(alert))
        rises = (prices > lows) & (prices - lows >= share * np.abs(lows)) & (alert.direction != BELOW)
        falls = (prices < highs) & (highs - prices >= share * np.abs(highs)) & (alert.direction != ABOVE)
        for number in np.flatnonzero(rises | falls):
            yield int(candidates[number]), lows[number] if rises[number] else highs[number]

    def _extremes(self, indexes: Integers, window_ns: int, since_ns: int) -> tuple[Floats, Floats]:
        """Return the lowest and the highest prices of the windows that end with these prints and begin at `since_ns` at the earliest."""
        times = self._prints.times
        firsts = np.minimum(times.searchsorted(np.maximum(times[indexes] - window_ns, since_ns)), indexes)
        return self._lows.of(firsts, indexes), -self._negative_highs.of(firsts, indexes)


class _RangeLows:
    """The lowest prices of ranges of any length, each at the cost of three look-ups.

    Row k of the table (a sparse table) has the lowest of the 2^k prices from each on. `_before` has the lowest from each print before `start` up to it.
    """

    def __init__(self, prices: Floats, start: int) -> None:
        self._start = start
        self._before = np.minimum.accumulate(prices[:start][::-1])[::-1]
        rows = [prices[start:]]
        while 2 ** len(rows) <= len(rows[0]):
            half, last = 2 ** (len(rows) - 1), rows[-1].copy()
            np.minimum(last[:-half], rows[-1][half:], out=last[:-half])
            rows.append(last)
        self._table = np.array(rows)

    def of(self, firsts: Integers, lasts: Integers) -> Floats:
        """Return the lowest of the prices from each of `firsts` to each of `lasts`, inclusive. lasts: `start` or more."""
        inside, ends = np.maximum(firsts - self._start, 0), lasts - self._start
        rows = np.frexp(ends - inside + 1)[1] - 1
        lows: Floats = np.minimum(self._table[rows, inside], self._table[rows, ends + 1 - (1 << rows)])
        is_before = firsts < self._start
        lows[is_before] = np.minimum(lows[is_before], self._before[firsts[is_before]])
        return lows
