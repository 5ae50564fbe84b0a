"""Brackets, splits of orders, what the state keeps, and how large it grows."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from tests.chance import SOAK
from tests.trading.core.folded import REF, Folded, order_terms, these
from trading.core.account import AccountState, apply, decoded_state, encoded_state
from trading.core.configuration import Zone
from trading.core.events import (
    CancelRequested,
    CloseQueued,
    Event,
    Executed,
    Marked,
    OrderEnded,
    Print,
    Reference,
    SplitApplied,
    Stopped,
    StopRequested,
)
from trading.core.matching import end_unneeded, match_print
from trading.core.orders import Leg, OrderType
from trading.core.risk import propose
from trading.core.terms import TRADABLE

_PARENT: dict[str, Any] = {"take_profit": Decimal(110), "stop_loss": Decimal(90)}


def _bracket(folded: Folded, quantity: int = 10, strategy: str = "") -> tuple[str, str, str]:
    parent = folded.accept(order_terms(quantity, strategy=strategy, **_PARENT))
    target = order_terms(
        -quantity, type=OrderType.LIMIT, limit_price=Decimal(110), reduce_only=True, strategy=strategy
    )
    stop = order_terms(
        -quantity, type=OrderType.STOP, stop_price=Decimal(90), reduce_only=True, strategy=strategy
    )
    legs = [
        folded.accept(terms, leg_of=parent, leg=leg)
        for terms, leg in ((target, Leg.TAKE_PROFIT), (stop, Leg.STOP_LOSS))
    ]
    return parent, legs[0], legs[1]


def _end(folded: Folded, order_id: str, state: str = "cancelled") -> None:
    folded.take(OrderEnded(order_id=order_id, state=state, reason=""))


def _end_unneeded(folded: Folded) -> list[str]:
    """End the orders that are not needed, and return the reasons."""
    before = len(folded.events)
    end_unneeded(folded.state, "AAPL", folded.take)
    return [event.reason for event, _ in folded.events[before:] if isinstance(event, OrderEnded)]


def _fillable(folded: Folded, *ids: str) -> list[int]:
    return [int(folded.state.fillable(folded.state.orders[each])) for each in ids]


def test_bracket_that_is_over_leaves_nothing() -> None:
    folded = Folded()
    parent, target, stop = _bracket(folded)
    folded.execute(parent, 10)
    folded.execute(target, 10, 110)
    assert _end_unneeded(folded) == ["bracket"]
    assert (folded.state.orders, folded.state.covered, folded.state.positions) == ({}, {}, {})
    parent, target, stop = _bracket(folded)
    for order_id in (target, stop):
        _end(folded, order_id)
    folded.execute(parent, 10)
    assert folded.state.covered == {}


def test_legs_end_if_the_position_was_closed_otherwise() -> None:
    folded = Folded()
    parent, _, _ = _bracket(folded)
    assert _end_unneeded(folded) == []
    folded.execute(parent, 10)
    assert _end_unneeded(folded) == []
    folded.execute(folded.accept(order_terms(-10, reduce_only=True)), 10, 105)
    assert _end_unneeded(folded) == ["position_closed", "position_closed"]
    assert (folded.state.orders, folded.state.covered) == ({}, {})


def test_legs_reduce_only_the_position_of_their_strategy() -> None:
    folded = Folded()
    parent, _, stop = _bracket(folded, strategy="swing")
    folded.trade(50, 100)
    folded.execute(parent, 10)
    assert _fillable(folded, stop) == [10]
    closing = folded.accept(order_terms(-10, reduce_only=True, strategy="swing"))
    folded.execute(closing, 10)
    assert _fillable(folded, stop) == [0]
    assert folded.state.positions["AAPL"].quantity == 50


def test_reducing_orders_never_turn_a_position() -> None:
    folded = Folded()
    folded.trade(10, 100)
    orders = [folded.accept(order_terms(-8, reduce_only=True)) for _ in range(2)]
    folded.execute(orders[0], 8)
    assert _fillable(folded, orders[1]) == [2]
    folded.trade(-5, 100)
    assert folded.state.positions["AAPL"].quantity == -3
    assert _fillable(folded, orders[1]) == [0]


def test_split_changes_orders_as_it_changes_positions() -> None:
    folded = Folded()
    parent, _, stop = _bracket(folded)
    folded.execute(parent, 6)
    folded.take(SplitApplied(symbol="AAPL", ratio=Decimal(4), effective_ns=folded.now_ns, action=REF))
    order, leg = folded.state.orders[parent], folded.state.orders[stop]
    assert these(order.terms.quantity, order.filled, order.remaining) == (40, 24, 16)
    assert (order.worth, order.margin) == (Decimal("25.125"), Decimal("12.5625"))
    assert these(leg.terms.quantity, leg.terms.stop_price) == (40, Decimal("22.50"))
    assert (order.terms.stop_loss, order.terms.take_profit) == (Decimal("22.50"), Decimal("27.50"))
    assert _fillable(folded, stop) == [24]
    assert these(folded.state.positions["AAPL"].quantity, folded.state.exposure) == (24, 600)
    mark = Reference(symbol="AAPL", price=Decimal(26), rate=Decimal(1))
    folded.take(Marked(equity=Decimal(24), marks=(mark,), zone=Zone.NORMAL))
    assert folded.state.exposure == 624


def test_minimum_fee_is_of_the_order() -> None:
    folded, fees = Folded(), []

    def record(event: Event) -> None:
        folded.take(event)
        fees.extend([event.fee] if isinstance(event, Executed) else [])

    order_id = folded.accept(order_terms(1000), order_id=str(UUID(int=1)), is_taking=True)
    for volume in (1000, 500, 5000, 5000):
        ref = replace(REF, ordinal=volume, timestamp_ns=folded.now_ns)
        print_ = Print(ref=ref, price=Decimal(100), volume=Decimal(volume), known_ns=folded.now_ns)
        match_print(folded.state, print_, (Decimal(1), None), record)
    # 0.005 for each of 100, 50, 500 and 350 units, at least 1 for the order.
    assert fees == [1, 0, Decimal("2.25"), Decimal("1.75")]
    assert order_id not in folded.state.orders


def test_orders_keep_their_order_when_they_are_stored() -> None:
    folded = Folded()
    ids = [folded.accept(order_terms(1)) for _ in range(12)]
    stored = decoded_state(encoded_state(folded.state))
    assert [order.id for order in stored.orders_of("AAPL")] == ids


def test_replay_of_open_orders_gives_the_same_bytes() -> None:
    folded = Folded()
    _day(folded)
    for strategy in ("", "swing"):
        parent, target, _ = _bracket(folded, strategy=strategy)
        folded.execute(parent, 5)
        folded.execute(target, 2)
    folded.check_replays()


def test_unit_of_a_tiny_price_is_worth_something() -> None:
    reference = Reference(symbol="SHIB", price=Decimal("0.0000004"), rate=Decimal(1))
    terms = replace(TRADABLE["crypto"], tick=Decimal("0.0000000001"))
    order = order_terms(10**9, symbol="SHIB", type=OrderType.LIMIT, limit_price=reference.price)
    proposal = propose(Folded().state, order, terms, reference)
    assert these(proposal.worth, proposal.margin) == (reference.price, reference.price)


def test_stop_forgets_what_it_queued() -> None:
    folded = Folded()
    folded.trade(5, 100)
    folded.take(StopRequested(by="me"))
    folded.take(CloseQueued(symbol="AAPL", strategy="", opens_ns=5))
    assert folded.state.queued == {"AAPL": 5}
    folded.trade(-5, 100)
    assert folded.state.queued == {}
    folded.take(Stopped())
    assert folded.state.status == "stopped"


def _day(folded: Folded) -> None:
    """Orders that fill, are cancelled, expire, are split, and brackets in each way that they end."""
    parent, target, _ = _bracket(folded)
    folded.execute(parent, 10, "100.123")
    folded.execute(target, 10, 110, fee="0.35")
    parent, _, stop = _bracket(folded)
    folded.execute(parent, 4)
    folded.take(SplitApplied(symbol="AAPL", ratio=Decimal(2), effective_ns=folded.now_ns, action=REF))
    _end(folded, parent, "expired")
    folded.execute(stop, 8, 45)
    parent, _, _ = _bracket(folded)
    folded.take(CancelRequested(order_ids=(parent,), reason="client", by="me"))
    _end(folded, parent)
    folded.trade(-3, 100)
    folded.trade(3, "99.5")
    _end_unneeded(folded)


def test_state_stays_small() -> None:
    folded = Folded()
    for _ in range(10):
        _day(folded)
    before = encoded_state(folded.state)
    # 11 orders in each round.
    for _ in range(10_000 if SOAK else 100):
        _day(folded)
    assert (folded.state.orders, folded.state.covered, folded.state.applied) == ({}, {}, {})
    assert len(encoded_state(folded.state)) < len(before) + 100


def test_events_that_change_nothing_of_trading_keep_its_number() -> None:
    state = AccountState(id="ACC")
    apply(state, StopRequested(by="me"), at_ns=1)
    assert (state.number, state.traded) == (1, 0)
