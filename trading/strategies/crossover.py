"""A moving-average crossover: long while the fast mean of closes is above the slow one."""

from collections.abc import MutableSequence
from decimal import Decimal
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from store.arrays import Integers
from trading.strategies.strategy import Bar, BarBlock, OrderFill, Strategy, StrategyParameters, StrategyState

# Of the first close. The sums of 10,000 closes stay integers of 64 bits if the price rises a thousand times.
_DIGITS = 10
# Up to here a product of floats is within half a unit.
_EXACT_UNITS = 10.0**15
_EXACT_PRODUCT = 2.0**62


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

    def take(self, found: "_Crossings", count: int, behind: int, own: CrossoverParameters) -> None:
        """Add the closes of the last bars before `behind`, which is counted from `found.begin`."""
        fast, slow = own.fast, own.slow
        end = slow + behind
        sums = found.sums
        total = sums.item(end)
        self.fast, self.slow = total - sums.item(end - fast), total - sums.item(end - slow)
        self.next = (self.next + count) % slow
        # The newest ones, of which the last is before `next`, which is the oldest.
        kept = min(count, slow)
        units = found.units[end - kept : end].tolist()
        at_end = min(kept, self.next)
        self.closes[self.next - at_end : self.next] = units[kept - at_end :]
        if kept > at_end:
            self.closes[slow - kept + at_end :] = units[: kept - at_end]

    def _add_first(self, close: int, fast: int) -> None:
        closes = self.closes
        closes.append(close)
        self.slow += close
        self.fast += close - (closes[-1 - fast] if len(closes) > fast else 0)


def _units(price: float, digits: int) -> int:
    """Return a price in units, to the nearest."""
    units = price * 10.0**digits
    return round(units) if abs(units) < _EXACT_UNITS else int(Decimal(repr(price)).scaleb(digits))


class _Crossings:
    """Where the means cross in a block of bars, from a bar on.

    begin: that bar. is_exact: whether all is exact in 64 bits; if not, the rest is missing. units: the closes of the last
    `slow` bars before it, then its own and those behind. sums: of the units before each. at: the bars after which
    `was_above` changes.
    """

    def __init__(self, block: BarBlock, begin: int, means: _Means, own: CrossoverParameters) -> None:
        self.block, self.begin = block, begin
        before = [*means.closes[means.next :], *means.closes[: means.next]]
        after = block.bars.close[begin:] * 10.0**means.digits
        largest = max(float(np.abs(after).max()), *map(abs, before))
        # False for what is no number.
        self.is_exact = largest < _EXACT_UNITS and largest * own.fast * own.slow < _EXACT_PRODUCT
        if self.is_exact:
            self.units: Integers = np.concatenate((before, np.rint(after))).astype(np.int64)
            self.sums: Integers = np.concatenate(([0], np.cumsum(self.units)))
            behind = self.sums[own.slow + 1 :]
            fast, slow = (behind - self.sums[own.slow + 1 - each : -each] for each in (own.fast, own.slow))
            is_above = fast * own.slow > slow * own.fast
            was_above = np.append(np.array([bool(means.was_above)]), is_above[:-1])
            self.at: Integers = begin + np.flatnonzero(is_above != was_above)


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
    _crossings: _Crossings | None = None

    def take_bars(self, block: BarBlock, begin: int, end: int) -> int:
        means, own = self.state.means.get(block.symbol), self.parameters
        if means is None or means.was_above is None or not means.slow:
            return 0
        found = self._crossings
        if found is None or found.block is not block:
            found = self._crossings = _Crossings(block, begin, means, own)
        if not found.is_exact:
            return 0
        place = int(found.at.searchsorted(begin))
        behind = min(end, found.at.item(place)) if place < len(found.at) else end
        if behind > begin:
            means.take(found, behind - begin, behind - found.begin, own)
        return behind - begin

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
