"""Writes to a log whose newest commit is far ahead of the clock: refused with what to do, and stored when they are sent again."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import time_machine
from django.core.management import call_command

from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.api_client import OHLC, Api, answer, problem, trade
from trades.stores import market_store

HOUR = timedelta(hours=1)
AHEAD = (503, "log_ahead_of_clock")
MSFT = "/api/v1/instruments/MSFT"
COIN = orjson.dumps({"class": "crypto", "currency": "USD"})


@pytest.fixture
def ahead(api: Api) -> Api:
    """A caller after the clock went forward by an hour, a row and a declaration were stored, and it went back."""
    with time_machine.travel(datetime.now(UTC) + HOUR):
        assert api.ingest(trade()).status_code == 200
        assert api.call("PUT", MSFT, COIN).status_code in {200, 201}
    return api


def cancel_of(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": "cancel",
        **{name: each for name, each in row.items() if name in {"timestamp", "price", "volume"}},
    }


def test_the_answer_names_the_log_how_far_it_is_ahead_and_what_to_do(ahead: Api) -> None:
    refused = ahead.ingest(trade(price=2))
    assert problem(refused) == AHEAD
    assert refused["Retry-After"] == "60"
    said = orjson.loads(refused.content)["message"]
    ways = (
        r"trades/AAPL: the newest commit, of \S+Z, is 3,(600|59\d) s ahead of the clock; 60 s are allowed\. Wait, or set the"
        r" clock if it is slow\. To write now, start the server with CLOCK_AHEAD_SECONDS=3(600|59\d), which keeps all rows,"
        r" or stop it and run `manage\.py store cut`, which says how many rows it deletes"
    )
    assert re.fullmatch(ways, said), said


def test_rows_corrections_and_declarations_are_stored_when_they_are_sent_again(ahead: Api) -> None:
    other = orjson.dumps({"class": "crypto", "currency": "EUR"})

    def send() -> list[Any]:
        return [
            ahead.ingest(trade(price=2), idempotency_key="k-1"),
            ahead.correct(cancel_of(trade()), idempotency_key="k-2"),
            ahead.call("PUT", MSFT, other),
        ]

    assert [problem(each) for each in send()] == [AHEAD] * 3
    assert answer(ahead.get(MSFT))["currency"] == "USD"
    with time_machine.travel(datetime.now(UTC) + HOUR):
        first, again = send(), send()
    assert [each.status_code for each in (*first, *again)] == [200] * 6
    assert [each.get("Idempotency-Replayed") for each in (*first, *again)] == [None] * 3 + [
        "true",
        "true",
        None,
    ]
    assert answer(ahead.get(MSFT))["currency"] == "EUR"
    (row,) = market_store().log(TRADES, "AAPL").at().rows(ALL_TIME).to_pylist()
    assert row["price"] == 2.0


def test_reads_and_other_symbols_go_on(ahead: Api) -> None:
    bars = ahead.get(OHLC, {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-03"})
    assert [bar["close"] for bar in answer(bars)["data"]] == [189.98]
    assert ahead.ingest(trade(symbol="IBM")).status_code == 200


def test_a_larger_setting_keeps_all_rows(ahead: Api, settings: Any, store_path: Path) -> None:
    options = {"path": store_path, "clock_ahead_seconds": 7200}
    settings.MARKET_STORES = {"default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": options}}
    log = market_store().log(TRADES, "AAPL")
    assert ahead.ingest(trade(price=2)).status_code == 200
    assert log.committed_at(2) == log.committed_at(1) + 1
    assert len(log.at().rows(ALL_TIME)) == 2


def test_a_cut_says_how_many_rows_it_deletes(
    api: Api, settings: Any, store_path: Path, tmp_path: Path
) -> None:
    settings.RUN_DIR, output = tmp_path / "run", StringIO()
    api.ingest(trade())
    until = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    with time_machine.travel(datetime.now(UTC) + HOUR):
        api.ingest(trade(price=2), trade(price=3))
    assert problem(api.ingest(trade(price=4))) == AHEAD
    call_command("store", "cut", "AAPL", "--until", until, "--yes", stdout=output)
    assert "trades/AAPL: loses 1 of 2 commits, 2 rows" in output.getvalue()
    assert api.ingest(trade(price=4)).status_code == 200
    assert len(market_store().log(TRADES, "AAPL").at().rows(ALL_TIME)) == 2
