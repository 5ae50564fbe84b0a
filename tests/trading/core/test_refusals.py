"""A refusal says what is wrong, with its numbers."""

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
    "lot": (order_of("1.5"), {}, "the quantity 1.5 must be above zero and a multiple of the lot 1"),
    "tick": (order_of(1, limit="99.995"), {}, "limit_price must be a multiple of the tick of 0.01, and is 99.995"),
    "cost": (
        order_of("0.0000001"), {"terms": replace(PLAIN, lot=Decimal("1E-9")), "price": "0.00001"},
        "the cost, rounded to six decimals, must be above zero",
    ),
    "collar": (order_of(1, limit=200), {}, "the limit is 100 percent beyond the market, over the collar of 5"),
    "take_profit": (order_of(1, take_profit=90), {}, "take_profit must be above the order's price of 100, and is 90"),
    "stop_loss": (order_of(1, stop_loss=110), {}, "stop_loss must be below the order's price of 100, and is 110"),
    "take_profit of a short": (
        order_of(-1, take_profit=110), {}, "take_profit must be below the order's price of 100, and is 110",
    ),
    "stop_loss of a short": (order_of(-1, stop_loss=90), {}, "stop_loss must be above the order's price of 100, and is 90"),
    "position": (order_of(-1, reduce_only=True), {}, "there is no position that the order reduces"),
    "trading": (order_of(1), {"status": "stopped"}, "trading is stopped"),
    "zone": (order_of(1), {"zone": Zone.HALT}, "the zone is HALT"),
    "order_rate": (
        order_of(1), {"config": RiskConfig(orders_per_minute=0)}, "1 orders within a minute would be over the limit of 0",
    ),
    "price_age": (order_of(1), {"age_seconds": 3_600}, "the market's price is 3,600 s old, over the limit of 60 s"),
    "short": (
        order_of(-1), {"kind": AccountKind.CASH}, "selling short needs a margin account and an instrument that may be shorted",
    ),
    "margin_account": (order_of(1), {"kind": AccountKind.CASH, "terms": TRADABLE["future"]}, "futures need a margin account"),
    "symbol_exposure": (order_of(9_000), {}, "symbol exposure 94.5 percent of equity would be over the limit of 25"),
    "gross_exposure": (
        order_of(2_000), {"config": RiskConfig(max_gross_exposure=Decimal(1))},
        "gross exposure 21 percent of equity would be over the limit of 1",
    ),
    "trade_risk": (order_of(2_000, stop_loss=50), {}, "trade risk 10 percent of equity would be over the limit of 0.3"),
    "buying_power": (
        order_of(20_000), {"kind": AccountKind.CASH},
        "2,100,000 USD would be needed for all positions and orders, and 1,000,000 are there",
    ),
    "daily_loss": (
        order_of(1), {"day_equity": Decimal(9_000_000)}, "the daily loss of 88.89 percent has reached the limit of 3",
    ),
    "total_loss": (
        order_of(1), {"start_equity": Decimal(9_000_000)}, "the total loss of 88.89 percent has reached the limit of 10",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_says_what_is_wrong(name: str) -> None:
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
