"""Drawdown through each zone and back: what each allows, as the table of docs/trading_rules.md says."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import transaction

from tests.trading.desks import FREE, TradingDesk, at_ns, prints
from trading.core.configuration import Zone
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.terms import Side
from trading.exceptions import TradingError
from trading.models import EventRow
from trading.services.accounts import account_transfer, halt_release, risk_override, trading_start
from trading.services.orders import order_cancel, order_replace, position_close

pytestmark = [pytest.mark.django_db, pytest.mark.system]

RULES = Path(__file__).resolve().parents[3] / "docs" / "trading_rules.md"
CONFIG = msgspec.structs.replace(
    FREE, max_symbol_exposure=Decimal(100), daily_loss=Decimal(100), total_loss=Decimal(100)
)
HELD, OTHER, UNITS, EQUITY = "HELD", "OTHER", 900, 100_000
# The prices of what is held at which the drawdown is 4 %, 7 % and 11 %.
PRICES = {Zone.NORMAL: 100.0, Zone.CAUTION: 95.6, Zone.DANGER: 92.3, Zone.HALT: 87.8}
GTC = {"time_in_force": TimeInForce.GTC}


class Market:
    """A desk whose account holds a position, so that the position's price drives its drawdown."""

    def __init__(self) -> None:
        self.seconds = -2
        self.print(100.0)
        self.desk = TradingDesk(config=CONFIG, deposit=EQUITY)
        self.desk.run()
        self.desk.order(HELD, Side.BUY, UNITS)
        self.print(100.0)
        self.working = self.desk.order(OTHER, Side.BUY, 1, type=OrderType.LIMIT, limit_price=90, **GTC)
        reducing = {"type": OrderType.STOP, "stop_price": 80, "reduce_only": True, **GTC}
        self.protective = self.desk.order(HELD, Side.SELL, UNITS, **reducing)
        self.print(100.0)

    def print(self, price: float) -> None:
        """Both symbols trade: `HELD` at a price, `OTHER` at 100, and again a second later, when the account is valued."""
        self.seconds += 2
        prints(HELD, (self.seconds, price, 1e6))
        prints(OTHER, (self.seconds, 100.0, 1e6), (self.seconds + 1, 100.0, 1e6))
        # The second run tells the data clock, which the first has moved.
        for _ in range(2 if self.seconds else 0):
            self.desk.run()

    @property
    def zone(self) -> Zone:
        return self.desk.state.zone

    def opens(self, percent: float, *, loss: float | None = None) -> None:
        """Order for a part of the equity; loss: per cent of the price at the order's stop."""
        units = self.desk.state.equity * Decimal(str(percent)) / 100 / 100
        stop = {} if loss is None else {"stop_loss": 100 - loss}
        order = {"type": OrderType.LIMIT, "limit_price": 100, **stop, **GTC}
        self.desk.order(OTHER, Side.BUY, units.to_integral_value(ROUND_FLOOR), **order)

    def loses(self, percent: float) -> None:
        self.opens(percent * 20, loss=5)

    def overrides(self) -> None:
        account, until_ns = self.desk.account, at_ns(86_400)
        risk_override(
            account=account, risk_level=Decimal("0.60"), until_ns=until_ns, reason="test", by="test"
        )
        self.loses(0.29)

    def lowers(self) -> None:
        account, until_ns = self.desk.account, at_ns(86_400)
        risk_override(account=account, risk_level=Decimal(0), until_ns=until_ns, reason="test", by="test")
        assert self.desk.state.risk_level == 0

    def raises(self) -> None:
        units = self.desk.state.equity * 5 / 100 / 100
        self.desk.order(HELD, Side.BUY, units.to_integral_value(ROUND_FLOOR), time_in_force=TimeInForce.GTC)

    def replaces(self, order_id: str, **terms: Any) -> None:
        order = msgspec.structs.replace(self.desk.find(order_id).terms, **terms)
        order_replace(
            account=self.desk.account, order_id=UUID(order_id), order=order, changes=terms, by="test"
        )

    def reduces(self) -> None:
        self.desk.order(HELD, Side.SELL, 10, reduce_only=True)
        position_close(account=self.desk.account, symbol=HELD, strategy="", by="test")

    def cancels(self) -> None:
        order_cancel(account=self.desk.account, order_id=UUID(self.protective), by="test")

    def keeps(self) -> None:
        assert self.desk.find(self.working).state is OrderState.WORKING

    def protects(self) -> None:
        for _ in range(2):
            self.print(79.0)
        assert HELD not in self.desk.state.positions

    def starts(self) -> None:
        trading_start(account=self.desk.account, by="test")

    def deposits(self) -> None:
        drawdown, zone = self.desk.state.drawdown, self.zone
        account_transfer(name=self.desk.name, transfer="second", amount=Decimal(50_000))
        # A drawdown has six decimals.
        assert abs(self.desk.state.drawdown - drawdown) < Decimal("0.00001")
        assert self.zone is zone


DEEDS: dict[str, Callable[[Market], None]] = {
    "open, losing 0.29 % of the equity at its `stop_loss`": lambda market: market.loses(0.29),
    "open, losing 0.14 %": lambda market: market.loses(0.14),
    "open, losing 0.07 %": lambda market: market.loses(0.07),
    "open, losing 0.29 %, with an override to 0.60": Market.overrides,
    "open, for 95 % of the equity": lambda market: market.opens(95),
    "open, for 45 %": lambda market: market.opens(45),
    "open, for 20 %": lambda market: market.opens(20),
    "raise a position of 90 % of the equity by 5 %": Market.raises,
    "replace an opening order": lambda market: market.replaces(market.working, limit_price=Decimal(89)),
    "replace a protective stop": lambda market: market.replaces(market.protective, stop_price=Decimal(81)),
    "lower the risk level by an override": Market.lowers,
    "reduce a position by an order, or close it": Market.reduces,
    "cancel an order": Market.cancels,
    "keep an opening order that works already": Market.keeps,
    "fill a protective stop": Market.protects,
    "start trading": Market.starts,
    "pay money in": Market.deposits,
}


@pytest.fixture
def market(default_store: Any) -> Iterator[Market]:
    found = Market()
    yield found
    found.desk.check()


def is_allowed(market: Market, deed: Callable[[Market], None]) -> bool:
    """Try something, and undo it."""
    with transaction.atomic():
        try:
            deed(market)
        except (TradingError, AssertionError):
            return False
        finally:
            transaction.set_rollback(True)
        return True


def table() -> dict[str, list[Zone]]:
    """Return the page's table: each act, and the zones that allow it."""
    lines = RULES.read_text().splitlines()
    begin = lines.index("| act | allowed up to |") + 2
    zones = list(PRICES)
    rows = [line.strip("| ").split(" | ") for line in lines[begin : lines.index("", begin)]]
    return {act: zones[: zones.index(Zone[last]) + 1] for act, last in rows}


def test_what_each_zone_allows_is_what_the_page_says(default_store: Any):
    market = Market()
    filled = "fill a protective stop"
    allowed: dict[str, list[Zone]] = {deed: [] for deed in DEEDS if deed != filled}
    for zone, price in PRICES.items():
        market.print(price)
        assert market.zone is zone
        for deed, zones in allowed.items():
            if is_allowed(market, DEEDS[deed]):
                zones.append(zone)
    assert {**allowed, filled: list(PRICES)} == table()


@pytest.mark.parametrize("zone", PRICES)
def test_a_protective_stop_fills_in_every_zone(market: Market, zone: Zone):
    market.print(PRICES[zone])
    assert market.zone is zone
    market.protects()
    assert market.desk.find(market.protective).state is OrderState.FILLED


def test_a_zone_ends_one_per_cent_below_its_beginning_and_a_halt_by_a_person(market: Market):
    # Drawdowns of 2.5 %, 3.3 %, 2.2 %, 1.7 %; 6.3 %, 5.3 %, 4.8 %; 10.3 %, 0.1 %.
    steps = (97.3, 96.4, 97.6, 98.2, 93.1, 94.2, 94.7, 88.6, 100.0)
    zones = []
    for price in steps:
        market.print(price)
        zones.append(market.zone.value)
    assert zones == [
        "NORMAL", "CAUTION", "CAUTION", "NORMAL", "DANGER", "DANGER", "CAUTION", "HALT", "HALT",
    ]  # fmt: skip
    assert market.desk.find(market.working).state is OrderState.CANCELLED
    assert market.desk.find(market.protective).state is OrderState.WORKING
    with suppress(TradingError):
        market.loses(0.07)
    assert EventRow.objects.filter(name="order_accepted").count() == 3
    halt_release(account=market.desk.account, reason="looked at", by="test")
    assert market.zone is Zone.NORMAL
    market.loses(0.07)


def test_an_old_price_changes_no_zone(market: Market):
    prints(OTHER, (300, 100.0, 1e6))
    market.desk.run()
    # Stored now, and printed five minutes ago.
    prints(HELD, (market.seconds + 1, PRICES[Zone.HALT], 1e6))
    for second in (301, 302):
        prints(OTHER, (second, 100.0, 1e6))
        market.desk.run()
    assert market.zone is Zone.NORMAL
    prints(HELD, (303, PRICES[Zone.HALT], 1e6))
    prints(OTHER, (304, 100.0, 1e6))
    market.desk.run()
    assert market.zone.value == "HALT"
