"""Options on indices: European, AM- or PM-settled by their root, in the chain of their index."""

from typing import Any

import orjson
import pytest

from store.instruments import OPTION, Instrument
from tests.api_client import Api, answer, trade
from tests.stats.market_data.options.market import chain_of, page_of, rows_of, store_quotes, surface_of
from trades.stores import market_store

pytestmark = pytest.mark.django_db
AT, LATER = "2024-01-02T15:00:01Z", "2024-01-02T15:30:00Z"
RATES: dict[str, Any] = {"rate": 0.05, "dividend_yield": 0.014}
SPX_PUT, SPXW_PUT = "SPX241220P05200000", "SPXW241220P05200000"


def store_index(api: Api, symbol: str, price: float) -> None:
    response = api.ingest(trade(timestamp="2024-01-02T15:00:00Z", symbol=symbol, price=price, volume=100))
    assert response.status_code == 200, response.content


def store_quote(api: Api, symbol: str, mid: float) -> None:
    store_quotes(api, [{"timestamp": AT, "symbol": symbol, "bid": mid - 1, "ask": mid + 1}])


def greeks_page(api: Api, symbol: str) -> Any:
    return page_of(api, symbol, start=AT, end=LATER, **RATES)


@pytest.fixture
def market(api: Api) -> Api:
    """The S&P 500 at 4740, and a put at 450 of either settlement: below the value of an immediate exercise."""
    store_index(api, "SPX", 4740.0)
    for symbol in (SPX_PUT, SPXW_PUT):
        store_quote(api, symbol, 450.0)
    return api


@pytest.mark.parametrize(
    ("symbol", "last_trade", "t", "iv"),
    [
        (SPX_PUT, "2024-12-19T21:00:00Z", 0.965068461440893, 0.1536302),
        (SPXW_PUT, "2024-12-20T21:00:00Z", 0.967808187468290, 0.1536113),
    ],
    ids=["am", "pm"],
)
def test_the_root_decides_about_time_and_volatility(
    market: Api, symbol: str, last_trade: str, t: float, iv: float
):
    """The volatilities are those of Black, Scholes and Merton at 4740, 5 % and 1.4 %, solved by scipy's brentq."""
    page = greeks_page(market, symbol)
    assert (page["underlying"], page["exercise"], page["last_trade"]) == ("SPX", "european", last_trade)
    (row,) = page["greeks"]
    assert row["reason"] is None
    assert row["t"] == pytest.approx(t, rel=1e-12)
    assert row["iv"] == pytest.approx(iv, abs=1e-7)
    (same,) = rows_of(market, symbol, "implied-volatility", start=AT, end=LATER, **RATES)
    assert same["iv"] == row["iv"]


@pytest.mark.parametrize(
    ("symbol", "index", "exercise", "last_trade"),
    [
        ("VIX241218C00015000", "VIX", "european", "2024-12-17T21:00:00Z"),
        ("VIXW241224C00015000", "VIX", "european", "2024-12-23T21:00:00Z"),
        ("NDX240719P17000000", "NDX", "european", "2024-07-18T20:00:00Z"),
        ("NDXP240719P17000000", "NDX", "european", "2024-07-19T20:00:00Z"),
        ("RUT240621C02000000", "RUT", "european", "2024-06-20T20:00:00Z"),
        ("RUTW240628C02000000", "RUT", "european", "2024-06-28T20:00:00Z"),
        ("XSP240315C00470000", "XSP", "european", "2024-03-15T20:00:00Z"),
        ("DJX240315C00380000", "DJX", "european", "2024-03-14T20:00:00Z"),
        ("XEO240315C02200000", "XEO", "european", "2024-03-15T20:00:00Z"),
        ("OEX240315C02200000", "OEX", "american", "2024-03-15T20:00:00Z"),
        # Until 2015 the expiry of a symbol was the Saturday: the Friday's opening settles.
        ("SPX141220P02000000", "SPX", "european", "2014-12-18T21:00:00Z"),
        ("SPY241220P00520000", "SPY", "american", "2024-12-20T21:00:00Z"),
    ],
)
def test_each_root_has_its_last_trade(api: Api, symbol: str, index: str, exercise: str, last_trade: str):
    store_quote(api, symbol, 20.0)
    page = greeks_page(api, symbol)
    assert (page["underlying"], page["exercise"], page["last_trade"]) == (index, exercise, last_trade)


def test_the_chain_of_an_index_has_all_its_roots(market: Api):
    for found in (chain_of(market, "SPX", end=LATER, **RATES), surface_of(market, "SPX", end=LATER, **RATES)):
        volatilities = {row["symbol"]: row["iv"] for row in found}
        assert volatilities == {
            SPX_PUT: pytest.approx(0.15363, abs=5e-6),
            SPXW_PUT: pytest.approx(0.15361, abs=5e-6),
        }
    response = market.get("/api/v1/instruments", {"underlying": "SPX"})
    terms = {row["symbol"]: (row["exercise"], row["settlement"]) for row in answer(response)["instruments"]}
    assert terms == {SPX_PUT: ("european", "am"), SPXW_PUT: ("european", "pm")}


def test_pairs_of_another_settlement_imply_no_forward(market: Api):
    """A call of SPXW makes a pair with the put of SPXW, not with that of SPX, which expires a day before."""
    store_quote(market, "SPXW241220C05200000", 150.0)
    sources = {
        row["symbol"]: row["forward_source"] for row in chain_of(market, "SPX", end=LATER, rate=RATES["rate"])
    }
    assert sources == {
        SPX_PUT: "spot",
        SPXW_PUT: "parity",
        "SPXW241220C05200000": "parity",
    }


def test_declared_terms_override_those_of_the_root(market: Api):
    def declare(**terms: str) -> None:
        body = orjson.dumps({"class": "option", **terms})
        response = market.call("PUT", f"/api/v1/instruments/{SPX_PUT}", body)
        assert response.status_code == 200, response.content

    declare(exercise="american", settlement="pm")
    page = greeks_page(market, SPX_PUT)
    assert (page["exercise"], page["last_trade"]) == ("american", "2024-12-20T21:00:00Z")
    assert (page["greeks"][0]["iv"], page["greeks"][0]["reason"]) == (None, "below_intrinsic")
    # What is not declared comes from the root.
    declare(settlement="pm")
    page = greeks_page(market, SPX_PUT)
    assert (page["underlying"], page["exercise"]) == ("SPX", "european")
    assert page["last_trade"] == "2024-12-20T21:00:00Z"


def test_an_option_of_another_name_is_exercised_as_its_index(market: Api):
    """A name of a broker does not say which settlement it is: that is PM unless declared."""
    declared = Instrument(
        "SPX DEC24 5200 P", instrument_class=OPTION, underlying="SPX", expiry="2024-12-20", strike=5200.0, right="put"
    )  # fmt: skip
    market_store().set_instrument(declared)
    store_quote(market, declared.symbol, 450.0)
    page = greeks_page(market, declared.symbol)
    assert (page["exercise"], page["last_trade"]) == ("european", "2024-12-20T21:00:00Z")
    assert page["greeks"][0]["iv"] == pytest.approx(0.1536113, abs=1e-7)
