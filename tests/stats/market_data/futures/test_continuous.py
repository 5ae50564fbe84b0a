"""`futures/{root}/continuous`: E-mini around the roll of December 2013, against a roll by hand; pages and pins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pandas as pd
import pytest
from django.conf import settings

from store.datasets import BARS, TRADES
from store.instruments import FUTURE, Instrument
from store.timestamps import SECOND_NS, format_timestamp
from tests.api_client import Api, answer, problem
from tests.installation import shared_installation
from tests.store.real_data import midnight_ns
from trades.stores import market_store

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data/futures"
DAYS = [(2013, 12, 2), (2013, 12, 18), (2013, 12, 20)]
EXPIRIES = {"201312": "2013-12-20", "201403": "2014-03-21", "201406": "2014-06-20"}
RANGE = {"start": "2013-12-02", "end": "2013-12-21"}


def file(name: str, columns: list[str]) -> pd.DataFrame:
    """A file of the folder of futures, which has no header."""
    path = Path(settings.REAL_DATA) / "future" / name
    if not path.exists():
        pytest.skip("the real bars are not on this machine (setting REAL_DATA)")
    return pd.read_csv(path, names=columns)


def utc_ns(year: int, month: int, day: int) -> int:
    """Midnight UTC: the files' times are in UTC, as their gaps between the sessions show."""
    return midnight_ns(year, month, day, ZoneInfo("UTC"))


def contract(month: str) -> str:
    return f"ES{month}"


def minutes(month: str) -> pd.DataFrame:
    """The contract's minute bars of all three dates, by instant."""
    frames = []
    for year, number, day in DAYS:
        name = f"{year}{number:02}{day:02}_es_minute_trade_{month}.csv"
        frame = file(name, ["ms", "open", "high", "low", "close", "volume"])
        frame["at"] = utc_ns(year, number, day) + frame["ms"] * 1_000_000
        frame["date"] = f"{year}-{number:02}-{day:02}"
        frames.append(frame)
    return pd.concat(frames)


def interest(month: str) -> list[dict[str, Any]]:
    rows = []
    for year, number, day in DAYS:
        name = f"{year}{number:02}{day:02}_es_minute_openinterest_{month}.csv"
        frame = file(name, ["ms", "figure"])
        for ms, figure in zip(frame["ms"], frame["figure"], strict=True):
            at = format_timestamp(utc_ns(year, number, day) + int(ms) * 1_000_000)
            date = f"{year}-{number:02}-{day:02}"
            rows.append({"timestamp": at, "date": date, "open_interest": int(figure), "status": "final"})
    return rows


def ingest(api: Api, dataset: str, symbol: str, rows: list[dict[str, Any]], query: str = "") -> None:
    body = orjson.dumps({dataset.replace("-", "_"): [{"symbol": symbol, **row} for row in rows]})
    response = api.ingest(body, path=f"/api/v1/{dataset}/ingest", query=query)
    assert response.status_code == 200, response.content


@pytest.fixture(scope="module")
def es(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Three contracts of E-mini with their minute bars and open interest."""
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("es") / "store") as api:
        for month, expiry in EXPIRIES.items():
            symbol = contract(month)
            market_store().set_instrument(
                Instrument(symbol, instrument_class=FUTURE, exchange="XCME", underlying="ES", expiry=expiry)
            )
            bars = [
                {"timestamp": format_timestamp(int(row["at"])), **{k: row[k] for k in ("open", "high", "low", "close", "volume")}}
                for row in minutes(month).to_dict("records")
            ]  # fmt: skip
            ingest(api, BARS.name, symbol, bars, "resolution=1m")
            ingest(api, "open-interest", symbol, interest(month))
        yield api


def page(api: Api, root: str = "ES", **query: str) -> list[dict[str, Any]]:
    response = api.get(f"{TREE}/{root}/continuous", {**RANGE, **query})
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)["bars"]
    return found


def own(api: Api, month: str, **query: str) -> list[dict[str, Any]]:
    response = api.get(f"{TREE}/{contract(month)}/ohlcv", {**RANGE, **query})
    found: list[dict[str, Any]] = answer(response)["bars"]
    return found


def by_hand(api: Api, **query: str) -> list[dict[str, Any]]:
    """December until the session of 18 December, March from the next one on, adjusted by the closes of the 18th."""
    closes = {
        month: {bar["date"]: bar["close"] for bar in own(api, month, resolution="1d", session="exchange")}
        for month in EXPIRIES
    }
    adjust = query.pop("adjust", "none")
    old, new = closes["201312"]["2013-12-18"], closes["201403"]["2013-12-18"]
    by = {"none": 0.0, "difference": new - old, "ratio": new / old}[adjust]
    edge = format_timestamp(utc_ns(2013, 12, 18) + 23 * 3_600 * SECOND_NS)
    rows = []
    for month, roll_date, factor in (
        ("201312", None, by),
        ("201403", "2013-12-19", 1.0 if adjust == "ratio" else 0.0),
    ):
        for bar in own(api, month, **query):
            del bar["final"]  # continuous bars have no such column
            if (bar["timestamp"] < edge) is (roll_date is None):
                prices = {
                    name: bar[name] * factor if adjust == "ratio" else bar[name] + factor
                    for name in ("open", "high", "low", "close")
                }
                rows.append(
                    {
                        **bar,
                        **prices,
                        "contract": contract(month),
                        "roll_date": roll_date,
                        "adjustment": factor,
                    }
                )
    return rows


@pytest.mark.parametrize("adjust", ["none", "difference", "ratio"])
@pytest.mark.parametrize("resolution", ["1d", "1h", "1m"])
@pytest.mark.parametrize("roll", ["volume", "open_interest"])
def test_december_rolls_into_march_as_by_hand(es: Api, roll: str, resolution: str, adjust: str):
    query = {"resolution": resolution, "limit": "10000"}
    found = page(es, roll=roll, adjust=adjust, **query)
    assert found == by_hand(es, adjust=adjust, **query)
    assert {bar["contract"] for bar in found} == {contract("201312"), contract("201403")}


def test_the_figures_of_the_day_decide(es: Api):
    volumes = {month: minutes(month).groupby("date")["volume"].sum() for month in ("201312", "201403")}
    heavier = [date for date in volumes["201312"].index if volumes["201403"][date] > volumes["201312"][date]]
    assert heavier[0] == "2013-12-18"
    reports = [
        {row["date"]: row["open_interest"] for row in interest(month)} for month in ("201312", "201403")
    ]
    assert [date for date in reports[0] if reports[1][date] > reports[0][date]] == [
        "2013-12-18",
        "2013-12-20",
    ]


@pytest.mark.parametrize(
    ("before", "expected"),
    [("8d", "2013-12-12"), ("2d", "2013-12-18"), ("0", "2013-12-20")],
)
def test_a_roll_some_days_before_expiry(es: Api, before: str, expected: str):
    query = {"roll": "days"} | ({} if before == "8d" else {"roll_before": before})
    dates = {bar["date"]: (bar["contract"], bar["roll_date"]) for bar in page(es, **query)}
    assert dates["2013-12-02"] == (contract("201312"), None)
    for date in ("2013-12-18", "2013-12-20"):
        front = (contract("201403"), expected) if date >= expected else (contract("201312"), None)
        assert dates[date] == front


def test_pages_have_the_rows_of_the_whole_and_one_snapshot(es: Api):
    query = {"resolution": "1h", "adjust": "difference"}
    whole, walked = page(es, **query, limit="10000"), list[Any]()
    cursor: dict[str, str] = {}
    while True:
        response = es.get(f"{TREE}/ES/continuous", {**RANGE, **query, "limit": "7", **cursor})
        found = answer(response)
        walked += found["bars"]
        if found["next_cursor"] is None:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert walked == whole
    backwards = page(es, **query, limit="10000", sort="desc")
    assert backwards == whole[::-1]


def test_a_contract_stands_for_its_root(es: Api):
    assert page(es, contract("201403")) == page(es)
    several = answer(es.get(f"{TREE}/continuous", {**RANGE, "symbols": "ES"}))["bars"]
    assert several == [{"symbol": "ES", **bar} for bar in page(es)]


def test_a_root_without_contracts_has_no_rows(api: Api):
    assert problem(api.get(f"{TREE}/ES/continuous", RANGE)) == (404, "unknown_symbol")
    market_store().set_instrument(Instrument("ES"))
    found = answer(api.get(f"{TREE}/ES/continuous", RANGE))
    assert (found["bars"], found["reason"]) == ([], "no_contracts")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"roll": "gaps"}, "invalid_parameter"),
        ({"resolution": "1w"}, "conflicting_parameters"),
        ({"roll_before": "3d"}, "conflicting_parameters"),
        ({"roll": "days", "roll_before": "36h"}, "invalid_duration"),
        ({"roll": "days", "roll_before": "400d"}, "invalid_duration"),
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(es: Api, query: dict[str, str], code: str):
    assert problem(es.get(f"{TREE}/ES/continuous", {**RANGE, **query})) == (400, code)


def trade(at: str, price: float, volume: float) -> dict[str, Any]:
    return {"timestamp": f"2025-01-{at}Z", "price": price, "volume": volume}


def test_what_was_not_stored_by_then_decides_nothing(api: Api):
    """A late print moves the roll; `as_of` before it has the roll of before, and so has a walk that began before it."""
    for symbol, expiry in (("XXH25", "2025-03-21"), ("XXM25", "2025-06-20")):
        market_store().set_instrument(
            Instrument(symbol, instrument_class=FUTURE, underlying="XX", expiry=expiry)
        )
    ingest(api, TRADES.name, "XXH25", [trade(f"0{day}T15:00:00", 10 + day, 100) for day in range(1, 7)])
    ingest(
        api, TRADES.name, "XXM25", [trade(f"0{day}T15:00:00", 20 + day, 10 * day**2) for day in range(1, 7)]
    )
    query = {"start": "2025-01-01", "end": "2025-01-08", "limit": "2"}
    first = api.get(f"{TREE}/XX/continuous", query)
    # 40, 90 and 160 against 100: March is left after the 4th.
    before = page(api, "XX", **{**query, "limit": "10"})
    assert [bar["contract"] for bar in before] == ["XXH25"] * 4 + ["XXM25"] * 2
    seen = market_store().log(TRADES, "XXM25").committed_at(1)
    ingest(api, TRADES.name, "XXM25", [trade("02T16:00:00", 22, 500)])
    after = page(api, "XX", **{**query, "limit": "10"})
    assert [bar["contract"] for bar in after] == ["XXH25"] * 2 + ["XXM25"] * 4
    assert after[2]["roll_date"] == "2025-01-03"
    then = page(api, "XX", **{**query, "limit": "10", "as_of": str(seen)})
    assert then == before
    second = answer(api.get(f"{TREE}/XX/continuous", {**query, "cursor": answer(first)["next_cursor"]}))
    assert second["bars"] == before[2:4]
    assert first["X-Commit"].startswith("contracts=2-")
