"""Rows of another installation, here this one: those that it has, and nothing about what it lacks."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from sources.installation import Installation
from sources.protocol import SourcePage, SourceRefused, Wanted
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamp
from tests.api_client import Api, trade
from tests.sources.asked import QUICK, answered_of, by_the_api, rows_of, wanted, window
from trades.stores import market_store

HOUR = window("2025-01-02T14:30:00Z", "2025-01-02T15:30:00Z")


def installation(url: str, **options: Any) -> Installation:
    return Installation("desk", url=url, **{"key": "md_abcdef_secret", "limits": QUICK, **options})


def pages(api: Api, of: Wanted, asked: Window = HOUR) -> list[SourcePage]:
    return by_the_api(api, lambda server: list(installation(server.url).pages(of, asked)))


def test_trades_come_equal_page_by_page_with_the_commit(api: Api, default_store, monkeypatch):
    monkeypatch.setattr("sources.installation.PAGE_ROWS", 3)
    rows = [
        trade(timestamp=f"2025-01-02T14:3{n // 4}:00.123456789Z", trade_id=str(n), exchange="XNAS", conditions=["regular", "odd_lot"][: n % 3])
        for n in range(8)
    ]  # fmt: skip
    assert api.ingest(*rows, trade(timestamp="2025-01-02T15:30:00Z")).status_code == 200
    found = pages(api, wanted())
    stored = market_store().log(TRADES, "AAPL").at()
    assert rows_of(found).equals(
        stored.rows(ALL_TIME).select(TRADES.schema.names).slice(0, 8).cast(TRADES.schema)
    )
    assert [each.rows.num_rows for each in found] == [4, 4]  # of four of one time, all are on one page
    assert {each.commit for each in found} == {f"trades={stored.commit.token}"}


def test_quotes_come_equal(api: Api, default_store):
    rows = [
        {"symbol": "AAPL", "timestamp": f"2025-01-02T14:30:0{n}Z", "bid": 1.5, "bid_size": 2, "conditions": ["regular"], "received_at": "2025-01-02T14:31:00Z"}
        for n in range(3)
    ]  # fmt: skip
    assert api.ingest(orjson.dumps({"quotes": rows}), path="/api/v1/quotes/ingest").status_code == 200
    stored = market_store().log(QUOTES, "AAPL").at().rows(ALL_TIME).select(QUOTES.schema.names)
    assert rows_of(pages(api, wanted(QUOTES))).equals(stored.cast(QUOTES.schema))


def test_its_own_gaps_and_the_time_before_and_after_its_rows_are_not_answered(api: Api, default_store):
    declared = orjson.dumps({"exchange": "XNAS", "gap_rule": "calendar"})
    assert api.call("PUT", "/api/v1/instruments/AAPL", declared).status_code == 200
    rows = [trade(timestamp=f"2025-01-02T14:{minute}:00Z") for minute in (31, 33)]
    assert api.ingest(*rows).status_code == 200
    found = pages(api, wanted())
    assert rows_of(found).num_rows == 2
    minutes = [Window(HOUR.start_ns + n * MINUTE_NS, HOUR.start_ns + (n + 1) * MINUTE_NS) for n in (1, 3)]
    assert answered_of(found) == [minutes[0], Window(minutes[1].start_ns, minutes[1].start_ns + 1)]


def test_bars_come_from_trades_and_end_before_the_first_that_is_not_final(api: Api, default_store):
    rows = [trade(timestamp=f"2025-01-02T14:{minute}:10Z", price=minute) for minute in (31, 31, 33, 34)]
    assert api.ingest(*rows).status_code == 200
    found = pages(api, wanted(BARS))
    bars = rows_of(found).to_pylist()
    assert [(each["open"], each["resolution"], each["trade_count"]) for each in bars] == [
        (31, "1m", 2),
        (33, "1m", 1),
    ]
    start_ns = HOUR.start_ns + MINUTE_NS
    assert answered_of(found) == [Window(start_ns, start_ns + 2 * MINUTE_NS + 1)]


def test_days_of_sessions_are_at_the_midnight_of_their_date_and_missing_days_are_not_answered(
    api: Api, default_store
):
    assert api.call("PUT", "/api/v1/instruments/AAPL", b'{"exchange": "XNAS"}').status_code == 200
    rows = [trade(timestamp=f"2025-01-{day:02d}T15:00:00Z") for day in (2, 6, 7, 8)]  # the 3rd is missing
    assert api.ingest(*rows).status_code == 200
    found = pages(api, wanted(BARS, resolution="1d"), window("2025-01-01", "2025-01-08"))
    day = parse_timestamp("2025-01-02")
    assert rows_of(found)["timestamp"].to_pylist() == [day, day + 4 * DAY_NS, day + 5 * DAY_NS]
    assert answered_of(found) == [
        Window(day, day + DAY_NS),
        # The gap reaches to the end of the post-market hours, which is on the 4th in UTC.
        Window(day + 3 * DAY_NS, parse_timestamp("2025-01-08")),
    ]


def test_corporate_actions_come_too(api: Api, default_store):
    rows = [
        {"symbol": "AAPL", "timestamp": "2020-08-31", "kind": "split", "ratio": 4},
        {"symbol": "AAPL", "timestamp": "2025-02-10", "kind": "dividend", "amount": 0.25, "currency": "USD"},
    ]
    body = orjson.dumps({"corporate_actions": rows})
    assert api.ingest(body, path="/api/v1/corporate-actions/ingest").status_code == 200
    found = rows_of(pages(api, wanted(CORPORATE_ACTIONS), window("2015-01-01", "2026-01-01")))
    assert [(each["kind"], each["ratio"], each["amount"]) for each in found.to_pylist()] == [
        ("split", 4, None),
        ("dividend", None, 0.25),
    ]


def test_its_instruments_are_its_markets(api: Api, default_store):
    declared = orjson.dumps({"exchange": "XNAS", "name": "Apple Inc.", "currency": "USD", "tick_size": 0.01})
    assert api.call("PUT", "/api/v1/instruments/AAPL", declared).status_code == 200
    (market,) = by_the_api(api, lambda server: list(installation(server.url).markets()))
    assert (market.symbol, market.cls, market.long_name, market.exchange, market.tick_size) == (
        "AAPL",
        "equity",
        "Apple Inc.",
        "XNAS",
        Decimal("0.01"),
    )


def test_an_unknown_symbol_is_refused(api: Api, default_store):
    with pytest.raises(SourceRefused, match="unknown_symbol"):
        pages(api, wanted())


def test_a_long_range_of_ticks_is_asked_hour_by_hour(api: Api, default_store):
    assert api.ingest(*(trade(timestamp=f"2025-01-02T{hour}:30:00Z") for hour in (14, 17))).status_code == 200
    found = by_the_api(
        api,
        lambda server: (
            rows_of(installation(server.url).pages(wanted(), ALL_TIME)).num_rows,
            [path for path, _ in server.calls if "/trades?" in path],
        ),
    )
    assert found[0] == 2
    assert len(found[1]) == 4
    assert "start=2025-01-02T14%3A30%3A00Z&end=2025-01-02T15%3A30%3A00Z" in found[1][0]
    assert HOUR.start_ns + 3 * 3600 * SECOND_NS < parse_timestamp("2025-01-02T17:31:00Z")
