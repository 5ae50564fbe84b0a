"""The curve of an account's equity: growth, drawdowns and exposure, from points in order, in bounded memory.

Points are those of marks, transfers, the ends of halts, busted executions, adjusted positions, and of now; between
them equity and exposure are taken as constant. Time never runs backwards on a curve: a point with an earlier instant than the one before it counts
at that one's. Days are UTC dates, as whole days since 1970. Percentages are 0 or more.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from trading.core.account import AccountState, loss_percent
from trading.core.amounts import HUNDRED, NS_PER_SECOND, ONE, ZERO, average, scaled
from trading.core.valuation import Marks, UnknownMark, equity_of

DAY_NS = 86_400 * NS_PER_SECOND
# A longer curve is given by so many pieces at most.
_MOST_POINTS, _MOST_PIECES = 1_000, 500


class EquityPoint(NamedTuple):
    """What an account was worth after an event.

    high_water: the largest equity so far; transfers scale it. drawdown: per cent below it. growth: equity over
    `start_equity`, which transfers scale; None if there was nothing to grow. exposure: the value of the positions, in the account's currency.
    """

    at_ns: int
    equity: Decimal
    high_water: Decimal
    drawdown: Decimal
    growth: Decimal | None
    exposure: Decimal


def equity_point(
    at_ns: int, equity: Decimal, high_water: Decimal, start_equity: Decimal, exposure: Decimal
) -> EquityPoint:
    """Return a point. The arguments are those of `AccountState`."""
    growth = scaled(equity, ONE, start_equity) if start_equity > 0 else None
    return EquityPoint(at_ns, equity, high_water, loss_percent(high_water, equity), growth, exposure)


def point_of(state: AccountState, at_ns: int) -> EquityPoint:
    """Return the point of an account after its last event."""
    return equity_point(at_ns, state.equity, state.high_water, state.start_equity, state.exposure)


def point_at_marks(state: AccountState, marks: Marks, at_ns: int) -> EquityPoint | None:
    """Return the point of an account at the prices of an instant; None if a position has none."""
    try:
        equity = equity_of(state, marks)
    except UnknownMark:
        return None
    high_water = max(state.high_water, equity)
    return equity_point(at_ns, equity, high_water, state.start_equity, state.exposure)


@dataclass(slots=True)
class Drawdown:
    """A time below the high-water mark.

    percent: at the deepest point. begin_ns: of the last point at the mark, or of the first one of the curve. end_ns: of
    the first point at the mark again; None if there is none yet.
    """

    percent: Decimal
    begin_ns: int
    trough_ns: int
    end_ns: int | None = None


@dataclass(slots=True)
class Drawdowns:
    """The deepest drawdown (the first of equal ones), and the longest time that one lasted.

    Begin, trough and end are those of `pyfolio.timeseries.get_max_drawdown_underwater`; the depth is the absolute value
    of `empyrical.max_drawdown`, in per cent, but for a halt's release, which lowers the high-water mark.
    """

    deepest: Drawdown | None = None
    longest_ns: int = 0
    _open: Drawdown | None = None
    _mark_ns: int | None = None

    def take(self, at_ns: int, percent: Decimal) -> None:
        """Take the next point."""
        if not percent:
            self.until(at_ns)
            if self._open is not None:
                self._open.end_ns, self._open = at_ns, None
            self._mark_ns = at_ns
            return
        if self._open is None:
            self._open = Drawdown(percent, at_ns if self._mark_ns is None else self._mark_ns, at_ns)
        elif percent > self._open.percent:
            self._open.percent, self._open.trough_ns = percent, at_ns
        if self.deepest is None or self._open.percent > self.deepest.percent:
            self.deepest = self._open

    def until(self, at_ns: int) -> None:
        """Count the time until an instant."""
        if self._open is not None:
            self.longest_ns = max(self.longest_ns, at_ns - self._open.begin_ns)


@dataclass(slots=True)
class ExposureFigures:
    """Sums over the time with an equity above zero.

    ns: that time; held_ns: the part of it with positions. equity_time: each equity times the nanoseconds that it
    lasted. percent_time: likewise of the exposure in per cent of the equity. largest: of these percentages.
    """

    ns: int = 0
    held_ns: int = 0
    equity_time: Decimal = ZERO
    percent_time: Decimal = ZERO
    largest: Decimal = ZERO

    def add(self, exposure: Decimal, equity: Decimal, ns: int) -> None:
        """Count a time. An equity of zero or less has no percentage."""
        if equity <= 0 or ns <= 0:
            return
        self.ns += ns
        self.equity_time += equity * ns
        if exposure:
            percent = scaled(exposure, HUNDRED, equity)
            self.held_ns += ns
            self.percent_time += percent * ns
            self.largest = max(self.largest, percent)

    def merge(self, other: "ExposureFigures") -> None:
        """Add the sums of another time."""
        self.ns += other.ns
        self.held_ns += other.held_ns
        self.equity_time += other.equity_time
        self.percent_time += other.percent_time
        self.largest = max(self.largest, other.largest)

    @property
    def mean_equity(self) -> Decimal | None:
        return quotient(self.equity_time, Decimal(self.ns))

    @property
    def mean_percent(self) -> Decimal | None:
        return quotient(self.percent_time, Decimal(self.ns))

    @property
    def time_in_market(self) -> Decimal | None:
        """The part of the time with positions, from 0 to 1."""
        return quotient(Decimal(self.held_ns), Decimal(self.ns))


@dataclass(slots=True)
class DayFigures:
    """A UTC date of a curve. close: its last point, or the last one before it. max_drawdown: at any time of the day.

    growth: since the curve's first point, at the day's end.
    """

    close: EquityPoint
    max_drawdown: Decimal
    growth: Decimal
    exposure: ExposureFigures = field(default_factory=ExposureFigures)


@dataclass(slots=True)
class ThinnedCurve:
    """At most a thousand points of a curve: of a longer one the deepest and the last one of each piece."""

    _pieces: list[tuple[EquityPoint, EquityPoint]] = field(default_factory=list)
    _size: int = 1
    _left: int = 0

    def take(self, point: EquityPoint) -> None:
        """Take the next point."""
        if self._left:
            deepest, _ = self._pieces[-1]
            self._pieces[-1] = _deeper(deepest, point), point
        else:
            if len(self._pieces) == (_MOST_POINTS if self._size == 1 else _MOST_PIECES):
                self._join(len(self._pieces) * 2 // _MOST_PIECES)
            self._pieces.append((point, point))
            self._left = self._size
        self._left -= 1

    def _join(self, number: int) -> None:
        """Make one piece of so many."""
        joined = []
        for first in range(0, len(self._pieces), number):
            some = self._pieces[first : first + number]
            deepest = some[0][0]
            for each, _ in some[1:]:
                deepest = _deeper(deepest, each)
            joined.append((deepest, some[-1][1]))
        self._pieces = joined
        self._size *= number

    @property
    def points(self) -> list[EquityPoint]:
        """The points in order."""
        return [
            point
            for deepest, last in self._pieces
            for point in ((last,) if deepest is last else (deepest, last))
        ]


def _deeper(first: EquityPoint, second: EquityPoint) -> EquityPoint:
    return second if second.drawdown > first.drawdown else first


@dataclass(slots=True)
class Curve:
    """The curve of a period. Give it points and exposures in the order of time, then the period's `end`.

    A first point before `since_ns` counts at `since_ns`; if the first point is later, the curve begins there, and
    `since_ns` becomes its instant. last: the point that was taken last; None before the first.

    growth: the account's worth over that at the first point, without transfers. A time at which the account was empty
    changes nothing. closes: by day, the growth at the end of each day that has a point, and ONE for the day before the
    first. A point in the first second of a day also ends the day before: accounts are marked as a day begins. days: by
    day, the figures of all days, also of those without a point.
    """

    since_ns: int = 0
    last: EquityPoint | None = None
    growth: Decimal = ONE
    closes: dict[int, Decimal] = field(default_factory=dict)
    days: dict[int, DayFigures] = field(default_factory=dict)
    drawdowns: Drawdowns = field(default_factory=Drawdowns)
    thinned: ThinnedCurve = field(default_factory=ThinnedCurve)
    _exposure: Decimal = ZERO
    _now_ns: int = 0
    _scale: Decimal | None = None

    def take(self, point: EquityPoint) -> None:
        """Take the next point."""
        is_first = self.last is None
        if is_first:
            self._now_ns = self.since_ns = max(point.at_ns, self.since_ns)
        self._pass(point.at_ns)
        self.last, self._exposure = point, point.exposure
        self._grow(point.growth)
        number = self._now_ns // DAY_NS
        if is_first or self._now_ns % DAY_NS < NS_PER_SECOND:
            self._close(number - 1, point)
        self._close(number, point)
        day = self._day(number, point)
        day.max_drawdown = max(day.max_drawdown, point.drawdown)
        self.drawdowns.take(self._now_ns, point.drawdown)
        self.thinned.take(point)

    def expose(self, at_ns: int, exposure: Decimal) -> None:
        """Note that an execution changed the exposure."""
        self._pass(at_ns)
        self._exposure = exposure

    def end(self, until_ns: int) -> None:
        """Count the time from the last point to the end of the period."""
        self._pass(until_ns)
        self.drawdowns.until(self._now_ns)

    def _pass(self, until_ns: int) -> None:
        """Let time pass, day by day."""
        if self.last is None:
            return
        while self._now_ns < until_ns:
            day = self._now_ns // DAY_NS
            end_ns = min(until_ns, (day + 1) * DAY_NS)
            figures = self._day(day, self.last)
            figures.exposure.add(self._exposure, self.last.equity, end_ns - self._now_ns)
            self._now_ns = end_ns

    def _close(self, day: int, point: EquityPoint) -> None:
        """Let a day end with a point."""
        self.closes[day] = self.growth
        if day in self.days:
            self.days[day].close, self.days[day].growth = point, self.growth

    def _day(self, day: int, point: EquityPoint) -> DayFigures:
        found = self.days.get(day)
        if found is None:
            found = self.days[day] = DayFigures(point, point.drawdown, self.growth)
        return found

    def _grow(self, growth: Decimal | None) -> None:
        """Count a growth. After a time with nothing to grow it goes on where it was."""
        if growth is None:
            self._scale = None
            return
        if self._scale is None:
            self._scale = scaled(self.growth, ONE, growth) if growth else ONE
        self.growth = self._scale * growth

    def exposure(self) -> ExposureFigures:
        """Return the sums over all days."""
        total = ExposureFigures()
        for day in self.days.values():
            total.merge(day.exposure)
        return total

    def daily_returns(self) -> list[Decimal]:
        """Return the changes of growth from the curve's beginning or a day's end to the next day's, as fractions.

        Days without points have none.
        """
        closes = list(self.closes.values())
        return [change(before, after) for before, after in pairwise(closes) if before > 0]


def change(before: Decimal, after: Decimal) -> Decimal:
    """Return a return as a fraction, with 15 digits. The first must be above zero."""
    return average(after - before, before)


def quotient(part: Decimal, whole: Decimal) -> Decimal | None:
    """Return part / whole with 15 digits; None if the whole is zero."""
    return average(part, whole) if whole else None
