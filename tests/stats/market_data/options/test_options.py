"""Greeks and implied volatility over HTTP: what they are made of, and why there are none."""

import numpy as np
import orjson
import pytest

from stats.market_data.options.rows import GREEKS
from store.instruments import FUTURE, OPTION, Instrument
from store.timestamps import parse_timestamp
from tests.api_client import Api, problem
from tests.stats.market_data.options.market import (
    CALL,
    CHAIN,
    LAST_TRADE,
    OPENING,
    PUT,
    RATE,
    ROOT,
    SPOT,
    UNDERLYING,
    VOLATILITY,
    YEAR_NS,
    YIELD,
    Contract,
    chain_of,
    page_of,
    rows_of,
    seconds_after,
    store_chain,
    store_quotes,
    store_spot,
    surface_of,
)  # fmt: skip
from tests.stats.options.oracle import Option
from trades.stores import market_store

T = (LAST_TRADE - parse_timestamp(OPENING)) / YEAR_NS
FORWARD = SPOT * np.exp((RATE - YIELD) * T)


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before a chain that was quoted at the opening."""
    store_chain(api)
    return api


@pytest.mark.parametrize("contract", CHAIN, ids=lambda contract: contract.symbol)
def test_a_quote_implies_what_quantlib_made_it_with(market: Api, contract: Contract):
    (row,) = rows_of(market, contract.symbol, dividend_yield=YIELD)
    assert row["iv"] == pytest.approx(VOLATILITY, abs=2e-5)
    option = Option(contract.is_call, SPOT, contract.strike, T, RATE, YIELD, american=True)
    for name, value in option.greeks(VOLATILITY).items():
        assert row[name] == pytest.approx(value, abs=2e-3 * max(abs(value), 0.01)), name


def test_every_input_is_echoed(market: Api):
    (row,) = rows_of(market, CALL.symbol)
    quoted = CALL.quote(OPENING)
    assert list(row) == [
        "timestamp", "bid", "ask", *GREEKS, "price", "spot", "spot_timestamp", "forward", "forward_source",
        "rate", "rate_source", "dividend_yield", "dividends", "t", "reason",
    ]  # fmt: skip
    assert (row["timestamp"], row["spot_timestamp"], row["bid"], row["ask"]) == (
        OPENING, OPENING, quoted["bid"], quoted["ask"],
    )  # fmt: skip
    assert row["price"] == pytest.approx((quoted["bid"] + quoted["ask"]) / 2)
    assert (row["spot"], row["rate"], row["t"], row["reason"]) == (SPOT, 0.04, T, None)
    assert (row["forward_source"], row["rate_source"]) == ("parity", "settings")
    # The put's premium of early exercise is six thousandths larger than the call's.
    assert row["forward"] == pytest.approx(FORWARD - 0.006, abs=1e-3)
    assert row["dividend_yield"] == pytest.approx(YIELD + 0.0015, abs=2e-4)
    assert row["iv"] == pytest.approx(VOLATILITY, abs=5e-4)


def test_the_head_says_what_the_contract_is(market: Api):
    page = page_of(market, CALL.symbol)
    assert {name: page[name] for name in ("underlying", "expiry", "strike", "right", "exercise", "last_trade")} == {
        "underlying": "ABC", "expiry": "2025-01-17", "strike": 100.0, "right": "call", "exercise": "american",
        "last_trade": "2025-01-17T21:00:00Z",
    }  # fmt: skip


def test_implied_volatility_is_that_of_the_greeks(market: Api):
    (greeks,), (row,) = rows_of(market, PUT.symbol), rows_of(market, PUT.symbol, "implied-volatility")
    assert row == {name: value for name, value in greeks.items() if name not in set(GREEKS) - {"iv"}}


def test_the_parameter_dividend_yield_replaces_parity(market: Api):
    (row,) = rows_of(market, CALL.symbol, dividend_yield="0.03")
    assert (row["forward_source"], row["dividend_yield"]) == ("spot", 0.03)
    assert row["forward"] == pytest.approx(SPOT * np.exp((0.04 - 0.03) * T))


def test_the_parameter_rate_is_the_discount_rate(market: Api):
    (row,) = rows_of(market, CALL.symbol, rate="0.01")
    assert (row["forward_source"], row["rate"], row["rate_source"]) == ("parity", 0.01, "request")
    assert row["forward"] == pytest.approx(FORWARD, abs=0.05)


def test_rates_come_from_the_settings_by_currency(api: Api, settings):
    settings.OPTION_RATES = {"EUR": type(settings.OPTION_RATES["USD"])(rate=0.02, dividend_yield=0.005)}
    store_chain(api, contracts=[CALL])
    market_store().set_instrument(Instrument(UNDERLYING, currency="EUR"))
    (row,) = rows_of(api, CALL.symbol)
    assert (row["rate"], row["dividend_yield"], row["forward_source"]) == (0.02, 0.005, "spot")


def test_the_price_of_a_future_is_its_own_forward(api: Api):
    market_store().set_instrument(Instrument(UNDERLYING, instrument_class=FUTURE))
    store_chain(api, contracts=[CALL])
    (row,) = rows_of(api, CALL.symbol)
    assert row["forward"] == pytest.approx(SPOT)
    # Of a share, a call's would be positive.
    assert row["rho"] < 0
    (of_chain,) = chain_of(api, end=seconds_after(OPENING, 60))
    assert of_chain["rho"] == pytest.approx(row["rho"], rel=1e-3)


ABSENT = {
    "one side": ([{"bid": 2.0, "ask": None}], "one_sided"),
    "less than intrinsic value": ([{"bid": 0.1, "ask": 0.2}], "below_intrinsic"),
    "more than the underlying": ([{"bid": 120.0, "ask": 121.0}], "above_maximum"),
}


@pytest.mark.parametrize(("quotes", "reason"), ABSENT.values(), ids=ABSENT)
def test_without_a_volatility_numbers_are_null_with_a_reason(api: Api, quotes, reason):
    store_spot(api, OPENING)
    deep = Contract(90.0, True)
    store_quotes(api, [{"timestamp": OPENING, "symbol": deep.symbol, **quote} for quote in quotes])
    (row,) = rows_of(api, deep.symbol)
    assert row["reason"] == reason
    assert {row[name] for name in GREEKS} == {None}


def test_without_a_price_of_the_underlying_pairs_are_enough(api: Api):
    store_quotes(api, [contract.quote(OPENING) for contract in CHAIN])
    (row,) = rows_of(api, CALL.symbol)
    assert (row["forward_source"], row["spot_timestamp"], row["reason"]) == ("parity", None, None)
    # Nobody set the yield that the options were made with.
    assert row["spot"] == pytest.approx(row["forward"] * np.exp(-0.04 * T))


def test_without_both_there_is_no_underlying(api: Api):
    store_quotes(api, [CALL.quote(OPENING)])
    (row,) = rows_of(api, CALL.symbol)
    assert (row["reason"], row["spot"], row["forward"], row["forward_source"]) == (
        "no_underlying",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("dataset", ["greeks", "implied-volatility"])
@pytest.mark.parametrize("late", ["2025-01-17T21:00:00Z", "2025-01-17T21:29:00Z", "2025-03-01T12:00:00Z"])
def test_after_the_last_trade_it_is_expired(market: Api, late: str, dataset: str):
    store_quotes(market, [{"timestamp": late, "symbol": CALL.symbol, "bid": 1.0, "ask": 1.1}])
    (row,) = rows_of(market, CALL.symbol, dataset, start=late, end=seconds_after(late, 60))
    assert (row["reason"], row["t"], row["iv"]) == ("expired", 0.0, None)


def test_forwards_come_from_the_quotes_valid_at_each_instant(market: Api):
    # Ten seconds later the underlying is dearer, and so are the options, one after the other.
    later = seconds_after(OPENING, 10)
    store_quotes(market, [CALL.quote(seconds_after(OPENING, 5))])
    store_spot(market, later, 103.0)
    store_quotes(market, [contract.quote(later, spot=103.0) for contract in CHAIN])
    rows = rows_of(market, CALL.symbol)
    assert [row["spot"] for row in rows] == [100.0, 100.0, 103.0]
    assert [round(row["forward"] / row["spot"], 3) for row in rows] == [round(FORWARD / SPOT, 3)] * 3
    assert [row["iv"] for row in rows] == pytest.approx([VOLATILITY] * 3, abs=1e-3)


def test_quotes_are_not_valid_overnight(market: Api):
    morning = "2025-01-03T15:00:00Z"
    store_quotes(market, [CALL.quote(morning)])
    (row,) = rows_of(market, CALL.symbol, start=morning, end="2025-01-03T15:30:00Z")
    assert (row["forward_source"], row["spot"], row["spot_timestamp"]) == ("spot", SPOT, OPENING)


@pytest.mark.parametrize("kind", ["quotes", "ticks", "bars"])
def test_spot_is_the_newest_price(api: Api, kind):
    store_quotes(api, [CALL.quote(seconds_after(OPENING, 120))])
    store_spot(api, OPENING, 90.0)
    at = seconds_after(OPENING, 60)
    bodies = {
        "quotes": ("quotes", [{"timestamp": at, "bid": 99.0, "ask": 101.0}]),
        "ticks": ("quotes", [{"timestamp": OPENING, "bid": 99.0}, {"timestamp": at, "ask": 101.0}]),
        "bars": ("bars", [{"timestamp": OPENING, "resolution": "1m", "open": 1.0, "high": 100.0, "low": 1.0, "close": 100.0, "volume": 1}]),
    }  # fmt: skip
    dataset, rows = bodies[kind]
    body = {dataset: [{"symbol": UNDERLYING, **row} for row in rows]}
    assert api.call("POST", f"/api/v1/{dataset}/ingest", orjson.dumps(body)).status_code == 200
    (row,) = rows_of(api, CALL.symbol)
    assert (row["spot"], row["spot_timestamp"]) == (100.0, at)


def test_declared_calendar_and_settlement_decide_the_last_trade(api: Api):
    symbol = "IDX-C"
    market_store().set_instruments([
        Instrument("IDX", exchange="XNYS"),
        Instrument(
            symbol, instrument_class=OPTION, underlying="IDX", expiry="2014-04-19", strike=100.0, right="call",
            exercise="european", settlement="am",
        ),
    ])  # fmt: skip
    at = "2014-04-16T15:00:00Z"
    store_quotes(api, [{"timestamp": at, "symbol": symbol, "bid": 2.0, "ask": 2.1}])
    page = page_of(api, symbol, start=at, end="2014-04-16T15:30:00Z", dividend_yield="0")
    # Good Friday is closed: Thursday's opening settles, and Wednesday is the last day.
    assert (page["exercise"], page["last_trade"]) == ("european", "2014-04-16T20:00:00Z")


@pytest.mark.parametrize(
    "placed", [{"exchange": "XXXX"}, {"calendar": "none such"}], ids=["exchange", "calendar"]
)
@pytest.mark.parametrize("which", ["option", "underlying"])
def test_an_exchange_without_known_hours_does_not_fail_its_chain(market: Api, placed, which):
    told = {
        "option": Instrument(
            "ODD-C",
            instrument_class=OPTION,
            underlying=UNDERLYING,
            expiry="2025-01-17",
            strike=103.0,
            right="call",
            **placed,
        ),
        "underlying": Instrument(UNDERLYING, **placed),
    }[which]
    before = rows_of(market, CALL.symbol)
    market_store().set_instrument(told)
    assert rows_of(market, CALL.symbol) == before
    symbols = [row["symbol"] for row in surface_of(market, end=seconds_after(OPENING, 60))]
    assert ("ODD-C" in symbols) is (which == "option")
    assert {contract.symbol for contract in CHAIN} <= set(symbols)


REFUSED = {
    "no range": (f"{CALL.symbol}/greeks", {}, (400, "missing_parameter")),
    "no range of a volatility": (f"{CALL.symbol}/implied-volatility", {}, (400, "missing_parameter")),
    "an expiry of a contract": (
        f"{CALL.symbol}/implied-volatility", {"last": "1", "expiry": "2025-01-17"}, (400, "conflicting_parameters"),
    ),
    "a start of a surface": ("ABC/implied-volatility", {"start": OPENING}, (400, "conflicting_parameters")),
    "bars of greeks": (f"{CALL.symbol}/greeks", {"last": "1", "resolution": "1h"}, (400, "unknown_parameter")),
    "a range of a chain of greeks": ("ABC/greeks", {"last": "1"}, (400, "conflicting_parameters")),
    "a surface among several": ("implied-volatility", {"symbols": f"{CALL.symbol},ABC", "last": "1"}, (404, "wrong_class")),
    "an unknown underlying": ("NONE/implied-volatility", {}, (404, "unknown_symbol")),
    "an unknown option": ("ABC250117C00999000/greeks", {"last": "1"}, (404, "unknown_symbol")),
    "terms that nobody told": ("VAGUE/greeks", {"last": "1"}, (404, "no_contract")),
    "a rate that is none": (f"{CALL.symbol}/greeks", {"last": "1", "rate": "2"}, (400, "invalid_number")),
    "a range that is too long": (
        f"{CALL.symbol}/greeks", {"start": "2025-01-02", "end": "2025-01-03"}, (400, "range_too_large"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "params", "refusal"), REFUSED.values(), ids=REFUSED)
def test_conflicting_parameters_are_400(market: Api, path, params, refusal):
    market_store().set_instrument(Instrument("VAGUE", instrument_class=OPTION, underlying="ABC"))
    assert problem(market.get(f"{ROOT}/{path}", params)) == refusal


def test_the_header_names_every_log_and_the_chain_as_one(market: Api):
    response = market.get(
        f"{ROOT}/{CALL.symbol}/greeks", {"start": OPENING, "end": seconds_after(OPENING, 60)}
    )
    named = [part.rsplit("-", 1)[0] for part in response["X-Commit"].split(", ")]
    assert named == [
        f"option_quotes:{CALL.symbol}=1",
        f"chain:{UNDERLYING}={len(CHAIN)}",
        f"trades:{UNDERLYING}=1",
    ]
