"""Stored cash dividends in the pricing of options, over HTTP."""

import time
from datetime import date, timedelta
from math import exp
from typing import Any

import orjson
import pytest

from stats.options.inputs import EX_DATES_LIMIT
from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api
from tests.stats.market_data.options.market import (
    CALL,
    CHAIN,
    OPENING,
    ROOT,
    SPOT,
    UNDERLYING,
    YEAR_NS,
    Contract,
    chain_of,
    rows_of,
    seconds_after,
    store_chain,
)

NOON = "2025-01-02T17:00:00Z"
MARCH = Contract(100.0, True, "2025-03-21", parse_timestamp("2025-03-21T20:00:00Z"))
LATER = Contract(100.0, True, "2025-06-20", parse_timestamp("2025-06-20T20:00:00Z"))
EX_DATE, AMOUNT, RATE = "2025-02-03", 1.25, 0.04


def store_action(api: Api, **changes: Any) -> None:
    store_actions(api, [changes])


def store_actions(api: Api, changed: list[dict[str, Any]]) -> None:
    body = orjson.dumps({"corporate_actions": [action_row(**changes) for changes in changed]})
    assert api.ingest(body, path="/api/v1/corporate-actions/ingest").status_code == 200


def action_row(**changes: Any) -> dict[str, Any]:
    row = {
        "timestamp": EX_DATE,
        "symbol": UNDERLYING,
        "kind": "dividend",
        "amount": AMOUNT,
        "currency": "USD",
    }
    return {name: value for name, value in {**row, **changes}.items() if value is not None}


def present_value(at: str = OPENING) -> float:
    years = (parse_timestamp(EX_DATE) - parse_timestamp(at)) / YEAR_NS
    return AMOUNT * exp(-RATE * years)


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before a chain of January, a call of March, and a dividend between the two."""
    store_chain(api, contracts=[*CHAIN, MARCH])
    store_action(api)
    return api


def test_a_dividend_before_the_expiry_is_taken_off_the_spot(market: Api):
    (row,) = rows_of(market, MARCH.symbol)
    assert row["dividends"] == pytest.approx(present_value())
    assert (row["spot"], row["forward_source"], row["dividend_yield"]) == (SPOT, "spot", 0.0)
    assert row["forward"] == pytest.approx((SPOT - present_value()) * exp(RATE * row["t"]))
    assert row["reason"] is None


def test_a_dividend_that_is_stored_with_and_without_its_currency_counts_once(market: Api):
    """With `dedupe=none` both are stored."""
    sent_again = {"timestamp": EX_DATE, "symbol": UNDERLYING, "kind": "dividend", "amount": AMOUNT}
    body = orjson.dumps({"corporate_actions": [sent_again]})
    sent = market.ingest(body, path="/api/v1/corporate-actions/ingest", query="dedupe=none")
    assert sent.status_code == 200
    (row,) = rows_of(market, MARCH.symbol)
    assert row["dividends"] == pytest.approx(present_value())


def test_dividends_of_one_date_are_one_ex_date(market: Api):
    """Also at several instants of it: they count from the first."""
    times = [f"{EX_DATE}T05:{minute:02}:00Z" for minute in range(60)]
    amounts = [0.001 * number for number in range(1, 11)]
    store_actions(
        market,
        [
            {"timestamp": each, "amount": amount, "action_id": f"{each}-{amount}"}
            for each in [EX_DATE, *times]
            for amount in amounts
        ],
    )
    (row,) = rows_of(market, MARCH.symbol)
    assert row["dividends"] == pytest.approx(present_value() * (1 + 61 * sum(amounts) / AMOUNT), rel=1e-6)
    assert row["reason"] is None


def test_an_option_with_too_many_ex_dates_before_its_expiry_is_not_priced(api: Api):
    store_chain(api, contracts=[MARCH, LATER])
    first = date.fromisoformat("2025-01-03")
    days = [str(first + timedelta(days=day)) for day in range(EX_DATES_LIMIT + 1)]
    store_actions(api, [{"timestamp": day, "amount": 0.01} for day in days])
    (row,) = rows_of(api, LATER.symbol)
    assert (row["reason"], row["iv"], row["dividends"]) == ("no_solution", None, None)
    (row,) = rows_of(api, MARCH.symbol)
    assert row["reason"] is None
    assert row["dividends"] == pytest.approx(0.78, abs=0.01)


def test_a_dividend_after_the_expiry_is_not(market: Api):
    (row,) = rows_of(market, CALL.symbol)
    assert (row["dividends"], row["forward_source"]) == (0.0, "parity")


def test_the_chain_has_the_dividends_of_each_expiry(market: Api):
    rows = chain_of(market, end=seconds_after(OPENING, 1e-9))
    assert {row["dividends"] for row in rows if row["expiry"] == "2025-01-17"} == {0.0}
    (march,) = (row for row in rows if row["expiry"] == "2025-03-21")
    (of_contract,) = rows_of(market, MARCH.symbol)
    for name in ("dividends", "forward", "iv", "delta", "gamma", "theta", "vega", "rho"):
        assert march[name] == pytest.approx(of_contract[name], rel=1e-6), name


def test_the_parameter_dividend_yield_replaces_the_dividends(market: Api):
    response = market.get(f"{ROOT}/{UNDERLYING}/greeks", {"end": NOON, "dividend_yield": "0.02"})
    rows = orjson.loads(response.content)["greeks"]
    assert {(row["dividends"], row["dividend_yield"]) for row in rows} == {(0.0, 0.02)}
    assert "corporate_actions" not in response["X-Commit"]


def test_a_yield_of_the_settings_is_for_underlyings_without_dividends(api: Api, settings: Any):
    settings.OPTION_RATES = {"USD": type(settings.OPTION_RATES["USD"])(rate=RATE, dividend_yield=0.02)}
    store_chain(api, contracts=[MARCH])
    assert rows_of(api, MARCH.symbol)[0]["dividend_yield"] == 0.02
    store_action(api)
    assert rows_of(api, MARCH.symbol)[0]["dividend_yield"] == 0.0


def test_as_of_the_past_a_dividend_is_unknown(market: Api):
    known = format_timestamp(time.time_ns())
    before = rows_of(market, MARCH.symbol)
    first = market.get(f"{ROOT}/{UNDERLYING}/greeks", {"end": NOON})
    store_action(market, timestamp="2025-03-03")
    assert rows_of(market, MARCH.symbol)[0]["dividends"] > 2 * AMOUNT * 0.98
    assert rows_of(market, MARCH.symbol, as_of=known) == before
    second = market.get(f"{ROOT}/{UNDERLYING}/greeks", {"end": NOON})
    assert "corporate_actions=1-" in first["X-Commit"]
    assert "corporate_actions=2-" in second["X-Commit"]
    assert first["ETag"] != second["ETag"]


OTHERS = {
    "in another currency": {"currency": "EUR"},
    "a special dividend": {"kind": "special_dividend"},
    "a split": {"kind": "split", "ratio": 2, "amount": None, "currency": None},
    "before the instant": {"timestamp": "2025-01-02"},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_other_actions_are_no_dividends_of_the_option(api: Api, changes: dict[str, Any]):
    terms = orjson.dumps({"class": "equity", "currency": "USD"})
    api.call("PUT", f"/api/v1/instruments/{UNDERLYING}", terms)
    store_chain(api, contracts=[MARCH])
    store_action(api, **changes)
    assert rows_of(api, MARCH.symbol)[0]["dividends"] == 0.0
