"""The tick of an order: declared, of the class, or by the digits of the prices that are known when it comes."""

from decimal import Decimal
from typing import Any

import pytest

from store.datasets import BARS, QUOTES
from store.instruments import CRYPTO, EQUITY, FX, Instrument
from tests.trading.desks import TradingDesk, at_ns, coin, prints, stored
from trades.stores import market_store
from trading.core.amounts import finest_step
from trading.core.events import OrderAccepted, decoded
from trading.core.orders import OrderTerms, OrderType
from trading.core.terms import TRADABLE, Side
from trading.exceptions import NotTradable, RiskRefused
from trading.market.symbols import market
from trading.models import EventRow, ExecutionRow, InstrumentTerms
from trading.services.orders import position_close
from trading.services.previews import preview_document, trade_preview

NOW = at_ns(3_600)


@pytest.mark.parametrize(
    ("prices", "step"),
    [
        ([0.4321, 0.43, 0.5], "0.0001"),
        ([0.00000812], "1E-8"),
        ([8.119999999999998e-06], "1E-21"),
        ([5_000.25, 5_001.0], "0.01"),
        ([100.0, 2_300.0], "100"),
        ([-37.63], "0.01"),
        ([0.0, float("nan")], None),
        ([], None),
    ],
)
def test_the_finest_step_has_the_digits_of_all_prices(prices: list[float], step: str | None):
    assert finest_step(prices) == (None if step is None else Decimal(step))


class TestShares:
    """US equities: rule 612 of the SEC."""

    @pytest.mark.parametrize(
        ("price", "tick"), [("1", "0.01"), ("0.9999", "0.0001"), ("-0.5", "0.0001"), ("90", "0.01")]
    )
    def test_below_a_dollar_it_is_smaller(self, price: str, tick: str):
        assert TRADABLE[EQUITY].tick_at(Decimal(price)) == Decimal(tick)


@pytest.mark.django_db
class TestTheTick:
    @pytest.fixture(autouse=True)
    def store(self, default_store: Any) -> None:
        coin()

    def tick(self, now_ns: int = NOW, symbol: str = "COIN") -> Decimal:
        return market().order_terms(symbol, now_ns=now_ns).tick

    def test_it_has_the_digits_of_the_prices(self):
        prints("COIN", (0, 0.43, 1), (1, 0.4321, 1), (2, 0.44, 1))
        assert self.tick() == Decimal("0.0001")

    def test_it_is_at_most_that_of_the_class(self):
        prints("COIN", (0, 42_000.0, 1))
        assert self.tick() == Decimal("0.01")

    def test_later_prices_do_not_count(self):
        prints("COIN", (0, 0.43, 1), (10, 0.4321, 1))
        assert self.tick(at_ns(9)) == Decimal("0.01")
        assert self.tick(at_ns(10)) == Decimal("0.0001")

    def test_what_is_stored_next_counts(self):
        prints("COIN", (0, 0.43, 1))
        assert self.tick() == Decimal("0.01")
        prints("COIN", (1, 0.4321, 1))
        assert self.tick() == Decimal("0.0001")

    def test_quotes_count_too(self):
        prints("COIN", (0, 0.43, 1))
        stored(QUOTES, "COIN", [{"timestamp": at_ns(1), "bid": 0.43205, "ask": None}])
        assert self.tick() == Decimal("0.00001")

    def test_without_trades_bars_count_that_have_ended(self):
        bar = {"resolution": "1m", "open": 0.432, "high": 0.43215, "low": 0.43, "close": 0.43, "volume": 1.0}
        stored(BARS, "COIN", [{**bar, "timestamp": at_ns(0)}])
        assert self.tick(at_ns(59)) == Decimal("0.01")
        assert self.tick(at_ns(60)) == Decimal("0.00001")

    def test_a_declared_one_holds(self):
        prints("COIN", (0, 0.4321, 1))
        InstrumentTerms.objects.create(symbol="COIN", tick="0.05")
        assert self.tick() == Decimal("0.05")
        market_store().set_instrument(Instrument("SHARE", currency="USD", tick_size=0.05))
        terms = market().order_terms("SHARE", now_ns=NOW)
        assert terms.tick_at(Decimal("0.5")) == Decimal("0.05")

    @pytest.mark.parametrize(("kind", "price", "tick"), [(FX, 0.0000613, "1E-7"), (CRYPTO, 0.0834, "0.0001")])
    def test_so_with_other_classes(self, kind: str, price: float, tick: str):
        market_store().set_instrument(Instrument("COIN", instrument_class=kind, currency="USD"))
        prints("COIN", (0, price, 1))
        assert self.tick() == Decimal(tick)

    def test_shares_of_other_countries_have_the_digits_of_their_prices(self):
        market_store().set_instrument(Instrument("COIN", currency="GBP"))
        prints("COIN", (0, 0.4325, 1))
        terms = market().order_terms("COIN", now_ns=NOW)
        assert (terms.tick, terms.tick_below_one) == (Decimal("0.0001"), None)


def desk_of(price: float) -> TradingDesk:
    """An account, and a coin that costs so much."""
    coin()
    prints("COIN", (0, price, 1e6))
    return TradingDesk()


def executed(desk: TradingDesk) -> list[Decimal]:
    return [desk.execution(row)[1] for row in ExecutionRow.objects.order_by("id")]


@pytest.mark.django_db
@pytest.mark.usefixtures("default_store")
class TestOrders:
    """The reported cases: a coin at 0.4321, one at 0.00000812. 2 basis points of slippage are less than a tick."""

    @pytest.mark.parametrize(
        ("price", "bought", "sold"),
        [(0.4321, "0.4322", "0.4320"), (0.00000812, "0.00000813", "0.00000811")],
    )
    def test_a_fill_is_a_tick_from_the_print(self, price: float, bought: str, sold: str):
        desk = desk_of(price)
        for side, seconds in ((Side.BUY, 1), (Side.SELL, 3)):
            desk.order("COIN", side, 1_000)
            prints("COIN", (seconds, price, 1e9), (seconds + 1, price, 1e9))
            desk.run()
        assert executed(desk) == [Decimal(bought), Decimal(sold)]
        desk.check()

    def test_the_event_has_it(self):
        desk_of(0.4321).order("COIN", Side.BUY, 1_000)
        (row,) = EventRow.objects.filter(name="order_accepted")
        event = decoded(row.body)
        assert isinstance(event, OrderAccepted)
        assert event.terms.tick == Decimal("0.0001")
        # 5 % above 0.4321 is 0.453705.
        assert event.collar == Decimal("0.4537")

    def test_the_preview_says_it(self):
        desk = desk_of(0.4321)
        order = OrderTerms(symbol="COIN", side=Side.BUY, quantity=Decimal(1))
        previewed = trade_preview(account=desk.account, order=order, owner="key")
        assert preview_document(previewed).tick == 0.0001

    def test_a_limit_at_the_price_of_the_market_is_on_the_tick(self):
        desk_of(0.4321).order("COIN", Side.BUY, 1_000, type=OrderType.LIMIT, limit_price="0.4321")

    def test_a_cost_that_rounds_to_nothing_is_refused(self):
        desk = desk_of(0.00000812)
        with pytest.raises(RiskRefused, match="the cost, rounded to six decimals, must be above zero"):
            desk.order("COIN", Side.BUY, "0.05")
        # 0.07 * 0.00000853 (the collar) is 0.0000006.
        desk.order("COIN", Side.BUY, "0.07")

    def test_a_position_is_closed_with_the_tick_of_now(self):
        desk = desk_of(0.43)
        desk.order("COIN", Side.BUY, 100)
        prints("COIN", (1, 0.43, 1e6), (2, 0.4321, 1e6))
        desk.run()
        desk.run()
        position_close(account=desk.account, symbol="COIN", strategy="", by="test")
        prints("COIN", (3, 0.4321, 1e6))
        desk.run()
        assert executed(desk) == [Decimal("0.44"), Decimal("0.4320")]


@pytest.mark.django_db
@pytest.mark.usefixtures("default_store")
@pytest.mark.parametrize("terms", [{"lot": "1E-400"}, {"tick": "1E-400"}, {"lot": "1E+300"}])
def test_terms_from_before_that_cannot_be_computed_with_are_named(terms: dict[str, str]):
    """Before, each order of the symbol was an error of the server."""
    desk = desk_of(0.4321)
    InstrumentTerms.objects.create(symbol="COIN", **terms)
    with pytest.raises(
        NotTradable, match=f"the {next(iter(terms))} of COIN is beyond what is computed exactly"
    ):
        desk.order("COIN", Side.BUY, 1)
