"""The tick of an order: the instrument's, that of rule 612, or none."""

from decimal import Decimal
from typing import Any

import pytest

from store.instruments import CRYPTO, EQUITY, FX, Instrument
from tests.trading.desks import TradingDesk, coin, prints
from trades.stores import market_store
from trading.core.events import OrderAccepted, decoded
from trading.core.orders import OrderTerms, OrderType
from trading.core.terms import TRADABLE, Side
from trading.exceptions import RiskRefused
from trading.market.symbols import market
from trading.models import EventRow, ExecutionRow
from trading.services.orders import position_close
from trading.services.previews import preview_document, trade_preview


@pytest.mark.parametrize(
    ("price", "tick"), [("1", "0.01"), ("0.9999", "0.0001"), ("-0.5", "0.0001"), ("90", "0.01")]
)
def test_below_a_dollar_that_of_a_share_is_smaller(price: str, tick: str):
    assert TRADABLE[EQUITY].tick_at(Decimal(price)) == Decimal(tick)


@pytest.mark.usefixtures("default_store")
@pytest.mark.parametrize(
    ("declared", "tick"),
    [
        ({"instrument_class": EQUITY, "currency": "USD"}, "0.01"),
        ({"instrument_class": EQUITY, "currency": "USD", "tick_size": 0.05}, "0.05"),
        ({"instrument_class": EQUITY, "currency": "GBP"}, None),
        ({"instrument_class": CRYPTO, "currency": "USD"}, None),
        ({"instrument_class": CRYPTO, "currency": "USD", "tick_size": 0.05}, "0.05"),
        ({"instrument_class": FX, "currency": "USD"}, None),
    ],
)
def test_it_is_the_instruments_or_that_of_rule_612(declared: dict[str, Any], tick: str | None):
    market_store().set_instrument(Instrument("COIN", **declared))
    assert market().terms("COIN").tick_at(Decimal(2)) == (None if tick is None else Decimal(tick))


def desk_of(price: float) -> TradingDesk:
    """An account, and a coin without a tick that costs so much."""
    coin()
    prints("COIN", (0, price, 1e6))
    return TradingDesk()


@pytest.mark.django_db
@pytest.mark.usefixtures("default_store")
class TestWithoutATick:
    """A coin at 0.4321, and one at 0.00000812."""

    @pytest.mark.parametrize(
        ("price", "bought", "sold"),
        [(0.4321, "0.43218642", "0.43201358"), (0.00000812, "0.000008121624", "0.000008118376")],
    )
    def test_a_fill_is_two_basis_points_from_the_print(self, price: float, bought: str, sold: str):
        desk = desk_of(price)
        for side, seconds in ((Side.BUY, 1), (Side.SELL, 3)):
            desk.order("COIN", side, 1_000)
            prints("COIN", (seconds, price, 1e9), (seconds + 1, price, 1e9))
            desk.run()
        found = [desk.execution(row)[1] for row in ExecutionRow.objects.order_by("id")]
        assert found == [Decimal(bought), Decimal(sold)]
        desk.check()

    def test_any_price_may_be_a_limit(self):
        order = desk_of(0.4321).order(
            "COIN", Side.BUY, 1_000, type=OrderType.LIMIT, limit_price="0.43211234567"
        )
        (row,) = EventRow.objects.filter(name="order_accepted")
        event = decoded(row.body)
        assert isinstance(event, OrderAccepted)
        assert (event.order_id, event.terms.tick) == (order, None)
        assert "tick" not in [each.name for each in event.checks]

    def test_the_collar_is_exact_and_the_preview_names_no_tick(self):
        desk = desk_of(0.4321)
        order = OrderTerms(symbol="COIN", side=Side.BUY, quantity=Decimal(1))
        assert (
            preview_document(trade_preview(account=desk.account, order=order, owner="key"), "USD").tick
            is None
        )
        desk.order("COIN", Side.BUY, 1_000)
        event = decoded(EventRow.objects.get(name="order_accepted").body)
        assert isinstance(event, OrderAccepted)
        # 5 % above 0.4321.
        assert event.collar == Decimal("0.453705")

    def test_a_cost_that_rounds_to_nothing_is_refused(self):
        desk = desk_of(0.00000812)
        with pytest.raises(RiskRefused, match="the cost, rounded to six decimals, must be above zero"):
            desk.order("COIN", Side.BUY, "0.05")
        # 0.07 * 0.00000853 (the collar) is 0.0000006.
        desk.order("COIN", Side.BUY, "0.07")

    def test_a_position_is_closed_with_the_tick_of_now(self):
        desk = desk_of(0.43)
        desk.order("COIN", Side.BUY, 100)
        prints("COIN", (1, 0.43, 1e6))
        desk.run()
        market_store().set_instrument(
            Instrument("COIN", instrument_class=CRYPTO, currency="USD", tick_size=0.01)
        )
        position_close(account=desk.account, symbol="COIN", strategy="", by="test")
        prints("COIN", (3, 0.43, 1e6))
        desk.run()
        found = [desk.execution(row)[1] for row in ExecutionRow.objects.order_by("id")]
        assert found == [Decimal("0.430086"), Decimal("0.42")]
