"""Accounts whose events a test records itself, with instants and numbers of its own."""

from decimal import Decimal
from itertools import count
from typing import Any, cast
from uuid import UUID, uuid4

from tests.trading.desks import at_ns
from trading.account_store import account_act
from trading.core.account import AccountState
from trading.core.configuration import RiskConfig, Zone
from trading.core.events import (
    Event,
    Executed,
    Marked,
    OrderAccepted,
    OrderEnded,
    OrderWorking,
    Print,
    Reference,
    RowRef,
    Transferred,
)
from trading.core.matching import Record
from trading.core.orders import OrderState, OrderTerms
from trading.core.terms import TRADABLE, AccountKind, Side, Terms
from trading.journal import state_of
from trading.lease import lease_take
from trading.models import Account
from trading.services.accounts import account_create

HOLDER = UUID(int=1)
_PRICES = {"limit_price", "stop_price", "take_profit", "stop_loss"}
_ordinals = count()


def engine_lives(seconds: float = 0, **document: Any) -> None:
    """Let the engine have its lease, with its clock so many seconds after the beginning."""
    assert lease_take(HOLDER, now_ns=at_ns(seconds), document=document)


def record_events(account: str, *events: Event, at_ns: int) -> None:
    """Record events of an account as they are given."""

    def decide(state: AccountState, record: Record) -> None:
        for event in events:
            record(event)

    account_act(account, decide, at_ns=at_ns)


class RecordedAccount:
    """A margin account in USD, at first with the money that is given."""

    def __init__(self, name: str = "ACC", *, deposit: float = 0) -> None:
        self.name = name
        account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=RiskConfig())
        if deposit:
            self.transfer(deposit)

    @property
    def row(self) -> Account:
        return Account.objects.get(name=self.name)

    def record(self, *events: Event, seconds: float = 0) -> None:
        record_events(self.name, *events, at_ns=at_ns(seconds))

    def transfer(self, amount: float, *, seconds: float = 0) -> None:
        transfer = Transferred(
            transfer=str(uuid4()), amount=decimal(amount), equity=state_of(self.row).equity
        )
        self.record(transfer, seconds=seconds)

    def mark(self, equity: float, *, seconds: float, zone: Zone = Zone.NORMAL) -> None:
        self.record(Marked(equity=decimal(equity), marks=(), zone=zone), seconds=seconds)

    def order(
        self,
        symbol: str,
        side: str,
        quantity: float,
        *,
        seconds: float = 0,
        price: float = 100,
        instrument: Terms = TRADABLE["crypto"],
        **terms: Any,
    ) -> str:
        """Accept an order, and return its id. price: at which it is weighed."""
        amounts = {name: decimal(value) if name in _PRICES else value for name, value in terms.items()}
        order = OrderTerms(symbol=symbol, side=Side(side), quantity=decimal(quantity), **cast("Any", amounts))
        accepted = OrderAccepted(
            order_id=str(uuid4()),
            order=order,
            terms=instrument,
            submitted_ns=at_ns(seconds),
            matches_after_ns=at_ns(seconds),
            reference=Reference(symbol=symbol, price=decimal(price), rate=Decimal(1)),
            checks=(),
            risk_version=1,
            worth=decimal(price),
            margin=decimal(price),
            fee=Decimal(0),
        )
        self.record(accepted, OrderWorking(order_id=accepted.order_id), seconds=seconds)
        return accepted.order_id

    def fill(
        self, order_id: str, quantity: float, price: float, *, seconds: float = 0, fee: float = 0
    ) -> None:
        state = state_of(self.row)
        terms = state.orders[order_id].terms
        ref = RowRef(
            dataset="trades",
            symbol=terms.symbol,
            commit="17-9f3a2c",
            ordinal=next(_ordinals),
            timestamp_ns=at_ns(seconds),
        )
        executed = Executed(
            execution_id=str(uuid4()),
            order_id=order_id,
            quantity=decimal(quantity),
            price=decimal(price),
            fee=decimal(fee),
            slippage=Decimal(0),
            rate=Decimal(1),
            print=Print(
                ref=ref, price=decimal(price), volume=decimal(quantity), known_ns=at_ns(seconds + 0.25)
            ),
            capacity=decimal(quantity),
            position=state.units_of(terms.symbol) + decimal(quantity) * terms.side.sign,
        )
        self.record(executed, seconds=seconds)

    def cancel(self, order_id: str, *, seconds: float = 0) -> None:
        ended = OrderEnded(order_id=order_id, state=OrderState.CANCELLED, reason="client")
        self.record(ended, seconds=seconds)

    def hold(self, symbol: str, side: str, quantity: float, price: float, **terms: Any) -> str:
        """Open a position by an order that fills at a price."""
        order_id = self.order(symbol, side, quantity, price=price, **terms)
        self.fill(order_id, quantity, price, seconds=terms.get("seconds", 0))
        return order_id

    def trade(self, pnl: float, *, seconds: float, stop: bool = True, **terms: Any) -> None:
        """Buy a unit at 100, with a stop at 90 unless without, and sell it with a gain or loss."""
        stops = {"stop_loss": 90} if stop else {}
        self.hold("COIN", "buy", 1, 100, seconds=seconds, **stops, **terms)
        self.hold("COIN", "sell", 1, 100 + pnl, seconds=seconds, reduce_only=True, **terms)


def decimal(value: float) -> Decimal:
    return Decimal(repr(value))
