"""A refusal says what must be, so that it is never the opposite of what is wrong."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.trading.core.paper import PLAIN, Paper, order_of
from trading.core import risk
from trading.core.configuration import RiskConfig, Zone
from trading.core.orders import OrderTerms
from trading.core.risk import propose, verdict
from trading.core.terms import TRADABLE, AccountKind, Terms

CASES: dict[str, tuple[OrderTerms, dict[str, Any], str]] = {
    "lot": (order_of("1.5"), {}, "the quantity must be a multiple of the lot"),
    "tick": (order_of(1, limit="99.995"), {}, "limit_price must be a multiple of the tick"),
    "cost": (
        order_of("0.0000001"),
        {"terms": replace(PLAIN, lot=Decimal("1E-9")), "price": "0.00001"},
        "the cost, rounded to six decimals, must be above zero",
    ),
    "collar": (order_of(1, limit=200), {}, "the limit must not be further beyond the market than the collar"),
    "take_profit": (order_of(1, take_profit=90), {}, "take_profit must be above the order's price"),
    "stop_loss": (order_of(1, stop_loss=110), {}, "stop_loss must be below the order's price"),
    "take_profit of a short": (
        order_of(-1, take_profit=110),
        {},
        "take_profit must be below the order's price",
    ),
    "stop_loss of a short": (order_of(-1, stop_loss=90), {}, "stop_loss must be above the order's price"),
    "position": (order_of(-1, reduce_only=True), {}, "there must be a position that the order reduces"),
    "trading": (order_of(1), {"status": "stopped"}, "trading is stopped"),
    "zone": (order_of(1), {"zone": Zone.HALT}, "the zone is HALT"),
    "order_rate": (
        order_of(1),
        {"config": RiskConfig(orders_per_minute=0)},
        "the account may place only so many orders within a minute",
    ),
    "price_age": (order_of(1), {"age_seconds": 3_600}, "the market's price must not be older than the limit"),
    "short": (
        order_of(-1),
        {"kind": AccountKind.CASH},
        "selling short needs a margin account and an instrument that may be shorted",
    ),
    "margin_account": (
        order_of(1),
        {"kind": AccountKind.CASH, "terms": TRADABLE["future"]},
        "futures need a margin account",
    ),
    "symbol_exposure": (order_of(9_000), {}, "symbol exposure must be within its limit"),
    "gross_exposure": (
        order_of(2_000),
        {"config": RiskConfig(max_gross_exposure=Decimal(1))},
        "gross exposure must be within its limit",
    ),
    "trade_risk": (order_of(2_000, stop_loss=50), {}, "trade risk must be within its limit"),
    "buying_power": (
        order_of(20_000),
        {"kind": AccountKind.CASH},
        "there must be money for all positions and orders",
    ),
    "daily_loss": (order_of(1), {"day_equity": Decimal(9_000_000)}, "daily loss must be below its limit"),
    "total_loss": (order_of(1), {"start_equity": Decimal(9_000_000)}, "total loss must be below its limit"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_says_what_must_be(name: str) -> None:
    order, given, text = CASES[name]
    case = dict(given)
    terms: Terms = case.pop("terms", PLAIN)
    price, age = case.pop("price", 100), case.pop("age_seconds", 0)
    made = {key: case.pop(key) for key in ("kind", "config") if key in case}
    paper = Paper(terms=terms, **made)
    for key, value in case.items():
        setattr(paper.state, key, value)
    paper.now_ns += age * 10**9
    marks = {order.symbol: paper.reference(order.symbol, price, at_ns=paper.now_ns - age * 10**9)}
    proposal = propose(paper.state, order, terms, marks[order.symbol])
    found = verdict(paper.state, proposal, marks, now_ns=paper.now_ns)
    messages = {check.name: check.message for check in found.failed}
    assert messages[name.split(maxsplit=1)[0]] == text


def test_every_check_is_here() -> None:
    """A new check needs its sentence."""
    source = Path(risk.__file__).read_text()
    names = set(re.findall(r'name="([a-z_]+)"', source)) | {
        "symbol_exposure",
        "gross_exposure",
        "daily_loss",
        "total_loss",
        "take_profit",
        "stop_loss",
    }
    assert names - {each.split()[0] for each in CASES} == {"marks", "open_orders"}
