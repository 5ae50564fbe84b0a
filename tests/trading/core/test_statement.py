"""An account beside a broker's statement: what is a break, and adjusting entries that end all breaks."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chance import examples
from tests.trading.core.folded import EQUITY, Folded, order_terms, these
from trading.core.amounts import ONE, ZERO
from trading.core.events import CashAdjusted, PositionAdjusted
from trading.core.statement import (
    BreakKind,
    StatedPosition,
    Statement,
    StatementBreak,
    Tolerances,
    compare,
)
from trading.core.terms import TRADABLE

EXACT = Tolerances(ZERO, ZERO)
FUTURE = TRADABLE["future"]


def stated(cash: Any = None, **positions: tuple[Any, ...]) -> Statement:
    rows = {symbol: StatedPosition(*map(Decimal, row)) for symbol, row in positions.items()}
    return Statement(rows, None if cash is None else Decimal(cash))


def breaks(folded: Folded, statement: Statement) -> list[Any]:
    return [
        (each.symbol, each.kind.value, each.ours, each.theirs)
        for each in compare(folded.state, statement, Tolerances()).breaks
    ]


def adjusted(folded: Folded, symbol: str, change: Any, price: Any, **fields: Any) -> Any:
    given = {"strategy": "", "rate": ONE, "terms": EQUITY, "reason": "", "by": "", **fields}
    return folded.take(
        PositionAdjusted(symbol=symbol, quantity=Decimal(change), price=Decimal(price), **given)
    )


@pytest.fixture
def folded() -> Folded:
    """Ten shares at 100, of two strategies."""
    folded = Folded()
    for quantity, strategy in ((6, "a"), (4, "b")):
        folded.execute(folded.accept(order_terms(quantity, strategy=strategy)), quantity)
    return folded


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ({"AAPL": (10, 100)}, []),
        ({"AAPL": (10,)}, []),
        ({"AAPL": (10, "100.01")}, []),
        ({"AAPL": (10, "100.02")}, [("AAPL", "price", 100, Decimal("100.02"))]),
        ({"AAPL": (12, 100)}, [("AAPL", "quantity", 10, 12)]),
        ({"AAPL": (-10, 100)}, [("AAPL", "quantity", 10, -10)]),
        ({"AAPL": (12, 101)}, [("AAPL", "quantity", 10, 12), ("AAPL", "price", 100, 101)]),
        ({}, [("AAPL", "missing_there", 10, 0)]),
        ({"AAPL": (0, 100)}, [("AAPL", "missing_there", 10, 0)]),
        ({"AAPL": (10, 100), "IBM": (-3, 50)}, [("IBM", "missing_here", 0, -3)]),
        ({"AAPL": (10, 100), "IBM": (0,)}, []),
    ],
    ids=[
        "equal", "without a price", "within the tolerance", "price", "more", "the other side", "both", "not there",
        "none there", "not here", "none anywhere",
    ],
)  # fmt: skip
def test_breaks_of_a_position(folded, positions, expected):
    assert breaks(folded, stated(**positions)) == expected


def test_strategies_are_added_up_and_named(folded):
    (found,) = compare(folded.state, stated(AAPL=(12,)), EXACT).breaks
    assert [these(each.strategy, each.quantity) for each in found.held] == [("a", 6), ("b", 4)]


def test_a_long_and_a_short_have_no_price_together(folded):
    folded.execute(folded.accept(order_terms(-3, strategy="c")), 3, 90)
    assert breaks(folded, stated(AAPL=(7, 500))) == []
    folded.execute(folded.accept(order_terms(-7, strategy="c")), 7, 90)
    assert breaks(folded, stated()) == []


@pytest.mark.parametrize(("cash", "expected"), [("-1000", []), ("-999.99", []), ("-999.98", ["cash"])])
def test_the_cash(folded, cash, expected):
    found = compare(folded.state, stated(cash, AAPL=(10,)), Tolerances())
    assert [each.kind.value for each in found.breaks] == expected
    assert found.agreed == 2 - len(expected)


def test_an_entry_without_cash(folded):
    before, traded = folded.state.cash, folded.state.traded
    effects = adjusted(folded, "AAPL", -2, 110, strategy="a")
    assert folded.state.traded > traded
    assert folded.state.cash == before
    assert [these(entry.account, entry.amount, entry.symbol) for entry in effects.entries] == [
        ("positions", -200, "AAPL"), ("realized", -20, ""), ("adjustment", 220, "AAPL"),
    ]  # fmt: skip


def test_a_price_that_was_booked_wrongly_is_put_right(folded):
    adjusted(folded, "AAPL", 0, 101, strategy="a")
    folded.take(CashAdjusted(amount=Decimal(-6), reason="", by=""))
    assert folded.state.positions["AAPL|a"].average_price == 101
    assert "adjustment USD" in folded.state.balances
    assert folded.state.balances["adjustment USD"] + folded.state.balances["adjustment USD AAPL"] == 0
    (trade,) = folded.execute(folded.accept(order_terms(-6, strategy="a")), 6, 105).closed
    assert these(trade.entry_price, trade.pnl) == (101, 24)


def test_the_quantity_of_a_future_is_a_change_without_entries():
    folded = Folded()
    effects = adjusted(folded, "ES", 2, 5_000, terms=FUTURE)
    assert (effects.entries, folded.state.traded) == ([], folded.state.number)
    assert breaks(folded, stated(ES=(2, 4_000))) == []
    folded.check_replays()


_symbols = st.sampled_from(["AAPL", "IBM", "ES"])
_quantities = st.decimals(-1_000, 1_000, places=2).filter(bool)
_prices = st.decimals("0.01", 1_000, places=4)
_held = st.lists(st.tuples(_symbols, st.sampled_from(["", "a", "b"]), _quantities, _prices), max_size=8)
_rows = st.dictionaries(_symbols, st.tuples(_quantities, st.none() | _prices), max_size=3)


@given(held=_held, rows=_rows, cash=st.none() | st.decimals(-(10**6), 10**6, places=2))
@settings(max_examples=examples(500))
def test_after_adjusting_what_is_reported_nothing_is_left(held: Any, rows: Any, cash: Any):
    folded = Folded()
    for symbol, strategy, quantity, price in held:
        adjusted(folded, symbol, quantity, price, strategy=strategy, terms=_terms(symbol))
    statement = Statement({symbol: StatedPosition(*row) for symbol, row in rows.items()}, cash)
    # A closed part leaves lots of another price, which is a break of its own.
    for _ in range(2):
        for found in compare(folded.state, statement, Tolerances()).breaks:
            _adjust(folded, found)
    names = {*rows, *(position.symbol for position in folded.state.positions.values())}
    assert compare(folded.state, statement, Tolerances()) == ([], len(names) + (cash is not None))
    totals: dict[str, Decimal] = {}
    for key, amount in folded.state.balances.items():
        totals[key.split()[1]] = totals.get(key.split()[1], ZERO) + amount
    assert not any(totals.values())
    folded.check_replays()


def _terms(symbol: str) -> Any:
    return FUTURE if symbol == "ES" else EQUITY


def _adjust(folded: Folded, found: StatementBreak) -> None:
    if found.kind is BreakKind.CASH:
        folded.take(CashAdjusted(amount=found.difference, reason="", by=""))
        return
    price, terms = found.price or Decimal(50), _terms(found.symbol)
    if found.kind is BreakKind.PRICE:
        strategies = [
            each.strategy for each in folded.state.positions.values() if each.symbol == found.symbol
        ]
        for strategy in strategies:
            adjusted(folded, found.symbol, 0, price, strategy=strategy, terms=terms)
        return
    strategy = found.held[0].strategy if found.held else ""
    adjusted(folded, found.symbol, found.difference, price, strategy=strategy, terms=terms)
