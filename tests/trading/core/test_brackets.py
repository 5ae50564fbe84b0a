"""Brackets, replacements and splits of orders that prints fill."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.trading.core.folded import REF
from tests.trading.core.paper import BY_PRINTS_AND_BARS, MS_NS, PLAIN, SECOND_NS, Paper, dec, fills, order_of
from trading.core.events import SplitApplied
from trading.core.orders import OrderState, OrderTerms
from trading.core.terms import Fee, Slippage


def _bracket(paper: Paper, quantity: int = 100) -> tuple[str, str, str]:
    parent = paper.accept(order_of(quantity, take_profit=110, stop_loss=90))
    target, stop = paper.legs(parent)
    return parent, target, stop


def _fillable(paper: Paper, *ids: str) -> list[int]:
    return [int(paper.state.fillable(paper.order(each))) for each in ids]


def _split(paper: Paper, ratio: object) -> None:
    paper.record(SplitApplied(symbol="AAPL", ratio=dec(ratio), effective_ns=paper.now_ns + 1, action=REF))


def test_legs_do_nothing_before_their_parent_fills() -> None:
    paper = Paper()
    parent, target, stop = _bracket(paper)
    paper.order(parent).collar = Decimal(80)
    assert paper.print(89) == []
    assert paper.print(120) == []
    assert not paper.order(stop).is_triggered
    assert _fillable(paper, target, stop) == [0, 0]


def test_legs_wait_for_the_latency_after_their_parent_fills() -> None:
    paper = Paper()
    _, target, stop = _bracket(paper, 10)
    paper.print(100)
    filled_ns = paper.now_ns
    assert {paper.order(leg).matches_after_ns for leg in (target, stop)} == {filled_ns + 50 * MS_NS}
    paper.now_ns = filled_ns + 50 * MS_NS - SECOND_NS
    assert paper.print(111) == []
    assert fills(paper.print(111)) == [(10, 110)]


def test_fill_of_a_leg_reduces_the_other_at_once() -> None:
    paper = Paper()
    _, target, stop = _bracket(paper)
    paper.print(100)
    assert fills(paper.print(111, 600)) == [(60, 110)]
    assert _fillable(paper, target, stop) == [40, 40]
    assert paper.print(90) == []
    # The stop is a market order now, and comes before the limit.
    assert paper.order(stop).terms.quantity == 40
    closing = paper.order(stop)
    assert fills(paper.print(111)) == [(40, 111)]
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})
    assert (closing.state, closing.filled) == (OrderState.FILLED, Decimal(40))
    assert paper.ends() == [("cancelled", "bracket")]


def test_both_legs_exit_in_parts_and_the_last_one_is_filled() -> None:
    paper = Paper()
    _, target, stop = _bracket(paper)
    legs = paper.order(target), paper.order(stop)
    paper.print(100)
    assert fills(paper.print(111, 300)) == [(30, 110)]
    paper.print(90)
    assert fills(paper.print(89, 400)) == [(40, 89)]
    assert [each.terms.quantity for each in legs] == [60, 70]
    assert fills(paper.print(89, 10_000)) == [(30, 89)]
    assert [each.state for each in legs] == [OrderState.CANCELLED, OrderState.FILLED]
    assert paper.held() == 0


@pytest.mark.parametrize(("price", "exits"), [(111, 110), (89, 89)], ids=["the target", "the stop"])
def test_the_first_fill_of_an_exit_ends_the_rest_of_the_entry(price: int, exits: int) -> None:
    paper = Paper()
    parent = paper.accept(order_of(100, limit=100, take_profit=110, stop_loss=90), price=101)
    entry, legs = paper.order(parent), list(map(paper.order, paper.legs(parent)))
    paper.print(99, 500)
    assert [int(each.terms.quantity) for each in legs] == [100, 100]
    if price < 90:
        paper.print(price, 0)
    assert fills(paper.print(price, 200)) == [(20, exits)]
    assert (entry.state, entry.filled, entry.reason) == (OrderState.CANCELLED, Decimal(50), "bracket")
    assert sorted(int(each.terms.quantity) for each in legs) == [30, 50]
    assert fills(paper.print(price, 10_000)) == [(30, exits)]
    assert paper.print(100, 10_000) == []
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})
    assert {each.state for each in legs} == {OrderState.FILLED, OrderState.CANCELLED}


def test_one_print_that_fills_an_exit_fills_no_more_of_the_entry() -> None:
    """A short, too; the stop was triggered before."""
    paper = Paper()
    paper.accept(order_of(-100, limit=50, take_profit=45, stop_loss=55), price=49)
    assert fills(paper.print(51, 200)) == [(20, 50)]
    paper.print(56, 0)
    assert fills(paper.print(57, 10_000)) == [(20, 57)]
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})


def test_a_bar_that_fills_an_exit_ends_the_rest_of_the_entry() -> None:
    """40 are bought; the next bar stops them out; the one after it opens below the limit of the entry."""
    paper = Paper()
    paper.accept(order_of(100, limit=50, stop_loss=45, take_profit=55), price=51)
    assert fills(paper.bar(50.5, 51, 49, 50.5, volume=400)) == [(40, 50)]
    assert fills(paper.bar(50.5, 50.5, 44, 46, volume=400)) == [(40, 45)]
    assert paper.bar(46, 47, 46, 47) == []
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})


@BY_PRINTS_AND_BARS
@pytest.mark.parametrize(
    ("signed", "opens", "exits"), [(10, 112, "111.88"), (10, 110, 110), (-10, 88, "88.09")]
)
def test_a_target_that_is_marketable_when_it_comes_fills_at_the_market(
    signed: int, opens: int, exits: object, as_bar: bool
) -> None:
    """The market opens at the target or beyond; the slippage is 0.1 %, and no price is worse than the target."""
    sign = 1 if signed > 0 else -1
    paper = Paper(terms=replace(PLAIN, slippage=Slippage(basis_points=Decimal(10))))
    entry = paper.accept(order_of(signed, take_profit=100 + 10 * sign, stop_loss=100 - 10 * sign))
    paper.order(entry).collar = None
    # A bar fills both, a print each.
    exit_ = (paper.trade_at(opens, as_bar=as_bar) + paper.trade_at(opens, as_bar=as_bar))[-1]
    assert (exit_.price, exit_.slippage) == (dec(exits), abs(dec(exits) - opens))
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})


@BY_PRINTS_AND_BARS
def test_a_target_that_was_marketable_rests_once_the_market_is_worse(as_bar: bool) -> None:
    """Bought at 112, and back at 109 before the target fills: it fills at its price."""
    paper = Paper()
    paper.order(paper.accept(order_of(10, take_profit=110))).collar = None
    assert fills(paper.trade_at(112, as_bar=as_bar, volume=100)) == [(10, 112)]
    assert paper.trade_at(109, as_bar=as_bar) == []
    assert fills(paper.bar(109, 111, 109, 110) if as_bar else paper.print(111)) == [(10, 110)]


def test_an_exit_ends_the_replacement_of_its_entry() -> None:
    paper = Paper()
    old, _, _ = _bracket(paper)
    paper.print(100, 300)
    paper.replace(old, order_of(100, limit=95, take_profit=120, stop_loss=80))
    paper.wait()
    assert fills(paper.print(111, 10_000)) == [(30, 110)]
    assert paper.print(90, 10_000) == []
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})


def test_legs_never_fill_more_than_the_parent() -> None:
    paper = Paper()
    parent, target, stop = _bracket(paper)
    paper.print(100, 300)
    assert _fillable(paper, target, stop) == [30, 30]
    paper.cancel(parent)
    paper.wait(SECOND_NS)
    assert [paper.order(leg).terms.quantity for leg in (target, stop)] == [30, 30]
    paper.buy_and_hold(50)
    assert fills(paper.print(111, 10_000)) == [(30, 110)]
    assert (paper.held(), paper.state.orders) == (50, {})


def test_legs_end_with_a_parent_that_never_filled() -> None:
    paper = Paper()
    parent, _, _ = _bracket(paper)
    paper.cancel(parent)
    paper.wait()
    assert paper.ends() == [("cancelled", "client"), ("cancelled", "bracket"), ("cancelled", "bracket")]


@pytest.mark.parametrize(
    ("filled", "quantity", "left"), [(0, 150, 150), (30, 150, 120), (30, 50, 20), (60, 50, 0)]
)
def test_quantity_of_a_replacement_includes_what_the_old_order_filled(
    filled: int, quantity: int, left: int
) -> None:
    paper = Paper()
    old = paper.accept(order_of(100))
    paper.print(100, filled * 10)
    new = paper.replace(old, order_of(quantity))
    assert paper.print(100, 0) == []
    assert paper.ends()[0] == ("replaced", "replaced")
    if left:
        assert paper.order(new).terms.quantity == left
    else:
        assert paper.ends()[1:] == [("cancelled", "replaced_order_filled")]
    paper.print(100, 10_000)
    assert paper.held() == max(filled, quantity)


def test_old_order_fills_until_its_cancel_takes_effect_and_the_new_one_waits() -> None:
    paper = Paper()
    old = paper.accept(order_of(100))
    paper.wait()
    new = paper.replace(old, order_of(100, limit=120))
    paper.now_ns += 20 * MS_NS - SECOND_NS
    found = paper.print(100, 400)
    assert [(each.order_id, int(each.quantity)) for each in found] == [(old, 40)]
    found = paper.print(100, 10_000)
    assert [(each.order_id, int(each.quantity)) for each in found] == [(new, 60)]
    assert paper.held() == 100


def test_replacement_of_a_replacement_includes_what_the_first_filled() -> None:
    paper = Paper()
    first = paper.accept(order_of(100))
    paper.print(100, 300)
    second = paper.replace(first, order_of(120))
    paper.replace(second, order_of(150))
    paper.print(100, 10_000)
    assert (paper.held(), paper.state.orders) == (150, {})


def test_legs_of_a_replaced_parent_keep_what_it_filled() -> None:
    paper = Paper()
    old, _, _ = _bracket(paper)
    paper.print(100, 300)
    new = paper.replace(old, order_of(100, take_profit=120, stop_loss=80))
    paper.print(100, 10_000)
    assert (paper.held(), _fillable(paper, *paper.legs(old))) == (100, [30, 30])
    assert _fillable(paper, *paper.legs(new)) == [70, 70]
    paper.print(121, 10_000)
    assert (paper.held(), paper.state.orders) == (0, {})


def _oco(paper: Paper, quantity: int = 100) -> tuple[str, str]:
    """Hold this many, and leave them at 110 or at 90."""
    paper.buy_and_hold(quantity)
    order = paper.accept(order_of(-quantity, limit=110, stop_loss=90, reduce_only=True))
    (stop,) = paper.legs(order)
    return order, stop


@pytest.mark.parametrize("price", [111, 90])
def test_a_fill_of_one_of_an_oco_ends_the_other(price: int) -> None:
    paper = Paper()
    _oco(paper)
    paper.print(price)
    paper.print(price)
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})
    assert paper.ends() == [("cancelled", "oco")]


def test_a_part_that_one_of_an_oco_fills_is_taken_from_the_other() -> None:
    paper = Paper()
    order, stop = _oco(paper)
    paper.buy_and_hold(50)
    assert fills(paper.print(111, 300)) == [(30, 110)]
    assert _fillable(paper, order, stop) == [70, 70]
    paper.print(90)
    assert fills(paper.print(90, 10_000)) == [(70, 90)]
    assert (paper.held(), paper.state.orders) == (50, {})


@pytest.mark.parametrize("which", [0, 1])
def test_a_cancel_of_one_of_an_oco_ends_the_other(which: int) -> None:
    paper = Paper()
    paper.cancel(_oco(paper)[which])
    paper.wait()
    assert (paper.held(), paper.state.orders, paper.state.covered) == (100, {}, {})
    assert paper.ends() == [("cancelled", "client"), ("cancelled", "oco")]


def test_the_end_of_a_day_ends_an_oco() -> None:
    paper = Paper()
    paper.buy_and_hold(10)
    order = order_of(-10, limit=110, stop_loss=90, reduce_only=True)
    paper.accept(order, expires_ns=paper.now_ns + SECOND_NS)
    paper.wait()
    paper.wait(10 * SECOND_NS)
    assert paper.ends() == [("expired", "session"), ("cancelled", "oco")]


def test_each_of_an_oco_is_replaced_while_the_other_stays() -> None:
    paper = Paper()
    order, stop = _oco(paper)
    stop = paper.replace(stop, order_of(-100, stop=95, reduce_only=True))
    order = paper.replace(order, order_of(-100, limit=120, reduce_only=True))
    assert paper.print(111) == []
    assert (paper.ends(), set(paper.state.orders)) == ([("replaced", "replaced")] * 2, {order, stop})
    assert fills(paper.print(121, 300)) == [(30, 120)]
    assert _fillable(paper, order, stop) == [70, 70]
    paper.print(95)
    assert fills(paper.print(95)) == [(70, 95)]
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})


# Of an order at these prices: ratio, then its limit, stop and worth.
@pytest.mark.parametrize(
    ("order", "ratio", "limit", "stop"),
    [
        (order_of(10, limit="10.01"), 4, "2.50", None),
        (order_of(10, limit="10.03"), 2, "5.01", None),
        (order_of(-10, limit="10.01"), 4, "2.51", None),
        (order_of(-10, limit="10.03"), 2, "5.02", None),
        (order_of(10, stop="10.03", limit="10.03"), 2, "5.01", "5.02"),
        (order_of(10, limit="10.01"), "0.1", "100.10", None),
    ],
)
def test_split_makes_no_limit_worse(order: OrderTerms, ratio: object, limit: object, stop: object) -> None:
    paper = Paper()
    order_id = paper.accept(order, price=10)
    before = paper.order(order_id).worth * paper.order(order_id).remaining
    _split(paper, ratio)
    after = paper.order(order_id)
    assert after.terms.limit_price == dec(limit)
    assert after.terms.stop_price == (None if stop is None else dec(stop))
    assert after.worth * after.remaining == before


def test_orders_after_a_split_fill_its_units() -> None:
    paper = Paper()
    parent, target, stop = _bracket(paper)
    paper.print(100, 300)
    _split(paper, 2)
    assert _fillable(paper, target, stop) == [60, 60]
    assert fills(paper.print(50, 10_000)) == [(140, 50)]
    assert fills(paper.print(56, 10_000)) == [(200, 55)]
    assert (paper.held(), paper.state.orders, paper.state.covered) == (0, {}, {})
    assert parent not in paper.state.orders


@pytest.mark.parametrize(
    ("ratio", "price", "rest", "fee"),
    [(4, 25, 800, "4.00"), ("0.1", 1000, 20, "0.10"), ("0.5", 200, 100, "0.50")],
)
def test_units_filled_before_a_split_pay_no_other_fee_after_it(
    ratio: object, price: object, rest: int, fee: str
) -> None:
    paper = Paper(terms=replace(PLAIN, fee=Fee(per_unit=dec("0.005"), minimum=dec(1))))
    paper.accept(order_of(400))
    assert [each.fee for each in paper.print(100, 2_000)] == [dec(1)]
    _split(paper, ratio)
    found = paper.print(price, 20_000)
    assert [(int(each.quantity), each.fee) for each in found] == [(rest, dec(fee))]


def test_orders_after_a_reverse_split_end() -> None:
    paper = Paper()
    _bracket(paper, 100)
    paper.print(100)
    _split(paper, "0.333333333")
    paper.print(331, 10_000)
    assert (paper.state.positions, paper.state.orders, paper.state.covered) == ({}, {}, {})
