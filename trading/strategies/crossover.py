"""A moving-average crossover: long while the fast mean of closes is above the slow one."""

from collections.abc import MutableSequence
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters, StrategyState

# Of the first close. The sums of 10,000 closes stay integers of 64 bits if the price rises a thousand times.
_DIGITS = 10
# Up to here a product of floats is within half a unit.
_EXACT_UNITS = 10.0**15


class CrossoverParameters(StrategyParameters, frozen=True):
    """fast, slow: bars in the two means. quantity: in units; if it is missing, `part` of the equity is bought."""

    fast: Annotated[int, Meta(ge=1, le=5_000)] = 10
    slow: Annotated[int, Meta(ge=2, le=10_000)] = 30
    quantity: Decimal | None = None
    part: Decimal = Decimal("0.2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fast >= self.slow:
            raise ValueError("fast must be less than slow")
        if not 0 < self.part <= 1 or (self.quantity is not None and self.quantity <= 0):
            raise ValueError("quantity must be above 0, part above 0 and at most 1")

    @property
    def bars_before(self) -> int:
        return self.slow


class _Means(msgspec.Struct):
    """closes: the last `slow` ones, in a ring; next: its oldest place. The sums are of whole units, so exact.

    digits: a unit is 10 to the power of minus so many. It follows from the first close, so that no decision depends on
    the unit of a price. was_above: whether the fast mean was above the slow one after the last close; None until there
    are `slow` closes.
    """

    closes: MutableSequence[int] = msgspec.field(default_factory=list)
    next: int = 0
    fast: int = 0
    slow: int = 0
    was_above: bool | None = None
    digits: int = 6

    def add(self, price: float, fast: int, slow: int) -> bool | None:
        """Add a close to the sums of the last `fast` and `slow` ones, and return what `was_above` is to be."""
        closes, index = self.closes, self.next
        if price and not self.slow and not any(closes):
            self.digits = _DIGITS - Decimal(repr(price)).adjusted()
        close = _units(price, self.digits)
        if len(closes) < slow:
            self._add_first(close, fast)
            return self.fast * slow > self.slow * fast if len(closes) == slow else None
        fast_sum = self.fast = self.fast + close - closes[index - fast]
        slow_sum = self.slow = self.slow + close - closes[index]
        closes[index] = close
        self.next = index + 1 if index + 1 < slow else 0
        return fast_sum * slow > slow_sum * fast

    def _add_first(self, close: int, fast: int) -> None:
        closes = self.closes
        closes.append(close)
        self.slow += close
        self.fast += close - (closes[-1 - fast] if len(closes) > fast else 0)


def _units(price: float, digits: int) -> int:
    """Return a price in units, to the nearest."""
    units = price * 10.0**digits
    return round(units) if abs(units) < _EXACT_UNITS else int(Decimal(repr(price)).scaleb(digits))


class CrossoverState(StrategyState):
    """The means of each symbol."""

    means: dict[str, _Means] = msgspec.field(default_factory=dict)


class Crossover(Strategy):
    """Buys when the fast mean of closes crosses above the slow one, and closes when it crosses below."""

    name = "crossover"
    bars_kept = 0
    Parameters = CrossoverParameters
    State = CrossoverState
    parameters: CrossoverParameters
    state: CrossoverState

    def on_bar(self, bar: Bar) -> None:
        means = self.state.means.get(bar.symbol)
        if means is None:
            means = self.state.means[bar.symbol] = _Means()
        own, was_above = self.parameters, means.was_above
        is_above = means.add(bar.close, own.fast, own.slow)
        if is_above is was_above:
            return
        means.was_above = is_above
        if was_above is None:
            return
        held = self.broker.position(bar.symbol)
        if self.broker.has_orders(bar.symbol):
            # An entry that is too large for the market would take what the exit needs.
            self.broker.cancel(bar.symbol)
        if is_above and not held:
            self.buy(bar.symbol, self.parameters.quantity or self._quantity(bar))
        elif not is_above and held:
            self.broker.close(bar.symbol)

    def on_fill(self, fill: OrderFill) -> None:
        """Close what an order bought before its cancel took effect."""
        means = self.state.means.get(fill.symbol)
        if means is not None and means.was_above is False and self.broker.position(fill.symbol):
            self.broker.close(fill.symbol)

    def _quantity(self, bar: Bar) -> Decimal:
        return self.broker.equity * self.parameters.part / Decimal(repr(bar.close))
