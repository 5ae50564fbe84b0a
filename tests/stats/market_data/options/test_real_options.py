"""TWX's real option quotes of a day through the API, against QuantLib called directly with the inputs that are echoed."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pandas as pd
import pytest

from store.timestamps import format_timestamp
from tests.api_client import Api, answer
from tests.stats.market_data.options.market import ROOT
from tests.stats.options.oracle import Option
from tests.store.real_data import PRICE_UNIT, midnight_ns, real_frame

pytestmark = pytest.mark.system

MIDNIGHT = midnight_ns(2014, 6, 5)
MINUTE_NS = 60 * 10**9
QUOTES = "option/twx_20140605_minute_quote_subset.csv"
QUOTE_COLUMNS = [
    "expiry", "right", "strike", "ms", "bid_open", "bid_high", "bid_low", "bid", "bid_size",
    "ask_open", "ask_high", "ask_low", "ask", "ask_size",
]  # fmt: skip
TRADES = "equity/twx_20140605_minute_trade.csv"
HOUR = {"start": "2014-06-05T15:00:00Z", "end": "2014-06-05T16:00:00Z"}
LAST_TRADE = datetime(2014, 6, 20, 20, tzinfo=UTC).timestamp()
SYMBOLS = ("TWX140621C00070000", "TWX140621P00070000", "TWX140621C00065000", "TWX140621P00072500")


def ingest(api: Api, dataset: str, frame: pd.DataFrame, prices: Sequence[str], **same: str) -> None:
    """Store a frame's rows at `time_ns` since midnight.

    `prices` are integers in the file, `same` stands in every row.
    """
    values = (frame[[*prices]] / PRICE_UNIT).astype(object).where(frame[[*prices]].notna(), None)
    volumes = frame[["volume"]] if "volume" in frame else frame[[]]
    rows = [
        {"timestamp": format_timestamp(MIDNIGHT + time_ns), **same, **numbers, **volume}
        for time_ns, numbers, volume in zip(
            frame["time_ns"].tolist(), values.to_dict("records"), volumes.to_dict("records"), strict=True
        )
    ]
    path = f"/api/v1/{dataset.replace('_', '-')}/ingest"
    response = api.call("POST", path, orjson.dumps({dataset: rows}))
    assert response.status_code == 200, response.content


@pytest.fixture
def market(api: Api) -> Api:
    """The quotes as each minute left them, and the underlying's minute bars."""
    quotes = real_frame(QUOTES, QUOTE_COLUMNS)
    quotes["time_ns"] += MINUTE_NS
    quotes = quotes[quotes[["bid", "ask"]].notna().any(axis=1)]
    for (expiry, right, strike), rows in quotes.groupby(["expiry", "right", "strike"]):
        symbol = f"TWX{expiry - 20_000_000}{right[0].upper()}{round(strike * 1000):08d}"
        ingest(api, "option_quotes", rows, ("bid", "ask"), symbol=symbol)
    bars = real_frame(TRADES, ["ms", "open", "high", "low", "close", "volume"])
    ingest(api, "bars", bars, ("open", "high", "low", "close"), symbol="TWX", resolution="1m")
    return api


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_rows_are_what_quantlib_says_of_their_inputs(market: Api, symbol: str):
    page = answer(market.get(f"{ROOT}/{symbol}/greeks", HOUR))
    assert page["last_trade"] == "2014-06-20T20:00:00Z"
    rows = page["greeks"]
    assert len(rows) > 15
    solved = [row for row in rows if row["reason"] is None]
    for row in solved[::6]:
        at = datetime.fromisoformat(row["timestamp"]).timestamp()
        assert row["t"] == pytest.approx((LAST_TRADE - at) / (365 * 86_400), rel=1e-12)
        option = Option(
            "C" in symbol[3:],
            row["spot"],
            page["strike"],
            row["t"],
            row["rate"],
            row["dividend_yield"],
            american=True,
        )
        assert row["iv"] == pytest.approx(
            option.volatility(row["price"]), abs=1e-4 / row["vega"] / 100 + 1e-6
        )
        for name, value in option.greeks(row["iv"]).items():
            # Where rate and yield nearly coincide, what early exercise is worth turns with the rate.
            part = 1e-2 if name == "rho" else 2e-3
            assert row[name] == pytest.approx(value, abs=part * max(abs(value), 0.1)), name


def test_missing_values_have_a_reason(market: Api):
    rows = [
        row for symbol in SYMBOLS for row in answer(market.get(f"{ROOT}/{symbol}/greeks", HOUR))["greeks"]
    ]
    for row in rows:
        assert (row["reason"] is None) == (row["iv"] is not None)
        assert (row["reason"] == "one_sided") == (row["bid"] is None or row["ask"] is None)
    assert {row["forward_source"] for row in rows} >= {"parity"}


def test_by_parity_calls_and_puts_of_a_strike_agree(market: Api):
    end = {"end": "2014-06-05T16:00:00Z", "expiry": "2014-06-21"}
    rows = answer(market.get(f"{ROOT}/TWX/implied-volatility", end))["implied_volatility"]
    assert len(rows) == 8
    assert {row["forward_source"] for row in rows} == {"parity"}
    at_the_money = [row["iv"] for row in rows if row["strike"] == 70.0]
    assert at_the_money[0] == pytest.approx(at_the_money[1], abs=0.01)
