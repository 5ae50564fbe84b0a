"""Twenty strategies that use everything that they may, over rows some of which were known late and could not help them."""

from decimal import Decimal
from typing import Any, NamedTuple

from store.timestamps import MINUTE_NS
from tests.trading.strategies.late_rows import MINUTES, Amended, LatePrint, Later, Silence, X, Y
from trading.core.events import Print
from trading.core.orders import OrderType, TimeInForce
from trading.core.rows import Quote
from trading.core.terms import Side
from trading.strategies.breakout import Breakout
from trading.strategies.crossover import Crossover
from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters, StrategyState

# Bars whose volume was known later, and bars whose prices were.
VOLUMES: tuple[Later, ...] = tuple(
    Amended(100, 1_000, {"volume": 9_000}, minute=each) for each in range(3, MINUTES, 4)
)
PRICES: tuple[Later, ...] = tuple(
    Amended(100, 1_000, {"price": 101.5}, minute=each) for each in range(3, MINUTES, 4)
)
# Prints that come late, but before the bars are shown.
_SETTLED: tuple[Later, ...] = tuple(
    LatePrint(100, 5_000, each, second=57, late_ns=4_000_000_000) for each in range(0, MINUTES, 5)
)
_ALL: tuple[Later, ...] = (
    *(LatePrint(101.5, 5_000, each) for each in range(1, MINUTES, 3)),
    *(Silence(each) for each in range(1, MINUTES, 12)),
    *(Amended(102, 500, {}, each, 28) for each in range(0, MINUTES, 7)),
)


class Switching(Strategy):
    """Is long of X while `wants` says so; None for no change."""

    def on_bar(self, bar: Bar) -> None:
        wanted, held = self.wants(bar), self.broker.position(X)
        if wanted and not held and not self.broker.has_orders(X):
            self.buy(X, self.units(bar), stop_loss=self.stop(bar))
        elif wanted is False and held:
            self.broker.close(X)

    def wants(self, _: Bar) -> bool | None:
        return None

    def units(self, _: Bar) -> Decimal:
        return Decimal(1)

    def stop(self, _: Bar) -> Decimal | None:
        return None

    def last(self, count: int) -> list[Bar]:
        return self.broker.bars(X, count)


class Reverting(Switching):
    def wants(self, bar: Bar) -> bool | None:
        closes = [each.close for each in self.last(10)]
        return bar.close < sum(closes) / len(closes)


class Momentum(Switching):
    def wants(self, bar: Bar) -> bool | None:
        return bar.close > self.last(6)[0].close


class Opening(Switching):
    def wants(self, bar: Bar) -> bool | None:
        return bar.open > 100.01


class Ranging(Switching):
    """Its protective stop lies a mean range below the close."""

    def wants(self, bar: Bar) -> bool | None:
        return bar.close > bar.open

    def stop(self, bar: Bar) -> Decimal | None:
        ranges = [each.high - each.low for each in self.last(5)]
        return Decimal(str(round(bar.close - sum(ranges) / len(ranges), 2)))


class Replacing(Strategy):
    """Rests an order at each bar's low, in the place of the one before."""

    def on_bar(self, bar: Bar) -> None:
        self.broker.cancel(X)
        if self.broker.position(X) > 5:
            self.broker.close(X)
        self.broker.order(
            X,
            Side.BUY,
            Decimal(1),
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            limit_price=Decimal(str(bar.low)),
        )


class Pairing(Switching):
    def wants(self, bar: Bar) -> bool | None:
        other = self.broker.bars(Y, 1)
        return bar.symbol == X and bool(other) and bar.close < other[0].close


class FiveMinutes(StrategyParameters, frozen=True):
    interval: str = "5min"


class LongBars(Switching):
    Parameters = FiveMinutes

    def wants(self, bar: Bar) -> bool | None:
        return bar.close > bar.open


class TwentyBefore(StrategyParameters, frozen=True):
    @property
    def bars_before(self) -> int:
        return 20


class Warmed(Switching):
    """Begins with history."""

    Parameters = TwentyBefore

    def wants(self, bar: Bar) -> bool | None:
        return len(self.last(20)) == 20 and bar.high > max(each.high for each in self.last(20)) - 0.01


class MeanState(StrategyState):
    mean: float = 100.0


class Smoothed(Switching):
    State = MeanState
    state: MeanState

    def wants(self, bar: Bar) -> bool | None:
        self.state.mean += (bar.close - self.state.mean) / 5
        return bar.close > self.state.mean


class Voluminous(Switching):
    def wants(self, bar: Bar) -> bool | None:
        volumes = [each.volume for each in self.last(10)]
        return bar.volume > sum(volumes) / len(volumes)


class Sized(Switching):
    """Buys a part of the bar's volume, every other bar."""

    def wants(self, bar: Bar) -> bool | None:
        return not self.broker.position(X)

    def units(self, bar: Bar) -> Decimal:
        return Decimal(str(bar.volume / 5_000))


class Timed(Switching):
    def wants(self, bar: Bar) -> bool | None:
        return bar.start_ns // MINUTE_NS % 7 < 3


class Pyramiding(Strategy):
    """Adds a unit at each bar, and leaves with ten."""

    def on_bar(self, bar: Bar) -> None:
        if self.broker.position(X) >= 10:
            self.broker.close(X)
        elif not self.broker.has_orders(X):
            self.buy(X, Decimal(1))


class RisingState(StrategyState):
    price: Decimal = Decimal(0)
    risen: int = 0


class Rising(Strategy):
    """Buys when trades have risen three times, and leaves when they fall."""

    State = RisingState
    state: RisingState

    def on_trade(self, trade: Print) -> None:
        self.state.risen = self.state.risen + 1 if trade.price > self.state.price else 0
        self.state.price = trade.price
        if self.state.risen == 3 and not self.broker.position(X):
            self.buy(X, Decimal(1))
        elif not self.state.risen:
            self.broker.close(X)


class Quoting(Strategy):
    """Buys at a low ask, and sells at a high bid."""

    def on_quote(self, quote: Quote) -> None:
        is_idle = not self.broker.has_orders(X)
        if quote.ask is not None and quote.ask < 100 and is_idle and not self.broker.position(X):
            self.buy(X, Decimal(1))
        elif quote.bid is not None and quote.bid > 100:
            self.broker.close(X)


class AwakeState(StrategyState):
    is_awake: bool = False


class Regular(Strategy):
    """Acts every ten minutes."""

    State = AwakeState
    state: AwakeState

    def on_bar(self, bar: Bar) -> None:
        if not self.state.is_awake:
            self.state.is_awake = True
            self.broker.wake(bar.end_ns + 5 * MINUTE_NS)

    def on_timer(self, now_ns: int) -> None:
        self.broker.wake(now_ns + 5 * MINUTE_NS)
        self.act()

    def act(self) -> None:
        if self.broker.position(X):
            self.broker.close(X)
        else:
            self.buy(X, Decimal(1))


class Worth(Regular):
    """Buys a part of what the account is worth."""

    def act(self) -> None:
        self.broker.close(X)
        self.buy(X, self.broker.equity / 50_000 * self.broker.risk_level)


class Refilling(Regular):
    """Leaves three minutes after a fill."""

    def act(self) -> None:
        self.buy(X, Decimal(3))

    def on_fill(self, fill: OrderFill) -> None:
        if fill.side is Side.BUY:
            self.broker.order(
                X,
                Side.SELL,
                fill.quantity,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                limit_price=fill.price,
            )


class Honest(NamedTuple):
    strategy: type[Strategy]
    later: tuple[Later, ...]
    parameters: dict[str, Any] = {}
    symbols: tuple[str, ...] = (X,)
    start: int = 0


HONEST: dict[str, Honest] = {
    "crossover": Honest(Crossover, VOLUMES, {"fast": 3, "slow": 8}),
    "breakout": Honest(Breakout, VOLUMES, {"entry": 2, "exit": 1, "risk": 1}),
    "below a mean": Honest(Reverting, VOLUMES),
    "momentum": Honest(Momentum, VOLUMES),
    "an open": Honest(Opening, VOLUMES + _SETTLED),
    "a stop by ranges": Honest(Ranging, VOLUMES),
    "limits and cancels": Honest(Replacing, VOLUMES),
    "a pair": Honest(Pairing, VOLUMES, symbols=(X, Y)),
    "long bars": Honest(LongBars, VOLUMES),
    "history": Honest(Warmed, VOLUMES, start=30),
    "a mean in its state": Honest(Smoothed, VOLUMES),
    "volumes": Honest(Voluminous, PRICES + _SETTLED),
    "a size by volume": Honest(Sized, PRICES + _SETTLED),
    "a time": Honest(Timed, PRICES),
    "its position": Honest(Pyramiding, PRICES),
    "trades": Honest(Rising, _ALL),
    "quotes": Honest(Quoting, _ALL),
    "timers": Honest(Regular, _ALL),
    "equity": Honest(Worth, _ALL),
    "fills": Honest(Refilling, _ALL),
}
