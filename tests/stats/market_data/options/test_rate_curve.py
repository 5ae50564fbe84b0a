"""The interest rate of options: from the curve as it was known, against QuantLib's curve."""

import time
from math import exp, log1p
from typing import Any

import orjson
import pytest
import QuantLib as quantlib  # noqa: N813 a name for a module

from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api
from tests.stats.market_data.options.market import (
    CALL,
    CHAIN,
    OPENING,
    ROOT,
    SPOT,
    Contract,
    page_of,
    rows_of,
    seconds_after,
    store_chain,
    store_quotes,
    surface_of,
)  # fmt: skip
from tests.store.real_data import real_frame

NOON = "2025-01-02T17:00:00Z"
CURVE = {"1W": 0.0433, "1M": 0.0431, "3M": 0.0425, "1Y": 0.0408}
DAYS = {"1W": 7, "1M": 365 / 12, "3M": 365 / 4, "1Y": 365}
MARCH = Contract(100.0, True, "2025-03-21", parse_timestamp("2025-03-21T20:00:00Z"))


def store_curve(api: Api, at: str, rates: dict[str, float], currency: str = "USD") -> None:
    rows = [
        {"timestamp": at, "symbol": currency, "tenor": tenor, "rate": rate} for tenor, rate in rates.items()
    ]
    body = orjson.dumps({"interest_rates": rows})
    assert api.ingest(body, path="/api/v1/interest-rates/ingest").status_code == 200


def quantlib_rate(t: float) -> float:
    """QuantLib's zero rate of the curve, linear between tenors."""
    times = [0.0, *(days / 365 for days in DAYS.values())]
    rates = [CURVE["1W"], *CURVE.values()]
    return float(quantlib.LinearInterpolation(times, rates)(t))


def source(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["rate"], row["rate_source"], row["rate_timestamp"]


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before a chain, and a curve from an hour before."""
    store_chain(api, contracts=[*CHAIN, MARCH])
    store_curve(api, "2025-01-02T14:00:00Z", CURVE)
    return api


def test_each_expiry_has_the_curve_s_rate_to_it(market: Api):
    rows = surface_of(market, end=NOON)
    assert len({row["rate"] for row in rows}) == 2
    for row in rows:
        assert row["rate"] == pytest.approx(quantlib_rate(row["t"]), abs=1e-14)
        assert source(row)[1:] == ("curve", "2025-01-02T14:00:00Z")


def test_without_a_pair_the_forward_is_of_spot_and_curve(market: Api):
    (row,) = rows_of(market, MARCH.symbol)
    assert row["forward_source"] == "spot"
    assert row["forward"] == pytest.approx(SPOT * exp(quantlib_rate(row["t"]) * row["t"]))


def test_a_parity_forward_is_discounted_by_the_curve(market: Api):
    (row,) = rows_of(market, CALL.symbol)
    assert (row["forward_source"], row["rate_source"]) == ("parity", "curve")
    (at_that_rate,) = rows_of(market, CALL.symbol, rate=repr(row["rate"]))
    assert at_that_rate["forward"] == row["forward"]


def test_a_curve_holds_from_its_time_until_the_next(market: Api):
    later = seconds_after(OPENING, 60)
    store_curve(market, later, {"1Y": 0.05})
    store_quotes(market, [CALL.quote(seconds_after(OPENING, 59)), CALL.quote(later)])
    rows = rows_of(market, CALL.symbol)
    assert [row["rate_timestamp"] for row in rows] == ["2025-01-02T14:00:00Z", "2025-01-02T14:00:00Z", later]
    # The tenors of the earlier curve are not those of the later one.
    assert source(rows[2])[:2] == (0.05, "curve")


def test_before_the_first_curve_the_settings_say_the_rate(market: Api):
    early = "2025-01-02T13:59:59Z"
    store_quotes(market, [CALL.quote(early)])
    (row,) = rows_of(market, CALL.symbol, start=early, end="2025-01-02T14:00:00Z")
    assert source(row) == (0.04, "settings", None)


def test_the_parameter_rate_replaces_the_curve(market: Api):
    response = market.get(f"{ROOT}/ABC/implied-volatility", {"end": NOON, "rate": "0.01"})
    rows = orjson.loads(response.content)["implied_volatility"]
    assert {source(row) for row in rows} == {(0.01, "request", None)}
    assert "interest_rates" not in response["X-Commit"]


def test_as_of_the_past_the_curve_is_that_of_then(market: Api):
    known = format_timestamp(time.time_ns())
    before = rows_of(market, CALL.symbol)
    store_curve(market, OPENING, {"1Y": 0.07})
    assert source(rows_of(market, CALL.symbol)[0]) == (0.07, "curve", OPENING)
    assert rows_of(market, CALL.symbol, as_of=known) == before


def test_the_version_names_the_curve_and_changes_with_it(market: Api):
    query = {"end": NOON}
    first = market.get(f"{ROOT}/ABC/implied-volatility", query)
    assert "interest_rates:USD=1-" in first["X-Commit"]
    store_curve(market, OPENING, {"1Y": 0.07})
    second = market.get(f"{ROOT}/ABC/implied-volatility", query)
    assert "interest_rates:USD=2-" in second["X-Commit"]
    assert first["ETag"] != second["ETag"]


def test_all_pages_have_the_curve_of_the_first(market: Api):
    store_quotes(market, [CALL.quote(seconds_after(OPENING, n)) for n in range(1, 10)])
    whole = rows_of(market, CALL.symbol)
    page = page_of(market, CALL.symbol, limit=3)
    walked = page["greeks"]
    while page["next_cursor"]:
        store_curve(market, seconds_after(OPENING, len(walked)), {"1Y": 0.09})
        page = page_of(market, CALL.symbol, limit=3, cursor=page["next_cursor"])
        walked = walked + page["greeks"]
    assert walked == whole


def test_a_currency_has_its_own_curve(market: Api):
    store_curve(market, "2025-01-02T14:00:00Z", {"1Y": 0.02}, "EUR")
    terms = {"class": "equity", "currency": "EUR"}
    market.call("PUT", "/api/v1/instruments/ABC", orjson.dumps(terms))
    assert {row["rate"] for row in surface_of(market, end=NOON)} == {0.02}


def test_a_real_rate_holds_until_the_next(api: Api):
    """The Federal Reserve's primary credit rate, for a night: simple, per cent, a row for each change."""
    frame = real_frame("reference/us_interest_rate.csv", ["date", "percent"])
    rows = [
        {"timestamp": date, "symbol": "USD", "tenor": "ON", "rate": 365 * log1p(percent / 100 / 360)}
        for date, percent in frame.itertuples(index=False)
    ]
    body = orjson.dumps({"interest_rates": rows})
    assert api.ingest(body, path="/api/v1/interest-rates/ingest").status_code == 200
    store_chain(api, contracts=[CALL])
    (row,) = rows_of(api, CALL.symbol)
    assert source(row) == (365 * log1p(0.055 / 360), "curve", "2023-07-27T00:00:00Z")
