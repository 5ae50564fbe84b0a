"""Each check of an order at its bound, and what orders that reduce need not pass."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.trading.core.folded import these
from tests.trading.core.paper import BEGIN_NS, PLAIN, SECOND_NS, Paper, dec, order_of
from trading.core.configuration import RiskConfig, Zone
from trading.core.events import Check, Reference
from trading.core.orders import OrderTerms
from trading.core.risk import RiskVerdict, propose, verdict
from trading.core.terms import TRADABLE, AccountKind, Fee, Slippage, Terms
from trading.core.valuation import UnknownMark, equity_of, maintenance_of

CASH, MARGIN = AccountKind.CASH, AccountKind.MARGIN
USUAL = RiskConfig()
WIDE = RiskConfig(max_symbol_exposure=Decimal(9000), max_gross_exposure=Decimal(9000))
_CONTRACT: dict[str, Any] = {"multiplier": Decimal(50), "fee": Fee(), "slippage": Slippage()}
FUTURE = replace(TRADABLE["future"], **_CONTRACT)
CONTRACT = replace(FUTURE, contract_margin=Decimal(12_000))
Change = Callable[[Paper], object]


def _failed(found: RiskVerdict) -> list[str]:
    return [check.name for check in found.failed]


def _nothing(_: Paper) -> None:
    pass


def _state(**values: object) -> Change:
    def change(paper: Paper) -> None:
        for name, value in values.items():
            setattr(paper.state, name, value)

    return change


def _holding(signed: int, price: object = 100, **fields: Any) -> Change:
    return lambda paper: paper.buy_and_hold(signed, price, **fields)


def _working(signed: int, **fields: Any) -> Change:
    return lambda paper: paper.accept(order_of(signed, **fields))


@dataclass
class Bound:
    """An order that passes a check, and one that fails it alone. The equity is 1,000,000, the price 100."""

    check: str
    passes: OrderTerms
    fails: OrderTerms
    config: RiskConfig = USUAL
    kind: AccountKind = MARGIN
    terms: Terms = PLAIN
    before: Change = _nothing


_BOUNDS = {
    "lot": Bound("lot", order_of(3), order_of("3.5")),
    "tick": Bound("tick", order_of(3, limit="99.99"), order_of(3, limit="99.995")),
    "tick_of_a_stop": Bound("tick", order_of(3, stop="100.01"), order_of(3, stop="100.011")),
    "tick_of_a_leg": Bound("tick", order_of(3, stop_loss="90.01"), order_of(3, stop_loss="90.001")),
    "collar": Bound("collar", order_of(3, limit=105), order_of(3, limit="105.01")),
    "collar_of_a_sell": Bound("collar", order_of(-3, limit=95), order_of(-3, limit="94.99")),
    "limit_far_below": Bound("collar", order_of(3, limit=1), order_of(3, limit=200)),
    "target": Bound("take_profit", order_of(3, take_profit="100.01"), order_of(3, take_profit=100)),
    "target_of_a_short": Bound("take_profit", order_of(-3, take_profit="99.99"), order_of(-3, take_profit=100)),
    "stop_loss": Bound("stop_loss", order_of(3, stop_loss="99.99"), order_of(3, stop_loss=100)),
    "stop_loss_of_a_short": Bound("stop_loss", order_of(-3, stop_loss="100.01"), order_of(-3, stop_loss=100)),
    # 25 % of the equity: 2,500 units at a limit of 100.
    "symbol": Bound("symbol_exposure", order_of(2500, limit=100), order_of(2501, limit=100)),
    "symbol_at_the_collar": Bound("symbol_exposure", order_of(2380), order_of(2381)),
    "symbol_at_a_stops_collar": Bound("symbol_exposure", order_of(2164, stop=110), order_of(2165, stop=110)),
    "symbol_at_a_stop_that_is_reached": Bound("symbol_exposure", order_of(2380, stop=1), order_of(2381, stop=1)),
    "symbol_at_a_stop_limit": Bound(
        "symbol_exposure", order_of(1000, stop=110, limit=250), order_of(1001, stop=110, limit=250)
    ),
    "symbol_of_a_short_at_the_collar_above": Bound(
        "symbol_exposure", order_of(-2380, limit=100), order_of(-2381, limit=100)
    ),
    "symbol_with_a_position": Bound(
        "symbol_exposure", order_of(1500, limit=100), order_of(1501, limit=100), before=_holding(1000)
    ),
    "symbol_with_an_order": Bound(
        "symbol_exposure", order_of(1500, limit=100), order_of(1501, limit=100), before=_working(1000, limit=100)
    ),
    "symbol_with_a_position_of_another_strategy": Bound(
        "symbol_exposure", order_of(1500, limit=100), order_of(1501, limit=100), before=_holding(1000, strategy="swing")
    ),
    # The long may be closed while the sell order works: it is not counted against it.
    "symbol_of_a_turn": Bound("symbol_exposure", order_of(-2380), order_of(-2381), before=_holding(2000)),
    "caution": Bound(
        "symbol_exposure", order_of(1250, limit=100), order_of(1251, limit=100), before=_state(zone=Zone.CAUTION)
    ),
    "danger": Bound("symbol_exposure", order_of(625, limit=100), order_of(626, limit=100), before=_state(zone=Zone.DANGER)),
    "gross": Bound(
        "gross_exposure", order_of(2000, limit=100), order_of(2001, limit=100),
        config=RiskConfig(max_gross_exposure=Decimal(30)), before=_working(1000, symbol="MSFT", limit=100),
    ),
    # The risk level: 0.3 % of the equity is 3,000.
    "trade_risk": Bound("trade_risk", order_of(1500, stop_loss=98), order_of(1501, stop_loss=98)),
    "trade_risk_of_a_limit": Bound(
        "trade_risk", order_of(1500, limit=99, stop_loss=97), order_of(1501, limit=99, stop_loss=97)
    ),
    "trade_risk_of_a_stop": Bound(
        "trade_risk", order_of(300, stop=110, stop_loss=100), order_of(301, stop=110, stop_loss=100)
    ),
    "trade_risk_in_caution": Bound(
        "trade_risk", order_of(750, stop_loss=98), order_of(751, stop_loss=98), before=_state(zone=Zone.CAUTION)
    ),
    # A cash account pays everything: 10,000 units at 100.
    "cash": Bound("buying_power", order_of(10_000, limit=100), order_of(10_001, limit=100), config=WIDE, kind=CASH),
    "cash_with_fees": Bound(
        "buying_power", order_of(9_000, limit=100), order_of(9_001, limit=100), config=WIDE, kind=CASH,
        terms=replace(PLAIN, fee=Fee(minimum=Decimal(100_000))),
    ),
    "cash_with_an_order": Bound(
        "buying_power", order_of(6_000, limit=100), order_of(6_001, limit=100), config=WIDE, kind=CASH,
        before=_working(4000, limit=100),
    ),
    "cash_with_a_position": Bound(
        "buying_power", order_of(6_000, limit=100), order_of(6_001, limit=100), config=WIDE, kind=CASH,
        before=_holding(4000),
    ),
    # Regulation T: half of the value.
    "reg_t": Bound("buying_power", order_of(20_000, limit=100), order_of(20_001, limit=100), config=WIDE),
    "reg_t_of_a_short": Bound("buying_power", order_of(-19_047, limit=100), order_of(-19_048, limit=100), config=WIDE),
    "reg_t_with_a_position": Bound(
        "buying_power", order_of(8_000, limit=100), order_of(8_001, limit=100), config=WIDE, before=_holding(12_000)
    ),
    "reg_t_with_fees_of_orders": Bound(
        "buying_power", order_of(1_000, limit=100), order_of(1_001, limit=100), config=WIDE,
        terms=replace(PLAIN, fee=Fee(minimum=Decimal(450_000))), before=_working(1_000, limit=100),
    ),
    # A future of 50 units: 10 % of 5,000 each; or 12,000 a contract.
    "future": Bound("buying_power", order_of(2_000, limit=100), order_of(2_001, limit=100), config=WIDE, terms=FUTURE),
    "contract_margin": Bound("buying_power", order_of(83, limit=100), order_of(84, limit=100), config=WIDE, terms=CONTRACT),
}  # fmt: skip


@pytest.mark.parametrize("bound", _BOUNDS.values(), ids=_BOUNDS.keys())
def test_bound(bound: Bound) -> None:
    paper = Paper(kind=bound.kind, config=bound.config, terms=bound.terms)
    bound.before(paper)
    assert _failed(paper.judge(bound.passes)) == []
    assert _failed(paper.judge(bound.fails)) == [bound.check]


# An account, and the check that refuses an order of 10 units that opens a position.
_REFUSALS: dict[str, tuple[AccountKind, Terms, int, Change, list[str]]] = {
    "nothing": (MARGIN, PLAIN, 10, _nothing, []),
    "stopped": (MARGIN, PLAIN, 10, _state(status="stopped"), ["trading"]),
    "stopping": (MARGIN, PLAIN, 10, _state(status="stopping"), ["trading"]),
    "halt": (
        MARGIN, PLAIN, 10, _state(zone=Zone.HALT), ["zone", "symbol_exposure", "gross_exposure"],
    ),
    "short_of_a_cash_account": (CASH, PLAIN, -10, _nothing, ["short"]),
    "short_that_cannot_be_borrowed": (MARGIN, replace(PLAIN, shortable=False), -10, _nothing, ["short"]),
    "future_of_a_cash_account": (CASH, FUTURE, 10, _nothing, ["margin_account"]),
    "orders_within_a_minute": (MARGIN, PLAIN, 10, _state(accepted_ns=[BEGIN_NS - 59 * SECOND_NS] * 60), ["order_rate"]),
    "one_order_less": (MARGIN, PLAIN, 10, _state(accepted_ns=[BEGIN_NS - 59 * SECOND_NS] * 59), []),
    "a_minute_later": (MARGIN, PLAIN, 10, _state(accepted_ns=[BEGIN_NS - 60 * SECOND_NS] * 60), []),
    "daily_loss": (MARGIN, PLAIN, 10, _state(day_equity=dec(1_000_000) / dec("0.97")), ["daily_loss"]),
    "less_of_a_daily_loss": (MARGIN, PLAIN, 10, _state(day_equity=dec(1_030_927)), []),
    "total_loss": (MARGIN, PLAIN, 10, _state(start_equity=dec(1_000_000) / dec("0.9")), ["total_loss"]),
    "less_of_a_total_loss": (MARGIN, PLAIN, 10, _state(start_equity=dec(1_111_111)), []),
    "no_equity": (
        MARGIN, PLAIN, 10, _state(cash=Decimal(0)),
        ["symbol_exposure", "gross_exposure", "buying_power", "daily_loss", "total_loss"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "terms", "signed", "before", "failed"), _REFUSALS.values(), ids=_REFUSALS.keys()
)
def test_refusal(kind: AccountKind, terms: Terms, signed: int, before: Change, failed: list[str]) -> None:
    paper = Paper(kind=kind, terms=terms)
    before(paper)
    assert _failed(paper.judge(order_of(signed))) == failed


@pytest.mark.parametrize(("age_ns", "failed"), [(60 * SECOND_NS, []), (60 * SECOND_NS + 1, ["price_age"])])
def test_age_of_the_price(age_ns: int, failed: list[str]) -> None:
    paper = Paper()
    reference = paper.reference("AAPL", at_ns=paper.now_ns - age_ns)
    proposal = propose(paper.state, order_of(10), PLAIN, reference)
    found = verdict(paper.state, proposal, {}, now_ns=paper.now_ns)
    assert _failed(found) == failed
    assert all("is 61 s old, over the limit of 60 s" in check.message for check in found.failed)


def test_what_cannot_be_evaluated_is_refused() -> None:
    paper = Paper()
    assert _failed(paper.judge(order_of(10, limit="0.01"), price=0)) == ["collar"]
    paper.buy_and_hold(10, symbol="MSFT")
    paper.print(100, symbol="MSFT")
    assert _failed(paper.judge(order_of(10))) == ["marks"]
    paper.marks["MSFT"] = paper.reference("MSFT")
    assert _failed(paper.judge(order_of(10))) == []


_CLOSINGS = {
    "market": order_of(-10, reduce_only=True),
    "part_of_a_lot": order_of("-0.5", reduce_only=True),
    "more_than_is_held": order_of(-20, reduce_only=True),
    "limit_beyond_the_collar": order_of(-10, limit=50, reduce_only=True),
    "stop": order_of(-10, stop=90, reduce_only=True),
}


@pytest.mark.parametrize("order", _CLOSINGS.values(), ids=_CLOSINGS.keys())
def test_order_that_reduces_passes_in_every_state(order: OrderTerms) -> None:
    paper = Paper(config=replace(WIDE, orders_per_minute=1))
    paper.buy_and_hold(10)
    for name, value in {"status": "stopped", "zone": Zone.HALT, "cash": Decimal(-10_000)}.items():
        setattr(paper.state, name, value)
    proposal = propose(paper.state, order, PLAIN, paper.reference("AAPL", at_ns=0))
    found = verdict(paper.state, proposal, {}, now_ns=paper.now_ns)
    assert (_failed(found), proposal.collar) == ([], None)


def test_order_that_reduces_needs_a_position_and_a_tick() -> None:
    paper = Paper()
    assert _failed(paper.judge(order_of(-10, reduce_only=True))) == ["position"]
    paper.buy_and_hold(10)
    assert _failed(paper.judge(order_of(10, reduce_only=True))) == ["position"]
    assert _failed(paper.judge(order_of(-10, reduce_only=True, strategy="swing"))) == ["position"]
    assert _failed(paper.judge(order_of(-10, limit="99.999", reduce_only=True))) == ["tick"]


def test_orders_that_reduce_are_not_counted() -> None:
    paper = Paper()
    paper.buy_and_hold(2000)
    before = paper.judge(order_of(500, limit=100))
    for _ in range(100):
        paper.accept(order_of(-2000, stop=90, reduce_only=True))
    found = paper.judge(order_of(500, limit=100))
    assert found.checks[0] == Check(
        name="open_orders", is_passed=True, value=Decimal(101), limit=Decimal(1000), unit="orders",
        message="at most 1,000 orders may be open",
    )  # fmt: skip
    assert replace(found, checks=found.checks[1:]) == replace(before, checks=before.checks[1:])


def test_no_account_has_more_than_a_thousand_open_orders() -> None:
    paper = Paper()
    paper.buy_and_hold(2000)
    for _ in range(1000):
        paper.accept(order_of(-1, stop=90, reduce_only=True))
    for order in (order_of(1, limit=100), order_of(-1, reduce_only=True)):
        assert [check.name for check in paper.judge(order).failed] == ["open_orders"]


def test_verdict_says_what_the_order_comes_to() -> None:
    paper = Paper(terms=replace(PLAIN, fee=Fee(minimum=Decimal(7))))
    paper.accept(order_of(1000, symbol="MSFT", limit=100))
    found = paper.judge(order_of(1000, limit=100))
    assert these(found.equity, found.exposure, found.gross, found.needed) == (
        1_000_000,
        100_000,
        200_000,
        100_014,
    )
    (gross,) = (check for check in found.checks if check.name == "gross_exposure")
    assert these(gross.value, gross.limit) == (20, 100)


@pytest.mark.parametrize(("sign", "limit"), [(-1, "-40"), (1, "-38.50"), (1, "-40")])
def test_below_zero_the_larger_worth_counts(sign: int, limit: str) -> None:
    """At -40 each contract is 2,000: the market's price, at which each of them may fill."""
    paper = Paper(terms=FUTURE, config=RiskConfig(max_symbol_exposure=Decimal(20)))
    assert _failed(paper.judge(order_of(100 * sign, limit=limit), price=-40)) == []
    assert _failed(paper.judge(order_of(101 * sign, limit=limit), price=-40)) == ["symbol_exposure"]


def test_order_in_another_currency_is_counted_in_the_accounts() -> None:
    paper = Paper(rate=(Decimal("1.25"), None))
    assert _failed(paper.judge(order_of(2000, limit=100))) == []
    assert _failed(paper.judge(order_of(2001, limit=100))) == ["symbol_exposure"]


@pytest.mark.parametrize(
    ("terms", "signed", "needed"),
    [
        (PLAIN, 100, "2750"),
        (PLAIN, -100, "3300"),
        (TRADABLE["fx"], 100, "220"),
        (FUTURE, 1, "440"),
        (CONTRACT, -2, "24000"),
    ],
)
def test_maintenance_margin(terms: Terms, signed: int, needed: str) -> None:
    """At a price of 110."""
    paper = Paper(terms=terms, config=RiskConfig(participation=Decimal(100)))
    paper.buy_and_hold(signed)
    marks = {"AAPL": paper.reference("AAPL", 110)}
    assert maintenance_of(paper.state, marks) == dec(needed)


@pytest.mark.parametrize(
    ("terms", "signed", "equity"), [(PLAIN, 100, 1_001_000), (PLAIN, -100, 999_000), (FUTURE, 2, 1_001_000)]
)
def test_equity(terms: Terms, signed: int, equity: int) -> None:
    """Bought at 100, and the mark is 110."""
    paper = Paper(terms=terms)
    paper.buy_and_hold(signed)
    assert equity_of(paper.state, {"AAPL": paper.reference("AAPL", 110)}) == equity
    with pytest.raises(UnknownMark, match="AAPL has no price"):
        equity_of(paper.state, {"MSFT": Reference(symbol="MSFT", price=Decimal(1), rate=Decimal(1))})
