"""The moves of an order, and its id."""

from uuid import UUID, uuid4, uuid5

import pytest

from tests.trading.core.folded import EQUITY, Folded, order_terms, these
from trading.core.events import CancelRequested, OrderEnded
from trading.core.orders import IllegalMove, Order, OrderState, id_in

_ENDS = "filled cancelled replaced expired"
_MOVES = {
    "pending_new": "accepted rejected",
    "accepted": "working pending_cancel cancelled replaced expired",
    "working": f"partially_filled pending_cancel {_ENDS}",
    "partially_filled": f"partially_filled pending_cancel {_ENDS}",
    "pending_cancel": _ENDS,
}


def _order(state: str) -> Order:
    return Order(
        id="o",
        terms=order_terms(1),
        instrument=EQUITY,
        state=OrderState(state),
        states={OrderState.PENDING_NEW: 1},
        matches_after_ns=0,
    )


@pytest.mark.parametrize("before", OrderState)
def test_moves(before: str) -> None:
    for after in OrderState:
        order = _order(before)
        if after in _MOVES.get(before, "").split():
            order.move(after, 5)
            assert (order.state, order.states) == (after, {"pending_new": 1, after: 5})
        else:
            with pytest.raises(IllegalMove, match=f"an order that is {before} cannot become {after}"):
                order.move(after, 5)
            assert (order.state, order.states) == (before, {"pending_new": 1})


def test_states_keep_their_first_instant() -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    folded.execute(order_id, 1)
    first = folded.state.orders[order_id].states[OrderState.PARTIALLY_FILLED]
    folded.execute(order_id, 2)
    assert folded.state.orders[order_id].states[OrderState.PARTIALLY_FILLED] == first


def test_order_being_cancelled_still_fills() -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    folded.take(CancelRequested(order_ids=(order_id,), reason="client", by="me"))
    folded.execute(order_id, 4)
    assert folded.state.orders[order_id].state is OrderState.PENDING_CANCEL
    (order,) = folded.execute(order_id, 6).orders
    assert these(order.state, order.remaining) == (OrderState.FILLED, 0)


def test_order_that_ended_is_left_out() -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    (order,) = folded.take(OrderEnded(order_id=order_id, state="expired", reason="because")).orders
    assert (order.state, order.reason, folded.state.orders) == ("expired", "because", {})


def test_an_id_is_a_uuid_of_version_5():
    for name in ("", "ACC 17", "trades AAPL 17-9f3a2c 3", "µ"):
        namespace: UUID = uuid4()
        assert id_in(namespace.bytes, name) == str(uuid5(namespace, name))
