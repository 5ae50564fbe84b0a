"""A moving-average crossover: long while the fast mean of closes is above the slow one."""

from decimal import Decimal
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from store.arrays import Floats, Integers
from trading.core.amounts import ZERO, price_of
from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters, StrategyState

# Means that differ by a smaller part are equal but for rounding.
_EQUAL = 1e-9


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


class CrossoverState(StrategyState):
    """signal: the last one of each symbol."""

    signal: dict[str, int] = msgspec.field(default_factory=dict)


class Crossover(Strategy):
    """Buys when the fast mean of closes crosses above the slow one, and closes when it crosses below."""

    name = "crossover"
    bars_kept = 0
    Parameters = CrossoverParameters
    State = CrossoverState
    parameters: CrossoverParameters
    state: CrossoverState

    def signals(self, closes: Floats) -> Integers:
        """Return 1 where the fast mean crosses above the slow one, -1 where it crosses below, and 0 elsewhere."""
        slow_count = self.parameters.slow
        fast, slow = _means(closes, self.parameters.fast), _means(closes, slow_count)
        is_above = (fast - slow > _EQUAL * np.abs(slow)).astype(np.int64)
        signals: Integers = np.zeros(len(closes), np.int64)
        # Until there are `slow_count` closes the slow mean is unknown.
        signals[slow_count:] = np.diff(is_above)[slow_count - 1 :]
        return signals

    def on_bar(self, bar: Bar) -> None:
        self.state.signal[bar.symbol] = bar.signal
        held = self.broker.position(bar.symbol)
        if self.broker.has_orders(bar.symbol):
            # An entry that is too large for the market would take what the exit needs.
            self.broker.cancel(bar.symbol)
        if bar.signal > 0 and not held:
            self.buy(bar.symbol, self.parameters.quantity or self._quantity(bar))
        elif bar.signal < 0 and held:
            self.broker.close(bar.symbol)

    def on_fill(self, fill: OrderFill) -> None:
        """Close what an order bought before its cancel took effect."""
        if self.state.signal.get(fill.symbol) == -1 and self.broker.position(fill.symbol):
            self.broker.close(fill.symbol)

    def _quantity(self, bar: Bar) -> Decimal:
        value = price_of(bar.close) * self.broker.point_value(bar.symbol)
        return self.broker.equity * self.parameters.part / value if value > 0 else ZERO


def _means(closes: Floats, count: int) -> Floats:
    """Return the mean of the last `count` closes at each; NaN for the first `count - 1`."""
    sums = np.cumsum(np.append(0.0, closes))
    found = np.full(len(closes), np.nan)
    found[count - 1 :] = (sums[count:] - sums[:-count]) / count
    return found
