"""How an account did in a period: its closed trades, its executions, and the curve of its equity.

A report is made of the account's events (`take` beside each `apply`), or of rows that hold the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from trading.core.account import AccountState, Effects
from trading.core.amounts import ONE, ZERO, average, money
from trading.core.curve import DAY_NS, Curve, EquityPoint, ExposureFigures, change, point_of, quotient
from trading.core.events import (
    Event,
    Executed,
    ExecutionBusted,
    HaltReleased,
    Marked,
    PositionAdjusted,
    Settled,
    Transferred,
)
from trading.core.ratios import YEAR_NS

_CURVE_EVENTS = (Marked, Transferred, HaltReleased, ExecutionBusted, PositionAdjusted)


def is_of_curve(event: Event) -> bool:
    """Return whether the curve has a point after an event: it changed the equity, or the exposure without a fill."""
    return isinstance(event, _CURVE_EVENTS) or (isinstance(event, Settled) and event.is_final)


class Grouping(StrEnum):
    """What the rows of a report are of. A trade belongs to the UTC date on which it was closed."""

    DAY = "day"
    SYMBOL = "symbol"
    STRATEGY = "strategy"


class TradeResult(NamedTuple):
    """What counts of a `trading.core.positions.ClosedTrade`. pnl: in the account's currency; r: None if not known."""

    at_ns: int
    symbol: str
    strategy: str
    pnl: Decimal
    r: Decimal | None


class FillResult(NamedTuple):
    """What counts of an execution.

    value: quantity * price * multiplier; fee: as booked. Both are in the account's currency. exposure: of the account
    after it.
    """

    at_ns: int
    symbol: str
    strategy: str
    value: Decimal
    fee: Decimal
    exposure: Decimal


def fill_of(state: AccountState, event: Executed, effects: Effects, at_ns: int) -> FillResult:
    """Return the fill of an execution. state, effects: after it and of it."""
    (order,) = (each for each in effects.orders if each.id == event.order_id)
    return FillResult(
        at_ns,
        order.terms.symbol,
        order.terms.strategy,
        money(event.quantity, abs(event.price), order.instrument.multiplier, event.rate),
        money(event.fee, event.rate),
        state.exposure,
    )


@dataclass(slots=True)
class TradeFigures:
    """Sums over closed trades and executions, in the account's currency.

    gained, lost: of trades, less fees. in_r: the trades whose R is known. traded: the value of what was bought and
    sold. An execution that is busted later stays in `executions`, `traded` and `fees`.
    """

    trades: int = 0
    wins: int = 0
    gained: Decimal = ZERO
    lost: Decimal = ZERO
    total_r: Decimal = ZERO
    in_r: int = 0
    executions: int = 0
    traded: Decimal = ZERO
    fees: Decimal = ZERO

    def add_trade(self, pnl: Decimal, r: Decimal | None) -> None:
        """Count a trade. A trade that gains nothing is no win."""
        self.trades += 1
        self.wins += pnl > 0
        self.gained += max(pnl, ZERO)
        self.lost -= min(pnl, ZERO)
        if r is not None:
            self.total_r, self.in_r = self.total_r + r, self.in_r + 1

    def add_fill(self, value: Decimal, fee: Decimal) -> None:
        """Count an execution."""
        self.executions += 1
        self.traded += value
        self.fees += fee

    @property
    def win_rate(self) -> Decimal | None:
        """The part of the trades that gained; None without trades."""
        return quotient(Decimal(self.wins), Decimal(self.trades))

    @property
    def average_r(self) -> Decimal | None:
        """The mean R of the trades whose R is known: their expectancy (V. K. Tharp)."""
        return quotient(self.total_r, Decimal(self.in_r))

    @property
    def profit_factor(self) -> Decimal | None:
        """Gains over losses; None without losses."""
        return quotient(self.gained, self.lost)


GroupKey: TypeAlias = str | int
_KEYS: dict[Grouping, Callable[[TradeResult | FillResult], GroupKey]] = {
    Grouping.DAY: lambda each: each.at_ns // DAY_NS,
    Grouping.SYMBOL: lambda each: each.symbol,
    Grouping.STRATEGY: lambda each: each.strategy,
}


@dataclass(slots=True)
class PerformanceReport:
    """The figures of `since_ns` <= time < `until_ns`.

    Give it points and fills in the order of their events, and trades in any order; at last `end` it. figures: of the
    whole period. groups: likewise, by day (since 1970), symbol or strategy. exposure: of all days, once it has ended.
    """

    since_ns: int = 0
    until_ns: int = 2**63
    by: Grouping | None = None
    figures: TradeFigures = field(default_factory=TradeFigures)
    groups: dict[GroupKey, TradeFigures] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    exposure: ExposureFigures = field(default_factory=ExposureFigures)
    _before: EquityPoint | None = None

    def __post_init__(self) -> None:
        self.curve.since_ns = self.since_ns

    def take(self, state: AccountState, event: Event, effects: Effects, at_ns: int) -> None:
        """Take the next event of an account. state: after it."""
        if isinstance(event, Executed):
            self.add_fill(fill_of(state, event, effects, at_ns))
        elif is_of_curve(event):
            self.add_point(point_of(state, at_ns))
        for trade in effects.closed:
            self.add_trade(
                TradeResult(trade.closed_ns, trade.symbol, trade.strategy, trade.pnl_base, trade.r)
            )

    def add_point(self, point: EquityPoint) -> None:
        """Take the next point of the curve. The last one before the period is what the period begins with."""
        if point.at_ns < self.since_ns:
            self._before = point
        elif point.at_ns < self.until_ns:
            self._begin()
            self.curve.take(point)

    def add_fill(self, fill: FillResult) -> None:
        """Take the next execution."""
        if fill.at_ns < self.since_ns:
            if self._before is not None:
                self._before = self._before._replace(exposure=fill.exposure)
        elif fill.at_ns < self.until_ns:
            self._begin()
            self.curve.expose(fill.at_ns, fill.exposure)
            for figures in self._of(fill):
                figures.add_fill(fill.value, fill.fee)

    def add_trade(self, trade: TradeResult) -> None:
        """Take a closed trade."""
        if self.since_ns <= trade.at_ns < self.until_ns:
            for figures in self._of(trade):
                figures.add_trade(trade.pnl, trade.r)

    def end(self, until_ns: int) -> None:
        """Count the time until an instant, at most until the period's end."""
        self.until_ns = min(until_ns, self.until_ns)
        self._begin()
        self.curve.end(self.until_ns)
        self.exposure = self.curve.exposure()

    def _begin(self) -> None:
        if self._before is not None:
            self.curve.take(self._before)
            self._before = None

    def _of(self, each: TradeResult | FillResult) -> list[TradeFigures]:
        if self.by is None:
            return [self.figures]
        return [self.figures, self.groups.setdefault(_KEYS[self.by](each), TradeFigures())]

    def turnover(self, figures: TradeFigures) -> Decimal | None:
        """Return the traded value over the mean equity of the period (time-weighted); None without equity.

        The groups of a period add up to the whole. `pyfolio.txn.get_turnover` with the portfolio's value.
        """
        mean = self.exposure.mean_equity
        return None if mean is None else quotient(figures.traded, mean)

    def annual_turnover(self, figures: TradeFigures) -> Decimal | None:
        """Return the turnover of 365 days at the period's pace."""
        plain = self.turnover(figures)
        return None if plain is None else average(plain * YEAR_NS, Decimal(self.exposure.ns))

    def day_return(self, day: int) -> Decimal | None:
        """Return the growth of a day of the curve as a fraction: since the day before, or the curve's first point.

        None after a loss of all.
        """
        days = self.curve.days
        before = days[day - 1].growth if day - 1 in days else ONE
        return change(before, days[day].growth) if before > 0 else None
