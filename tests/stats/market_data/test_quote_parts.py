"""Bars of quotes are read so many rows at a time, whatever their intervals hold."""

from typing import Any

import numpy as np
import pytest

from stats.caching.response_cache import RESPONSE_CACHE
from stats.market_data.intervals import windows
from store.datasets import QUOTES
from store.instruments import Instrument
from store.log_views import last_rows
from store.log_views.log_view import LogView
from store.protocol import Window
from store.timestamps import parse_timestamp
from tests.api_client import Api, answer
from tests.stats.market_data import tapes
from trades.stores import market_store

pytestmark = pytest.mark.system

SYMBOL = "ACME"
WEEK = {"start": "2025-01-06", "end": "2025-01-11"}
WINDOW = Window(*(parse_timestamp(f"{day}T00:00:00Z") for day in WEEK.values()))
PATH = f"/api/v1/market-data/equities/{SYMBOL}/quotes"
# A day holds 300 rows, one after a closed day 600: more than are to be read at once; an hour far fewer.
ROWS, AT_ONCE = 1_500, 200


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before quotes of some days."""
    store, chance = market_store(), np.random.default_rng(9)
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    tapes.store_rows(store, QUOTES, SYMBOL, tapes.quotes(chance, tapes.times(chance, WINDOW, ROWS)))
    return api


@pytest.mark.parametrize("hours", ["all", "regular"])
@pytest.mark.parametrize("resolution", ["1h", "1d", "1w"])
def test_bars_are_the_same_however_few_rows_are_read_at_once(
    market: Api, monkeypatch, resolution: str, hours: str
):
    query = {**WEEK, "resolution": resolution, "hours": hours, "limit": "1000"}

    def asked(sort: str) -> list[dict[str, Any]]:
        RESPONSE_CACHE.local.clear()
        found: list[dict[str, Any]] = answer(market.get(PATH, {**query, "sort": sort}))["quotes"]
        return found

    wanted = [asked("asc"), asked("desc")]
    counts: list[int] = []
    read = LogView.rows

    def counted(log: LogView, window: Window) -> Any:
        rows = read(log, window)
        counts.append(rows.num_rows)
        return rows

    monkeypatch.setattr(LogView, "rows", counted)
    monkeypatch.setattr(windows, "ROWS_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(last_rows, "_MOST_ROWS", AT_ONCE)
    monkeypatch.setattr(last_rows, "_MOST_ROWS_EACH", 0)
    assert [asked("asc"), asked("desc")] == wanted
    assert len(wanted[0]) > {"1h": 20, "1d": 3, "1w": 0}[resolution]
    at_most = {"1h": AT_ONCE, "1d": ROWS / 2, "1w": ROWS}[resolution]
    assert AT_ONCE / 2 <= max(counts) <= at_most
