"""No adjusted bar mixes prices of before and after an ex-date, which begins with the exchange's trading date."""

from typing import Any

import pytest

from store.instruments import Instrument
from tests.api_client import answer
from tests.stats.market_data.builders import SPLIT, Market, ingest, midnight_ns
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PATH = f"/api/v1/market-data/equities/{SPLIT}/ohlcv"
HOUR_NS = 3_600 * 10**9
EX_DATE = "2024-01-17"
# Before and after the start of 2024-01-17 in New York, 05:00Z, and in Sydney, 13:00Z of the day before.
NEW_YORK = [("2024-01-17", 0.5, 100.0, 10.0), ("2024-01-17", 10, 50.0, 20.0), ("2024-01-17", 15, 50.0, 20.0)]
SYDNEY = [("2024-01-16", 3, 100.0, 10.0), ("2024-01-16", 23.5, 50.0, 20.0)]


def at(day: str, hours: float) -> int:
    return midnight_ns(day) + int(hours * HOUR_NS)


def declare(exchange: str) -> None:
    market_store().set_instrument(Instrument(SPLIT, exchange=exchange, currency="USD"))


def act(market: Market, *actions: dict[str, Any]) -> None:
    for action in actions:
        ingest(market.api, "corporate_actions", SPLIT, [{"time_ns": midnight_ns(EX_DATE), **action}])


def page(market: Market, **query: str) -> dict[str, Any]:
    wanted = {"start": "2024-01-08", "end": "2024-01-25", "adjustment": "split", **query}
    found: dict[str, Any] = answer(market.api.get(PATH, wanted))
    return found


def bars_of(market: Market, **query: str) -> list[tuple[float, ...]]:
    names = ("open", "high", "low", "close", "volume", "vwap")
    return [tuple(bar[name] for name in names) for bar in page(market, **query)["bars"]]


def trade(market: Market, rows: list[tuple[str, float, float, float]]) -> None:
    market.add(
        "trades",
        SPLIT,
        [{"time_ns": at(day, hours), "price": price, "volume": volume} for day, hours, price, volume in rows],
    )


def store_bars(market: Market, resolution: str, rows: list[tuple[str, float, float, float]]) -> None:
    market.add(
        "bars",
        SPLIT,
        [
            {
                "time_ns": at(day, hours),
                "resolution": resolution,
                **dict.fromkeys(("open", "high", "low", "close", "vwap"), price),
                "volume": volume,
            }
            for day, hours, price, volume in rows
        ],
    )


@pytest.mark.parametrize("resolution", ["1d", "1w", "1M"])
@pytest.mark.parametrize(("exchange", "rows", "volume"), [("XNYS", NEW_YORK, 60), ("XASX", SYDNEY, 40)])
def test_bars_of_utc_dates_do_not_mix(empty_market: Market, exchange, rows, volume, resolution: str):
    declare(exchange)
    trade(empty_market, rows)
    act(empty_market, {"kind": "split", "ratio": 2.0})
    found = bars_of(empty_market, resolution=resolution, session="utc", hours="all")
    assert found == [(50, 50, 50, 50, volume, 50)]


@pytest.mark.parametrize("resolution", ["1d", "1w"])
@pytest.mark.parametrize("length", ["1m", "30m", "1h"])
def test_bars_of_utc_dates_made_of_stored_bars_do_not_mix(empty_market: Market, length: str, resolution: str):
    declare("XASX")
    store_bars(empty_market, length, [("2024-01-16", 3, 100.0, 10.0), ("2024-01-16", 23, 50.0, 20.0)])
    act(empty_market, {"kind": "split", "ratio": 2.0})
    found = bars_of(empty_market, resolution=resolution, session="utc", hours="all")
    assert found == [(50, 50, 50, 50, 40, 50)]


def test_stored_days_are_adjusted_by_their_date_in_utc_too(empty_market: Market):
    for exchange in ("XNYS", "XASX"):
        declare(exchange)
        if exchange == "XNYS":
            store_bars(empty_market, "1d", [("2024-01-16", 0, 100.0, 10.0), ("2024-01-17", 0, 50.0, 20.0)])
            act(empty_market, {"kind": "split", "ratio": 2.0})
        for session in ("utc", "exchange"):
            found = page(empty_market, resolution="1d", session=session)
            assert [(bar["close"], bar["volume"]) for bar in found["bars"]] == [(50, 20), (50, 20)]
            assert "not_applied" not in found


@pytest.mark.parametrize("session", ["utc", "exchange"])
def test_a_stored_week_with_an_action_inside_is_named(empty_market: Market, session: str):
    declare("XNYS")
    store_bars(empty_market, "1w", [("2024-01-08", 0, 104.0, 1.0), ("2024-01-15", 0, 53.0, 1.0)])
    act(empty_market, {"kind": "split", "ratio": 2.0})
    found = page(empty_market, resolution="1w", session=session)
    named = [{"timestamp": f"{EX_DATE}T00:00:00Z", "kind": "split", "reason": "within_bar"}]
    assert found["not_applied"] == named
    # With the week's days it can be adjusted.
    store_bars(empty_market, "1d", [("2024-01-16", 0, 104.0, 1.0), ("2024-01-17", 0, 53.0, 1.0)])
    found = page(empty_market, resolution="1w", session=session)
    assert "not_applied" not in found
    assert found["bars"][1]["open"] == 52


def test_what_has_two_decimals_is_written_with_two(empty_market: Market):
    """90 / 1.5 / 0.1 is 600, and 101 * 1.5 * 0.1 is 15.15."""
    declare("XNYS")
    trade(
        empty_market,
        [("2024-01-16", 20, 90.0, 101.0), (EX_DATE, 20, 600.0, 20.0), ("2024-01-18", 20, 1.1, 3.0)],
    )
    act(empty_market, {"kind": "split", "ratio": 1.5})
    ingest(
        empty_market.api,
        "corporate_actions",
        SPLIT,
        [{"time_ns": midnight_ns(EX_DATE), "kind": "split", "action_id": "2", "ratio": 0.1}],
    )
    for query in ({"resolution": "1d"}, {"resolution": "1m"}, {"resolution": "1d", "session": "utc"}):
        bars = page(empty_market, **query)["bars"]
        assert [(bar["close"], bar["volume"], bar["vwap"]) for bar in bars] == [
            (600.0, 15.15, 600.0),
            (600.0, 20, 600.0),
            (1.1, 3, 1.1),
        ]
