"""Plans of rebalances: what is sold and bought, what is left alone and why, and what always holds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.core.paper import dec
from trading.core.account import AccountState, position_key
from trading.core.amounts import HUNDRED, ZERO, is_multiple, money
from trading.core.configuration import RiskConfig
from trading.core.events import Reference
from trading.core.positions import Position
from trading.core.rebalance import (
    PlannedTrade,
    Quoted,
    RebalanceMarket,
    RebalanceOptions,
    RebalancePlan,
    Unquoted,
    plan_for_weights,
)
from trading.core.terms import Fee, Side, Terms
from trading.core.valuation import UnknownMark

MODEL = "core"
PLAIN = Terms(instrument_class="equity", currency="USD", tick=Decimal("0.01"), lot=Decimal(1))
Held = Mapping[tuple[str, str], object]


def quoted(price: object, *, ask: object = None, terms: Terms = PLAIN) -> Quoted:
    bid, asked = (
        Reference(symbol="", price=dec(each), rate=Decimal(1))
        for each in (price, price if ask is None else ask)
    )
    return Quoted(terms, bid, asked)


def planned(
    weights: Mapping[str, object],
    prices: Mapping[str, object],
    *,
    cash: object = 1000,
    held: Held | None = None,
    collar: object = 0,
    **options: object,
) -> RebalancePlan:
    """Return the plan. prices: a number, or what `quoted` or Unquoted made. held: by symbol and strategy."""
    quotes = {
        symbol: each if isinstance(each, Quoted | Unquoted) else quoted(each)
        for symbol, each in prices.items()
    }
    state = AccountState(id="ACC", cash=dec(cash), config=RiskConfig(collar=dec(collar)))
    for (symbol, strategy), quantity in (held or {}).items():
        state.positions[position_key(symbol, strategy)] = Position(
            symbol=symbol, strategy=strategy, terms=PLAIN, quantity=dec(quantity)
        )
    marks = {symbol: each.bid for symbol, each in quotes.items() if isinstance(each, Quoted)}
    return plan_for_weights(
        state,
        MODEL,
        {symbol: dec(weight) for symbol, weight in weights.items()},
        RebalanceMarket(quotes, marks),
        RebalanceOptions(**{name: dec(value) for name, value in options.items()}),
    )


def orders(plan: RebalancePlan) -> list[tuple[str, str, int]]:
    return [(each.side or "", each.symbol, int(each.quantity)) for each in plan.trades if each.side]


def reasons(plan: RebalancePlan) -> dict[str, str]:
    return {each.symbol: each.reason for each in plan.trades if each.reason}


CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str, int]], dict[str, str]]] = {
    "bought": ({"weights": {"A": 0.5, "B": 0.3}, "prices": {"A": 100, "B": 7}}, [("buy", "A", 5), ("buy", "B", 42)], {}),
    "sold first": (
        {
            "weights": {"A": 0.1, "B": 0.3, "C": 0.6}, "prices": {"A": 10, "B": 10, "C": 10}, "cash": 0,
            "held": {("A", MODEL): 100},
        },
        [("sell", "A", 90), ("buy", "B", 30), ("buy", "C", 60)], {},
    ),
    "not named any more": (
        {"weights": {"A": 1}, "prices": {"A": 10, "B": 10}, "held": {("B", MODEL): "7.5"}, "cash": 5},
        [("sell", "B", 7), ("buy", "A", 8)], {},
    ),
    "of other strategies": (
        {"weights": {"A": 0.5}, "prices": {"A": 10, "B": 10}, "held": {("A", "else"): 40, ("B", ""): -20}, "cash": 1200},
        [("buy", "A", 40)], {},
    ),
    "not named: no minimum": (
        {
            "weights": {"A": 0.5}, "prices": {"A": 10, "B": 10}, "held": {("A", MODEL): 49, ("B", MODEL): 1}, "cash": 500,
            "minimum_trade": 50,
        },
        [("sell", "B", 1)], {"A": "below_minimum"},
    ),
    "too little": (
        {"weights": {"A": 0.5, "B": 0.005}, "prices": {"A": 10, "B": 10}, "minimum_trade": 20}, [("buy", "A", 50)],
        {"B": "below_lot"},
    ),
    "below the minimum": (
        {"weights": {"A": 0.5, "B": 0.015}, "prices": {"A": 10, "B": 10}, "minimum_trade": 20}, [("buy", "A", 50)],
        {"B": "below_minimum"},
    ),
    "a buffer that the weights leave": (
        {"weights": {"A": 0.5}, "prices": {"A": 10}, "cash_buffer": 20}, [("buy", "A", 50)], {},
    ),
    "a buffer that they do not leave": (
        {"weights": {"A": 0.5, "B": 0.5}, "prices": {"A": 10, "B": 10}, "cash_buffer": 20},
        [("buy", "A", 40), ("buy", "B", 40)], {"A": "cash", "B": "cash"},
    ),
    "the collar": (
        {"weights": {"A": 0.6, "B": 0.4}, "prices": {"A": 10, "B": 10}, "collar": 25}, [("buy", "A", 48), ("buy", "B", 32)],
        {"A": "cash", "B": "cash"},
    ),
    "the collar, within the cash": (
        {"weights": {"A": 0.5, "B": 0.3}, "prices": {"A": 10, "B": 10}, "collar": 25}, [("buy", "A", 50), ("buy", "B", 30)], {},
    ),
    "the ask is dearer than the mark": (
        {"weights": {"A": 0.5, "B": 0.5}, "prices": {"A": quoted(10, ask=11), "B": 10}}, [("buy", "A", 47), ("buy", "B", 47)],
        {"A": "cash", "B": "cash"},
    ),
    "fees": (
        {
            "weights": {"A": 0.6, "B": 0.4},
            "prices": {"A": quoted(10, terms=msgspec.structs.replace(PLAIN, fee=Fee(minimum=Decimal(5)))), "B": 10},
        },
        [("buy", "A", 59), ("buy", "B", 39)], {"A": "cash", "B": "cash"},
    ),
    "beside a position of another strategy": (
        {"weights": {"A": 0.5}, "prices": {"A": 10}, "cash": 0, "held": {("A", MODEL): 10, ("A", "else"): 90}},
        [("sell", "A", 5)], {},
    ),
    "no price": (
        {"weights": {"A": 0.5, "B": 0.5}, "prices": {"A": 10, "B": Unquoted("no_reference_price", "none")}}, [("buy", "A", 50)],
        {"B": "no_reference_price"},
    ),
    "nothing to invest": ({"weights": {"A": 0.5}, "prices": {"A": 10}, "cash": 0}, [], {"A": "no_equity"}),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "traded", "left"), CASES.values(), ids=CASES)
def test_a_plan(asked: dict[str, Any], traded: list[tuple[str, str, int]], left: dict[str, str]) -> None:
    plan = planned(**asked)
    assert (orders(plan), reasons(plan)) == (traded, left)


def test_weights_are_parts_of_what_others_leave() -> None:
    plan = planned({"A": 0.5}, {"A": 10, "B": 10}, cash=700, held={("A", MODEL): 10, ("B", ""): 20})
    (trade,) = plan.trades
    assert (plan.equity, plan.investable, plan.cash) == (dec(1000), dec(800), dec(700))
    assert (trade.before, trade.after, trade.cost) == (dec("0.125"), dec("0.5"), dec(300))


def test_an_account_without_a_value_has_no_plan() -> None:
    unknown = Unquoted("no_reference_price", "none")
    with pytest.raises(UnknownMark):
        planned({"A": 0.5}, {"A": 10, "B": unknown}, held={("B", ""): 1})


def test_a_plan_survives_being_stored() -> None:
    plan = planned({"A": 0.5, "B": 0.1}, {"A": 10, "B": 2000}, held={("A", MODEL): "0.5"})
    assert msgspec.convert(msgspec.to_builtins(plan), RebalancePlan) == plan


_prices = st.decimals("0.01", 5000, places=2)
_lots = st.sampled_from([Decimal(1), Decimal("0.01"), Decimal(100)])


@st.composite
def _accounts(draw: st.DrawFn) -> dict[str, Any]:
    symbols = ["A", "B", "C", "D", "E"]
    fee = Fee(
        per_unit=draw(st.sampled_from([ZERO, Decimal("0.005")])),
        minimum=draw(st.sampled_from([ZERO, Decimal(1)])),
    )
    prices = {}
    for symbol in symbols:
        price = draw(_prices)
        terms = msgspec.structs.replace(PLAIN, lot=draw(_lots), fee=fee)
        prices[symbol] = quoted(
            price, ask=price + draw(st.sampled_from([ZERO, Decimal("0.05")])), terms=terms
        )
    parts = draw(st.lists(st.integers(1, 100), min_size=1, max_size=5))
    named = draw(st.permutations(symbols))[: len(parts)]
    held = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(symbols), st.sampled_from([MODEL, "", "else"])),
            st.decimals(1, 1000, places=2),
            max_size=6,
        )
    )
    return {
        "weights": {
            symbol: Decimal(part) / max(sum(parts), 100) for symbol, part in zip(named, parts, strict=True)
        },
        "prices": prices,
        "cash": draw(st.decimals(0, 10**6, places=2)),
        "held": held,
        "collar": draw(st.sampled_from([0, 5])),
        "minimum_trade": draw(st.sampled_from([0, 500])),
        "cash_buffer": draw(st.sampled_from([0, 2, 50])),
    }


@given(_accounts())
def test_what_always_holds(asked: dict[str, Any]) -> None:
    plan, quotes = planned(**asked), asked["prices"]
    mine = {symbol: dec(each) for (symbol, strategy), each in asked["held"].items() if strategy == MODEL}
    assert sorted(each.symbol for each in plan.trades) == sorted({*asked["weights"], *mine})
    assert [each.side for each in plan.trades] == sorted(
        (each.side for each in plan.trades), key=[Side.SELL, Side.BUY, None].index
    )
    cost = sum((each.cost for each in plan.trades), ZERO)
    bought = sum((each.cost for each in plan.of_side(Side.BUY)), ZERO)
    buffer = money(plan.investable, dec(asked["cash_buffer"]) / HUNDRED)
    assert not bought or plan.cash - cost >= buffer
    for trade in plan.trades:
        _check(trade, quotes[trade.symbol], plan, asked)


def _check(trade: PlannedTrade, quote: Quoted, plan: RebalancePlan, asked: dict[str, Any]) -> None:
    after = trade.held + trade.quantity * (trade.side.sign if trade.side else 0)
    assert after >= 0
    off = abs(trade.weight * plan.investable - after * quote.unit)
    if not trade.weight:
        assert after == 0 or trade.reason == "no_equity"
    elif not trade.reason or trade.reason == "below_lot":
        assert off <= quote.unit * quote.terms.lot
    if trade.side is not None and trade.weight:
        assert is_multiple(trade.quantity, quote.terms.lot)
        assert money(trade.quantity, quote.unit) >= asked["minimum_trade"]


@given(_accounts())
def test_what_was_reached_is_left_alone(asked: dict[str, Any]) -> None:
    plan = planned(**asked)
    held, cash = dict(asked["held"]), asked["cash"]
    for trade in plan.trades:
        quote = asked["prices"][trade.symbol]
        if trade.side is not None:
            held[trade.symbol, MODEL] = trade.held + trade.quantity * trade.side.sign
            cash -= money(trade.quantity * trade.side.sign, quote.unit)
    moved = {key: quantity for key, quantity in held.items() if quantity}
    again = planned(**{**asked, "held": moved, "cash": cash})
    fitting = {each.symbol for each in plan.trades if not each.reason}
    assert [each.symbol for each in again.trades if each.side and each.symbol in fitting] == []
