"""What came of an account: its orders, trades and curve, from events as they are recorded."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from trading.core.amounts import ZERO
from trading.core.events import Executed, HaltReleased, Marked, Transferred, encoded
from trading.core.positions import ClosedTrade
from trading.engine.memory_desk import RecordedEvent


class Filled(NamedTuple):
    """What an order filled. fees: in the instrument's currency."""

    quantity: Decimal
    average_price: Decimal | None
    fees: Decimal


NOTHING = Filled(ZERO, None, ZERO)


class WorthPoint(NamedTuple):
    """What an account was worth. drawdown: in per cent of the high-water mark."""

    at_ns: int
    equity: Decimal
    drawdown: Decimal


@dataclass(slots=True)
class AccountOutcome:
    """Give it each event as it is recorded.

    bytes: instants and encoded events. orders: what each filled, by id. order_of: the order of each execution.
    """

    bytes: list[tuple[int, str]] = field(default_factory=list)
    orders: dict[str, Filled] = field(default_factory=dict)
    trades: list[ClosedTrade] = field(default_factory=list)
    curve: list[WorthPoint] = field(default_factory=list)
    order_of: dict[str, str] = field(default_factory=dict)

    def take(self, recorded: RecordedEvent) -> None:
        """Take the next event."""
        self.bytes.append((recorded.at_ns, encoded(recorded.event)))
        for order in recorded.effects.orders:
            self.orders[order.id] = Filled(order.filled, order.average_price, order.fees)
        self.trades += recorded.effects.closed
        event = recorded.event
        if isinstance(event, Executed):
            self.order_of[event.execution_id] = event.order_id
        elif isinstance(event, Marked | Transferred | HaltReleased):
            state = recorded.state
            self.curve.append(WorthPoint(recorded.at_ns, state.equity, state.drawdown))

    @property
    def pnl(self) -> Decimal:
        """What the closed trades gained less what they lost, in the account's currency."""
        return sum((trade.pnl_base for trade in self.trades), ZERO)

    @property
    def wins(self) -> int:
        return sum(trade.pnl_base > 0 for trade in self.trades)

    @property
    def max_drawdown(self) -> Decimal:
        return max((point.drawdown for point in self.curve), default=ZERO)
