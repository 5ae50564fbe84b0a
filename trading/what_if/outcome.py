"""What came of an account: its orders, trades and figures, from events as they are recorded."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from trading.core.account import AccountState
from trading.core.amounts import ZERO
from trading.core.events import Executed, encoded
from trading.core.positions import ClosedTrade
from trading.core.report import PerformanceReport
from trading.engine.floor import RecordedEvent


class Filled(NamedTuple):
    """What an order filled. fees: in the instrument's currency."""

    quantity: Decimal
    average_price: Decimal | None
    fees: Decimal


NOTHING = Filled(ZERO, None, ZERO)


@dataclass(slots=True)
class AccountOutcome:
    """Give it each event as it is recorded.

    events: instants and encoded events. orders: what each filled, by id. order_of: the order of each execution. state:
    the account after the last event; None without any.
    """

    events: list[tuple[int, str]] = field(default_factory=list)
    orders: dict[str, Filled] = field(default_factory=dict)
    trades: list[ClosedTrade] = field(default_factory=list)
    order_of: dict[str, str] = field(default_factory=dict)
    report: PerformanceReport = field(default_factory=PerformanceReport)
    state: AccountState | None = None

    def take(self, recorded: RecordedEvent) -> None:
        """Take the next event."""
        event, effects, self.state = recorded.event, recorded.effects, recorded.state
        self.events.append((recorded.at_ns, encoded(event)))
        for order in effects.orders:
            self.orders[order.id] = Filled(order.filled, order.average_price, order.fees)
        self.trades += effects.closed
        if isinstance(event, Executed):
            self.order_of[event.execution_id] = event.order_id
        self.report.take(recorded.state, event, effects, recorded.at_ns)
