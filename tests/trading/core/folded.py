"""An account that tests fill with events, and builders of events with valid defaults."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from trading.core.account import AccountState, Effects, apply, decoded_state, encoded_state
from trading.core.amounts import ONE, ZERO
from trading.core.events import (
    AccountOpened,
    Event,
    Executed,
    OrderAccepted,
    OrderWorking,
    Print,
    Reference,
    RowRef,
    decoded,
    encoded,
)
from trading.core.orders import OrderTerms
from trading.core.terms import TRADABLE, AccountKind, Side, Terms

SECOND_NS = 1_000_000_000
REF = RowRef(dataset="trades", symbol="AAPL", commit="1-ab", ordinal=0, timestamp_ns=0)
EQUITY = TRADABLE["equity"]


@dataclass
class Folded:
    """A state, and the events that made it. Each event comes a second after the one before."""

    state: AccountState = field(default_factory=lambda: AccountState(id="ACC"))
    events: list[tuple[Event, int]] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        if not self.events:
            self.take(AccountOpened(kind=AccountKind.MARGIN, currency="USD"))

    @property
    def now_ns(self) -> int:
        return (len(self.events) + 1) * SECOND_NS

    def take(self, event: Event) -> Effects:
        at_ns = self.now_ns
        self.events.append((event, at_ns))
        return apply(self.state, event, at_ns=at_ns)

    def accept(
        self, order: OrderTerms, *, terms: Terms = EQUITY, is_working: bool = True, **fields: Any
    ) -> str:
        """Accept an order, and return its id."""
        order_id: str = fields.setdefault("order_id", f"order-{next(self._ids)}")
        defaults: dict[str, Any] = {
            "order": order, "terms": terms, "submitted_ns": self.now_ns,
            "matches_after_ns": self.now_ns, "reference": Reference(symbol=order.symbol, price=ONE, rate=ONE),
            "checks": (), "risk_version": 0, "worth": Decimal("100.5"), "margin": Decimal("50.25"), "fee": ZERO,
        }  # fmt: skip
        self.take(OrderAccepted(**(defaults | fields)))
        if is_working:
            self.take(OrderWorking(order_id=order_id))
        return order_id

    def execute(
        self, order_id: str, quantity: Any, price: Any = 100, *, fee: Any = 0, rate: Any = 1
    ) -> Effects:
        market = Print(ref=REF, price=Decimal(price), volume=ONE, known_ns=self.now_ns)
        terms, units = self.state.orders[order_id].terms, Decimal(quantity)
        return self.take(
            Executed(
                execution_id=f"execution-{next(self._ids)}", order_id=order_id, quantity=units, price=Decimal(price),
                fee=Decimal(fee), slippage=ZERO, rate=Decimal(rate), print=market, capacity=ONE,
                position=self.state.units_of(terms.symbol) + units * terms.side.sign,
            )
        )  # fmt: skip

    def trade(self, signed: Any, price: Any, **fields: Any) -> Effects:
        """Fill an order of AAPL whole."""
        order_id = self.accept(order_terms(signed))
        return self.execute(order_id, abs(Decimal(signed)), price, **fields)

    def check_replays(self) -> None:
        """Check that the stored events give the same bytes, also if the state is stored after each of them."""
        data = encoded_state(self.state)
        for is_stored in (False, True):
            state = AccountState(id="ACC")
            for event, at_ns in self.events:
                apply(state, decoded(encoded(event)), at_ns=at_ns)
                state = decoded_state(encoded_state(state)) if is_stored else state
            assert encoded_state(state) == data


def check_ledger(state: AccountState) -> None:
    """Check that the ledger balances in each currency, and has the cash and the cost of what was paid for."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for key, amount in state.balances.items():
        totals[key.split()[1]] += amount
    assert not any(totals.values())
    assert state.balances.get(f"cash {state.currency}", ZERO) == state.cash
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for position in state.positions.values():
        if not position.terms.is_margined:
            costs[f"positions {position.terms.currency} {position.symbol}"] += position.cost
    booked = {key: cost for key, cost in state.balances.items() if key.startswith("positions ")}
    assert booked == {key: cost for key, cost in costs.items() if cost}


def order_terms(signed: Any, symbol: str = "AAPL", **fields: Any) -> OrderTerms:
    side = Side.BUY if Decimal(signed) > 0 else Side.SELL
    return OrderTerms(symbol=symbol, side=side, quantity=abs(Decimal(signed)), **fields)


def these(*values: object) -> tuple[object, ...]:
    """Return values of several types, to be compared with those expected."""
    return values
