"""Strategies of tests that run live. The lists of what they were shown are of the class: a test empties them."""

from decimal import Decimal
from typing import ClassVar

from store.timestamps import SECOND_NS
from trading.core.events import Print
from trading.core.terms import Side
from trading.strategies.live import MOST_STATE_BYTES
from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters, StrategyState


class CountingState(StrategyState):
    """The bars that were shown."""

    bars: int = 0


class Counting(Strategy):
    """Holds while the close is above that of ten bars ago, and counts its bars."""

    name = "counting"
    State = CountingState
    state: CountingState

    def on_bar(self, bar: Bar) -> None:
        self.state.bars += 1
        before, held = self.broker.bars(bar.symbol, 11), self.broker.position(bar.symbol)
        if len(before) == 11 and bar.close > before[0].close and not held:
            self.buy(bar.symbol, Decimal(40))
        elif len(before) == 11 and bar.close < before[0].close and held:
            self.broker.close(bar.symbol)


class PatientParameters(StrategyParameters, frozen=True):
    """A history of some bars."""

    @property
    def bars_before(self) -> int:
        return 3


class Seeing(Strategy):
    """Notes what it is shown, and whether that is history; it buys at each bar."""

    name = "seeing"
    Parameters = PatientParameters
    seen: ClassVar[list[bool]] = []

    def on_bar(self, bar: Bar) -> None:
        self.seen.append(self.broker.is_history)
        self.buy(bar.symbol, Decimal(1))


class Flooding(Strategy):
    """Places as many orders as it likes."""

    name = "flooding"

    def on_bar(self, bar: Bar) -> None:
        for _ in range(1_000_000):
            self.buy(bar.symbol, Decimal(1))


class HoardingState(StrategyState):
    """Too much."""

    words: str = ""


class Hoarding(Strategy):
    """Remembers too much."""

    name = "hoarding"
    State = HoardingState
    state: HoardingState

    def on_bar(self, bar: Bar) -> None:
        self.state.words = "x" * MOST_STATE_BYTES


class Ticking(Strategy):
    """Buys at each trade, and notes its price."""

    name = "ticking"
    prices: ClassVar[list[Decimal]] = []

    def on_trade(self, trade: Print) -> None:
        self.prices.append(trade.price)
        self.buy(trade.ref.symbol, Decimal(1))


class Following(Strategy):
    """Buys once, and sells a little at its fill and at each of two timers after it. It notes what is history."""

    name = "following"
    told: ClassVar[list[tuple[str, bool]]] = []

    def on_bar(self, bar: Bar) -> None:
        if not self.told and not self.broker.has_orders(bar.symbol):
            self.buy(bar.symbol, Decimal(4))

    def on_fill(self, fill: OrderFill) -> None:
        if fill.side is Side.BUY:
            self._tell("fill")
            self.broker.wake(fill.at_ns + 20 * SECOND_NS)
            self.broker.wake(fill.at_ns + 60 * SECOND_NS)

    def on_timer(self, now_ns: int) -> None:
        self._tell("timer")

    def _tell(self, what: str) -> None:
        self.told.append((what, self.broker.is_history))
        self.sell(self.broker.symbols[0], Decimal(1))
