"""What a strategy is: it decides by bars, rows and fills, and does not know whether they are live or of the past."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import repeat
from math import isfinite
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec
import numpy as np

from store.arrays import Floats, Integers
from store.bars.bars import Bars
from store.reading.arguments import interval_ns
from store.timestamps import DAY_NS, SECOND_NS
from trading.core.events import Print
from trading.core.orders import OrderType
from trading.core.rows import Quote
from trading.core.terms import Side

# Of a number among the parameters: what is computed of it stays within what amounts can have.
_LARGEST = 10**12
_TIMES_BACK, _INTERVALS_BACK = 5, 10_000
WEEK, WEEK_NS = "1w", 7 * DAY_NS


class Bar(NamedTuple):
    """A bar of a symbol. start_ns, end_ns: its interval, nanoseconds UTC. volume: in units, NaN if unknown.

    signal: what the strategy's `signals` says of it; 0 for strategies without.
    """

    symbol: str
    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    signal: int = 0


_COLUMNS = ("open", "high", "low", "close", "volume")
# As `Bar._make`, without a call of Python for each bar.
_made = partial(tuple.__new__, Bar)


@dataclass(frozen=True, slots=True, eq=False)
class BarBlock:
    """Bars of a symbol that follow one another, as columns. ends_ns, shown_ns: when each ends and is shown."""

    symbol: str
    bars: Bars
    ends_ns: Integers
    shown_ns: Integers

    def __len__(self) -> int:
        return len(self.shown_ns)

    def __iter__(self) -> Iterator[tuple[int, Bar]]:
        """Yield the bars, each with the instant at which it is shown."""
        return self._made(slice(None), repeat(0))

    def signalled(self, signals: Integers) -> Iterator[tuple[int, Bar]]:
        """Yield the bars whose signals are not 0, as iteration does."""
        rows = np.flatnonzero(signals)
        return self._made(rows, signals[rows].tolist())

    def _made(self, rows: slice | Integers, signals: Iterable[int]) -> Iterator[tuple[int, Bar]]:
        columns = (self.bars.time_ns, self.ends_ns, *(getattr(self.bars, name) for name in _COLUMNS))
        values = (each[rows].tolist() for each in columns)
        made = map(_made, zip(repeat(self.symbol), *values, signals, strict=False))
        return zip(self.shown_ns[rows].tolist(), made, strict=True)


class OrderFill(NamedTuple):
    """A fill of an order of the strategy. quantity: in units. price: in the instrument's currency. at_ns: UTC."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at_ns: int


class StrategyParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a strategy can be told. Declare the bounds of each field with `msgspec.Meta`.

    Decimals and floats are finite, and at most 10¹² in size.
    interval: of its bars, such as `1min`: it divides a day, and is a second or longer; or `1w`, from Monday to Sunday.
    """

    interval: str = "1min"

    def __post_init__(self) -> None:
        for name, value in msgspec.structs.asdict(self).items():
            if not isinstance(value, Decimal | float):
                continue
            if not isfinite(value):
                raise ValueError(f"`{name}` must be a finite number")
            if not -_LARGEST <= value <= _LARGEST:
                raise ValueError(f"`{name}` must be from -10^12 to 10^12")
        try:
            length_ns = self.interval_ns
        except ValueError as error:
            raise ValueError(f"{error}, or {WEEK}") from error
        if length_ns < SECOND_NS:
            raise ValueError(f"the interval {self.interval} is shorter than a second")
        if DAY_NS % length_ns and self.interval != WEEK:
            raise ValueError(f"the interval {self.interval} does not divide a day, and is not {WEEK}")

    @property
    def interval_ns(self) -> int:
        """The length of a bar, nanoseconds."""
        return WEEK_NS if self.interval == WEEK else interval_ns(self.interval)

    @property
    def bars_before(self) -> int:
        """So many bars before its start are shown to the strategy as history."""
        return 0

    @property
    def looked_back_ns(self) -> int:
        """How long before its start these bars are looked for: nights and weekends lie in between. Nanoseconds."""
        if not self.bars_before:
            return 0
        intervals = self.bars_before * _TIMES_BACK
        with_a_week = intervals + WEEK_NS // self.interval_ns
        return min(with_a_week, max(intervals, _INTERVALS_BACK)) * self.interval_ns


class StrategyState(msgspec.Struct, kw_only=True):
    """What a strategy remembers. It is saved in one transaction with its orders, so that nothing is decided twice."""


class Broker(Protocol):
    """What a strategy may ask and do. Money is in the account's currency.

    now_ns: the time of the data, nanoseconds UTC. is_history: what it is shown is past already, and orders are not
    placed. symbols: those that it trades.
    """

    @property
    def now_ns(self) -> int: ...

    @property
    def is_history(self) -> bool: ...

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def equity(self) -> Decimal:
        """What the account is worth at the newest marks that are known."""

    @property
    def risk_level(self) -> Decimal:
        """Per cent of the equity that a trade may lose now at its protective stop."""

    def point_value(self, symbol: str) -> Decimal:
        """Return what one unit gains in the account's currency when its price rises by 1."""

    def position(self, symbol: str) -> Decimal:
        """Return the quantity that the strategy holds; below zero for a short."""

    def has_orders(self, symbol: str) -> bool:
        """Return whether orders of the strategy work in a symbol."""

    def bars(self, symbol: str, count: int) -> list[Bar]:
        """Return the last bars that are known, oldest first; at most as many as are kept."""

    def order(self, symbol: str, side: Side, quantity: Decimal, **terms: Any) -> None:
        """Place an order at once. side: a `Side`, or `buy` or `sell`. terms: further fields of `OrderTerms`.

        Quantities are cut to whole lots. A quantity below a lot, of zero or less, too, is refused as by risk.
        """

    def close(self, symbol: str) -> None:
        """Close the position by a market order."""

    def cancel(self, symbol: str) -> None:
        """Ask for the cancel of all orders of the strategy in a symbol."""

    def wake(self, at_ns: int) -> None:
        """Have `on_timer` called at an instant."""


class Strategy:
    """A strategy for some symbols of an account. Override what it wants to know.

    name: as it is asked for. bars_kept: so many bars of each symbol can be looked back at; fewer take less memory. sha256: of its file; None if it is shipped.
    """

    name: ClassVar[str]
    bars_kept: ClassVar[int] = 10_000
    sha256: ClassVar[str | None] = None
    Parameters: ClassVar[type[StrategyParameters]] = StrategyParameters
    State: ClassVar[type[StrategyState]] = StrategyState

    def __init__(self, broker: Broker, parameters: StrategyParameters, state: StrategyState) -> None:
        self.broker, self.parameters, self.state = broker, parameters, state

    def signals(self, closes: Floats) -> Integers:
        """Return a signal for each close of a symbol, oldest first. Of the bars with a 0 `on_bar` is not called.

        A signal may use its own close and those before, up to `bars_before` of the parameters: a backtest asks for many
        at once, also for bars that are not over yet, and a live strategy for the last one.
        """
        raise NotImplementedError

    def on_bar(self, bar: Bar) -> None:
        """Called at a bar's end plus the instrument's `settle`, with the bar as it is known then."""

    def on_trade(self, trade: Print) -> None:
        """Called for each trade of its symbols when it is known."""

    def on_quote(self, quote: Quote) -> None:
        """Called for each quote of its symbols when it is known."""

    def on_fill(self, fill: OrderFill) -> None:
        """Called after each fill of its orders."""

    def on_timer(self, now_ns: int) -> None:
        """Called at an instant that it asked for by `broker.wake`."""

    def buy(self, symbol: str, quantity: Decimal, *, stop_loss: Decimal | None = None) -> None:
        """Buy at the market, with a protective stop if a price is given."""
        self.broker.order(symbol, Side.BUY, quantity, type=OrderType.MARKET, stop_loss=stop_loss)

    def sell(self, symbol: str, quantity: Decimal, *, stop_loss: Decimal | None = None) -> None:
        """Sell at the market, with a protective stop if a price is given."""
        self.broker.order(symbol, Side.SELL, quantity, type=OrderType.MARKET, stop_loss=stop_loss)
