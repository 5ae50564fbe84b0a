"""Stored bars without a volume, such as those of an index: their volume is null, and so is every sum with them."""

import math
from typing import Any

import orjson
import pytest

from store.instruments import Instrument
from tests.api_client import Api, answer
from tests.stats.market_data.ohlcv.test_stored_bars import HOUR, OHLCV, get, put, stored, trades
from tests.stats.market_data.representations import MEDIA_TYPES, decoded
from tests.stats.market_data.test_reader_equals_http import reader as opened
from trades.stores import market_store

Row = dict[str, Any]
DAYS = {"start": "2024-11-25", "end": "2024-12-02"}


def unknown(resolution: str, time: str, low: float = 1, high: float = 2, **others: Any) -> Row:
    """A bar whose volume is null; `...` leaves it out."""
    row = {**stored(resolution, time, low, high), "volume": None, **others}
    return {name: value for name, value in row.items() if value is not ...}


def sums(bars: list[Row]) -> list[tuple[Any, ...]]:
    """Of each bar the time or the date, the volume, vwap and trade_count."""
    return [
        (bar.get("date", bar["timestamp"][11:16]), bar["volume"], bar["vwap"], bar["trade_count"])
        for bar in bars
    ]


@pytest.mark.parametrize("volume", [None, ...], ids=["null", "left out"])
@pytest.mark.parametrize("resolution", ["1m", "5m", "1h", "1d", "1w"])
def test_a_bar_without_volume_comes_out_without_volume(api: Api, resolution: str, volume: Any):
    start = "2024-11-25" + ("T15:00:00" if resolution[-1] in "mh" else "")
    put(api, unknown(resolution, start, 1, 9, close=5, volume=volume))
    (bar,) = get(api, **DAYS, resolution=resolution)
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (1, 9, 1, 5)
    assert (bar["volume"], bar["vwap"], bar["trade_count"]) == (None, None, None)


def test_a_merged_bar_has_a_volume_if_all_its_parts_have(api: Api):
    known = {"vwap": 1.5, "trade_count": 4}
    put(
        api,
        stored("1m", "2024-11-27T15:00:00", 1, 2, 10) | known,
        stored("1m", "2024-11-27T15:01:00", 1, 2, 30) | known,
        stored("1m", "2024-11-27T15:05:00", 1, 2, 10) | known,
        unknown("1m", "2024-11-27T15:06:00", trade_count=4),
        unknown("1m", "2024-11-27T15:10:00", 1, 9),
        stored("1m", "2024-11-27T15:15:00", 1, 1, 0),
    )
    assert sums(get(api, **HOUR | {"resolution": "5m"})) == [
        ("15:00", 40, 1.5, 8),
        ("15:05", None, None, 8),
        ("15:10", None, None, None),
        ("15:15", 0, None, None),
    ]
    assert [bar["volume"] for bar in get(api, **HOUR)] == [10, 30, 10, None, None, 0]
    for resolution in ("1h", "1d", "1w", "1M"):
        assert sums(get(api, **DAYS, resolution=resolution))[0][1:] == (None, None, None), resolution


def test_a_volume_of_zero_is_a_volume(api: Api):
    put(api, stored("1m", "2024-11-27T15:00:00", 1, 2, 0), stored("1m", "2024-11-27T15:01:00", 1, 2, 0))
    assert [bar["volume"] for bar in get(api, **HOUR)] == [0, 0]
    assert [bar["volume"] for bar in get(api, **HOUR | {"resolution": "1h"})] == [0]


def test_a_split_leaves_an_unknown_volume_unknown(api: Api):
    put(api, unknown("1d", "2024-11-26", 10, 20), stored("1d", "2024-11-27", 10, 20, 100))
    put(api, unknown("1d", "2024-11-28", 5, 10), stored("1d", "2024-11-29", 5, 10, 300))
    split = {"symbol": "AAPL", "timestamp": "2024-11-28", "kind": "split", "ratio": 2.0}
    body = orjson.dumps({"corporate_actions": [split]})
    assert api.call("POST", "/api/v1/corporate-actions/ingest", body).status_code == 200
    found = get(api, **DAYS, adjustment="split")
    assert [(bar["low"], bar["volume"]) for bar in found] == [(5, None), (5, 200), (5, None), (5, 300)]
    (week,) = get(api, **DAYS, adjustment="split", resolution="1w")
    assert (week["low"], week["high"], week["volume"]) == (5, 10, None)


@pytest.mark.parametrize("name", MEDIA_TYPES)
@pytest.mark.parametrize("count", [3, 700], ids=["few", "many"])
def test_every_format_says_null(api: Api, name: str, count: int):
    bars = [
        unknown("1m", f"2024-11-27T{12 + minute // 60}:{minute % 60:02}:00")
        if minute % 3 == 1
        else stored("1m", f"2024-11-27T{12 + minute // 60}:{minute % 60:02}:00", 1, 2, minute)
        for minute in range(count)
    ]
    put(api, *bars)
    query = {**DAYS, "resolution": "1m", "format": name, "limit": 10_000}
    response = api.get(OHLCV, query)
    assert b"NaN" not in response.content
    page = decoded(response, name, "bars", unit_ns=1_000_000)
    assert [bar["volume"] for bar in page.rows] == [bar["volume"] for bar in bars]


def test_the_reader_says_nan(api: Api):
    put(
        api,
        unknown("1m", "2024-11-27T15:00:00"),
        stored("1m", "2024-11-27T15:01:00", 1, 2, 5) | {"vwap": 1.5},
    )
    store = opened()
    minutes = store.bars("AAPL", "2024-11-27", "2024-11-28", "1min")
    assert (math.isnan(minutes.volume[0]), minutes.volume[1]) == (True, 5)
    assert (math.isnan(minutes.notional[0]), minutes.notional[1]) == (True, 7.5)
    (hour,) = store.bars("AAPL", "2024-11-27", "2024-11-28", "1h").volume
    assert math.isnan(hour)
    frame: Any = store.bars("AAPL", "2024-11-27", "2024-11-28", "1min", frame=True)
    assert frame["volume"].isna().tolist() == [True, False]
    assert store.rows("bars", "AAPL").table.column("volume").to_pylist() == [None, 5]
    panel = store.panel(["AAPL"], "2024-11-27", "2024-11-28", "1min", field="volume")
    assert (math.isnan(panel.values[0, 0]), panel.values[1, 0]) == (True, 5)


def test_the_explanation_of_a_bar_has_no_volume_of_stored_bars(api: Api):
    put(api, stored("1m", "2024-11-27T15:00:00", 1, 2, 5), unknown("1m", "2024-11-27T15:01:00"))
    found = answer(api.get(f"{OHLCV}/explain", {"at": "2024-11-27T15:00:00Z", "resolution": "5m"}))
    assert found["bar"]["volume"] is None
    assert found["volume"] == {"own": 0, "credited": 0, "left_out": 0, "stored": None}
    assert [bar["volume"] for bar in found["stored"]["bars"]] == [5, None]


@pytest.mark.parametrize(("hour", "reason"), [(100, "gap"), (None, "no_trades")])
def test_an_hour_without_volume_makes_no_missing_minute_a_gap(api: Api, hour: float | None, reason: str):
    market_store().set_instrument(Instrument("AAPL", exchange="XNYS", gap_rule="evidence"))
    put(api, stored("1h", "2024-11-27T15:00:00", 1, 2) | {"volume": hour})
    put(api, stored("1m", "2024-11-27T15:00:00", 1, 2, 5))
    trades(api, ("2024-11-26T15:00:10", 7, 3))
    body = answer(api.get(OHLCV, HOUR | {"coverage": "1"}))
    assert {each["reason"] for each in body["absences"]} == {reason}
