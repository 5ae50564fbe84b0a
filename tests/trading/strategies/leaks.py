"""Twenty strategies that decide by what was known only later, each by another way; and where the first decision differs.

Each trades honestly besides: it buys a unit of X every tenth minute, and closes five minutes later.
"""

from decimal import Decimal
from typing import ClassVar, NamedTuple

from store.timestamps import MINUTE_NS, SECOND_NS
from tests.trading.strategies.late_rows import TOLD, Amended, LatePrint, Later, Silence, X, Y
from tests.trading.strategies.past import START_NS
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.strategies.strategy import Bar, Strategy, StrategyParameters, StrategyState


def minute_of(bar: Bar) -> int:
    return (bar.start_ns - START_NS) // MINUTE_NS


class Beating(Strategy):
    """Trades by the time alone, and then does what `look` says."""

    def on_bar(self, bar: Bar) -> None:
        if bar.symbol == X and minute_of(bar) % 10 == 0:
            self.buy(X, self.units(bar), stop_loss=self.stop(bar))
        elif bar.symbol == X and minute_of(bar) % 10 == 5:
            self.broker.close(X)
        self.look(bar)

    def units(self, _: Bar) -> Decimal:
        return Decimal(1)

    def stop(self, _: Bar) -> Decimal | None:
        return None

    def look(self, bar: Bar) -> None:
        if self.knows(bar):
            self.buy(X, Decimal(2))

    def knows(self, _: Bar) -> bool:
        return False


class HigherClose(Beating):
    def knows(self, bar: Bar) -> bool:
        return bar.close > 100.5


class LowerLow(Beating):
    def knows(self, bar: Bar) -> bool:
        return bar.low < 99.5


class MoreVolume(Beating):
    def knows(self, bar: Bar) -> bool:
        return bar.volume == 6_001


class OtherOpen(Beating):
    """The first print of the minute came late: the bar opened elsewhere."""

    def knows(self, bar: Bar) -> bool:
        return bar.open > 100.5


class ShortRange(Beating):
    """Then the bar had a wide range, because of a print that was cancelled."""

    def knows(self, bar: Bar) -> bool:
        return bar.high - bar.low > 1


class Filling(Beating):
    """Buys at the bar of a minute that was silent then."""

    def knows(self, bar: Bar) -> bool:
        return minute_of(bar) == TOLD + 1


class CountingState(StrategyState):
    count: int = 0


class Counting(Beating):
    """Buys at each twelfth bar: one bar more is noticed some minutes later."""

    State = CountingState
    state: CountingState

    def knows(self, _: Bar) -> bool:
        self.state.count += 1
        return self.state.count % 12 == 0


class Remembering(Beating):
    """Decides by the bar of seven minutes before."""

    def knows(self, bar: Bar) -> bool:
        last = self.broker.bars(bar.symbol, 8)
        return len(last) == 8 and last[0].close > 100.5


class SmoothState(StrategyState):
    mean: float = 100.0
    above: int = 0


class Smooth(Beating):
    """An exponential mean of closes must be high for four bars."""

    State = SmoothState
    state: SmoothState

    def knows(self, bar: Bar) -> bool:
        state = self.state
        state.mean += (bar.close - state.mean) / 20
        state.above = state.above + 1 if state.mean > 100.2 else 0
        return state.above == 4


class Waking(Beating):
    """Looks at a bar now, and buys four minutes later."""

    def look(self, bar: Bar) -> None:
        if bar.high > 101:
            self.broker.wake(self.broker.now_ns + 4 * MINUTE_NS)

    def on_timer(self, now_ns: int) -> None:
        self.buy(X, Decimal(2))


class Sizing(Beating):
    """How much it buys depends on the bar's volume."""

    def units(self, bar: Bar) -> Decimal:
        return Decimal(str(bar.volume / 6_000))


class Stopping(Beating):
    """The protective stop lies below the bar's low."""

    def stop(self, bar: Bar) -> Decimal | None:
        return Decimal(str(bar.low)) - 1


class Resting(Beating):
    """Rests an order one below the close."""

    def look(self, bar: Bar) -> None:
        if minute_of(bar) % 10 == 0:
            self.broker.order(
                X,
                Side.BUY,
                Decimal(1),
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                limit_price=Decimal(str(bar.close)) - 1,
            )


class Cancelling(Resting):
    """Cancels the resting orders when it knows of a fall."""

    def look(self, bar: Bar) -> None:
        if bar.low < 99.5:
            self.broker.cancel(X)
        elif minute_of(bar) == 2:
            super().look(bar._replace(start_ns=START_NS, close=97.0))


class Closing(Beating):
    """Leaves early when it knows of a fall."""

    def look(self, bar: Bar) -> None:
        if bar.close < 99.5:
            self.broker.close(X)


class Leading(Beating):
    """Buys X by what it knows of Y."""

    def knows(self, bar: Bar) -> bool:
        return bar.symbol == Y and bar.close > 100.5


class Ranking(Beating):
    """Buys that of two symbols which had more volume in the last ten minutes."""

    def look(self, bar: Bar) -> None:
        if bar.symbol == Y and minute_of(bar) % 20 == 9:
            volumes = {each: sum(bar.volume for bar in self.broker.bars(each, 10)) for each in (X, Y)}
            self.buy(max(volumes, key=volumes.__getitem__), Decimal(1))


class HourParameters(StrategyParameters, frozen=True):
    interval: str = "30min"


class Slow(Beating):
    """Decides by bars of half an hour."""

    Parameters = HourParameters

    def knows(self, bar: Bar) -> bool:
        return bar.high > 101


class LookingBackParameters(StrategyParameters, frozen=True):
    @property
    def bars_before(self) -> int:
        return 20


class LookingBack(Beating):
    """Decides by history that it is shown at its beginning."""

    Parameters = LookingBackParameters

    def knows(self, bar: Bar) -> bool:
        return max(each.high for each in self.broker.bars(X, 12)) > 101


class Keeping(Beating):
    """Keeps what it saw for its next run, beside its state."""

    kept: ClassVar[dict[int, float]] = {}

    def knows(self, bar: Bar) -> bool:
        self.kept[bar.end_ns] = bar.close
        return self.kept.get(bar.end_ns + MINUTE_NS, 0) > 100.5


class Leak(NamedTuple):
    """later: what came late. minute: of the bar at whose end the first decision differs; seconds: after its settle.

    by_then: whether it is a decision of the run with what was known then. start: the first minute. decided: that
    decision. same: how many are equal before it: until minute 60, seven purchases and six sales by the time alone.
    """

    strategy: type[Strategy]
    later: tuple[Later, ...]
    minute: int = TOLD
    by_then: bool = False
    start: int = 0
    symbols: tuple[str, ...] = (X,)
    decided: str = f"buy 2 {X}"
    same: int = 13

    @property
    def at_ns(self) -> int:
        return START_NS + (self.minute + 1) * MINUTE_NS + 2 * SECOND_NS


_HIGH, _LOW = LatePrint(101.5, 1), LatePrint(98.5, 1)
LEAKS: dict[str, Leak] = {
    "a late close": Leak(HigherClose, (_HIGH,)),
    "a late low": Leak(LowerLow, (_LOW._replace(second=28),)),
    "a late open": Leak(OtherOpen, (Amended(100, 1, {"price": 101.5}, second=2),)),
    "a cancel": Leak(ShortRange, (Amended(102, 1, {}),), by_then=True),
    "a corrected volume": Leak(MoreVolume, (Amended(100, 1_000, {"volume": 1}),)),
    "a bar that was not there": Leak(Filling, (Silence(TOLD + 1), LatePrint(100, 1, TOLD + 1)), TOLD + 1),
    "a count of bars": Leak(Counting, (Silence(TOLD + 1), LatePrint(100, 1, TOLD + 1)), TOLD + 11, same=20),
    "a bar of some time ago": Leak(Remembering, (_HIGH,), TOLD + 7, same=14),
    "a mean that is carried on": Leak(Smooth, (LatePrint(112, 1),), TOLD + 3),
    "a timer": Leak(Waking, (_HIGH,), TOLD + 4),
    "a size": Leak(Sizing, (LatePrint(100, 6_000),), same=12),
    "a protective stop": Leak(
        Stopping, (_LOW._replace(second=28),), decided=f"buy 1 {X}, stop 97.5", same=12
    ),
    "a limit": Leak(Resting, (_HIGH,), decided=f"buy 1 {X}, limit 100.5", same=19),
    "a cancelled order": Leak(Cancelling, (_LOW,), decided="cancel 2", same=14),
    "an early close": Leak(Closing, (_LOW._replace(minute=TOLD + 2),), TOLD + 2, decided=f"sell 1 {X}"),
    "the other symbol": Leak(Leading, (_HIGH._replace(symbol=Y),), symbols=(X, Y)),
    "a rank": Leak(
        Ranking, (LatePrint(100, 1, symbol=Y),), TOLD + 9, symbols=(X, Y), decided=f"buy 1 {Y}", same=17
    ),
    "a long bar": Leak(Slow, (_HIGH,), TOLD + 29, same=3),
    "history": Leak(LookingBack, (_HIGH,), TOLD + 4, start=TOLD + 5, same=0),
    "what another run has kept": Leak(
        Keeping, (LatePrint(101.5, 1, TOLD + 10, late_ns=0),), TOLD + 9, by_then=True, same=14
    ),
}
