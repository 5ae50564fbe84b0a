"""Bars adjusted by splits and dividends against prints that were adjusted one by one."""

from dataclasses import replace
from typing import Any

import pytest

from tests.api_client import answer
from tests.chance import cases_of
from tests.stats.market_data.builders import ACTIONS, BEHIND, FIRST, SPLIT, Market, ingest, midnight_ns
from tests.stats.market_data.oracle import Cut, Row, adjusted, bars, midnight
from tests.stats.market_data.published_hours import XNYS
from tests.stats.market_data.representations import nested

pytestmark = pytest.mark.django_db
PATH = f"/api/v1/market-data/equities/{SPLIT}/ohlcv"
PRICES = ("open", "high", "low", "close", "volume", "vwap")


def found(market: Market, **parameters: str) -> list[Row]:
    query = {"start": FIRST.isoformat(), "end": BEHIND.isoformat(), "limit": "10000", **parameters}
    response = market.api.get(PATH, query)
    assert response.status_code == 200, response.content
    return nested(answer(response)["bars"])


def wanted(market: Market, mode: str, cut: Cut) -> list[Row]:
    # Actions are of trading dates, also where days are UTC's.
    prints = adjusted(market.rows["trades", SPLIT], ACTIONS, mode, replace(cut, by_date=True))
    ends = {"1w": "2025-01-06", "2w": "2025-01-13", "3M": "2025-04-01"}.get(
        cut.resolution, BEHIND.isoformat()
    )
    start_ns = midnight(FIRST) if cut.resolution != "3M" else midnight_ns("2024-10-01")
    return bars(prints, cut, start_ns, midnight_ns(ends))


@pytest.mark.parametrize(
    ("mode", "session", "resolution"),
    cases_of(
        ["raw", "split", "all"], ["exchange", "utc"], ["1m", "90s", "7m", "12h", "1d", "3d", "1w", "2w", "3M"]
    ),
)
def test_bars_are_those_of_adjusted_prints(market: Market, mode: str, session: str, resolution: str):
    cut = Cut(resolution, XNYS, by_date=session == "exchange")
    bars_found = found(market, adjustment=mode, session=session, resolution=resolution, hours="all")
    bars_wanted = wanted(market, mode, cut)
    assert [bar["timestamp"] for bar in bars_found] == [bar["time_ns"] for bar in bars_wanted]
    for bar, want in zip(bars_found, bars_wanted, strict=True):
        assert {name: bar[name] for name in bar if name not in {"timestamp", "date"}} == {
            **want_of(want), "trade_count": want["trade_count"], "final": True,
        }  # fmt: skip


def want_of(bar: Row) -> Row:
    """Prices and volume, but for the last digits of products in another order."""
    wanted = {name: bar[name] for name in PRICES}
    return {name: value and pytest.approx(value, rel=1e-12, abs=0) for name, value in wanted.items()}


def test_an_action_known_later_does_not_change_what_was_known_before(empty_market: Market, clock: Any):
    trade = {"time_ns": midnight_ns("2024-12-23") + 10**9, "price": 100.0, "volume": 1.0}
    empty_market.add("trades", SPLIT, [trade])
    moment = clock()
    split = {"time_ns": midnight_ns("2024-12-26"), "kind": "split", "ratio": 2.0}
    ingest(empty_market.api, "corporate_actions", SPLIT, [split])
    assert found(empty_market, adjustment="split")[0]["close"] == 50
    assert found(empty_market, adjustment="split", as_of=moment)[0]["close"] == 100


@pytest.mark.parametrize("resolution", ["1d", "1w", "1M"])
def test_stored_bars_are_adjusted_like_those_of_trades(empty_market: Market, resolution: str):
    prices = {"open": 100.0, "high": 110.0, "low": 90.0, "close": 105.0, "volume": 7.0}
    first = {"1d": "2024-12-23", "1w": "2024-12-16", "1M": "2024-11-01"}[resolution]
    row = {"time_ns": midnight_ns(first), "resolution": resolution, **prices}
    empty_market.add("bars", SPLIT, [row])
    split = {"time_ns": midnight_ns("2024-12-26"), "kind": "split", "ratio": 2.0}
    ingest(empty_market.api, "corporate_actions", SPLIT, [split])
    (bar,) = found(empty_market, adjustment="split", resolution=resolution, start="2024-11-01")
    assert [bar[name] for name in prices] == [50, 55, 45, 52.5, 14]
