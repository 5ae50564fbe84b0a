"""`anchor=session`: bars counted from the open of published sessions, held against pandas on the rows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem
from tests.calendars.published import WEEKS, Published, Week, ns
from tests.chance import each_of
from tests.installation import shared_installation
from tests.stats.market_data.builders import ingest, tell, without_proofs

pytestmark = [pytest.mark.django_db, pytest.mark.system]
MINUTE = 60 * 10**9
LENGTHS = {
    "45s": 3 * MINUTE // 4,
    "7m": 7 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "4h": 240 * MINUTE,
    "12h": 720 * MINUTE,
}
FACTS = {
    "XNYS": ("equities", {"class": "equity", "exchange": "XNYS"}),
    "XCME": ("futures", {"class": "future", "exchange": "XCME"}),
}
VALUES = ["open", "high", "low", "close", "volume", "trade_count"]


@dataclass(frozen=True)
class Traded:
    api: Api
    path: str
    week: Week
    rows: pd.DataFrame

    def bars(self, **asked: str) -> list[dict[str, Any]]:
        ends = {"start": format_timestamp(ns(self.week.dates[0].start)), "end": format_timestamp(ns(self.week.dates[-1].end))}  # fmt: skip
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            query = {**ends, "anchor": "session", "limit": "700", **asked, **cursor}
            response = self.api.get(f"{self.path}/ohlcv", query)
            assert response.status_code == 200, response.content
            page = answer(response)
            found += page["bars"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


@pytest.fixture(scope="module", params=WEEKS, ids=str)
def traded(
    request, django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traded]:
    """Prints at all hours of a week, on the edges of its sessions and just before them."""
    week: Week = request.param
    chance, (market_class, facts) = random.Random(week.name), FACTS[week.exchange]
    first, end = ns(week.dates[0].start), ns(week.dates[-1].end)
    edges = [ns(text) for date in week.dates for text in (date.opens, date.closes, date.pre, date.post)]
    times = {*edges, *(edge - 1 for edge in edges), *(chance.randrange(first, end) for _ in range(900))}
    index = without_proofs((at for at in times if first <= at < end), week.exchange)
    rows = pd.DataFrame({"time_ns": index, "price": [chance.randrange(90, 110) + 0.5 for _ in index]})
    rows["volume"] = [chance.randrange(1, 500) for _ in index]
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("anchored") / "store") as api:
        tell(api, "GEN", **facts)
        ingest(api, "trades", "GEN", rows.to_dict("records"))
        yield Traded(api, f"/api/v1/market-data/{market_class}/GEN", week, rows)


def edges_of(date: Published, length: int) -> list[int]:
    """Every multiple of the length from the open, and the edges of the date and of its session."""
    start, opens, closes, end = (ns(text) for text in (date.start, date.opens, date.closes, date.end))
    multiples = range(opens - (opens - start) // length * length, end, length)
    return sorted({start, closes, end, *multiples})


def expected(traded: Traded, length: int, hours: str) -> list[list[Any]]:
    edges = sorted({edge for date in traded.week.dates for edge in edges_of(date, length)})
    rows = traded.rows
    if hours != "all":
        names = ("opens", "closes") if hours == "regular" else ("pre", "post")
        sessions = [[ns(getattr(date, name)) for name in names] for date in traded.week.dates]
        rows = rows[[any(start <= at < end for start, end in sessions) for at in rows["time_ns"]]]
    interval = pd.cut(rows["time_ns"], edges, right=False, labels=edges[:-1]).astype("int64")
    bars = rows.groupby(interval.to_numpy()).agg(
        open=("price", "first"), high=("price", "max"), low=("price", "min"), close=("price", "last"),
        volume=("volume", "sum"), trade_count=("price", "size"),
    )  # fmt: skip
    return [
        [format_timestamp(at), *values]
        for at, values in zip(bars.index, bars.to_numpy().tolist(), strict=True)
    ]


@pytest.mark.parametrize(("resolution", "hours"), each_of(LENGTHS, ["all", "regular", "extended"]))
def test_bars_are_counted_from_the_open(traded: Traded, resolution: str, hours: str):
    found = traded.bars(resolution=resolution, hours=hours)
    assert [[bar["timestamp"], *(bar[name] for name in VALUES)] for bar in found] == expected(
        traded, LENGTHS[resolution], hours
    )


def test_up_to_a_minute_and_from_a_day_on_the_anchor_changes_nothing(traded: Traded):
    for resolution in ("1m", "1d", "1w"):
        assert traded.bars(resolution=resolution) == traded.bars(resolution=resolution, anchor="clock")


def test_the_hour_of_new_york(api: Api):
    """An ordinary day; the last hour is short, and what is traded after the close has intervals of its own."""
    tell(api, "ACME", **{"class": "equity", "exchange": "XNYS"})
    clock = ("13:00", "14:29", "14:30", "15:30", "20:29", "20:59", "21:00", "21:30", "22:29")
    times = [pd.Timestamp(f"2025-01-07T{at}Z").value for at in clock]
    ingest(api, "trades", "ACME", [{"time_ns": at, "price": 9.0, "volume": 1.0} for at in times])
    query = {"start": "2025-01-07T13:00Z", "end": "2025-01-07T23:00Z", "resolution": "1h"}
    path = "/api/v1/market-data/equities/ACME/ohlcv"
    found = answer(api.get(path, {**query, "anchor": "session", "coverage": "1"}))
    assert [(bar["timestamp"][11:16], bar["volume"]) for bar in found["bars"]] == [
        ("12:30", 1), ("13:30", 1), ("14:30", 1), ("15:30", 1), ("19:30", 1), ("20:30", 1), ("21:00", 1), ("21:30", 2),
    ]  # fmt: skip
    assert found["absences"] == [
        {"start": "2025-01-07T16:30:00Z", "end": "2025-01-07T19:30:00Z", "reason": "no_trades"},
        {"start": "2025-01-07T22:30:00Z", "end": "2025-01-07T23:30:00Z", "reason": "no_trades"},
    ]
    clock_bars = answer(api.get(path, query))["bars"]
    assert clock_bars == answer(api.get(path, {**query, "anchor": "clock"}))["bars"]
    assert clock_bars[0]["timestamp"] == "2025-01-07T13:00:00Z"


def test_a_break_does_not_start_a_new_count(api: Api):
    tell(api, "7203", **{"class": "equity", "exchange": "XTKS"})
    clock = ("00:00", "02:15", "03:30", "04:10", "05:59")
    times = [pd.Timestamp(f"2024-12-02T{at}Z").value for at in clock]
    ingest(api, "trades", "7203", [{"time_ns": at, "price": 9.0, "volume": 1.0} for at in times])
    query = {"start": "2024-12-02T00:00Z", "end": "2024-12-02T07:00Z", "resolution": "2h", "hours": "regular"}
    found = answer(api.get("/api/v1/market-data/equities/7203/ohlcv", {**query, "anchor": "session"}))["bars"]
    assert [(bar["timestamp"][11:16], bar["volume"]) for bar in found] == [
        ("00:00", 1),
        ("02:00", 2),
        ("04:00", 2),
    ]


def test_four_hours_of_fx_begin_at_17_in_new_york(api: Api):
    tell(api, "EUR-USD", **{"class": "fx"})
    start = pd.Timestamp("2025-03-06T22:00Z")
    hours = pd.date_range(start, periods=100, freq="h")
    # Without Saturday: trades over an hour of it would make it a session.
    times = hours[hours.tz_convert("America/New_York").day_of_week != 5].as_unit("ns").asi8.tolist()
    ingest(api, "trades", "EUR-USD", [{"time_ns": at, "price": 1.1, "volume": 1.0} for at in times])
    query = {"start": "2025-03-07", "end": "2025-03-11", "resolution": "4h", "anchor": "session"}
    found = answer(api.get("/api/v1/market-data/fx/EUR-USD/ohlcv", {**query, "hours": "regular"}))["bars"]
    local = [pd.Timestamp(bar["timestamp"]).tz_convert("America/New_York").hour for bar in found]
    assert local[:6] == [17, 21, 1, 5, 9, 13]
    assert set(local) == {17, 21, 1, 5, 9, 13}


def test_stored_bars_count_where_they_lie_in_one_interval(api: Api):
    tell(api, "ACME", **{"class": "equity", "exchange": "XNYS"})
    prices = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
    halves = [pd.Timestamp(f"2025-01-07T{at}Z").value for at in ("14:30", "15:00", "15:30")]
    hours = [pd.Timestamp(f"2025-01-08T{at}Z").value for at in ("14:00", "15:00", "16:00", "17:00")]
    ingest(
        api, "bars", "ACME", [{"time_ns": at, **prices, "volume": 1.0, "resolution": "30m"} for at in halves]
    )
    ingest(
        api, "bars", "ACME", [{"time_ns": at, **prices, "volume": 10.0, "resolution": "1h"} for at in hours]
    )
    query = {"start": "2025-01-07T14:00Z", "end": "2025-01-08T21:00Z", "anchor": "session"}
    path = "/api/v1/market-data/equities/ACME/ohlcv"
    found = {
        resolution: [
            (bar["timestamp"][8:16], bar["volume"])
            for bar in answer(api.get(path, {**query, "resolution": resolution}))["bars"]
        ]
        for resolution in ("1h", "2h")
    }
    assert found["1h"] == [("07T14:30", 2), ("07T15:30", 1)]
    assert found["2h"] == [("07T14:30", 3), ("08T14:30", 10), ("08T16:30", 10)]


def test_without_an_exchange_it_is_refused(api: Api):
    ingest(api, "trades", "ACME", [{"time_ns": ns("2025-01-07T15:00"), "price": 9.0, "volume": 1.0}])
    query = {"last": "5", "resolution": "1h", "anchor": "session"}
    for dataset in ("ohlcv", "quotes"):
        response = api.get(f"/api/v1/market-data/equities/ACME/{dataset}", query)
        assert problem(response) in {(400, "no_exchange"), (404, "unknown_symbol")}
    response = api.get("/api/v1/market-data/equities/ACME/ohlcv", {**query, "anchor": "noon"})
    assert problem(response) == (400, "invalid_parameter")
