"""`halted`: intervals whose trading hours all lie in halts, by the changes of `trading_status`."""

from typing import Any

import orjson
import pytest

from store.instruments import FUTURE, Instrument
from tests.api_client import Api, answer, problem
from tests.stats.market_data.absence.test_typed_absence import STOCKS, absences, ingest, run
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PATH = "/api/v1/market-data/equities/GEN/trading-status"
# Friday: the exchange is open until 21:00Z.
HOUR = {"start": "2024-12-06T15:00Z", "end": "2024-12-06T16:00Z", "resolution": "10m"}


@pytest.fixture
def stocks(api: Api) -> Api:
    """A stock with a trade in each of two hours of one date, and one on the next."""
    market_store().set_instrument(Instrument("GEN", exchange="XNYS"))
    ingest(api, "2024-12-06T15:00:01Z", "2024-12-06T20:59:00Z", "2024-12-09T15:00:00Z")
    return api


def send(api: Api, *changes: str, symbol: str = "GEN") -> None:
    """Send changes, each an instant and a status."""
    rows = [dict(zip(("timestamp", "status"), each.split(), strict=True), symbol=symbol) for each in changes]
    response = api.call("POST", "/api/v1/trading-status/ingest", orjson.dumps({"trading_status": rows}))
    assert response.status_code == 200, response.content


def reasons(api: Api, **params: Any) -> list[tuple[str, str]]:
    return [(each["start"][11:16], each["reason"]) for each in absences(api, **params)]


def test_changes_are_read_as_they_were_sent(api: Api):
    rows = SAMPLE_ROWS["trading_status"]
    body = orjson.dumps({"trading_status": rows})
    path = "/api/v1/trading-status/ingest"
    assert answer(api.call("POST", path, body))["stored"] == 2
    assert answer(api.call("POST", path, body))["duplicates"] == 2
    response = api.get(PATH.replace("GEN", "AAPL"), {"start": "2025-01-01", "end": "2025-02-01"})
    wanted = [
        {"timestamp": row["timestamp"], "status": row["status"], "reason": row.get("reason")} for row in rows
    ]
    assert answer(response)["trading_status"] == wanted
    assert response["X-Commit"].startswith("trading_status=1-")
    other = orjson.dumps({"trading_status": [rows[0] | {"reason": "T1"}]})
    assert problem(api.call("POST", path, other)) == (422, "row_conflict")


def test_only_intervals_wholly_within_a_halt_are_halted(stocks: Api):
    send(stocks, "2024-12-06T15:15:00Z halted", "2024-12-06T15:45:00Z resumed")
    # 15:10 and 15:40 have minutes of trading.
    assert reasons(stocks, **HOUR) == [("15:10", "no_trades"), ("15:20", "halted"), ("15:40", "no_trades")]
    assert absences(stocks, **HOUR | {"resolution": "1h"}) == []


def test_a_halt_of_a_whole_date_is_no_gap(stocks: Api):
    ingest(stocks, "2024-12-03T15:00:00Z")
    send(stocks, "2024-12-05T13:00:00Z halted", "2024-12-06T14:40:00Z resumed")
    assert absences(stocks, start="2024-12-04", end="2024-12-07", hours="regular") == [
        run("2024-12-04T14:30:00", "2024-12-04T21:00:00", "gap"),
        run("2024-12-05T14:30:00", "2024-12-05T21:00:00", "halted"),
    ]


def test_a_halt_counts_from_before_the_range_and_over_closed_hours(stocks: Api):
    send(stocks, "2024-12-05T20:00:00Z halted", "2024-12-06T15:30:00Z resumed")
    # Before the open, the hour has half an hour of trading, all of it halted.
    early = {"start": "2024-12-06T14:00Z", "end": "2024-12-06T15:00Z", "resolution": "1h", "hours": "regular"}
    assert reasons(stocks, **early) == [("14:00", "halted")]
    assert reasons(stocks, **HOUR) == [("15:10", "halted"), ("15:30", "no_trades")]
    night = {"start": "2024-12-06T02:00Z", "end": "2024-12-06T03:00Z", "resolution": "1h"}
    assert reasons(stocks, **night) == [("02:00", "closed")]


@pytest.mark.parametrize("later", [[], ["2024-12-09T15:30:00Z halted", "2024-12-09T15:40:00Z resumed"]])
def test_a_halt_without_an_end_lasts_to_the_end_of_its_date(stocks: Api, later: list[str]):
    send(stocks, "2024-12-06T15:30:00Z halted", *later)
    assert reasons(stocks, **HOUR) == [("15:10", "no_trades"), ("15:30", "halted")]
    monday = {"start": "2024-12-09T14:00Z", "end": "2024-12-09T15:00Z", "resolution": "30m"}
    assert reasons(stocks, **monday) == [("14:00", "no_trades")]


def test_a_halt_that_is_sent_again_goes_on_until_it_ends(stocks: Api):
    send(stocks, "2024-12-06T15:10:00Z halted", "2024-12-06T15:12:00Z halted", "2024-12-06T15:40:00Z resumed")
    assert reasons(stocks, **HOUR) == [("15:10", "halted"), ("15:40", "no_trades")]


def test_an_evening_session_belongs_to_the_date_of_its_halt(api: Api):
    """Without an end, a halt of Sunday evening lasts to Monday's end: 17:00 in Chicago."""
    market_store().set_instrument(Instrument("ESZ4", instrument_class=FUTURE, exchange="XCME"))
    ingest(api, "2024-12-02T00:00:00Z", "2024-12-03T12:00:00Z", symbol="ESZ4")
    send(api, "2024-12-02T01:00:00Z halted", symbol="ESZ4")
    hours = {"start": "2024-12-02T20:00Z", "end": "2024-12-03T01:00Z", "resolution": "1h"}
    assert absences(api, "/api/v1/market-data/futures/ESZ4/ohlcv", **hours) == [
        run("2024-12-02T20:00:00", "2024-12-02T22:00:00", "halted"),
        run("2024-12-02T22:00:00", "2024-12-02T23:00:00", "closed"),
        run("2024-12-02T23:00:00", "2024-12-03T01:00:00", "no_trades"),
    ]


def test_a_symbol_without_an_exchange_is_halted_by_utc_dates(api: Api):
    ingest(api, "2024-12-06T15:00:01Z")
    send(api, "2024-12-06T20:00:00Z halted")
    params = {"start": "2024-12-06T18:00Z", "end": "2024-12-07T02:00Z", "resolution": "2h"}
    assert reasons(api, **params) == [("18:00", "no_trades"), ("20:00", "halted"), ("00:00", "gap")]


def test_the_answer_is_pinned_to_the_changes(stocks: Api, clock: Any):
    before, first = clock(), stocks.get(STOCKS, {**HOUR, "coverage": 1})
    assert "trading_status" not in first["X-Commit"]
    send(stocks, "2024-12-06T15:10:00Z halted", "2024-12-06T15:40:00Z resumed")
    second = stocks.get(STOCKS, {**HOUR, "coverage": 1})
    assert "trading_status=1-" in second["X-Commit"]
    assert second["ETag"] != first["ETag"]
    assert {each["reason"] for each in answer(second)["absences"]} == {"halted", "no_trades"}
    earlier = answer(stocks.get(STOCKS, {**HOUR, "coverage": 1, "as_of": before}))
    assert earlier["absences"] == answer(first)["absences"]
    assert "trading_status" not in stocks.get(STOCKS, HOUR)["X-Commit"]
