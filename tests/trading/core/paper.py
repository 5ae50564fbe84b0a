"""An account that trades in a market of tests: orders, prints, bars, cancels and time, as the engine does them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from trading.core import due
from trading.core.acceptance import MarketView, accept, end_of
from trading.core.account import AccountState, Effects, apply
from trading.core.configuration import RiskConfig
from trading.core.events import (
    AccountOpened,
    BarPrint,
    CancelRequested,
    Event,
    Executed,
    OrderEnded,
    Print,
    Reference,
    RiskConfigured,
    RowRef,
    TradingStarted,
    Transferred,
)
from trading.core.matching import Rate, match_bar, match_print
from trading.core.orders import Order, OrderTerms, OrderType, TimeInForce
from trading.core.risk import Proposal, RiskVerdict, propose, verdict
from trading.core.terms import TRADABLE, AccountKind, Fee, Side, Slippage, Terms

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
BEGIN_NS = 1_000 * SECOND_NS
ONE = Decimal(1)
# Whole units at whole cents, without fees and slippage.
PLAIN = replace(TRADABLE["equity"], fee=Fee(), slippage=Slippage())
# Of each print 100 units serve an account.
VOLUME = 1000
BY_PRINTS_AND_BARS = pytest.mark.parametrize("as_bar", [False, True], ids=["prints", "bars"])


def dec(value: object) -> Decimal:
    return Decimal(str(value))


@dataclass
class Paper:
    """An account in USD, and the events that made it. Each print comes a second after the one before."""

    kind: AccountKind = AccountKind.MARGIN
    cash: object = 1_000_000
    config: RiskConfig = field(default_factory=RiskConfig)
    terms: Terms = PLAIN
    now_ns: int = BEGIN_NS
    state: AccountState = field(default_factory=lambda: AccountState(id="ACC"))
    events: list[tuple[Event, int]] = field(default_factory=list)
    marks: dict[str, Reference] = field(default_factory=dict)
    rate: Rate = (ONE, None)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.record(AccountOpened(kind=self.kind, currency="USD"))
        self.record(RiskConfigured(version=1, config=self.config, by="me"))
        self.record(Transferred(transfer="t", amount=dec(self.cash), equity=Decimal(0)))
        self.record(TradingStarted(by="me"))

    def record(self, event: Event) -> Effects:
        self.events.append((event, self.now_ns))
        return apply(self.state, event, at_ns=self.now_ns)

    def reference(self, symbol: str, price: object = 100, *, at_ns: int | None = None) -> Reference:
        at_ns = self.now_ns if at_ns is None else at_ns
        return Reference(symbol=symbol, price=dec(price), rate=self.rate[0], at_ns=at_ns)

    def propose(self, order: OrderTerms, price: object = 100) -> Proposal:
        return propose(self.state, order, self.terms, self.reference(order.symbol, price))

    def judge(self, order: OrderTerms, price: object = 100) -> RiskVerdict:
        """Check an order in a market at this price. Other symbols have the marks of `marks`."""
        marks = {**self.marks, order.symbol: self.reference(order.symbol, price)}
        return verdict(self.state, self.propose(order, price), marks, now_ns=self.now_ns)

    def accept(
        self,
        order: OrderTerms,
        price: object = 100,
        *,
        expires_ns: int | None = None,
        matches_after_ns: int | None = None,
        replaces: str | None = None,
    ) -> str:
        """Accept an order unchecked, with its legs, and return its id."""
        found, old = RiskVerdict(self.propose(order, price), ()), self.state.orders.get(replaces or "")
        expires_ns = expires_ns or end_of(
            order, self.state.config, now_ns=self.now_ns, session_end_ns=lambda: None
        )
        view = MarketView(self.terms, found.proposal.reference, {}, {}, expires_ns, matches_after_ns)
        return accept(self.state, self.record, found, view, now_ns=self.now_ns, by="", replaces=old)

    def replace(self, order_id: str, order: OrderTerms) -> str:
        """Accept an order in the place of another."""
        new_id = self.accept(order, replaces=order_id)
        self.cancel(order_id, "replaced")
        return new_id

    def cancel(self, order_id: str, reason: str = "client") -> None:
        self.record(CancelRequested(order_ids=(order_id,), reason=reason, by="me"))

    def print(
        self, price: object, volume: object = VOLUME, *, symbol: str = "AAPL", **fields: Any
    ) -> list[Executed]:
        """A second passes, and the market trades. Return the executions. at_ns, known_ns: of the print."""
        self.wait()
        known_ns = fields.setdefault("known_ns", self.now_ns)
        ref = self.ref(symbol, fields.pop("at_ns", known_ns))
        before = len(self.events)
        row = Print(ref=ref, price=dec(price), volume=dec(volume), **fields)
        match_print(self.state, row, self.rate, self.record)
        return executions(event for event, _ in self.events[before:])

    def bar(self, *prices: object, volume: object = VOLUME, **fields: Any) -> list[Executed]:
        """A minute passes, and a bar of it is stored: open, high, low, close. Return the executions."""
        begin_ns = self.now_ns + SECOND_NS
        self.wait(60 * SECOND_NS)
        before = len(self.events)
        open_, high, low, close = map(dec, prices)
        row = BarPrint(
            ref=self.ref("AAPL", begin_ns), open=open_, high=high, low=low, close=close,
            volume=None if volume is None else dec(volume),
            end_ns=self.now_ns, **{"known_ns": self.now_ns, **fields},
        )  # fmt: skip
        match_bar(self.state, row, lambda: self.rate, self.record)
        return executions(event for event, _ in self.events[before:])

    def trade_at(self, price: object, *, as_bar: bool, **fields: Any) -> list[Executed]:
        """Let the market trade at one price: a print, or a bar. Return the executions."""
        return self.bar(price, price, price, price, **fields) if as_bar else self.print(price, **fields)

    def ref(self, symbol: str, at_ns: int) -> RowRef:
        return RowRef(
            dataset="trades", symbol=symbol, commit=f"{next(self._ids)}-ab", ordinal=0, timestamp_ns=at_ns
        )

    def wait(self, nanoseconds: int = SECOND_NS) -> None:
        """Let time pass, and do what is due."""
        self.now_ns += nanoseconds
        due.time_passed(self.state, self.now_ns, self.record)

    def buy_and_hold(self, signed: int, price: object = 100, **fields: Any) -> None:
        """Hold a position: above zero a long."""
        self.accept(order_of(signed, **fields), price)
        self.print(price, abs(signed) * 10)

    def order(self, order_id: str) -> Order:
        return self.state.orders[order_id]

    def legs(self, order_id: str) -> list[str]:
        return [order.id for order in self.state.legs_of(order_id)]

    def held(self, symbol: str = "AAPL") -> int:
        position = self.state.position(symbol)
        return 0 if position is None else int(position.quantity)

    def ends(self) -> list[tuple[str, str]]:
        """The state and the reason of each order that ended without being filled."""
        return [(event.state, event.reason) for event, _ in self.events if isinstance(event, OrderEnded)]


def order_of(signed: object, symbol: str = "AAPL", **fields: Any) -> OrderTerms:
    """An order: a buy above zero. limit, stop: its prices."""
    types = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
    limit, stop = fields.pop("limit", None), fields.pop("stop", None)
    type_ = types.get((limit is not None, stop is not None), OrderType.STOP_LIMIT)
    for name in ("take_profit", "stop_loss"):
        if name in fields:
            fields[name] = dec(fields[name])
    return OrderTerms(
        symbol=symbol, side=Side.BUY if dec(signed) > 0 else Side.SELL, quantity=abs(dec(signed)), type=type_,
        limit_price=None if limit is None else dec(limit), stop_price=None if stop is None else dec(stop),
        **{"time_in_force": TimeInForce.GTC, **fields},
    )  # fmt: skip


def executions(events: Iterable[Event]) -> list[Executed]:
    return [event for event in events if isinstance(event, Executed)]


def fills(found: Iterable[Executed]) -> list[tuple[object, object]]:
    """Quantity and price of executions."""
    return [(int(each.quantity), each.price) for each in found]
