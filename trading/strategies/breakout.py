"""A breakout of a channel, with a protective stop, and with R as its size."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from trading.core.amounts import HUNDRED, ZERO, price_of
from trading.strategies.strategy import Bar, Strategy, StrategyParameters, StrategyState


class BreakoutParameters(StrategyParameters, frozen=True):
    """entry: a close above the highest high of so many bars is bought. exit: one below the lowest low of so many is left.

    ranges: the stop is so many mean ranges (high less low, of `entry` bars) below the close. risk: per cent of the
    equity that is lost at the stop, at most the account's risk level. part: of the equity, the most that is bought.
    """

    entry: Annotated[int, Meta(ge=2, le=2_000)] = 20
    exit: Annotated[int, Meta(ge=1, le=2_000)] = 10
    ranges: Decimal = Decimal(2)
    risk: Decimal = Decimal("0.25")
    part: Decimal = Decimal("0.2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ranges <= 0 or self.risk <= 0 or not 0 < self.part <= 1:
            raise ValueError("ranges and risk must be above 0, part above 0 and at most 1")

    @property
    def bars_before(self) -> int:
        return max(self.entry, self.exit)


class _Extremes(msgspec.Struct):
    highs: list[float] = msgspec.field(default_factory=list)
    lows: list[float] = msgspec.field(default_factory=list)


class BreakoutState(StrategyState):
    """The last highs and lows of each symbol, oldest first."""

    channels: dict[str, _Extremes] = msgspec.field(default_factory=dict)


class Breakout(Strategy):
    """Buys a close above the channel's top with a stop below, and leaves at the stop or below the channel's bottom.

    R is the loss from the close to the stop: the quantity is such that R is `risk` per cent of the equity, or less.
    """

    name = "breakout"
    bars_kept = 0
    Parameters = BreakoutParameters
    State = BreakoutState
    parameters: BreakoutParameters
    state: BreakoutState

    def on_bar(self, bar: Bar) -> None:
        channel = self.state.channels.setdefault(bar.symbol, _Extremes())
        if len(channel.highs) >= self.parameters.bars_before:
            self._decide(bar, channel)
            del channel.highs[0], channel.lows[0]
        channel.highs.append(bar.high)
        channel.lows.append(bar.low)

    def _decide(self, bar: Bar, channel: _Extremes) -> None:
        held = self.broker.position(bar.symbol)
        if held and bar.close < min(channel.lows[-self.parameters.exit :]):
            self.broker.close(bar.symbol)
        elif not held and not self.broker.has_orders(bar.symbol):
            entry = self.parameters.entry
            highs, lows = channel.highs[-entry:], channel.lows[-entry:]
            if bar.close > max(highs):
                # Of decimals, so that the stop does not depend on the unit of the price.
                self._enter(bar, (sum(map(price_of, highs), ZERO) - sum(map(price_of, lows), ZERO)) / entry)

    def _enter(self, bar: Bar, mean_range: Decimal) -> None:
        close = price_of(bar.close)
        loss = self.parameters.ranges * mean_range
        if loss <= 0 or loss >= close:
            return
        risk = min(self.parameters.risk, self.broker.risk_level)
        points = min(risk / HUNDRED / loss, self.parameters.part / close)
        quantity = self.broker.equity * points / self.broker.point_value(bar.symbol)
        self.buy(bar.symbol, quantity, stop_loss=close - loss)
