"""Quote bars of some hours: they open at the quote carried in from whatever hour, and weeks are merged of their days."""

from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import orjson

from store.datasets import QUOTES
from store.instruments import Instrument
from store.protocol import Window
from store.timestamps import parse_timestamp
from tests.api_client import Api, answer
from tests.stats.market_data import tapes
from trades.stores import market_store

SYMBOL = "ACME"
PATH = f"/api/v1/market-data/equities/{SYMBOL}/quotes"
WEEKS = Window(parse_timestamp("2025-01-05T00:00:00Z"), parse_timestamp("2025-01-19T00:00:00Z"))


def bars(api: Api, **query: str) -> list[dict[str, Any]]:
    response = api.get(PATH, {"hours": "regular", "limit": "10000", **query})
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)["quotes"]
    return found


def quote(api: Api, at: str, bid: float) -> None:
    row = {"symbol": SYMBOL, "timestamp": at, "bid": bid, "ask": bid + 1, "exchange": "XNYS"}
    response = api.call("POST", "/api/v1/quotes/ingest", orjson.dumps({"quotes": [row]}))
    assert response.status_code == 200, response.content


def week(row: dict[str, Any]) -> tuple[str, int]:
    return row["exchange"], date.fromisoformat(row["date"]).isocalendar().week


def test_the_first_bar_of_a_session_opens_at_the_last_quote_before_it(api: Api):
    market_store().set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    quote(api, "2025-01-07T20:59:59Z", 10)
    quote(api, "2025-01-08T14:29:59Z", 20)
    quote(api, "2025-01-08T14:30:01Z", 30)
    for start in ("2025-01-07T20:59:00Z", "2025-01-08T14:30:00Z"):
        found = bars(api, start=start, end="2025-01-08T14:31:00Z", resolution="1m")[-1]
        assert [found[f"bid_{what}"] for what in ("open", "high", "low", "close")] == [20, 30, 20, 30]
        assert found["quote_count"] == 1


def test_a_week_is_merged_of_its_days(api: Api):
    store, chance = market_store(), np.random.default_rng(8)
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    tapes.store_rows(store, QUOTES, SYMBOL, tapes.quotes(chance, tapes.times(chance, WEEKS, 3_000)))
    days = bars(api, start="2025-01-05", end="2025-01-19", resolution="1d")
    weeks = bars(api, start="2025-01-05", end="2025-01-19", resolution="1w")
    assert len(weeks) == 4

    by_week = {week(row): row for row in weeks}
    for key, group in groupby(sorted(days, key=week), key=week):
        own, found = list(group), by_week[key]
        assert found["timestamp"] == own[0]["timestamp"]
        for side in ("bid", "ask"):
            assert found[f"{side}_open"] == own[0][f"{side}_open"]
            assert found[f"{side}_high"] == max(row[f"{side}_high"] for row in own)
            assert found[f"{side}_low"] == min(row[f"{side}_low"] for row in own)
            assert found[f"{side}_close"] == own[-1][f"{side}_close"]
            assert found[f"{side}_size"] == own[-1][f"{side}_size"]
        assert found["quote_count"] == sum(row["quote_count"] for row in own)
