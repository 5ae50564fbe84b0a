"""The moves of an order."""

from itertools import product

import pytest

from tests.trading.core.folded import EQUITY, Folded, order_terms, these
from trading.core.events import CancelRequested, OrderEnded, OrderWorking
from trading.core.orders import IllegalMove, Order, OrderState

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


@pytest.mark.parametrize(("before", "after"), list(product(OrderState, OrderState)))
def test_move(before: str, after: str) -> None:
    order = _order(before)
    if after in _MOVES.get(before, "").split():
        order.move(OrderState(after), 5)
        assert (order.state, order.states) == (after, {"pending_new": 1, after: 5})
    else:
        with pytest.raises(IllegalMove, match=f"an order that is {before} cannot become {after}"):
            order.move(OrderState(after), 5)
        assert (order.state, order.states) == (before, {"pending_new": 1})


@pytest.mark.parametrize("state", OrderState)
def test_final_states_are_left_by_no_move(state: OrderState) -> None:
    assert state.is_final == (state in {*_ENDS.split(), "rejected"})


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


def test_second_cancel_is_refused() -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    cancel = CancelRequested(order_ids=(order_id,), reason="client", by="me")
    folded.take(cancel)
    with pytest.raises(IllegalMove):
        folded.take(cancel)


def test_order_works_once() -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    with pytest.raises(IllegalMove):
        folded.take(OrderWorking(order_id=order_id))


@pytest.mark.parametrize("state", ["cancelled", "expired", "replaced"])
def test_order_that_ended_is_left_out(state: str) -> None:
    folded = Folded()
    order_id = folded.accept(order_terms(10))
    (order,) = folded.take(OrderEnded(order_id=order_id, state=state, reason="because")).orders
    assert (order.state, order.reason, folded.state.orders) == (state, "because", {})
