"""What the store says of a symbol: terms, prices, rates, and the logs of its orders."""

from decimal import Decimal
from typing import Any

import pytest

from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.instruments import CRYPTO, EQUITY, FRACTIONAL, FUTURE, FX, OPTION, WHOLE_UNITS, Instrument
from store.market_store import MarketStore
from store.timestamps import DAY_NS, SECOND_NS
from tests.trading.stored import NOON, SYMBOL, append, correct, quote, ref, trade
from trades.stores import market_store
from trading.core.events import Reference
from trading.core.terms import TRADABLE, Side, Terms, terms_by_class
from trading.documents.orders import ReferenceDocument
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.symbols import market

HOUR_NS = 3_600 * SECOND_NS
LATER = NOON + 3_600 * SECOND_NS


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def bought(now_ns: int = LATER, side: Side = Side.BUY, currency: str = "USD") -> Reference:
    return market().reference(SYMBOL, currency, side=side, now_ns=now_ns)


def declared(store: MarketStore, **facts: Any) -> Terms:
    store.set_instrument(Instrument(SYMBOL, **facts))
    return market().terms(SYMBOL)


@pytest.mark.django_db
class TestTerms:
    @pytest.mark.parametrize("name", TRADABLE)
    def test_they_are_those_of_the_class(self, store, name: str):
        terms = declared(store, instrument_class=name, multiplier=1.0)
        assert terms == TRADABLE[name]

    def test_the_instrument_has_its_own(self, store):
        facts = {"instrument_class": FUTURE, "currency": "EUR", "tick_size": 0.25, "multiplier": 50.0}
        terms = declared(store, **facts)
        assert (terms.currency, terms.tick, terms.multiplier) == ("EUR", Decimal("0.25"), Decimal(50))
        assert terms.is_margined

    def test_only_contracts_have_a_multiplier(self, store):
        assert declared(store, instrument_class=EQUITY, multiplier=100.0).multiplier == 1

    @pytest.mark.parametrize(("kind", "lot"), [(WHOLE_UNITS, Decimal(1)), (FRACTIONAL, Decimal("1E-8"))])
    def test_the_lot_follows_the_kind_of_volume(self, store, kind: str, lot: Decimal):
        assert declared(store, instrument_class=CRYPTO, volume_kind=kind).lot == lot

    def test_the_currency_of_a_pair_is_that_of_its_price(self, store):
        store.set_instrument(Instrument("USD-JPY", instrument_class=FX))
        assert market().terms("USD-JPY").currency == "JPY"

    def test_the_settings_change_those_of_a_class(self, store, settings):
        changes = {"shortable": False, "borrow_rate": 0.25, "maintenance_margin": 0.4}
        settings.TRADING_TERMS = terms_by_class({EQUITY: changes})
        terms = declared(store, tick_size=0.05)
        assert (terms.shortable, terms.borrow_rate) == (False, Decimal("0.25"))
        assert (terms.maintenance_margin, terms.tick) == (Decimal("0.4"), Decimal("0.05"))
        assert terms.initial_margin == TRADABLE[EQUITY].initial_margin
        assert settings.TRADING_TERMS[CRYPTO] == TRADABLE[CRYPTO]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"shares": {}}, "shares is not traded here"),
            ({"equity": {"tick": 1}}, "equity: Object contains unknown field `tick`"),
            ({"equity": {"shortable": 1}}, "equity: Expected `bool`"),
        ],
    )
    def test_wrong_settings_are_named(self, changes, words):
        with pytest.raises(ValueError, match=words):
            terms_by_class(changes)

    def test_options_are_refused(self, store):
        with pytest.raises(NotTradable, match="of the class option, which is not traded here"):
            market().terms("AAPL250117C00190000")
        with pytest.raises(NotTradable):
            declared(store, instrument_class=OPTION)

    def test_a_future_without_a_multiplier_is_refused(self, store):
        with pytest.raises(NotTradable, match="has no multiplier"):
            declared(store, instrument_class=FUTURE)


class TestPrices:
    def test_a_buy_is_at_the_ask_and_a_sell_at_the_bid(self, store):
        rows = [quote(1, 99.5, 100.5), quote(2, 99.25, 100.75)]
        quotes, trades = append(store, QUOTES, *rows), append(store, TRADES, trade(3, 100.1))
        reference = bought()
        assert reference == Reference(
            symbol=SYMBOL,
            price=Decimal("100.75"),
            rate=Decimal(1),
            bid=Decimal("99.25"),
            ask=Decimal("100.75"),
            last=Decimal("100.1"),
            at_ns=rows[1]["timestamp"],
            refs=(ref(quotes, 1, rows[1], QUOTES), ref(trades, 0, trade(3))),
        )
        assert bought(side=Side.SELL).price == Decimal("99.25")

    def test_without_a_quote_it_is_the_last_price(self, store):
        trades = append(store, TRADES, trade(2, 102.0), trade(1, 101.0))
        reference = bought()
        assert (reference.price, reference.at_ns) == (Decimal("102.0"), trade(2)["timestamp"])
        assert (reference.bid, reference.ask, reference.refs) == (None, None, (ref(trades, 0, trade(2)),))

    def test_a_quote_without_a_side_is_left_out(self, store):
        append(store, QUOTES, quote(5, None, 101.0))
        append(store, TRADES, trade(1, 100.0))
        assert bought().price == bought(side=Side.SELL).price == Decimal("100.0")
        append(store, QUOTES, quote(6, 0.0, 101.5))
        assert (bought().price, bought(side=Side.SELL).bid) == (Decimal("101.5"), None)

    def test_a_quote_that_is_not_firm_is_left_out(self, store):
        append(store, QUOTES, quote(1, 99.0, 100.0), quote(2, conditions="non_firm"))
        assert (bought().ask, bought().at_ns) == (Decimal("100.0"), quote(1)["timestamp"])

    @pytest.mark.parametrize("bid", [101.0, 102.0], ids=["locked", "crossed"])
    def test_a_locked_or_crossed_quote_is_the_newest(self, store, bid: float):
        append(store, QUOTES, quote(1, 99.0, 100.0), quote(2, bid, 101.0))
        assert (bought().price, bought().at_ns) == (Decimal("101.0"), quote(2)["timestamp"])
        assert bought(side=Side.SELL).price == Decimal(str(bid))
        assert ReferenceDocument.of(bought()).crossed is (bid > 101.0)

    def test_a_quote_that_is_much_older_than_the_last_price_is_left_out(self, store):
        append(store, QUOTES, quote(0))
        append(store, TRADES, trade(3_601, 110.0))
        assert (bought(LATER + DAY_NS).price, bought(LATER + DAY_NS).ask) == (Decimal("110.0"), None)

    @pytest.mark.parametrize(
        "odd",
        [{"conditions": "odd_lot"}, {"volume": 0.0}, {"seconds": 6 * 3_600}],
        ids=["odd lot", "no volume", "after the close"],
    )
    def test_a_print_that_is_not_of_the_market_is_no_last_price(self, store, odd: dict[str, Any]):
        store.set_instrument(Instrument(SYMBOL, exchange="XNYS", bar_policy="us_equities"))
        append(store, TRADES, trade(1, 101.0), trade(**{"seconds": 2, "price": 102.0} | odd))
        assert bought(LATER + DAY_NS).last == Decimal("101.0")

    def test_it_is_found_behind_many_that_do_not_count(self, store):
        first = append(store, TRADES, trade(0, 99.0))
        append(store, TRADES, *(trade(1 + n / 1000, 102.0, conditions="odd_lot") for n in range(3_000)))
        assert bought().refs == (ref(first, 0, trade(0)),)

    def test_corrections_count_and_name_the_row(self, store):
        trades = append(store, TRADES, trade(1, 101.0), trade(2, 102.0))
        correct(store, trade(2, 102.0), price=103.0)
        assert (bought().price, bought().refs) == (Decimal("103.0"), (ref(trades, 1, trade(2)),))
        correct(store, trade(2, 103.0))
        assert (bought().price, bought().refs) == (Decimal("101.0"), (ref(trades, 0, trade(1)),))

    def test_a_new_row_or_declaration_counts_at_once(self, store):
        append(store, TRADES, trade(1, 101.0), trade(2, 102.0, conditions="seller"))
        assert [bought().price, bought().price] == [Decimal("102.0")] * 2
        store.set_instrument(Instrument(SYMBOL, bar_policy="us_equities"))
        assert bought().price == Decimal("101.0")
        append(store, TRADES, trade(3, 103.0))
        assert bought().price == Decimal("103.0")

    def test_rows_after_now_are_not_known(self, store):
        append(store, TRADES, trade(1, 101.0), trade(2, 102.0))
        assert bought(trade(1)["timestamp"]).price == Decimal("101.0")
        with pytest.raises(NoReferencePrice, match="AAPL has no price of the regular session yet: extended"):
            bought(trade(0)["timestamp"])

    def test_without_trades_it_is_the_close_of_a_stored_bar(self, store):
        prices = {"open": 1.0, "high": 4.0, "low": 1.0, "close": 2.5, "volume": 5.0}
        bar = {"timestamp": NOON, "resolution": "5m", **prices}
        receipt, end_ns = append(store, BARS, bar), NOON + 300 * SECOND_NS
        with pytest.raises(NoReferencePrice):
            bought(end_ns - 1)
        reference = bought(end_ns)
        assert (reference.price, reference.at_ns) == (Decimal("2.5"), end_ns)
        assert reference.refs == (ref(receipt, 0, bar, BARS),)
        append(store, TRADES, trade(1, conditions="odd_lot"))
        with pytest.raises(NoReferencePrice):
            bought(end_ns)

    def test_without_a_row_there_is_no_price(self, store):
        with pytest.raises(NoReferencePrice):
            bought()


class TestRates:
    @pytest.fixture(autouse=True)
    def in_euro(self, store) -> None:
        store.set_instrument(Instrument(SYMBOL, currency="EUR"))

    @pytest.mark.parametrize(
        ("symbol", "rate"),
        [
            ("EUR-USD", Decimal("1.25")),
            ("EURUSD", Decimal("1.25")),
            ("USD-EUR", Decimal("0.8")),
            ("USDEUR", Decimal("0.8")),
        ],
    )
    def test_it_is_the_middle_of_the_pair(self, store, symbol: str, rate: Decimal):
        append(store, TRADES, trade())
        pair = append(store, QUOTES, quote(3, 1.0, 1.5), symbol=symbol)
        assert bought().rate == rate
        assert bought().refs[-1] == ref(pair, 0, quote(3), QUOTES, symbol)

    def test_without_both_sides_it_is_the_last_price(self, store):
        append(store, QUOTES, quote(3, None, 1.5), symbol="EUR-USD")
        pair = append(store, TRADES, trade(1, 1.2), symbol="EUR-USD")
        found = ref(pair, 0, trade(1), symbol="EUR-USD")
        assert market().rate("EUR", "USD", now_ns=LATER) == (Decimal("1.2"), found)
        assert market().rate("USD", "EUR", now_ns=LATER) == (Decimal("0.833333333333333"), found)

    def test_a_crossed_quote_is_a_mark_and_no_rate(self, store):
        rows = [quote(1, 1.2, 1.2), quote(2, 1.3, 1.1)]
        pair = append(store, QUOTES, *rows, symbol="EUR-USD")
        found = Decimal("1.2"), ref(pair, 0, rows[0], QUOTES, "EUR-USD")
        assert market().rate("EUR", "USD", now_ns=LATER) == found
        # Also if the newest quote that may be a mark is asked for between.
        mark, _ = market().newest("EUR-USD", LATER)
        assert mark is not None
        assert mark.ref == ref(pair, 1, rows[1], QUOTES, "EUR-USD")
        assert market().rate("EUR", "USD", now_ns=LATER) == found

    def test_without_quotes_and_trades_it_is_the_close_of_the_last_bar(self, store):
        prices = {"open": 1.0, "high": 4.0, "low": 1.0, "volume": None, "resolution": "1h"}
        hours = [{"timestamp": NOON + n * HOUR_NS, "close": 2.0 + n, **prices} for n in range(4)]
        pair = append(store, BARS, *hours, symbol="EUR-USD")
        assert market().rate("EUR", "USD", now_ns=NOON) is None
        second = Decimal("3.0"), ref(pair, 1, hours[1], BARS, "EUR-USD")
        assert market().rate("EUR", "USD", now_ns=NOON + 2 * HOUR_NS) == second
        # A quote counts until the last bar is more than an hour younger.
        at_ns = NOON + 2 * HOUR_NS + HOUR_NS // 2
        append(store, QUOTES, {"timestamp": at_ns, "bid": 7.0, "ask": 9.0}, symbol="EUR-USD")
        for after_ns, rate in (
            (at_ns - 1, "3.0"),
            (at_ns, "8.0"),
            (NOON + 3 * HOUR_NS, "8.0"),
            (NOON + 4 * HOUR_NS, "5.0"),
        ):
            rate_then = market().rate("EUR", "USD", now_ns=after_ns)
            assert rate_then is not None
            assert rate_then[0] == Decimal(rate)

    def test_the_same_currency_needs_no_pair(self, store):
        append(store, TRADES, trade())
        assert (bought(currency="EUR").rate, len(bought(currency="EUR").refs)) == (Decimal(1), 1)

    def test_without_a_pair_there_is_no_rate(self, store):
        append(store, TRADES, trade())
        with pytest.raises(
            NoRate, match="no rate from EUR to USD: store quotes, trades or bars of EUR-USD or USD-EUR"
        ):
            bought()


class TestLogs:
    def test_orders_follow_the_logs_of_the_symbol(self, store):
        trades = append(store, TRADES, trade())
        unknown = {
            f"{each.name}:{SYMBOL}": "0-000000" for each in (QUOTES, CORPORATE_ACTIONS, TRADING_STATUS)
        }
        assert market().heads(SYMBOL, "USD") == {f"trades:{SYMBOL}": trades.commit.token} | unknown

    def test_bars_only_without_trades(self, store):
        assert f"{BARS.name}:{SYMBOL}" in market().heads(SYMBOL, "USD")

    def test_those_of_the_pair_that_converts_the_currency(self, store):
        store.set_instrument(Instrument(SYMBOL, currency="EUR"))
        pair = append(store, QUOTES, quote(3, 1.0, 1.5), symbol="USD-EUR")
        assert market().heads(SYMBOL, "USD")["quotes:USD-EUR"] == pair.commit.token
        assert not [name for name in market().heads(SYMBOL, "EUR") if "USD" in name]
