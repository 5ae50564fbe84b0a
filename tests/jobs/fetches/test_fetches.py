"""Fetches as jobs, sources and their markets: what callers see, what is stored."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.utils import timezone

from jobs.fetches.services import FETCH, MARKETS
from jobs.models import FAILED, NEEDS_CONFIRMATION, QUEUED, SUCCEEDED, Job
from store.datasets import BARS
from store.protocol import ALL_TIME
from tests.api_client import Api, answer, make_key, problem
from tests.jobs.running import run_job
from tests.patience import PATIENCE_SECONDS
from tests.sources.exchanges import FakeBinance, declared
from trades.stores import market_store

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = {
    "source": "binance",
    "name": "BTC/USDT",
    "start": "2024-01-01T00:00:00Z",
    "end": "2024-01-01T01:00:00Z",
}
MARKETS_PATH = "/api/v1/sources/binance/markets"


@pytest.fixture
def binance(settings: Any, tmp_path: Path) -> Iterator[FakeBinance]:
    settings.RUN_DIR = tmp_path / "run"
    with FakeBinance() as exchange, declared(settings, binance=exchange):
        yield exchange


def run(job_id: str) -> Any:
    run_job(Job.objects.get(uuid=job_id).uuid)
    return Job.objects.get(uuid=job_id)


def submit(api: Api, **body: Any) -> dict[str, Any]:
    response = api.call("POST", "/api/v1/fetches", orjson.dumps({**HOUR, **body}))
    assert response.status_code == 202
    found: dict[str, Any] = answer(response)
    assert response.headers["Location"] == found["links"]["self"]
    return found


def test_a_fetch_stores_an_hour_of_minutes_and_counts_them(api: Api, binance: FakeBinance):
    job = run(submit(api)["id"])
    assert job.state == SUCCEEDED, job.error
    assert job.result == {
        "symbol": "BTC-USDT", "class": "crypto", "source": "binance", "name": "BTC/USDT", "new": 60, "known": 0,
        "corrected": 0, "left_out": 0, "wrong": "", "actions": 0, "unanswered": [], "unanswered_count": 0,
    }  # fmt: skip
    assert (job.done, job.total) == (60, 60)
    assert market_store().log(BARS, "BTC-USDT").at().rows(ALL_TIME).num_rows == 60
    read = answer(
        api.call(
            "GET", "/api/v1/market-data/crypto/BTC-USDT/ohlcv?resolution=1h&start=2024-01-01&end=2024-01-02"
        )
    )
    assert read["bars"][0]["volume"] == 150.0, read


def test_a_preview_shows_the_cost_and_stores_nothing_before_it_is_confirmed(api: Api, binance: FakeBinance):
    submitted = submit(api, preview=True)
    job = run(submitted["id"])
    assert job.state == NEEDS_CONFIRMATION
    window = {"start": HOUR["start"], "end": HOUR["end"]}
    assert job.preview == {
        "symbol": "BTC-USDT", "class": "crypto", "source": "binance", "name": "BTC/USDT", **window, "unknown": [window],
        "requests": 2, "rows": 60, "seconds": 0.4, "bytes": 4200, "price": "", "tested": "tested",
        "terms": "binance's terms apply. Its data are for your own use: do not pass them on.",
    }  # fmt: skip
    assert binance.asked("klines") == []
    assert market_store().symbols(BARS) == []
    answer(api.call("POST", f"/api/v1/jobs/{submitted['id']}/confirm"))
    assert run(submitted["id"]).result["new"] == 60
    again = run(submit(api, preview=True)["id"])
    assert (again.preview["unknown"], again.preview["requests"], again.preview["terms"]) == ([], 0, "")


def test_a_candle_that_changed_is_corrected_and_as_of_has_the_old_one(api: Api, binance: FakeBinance):
    start_ms = 1_704_067_200_000
    run(submit(api)["id"])
    between = timezone.now().isoformat().replace("+00:00", "Z")
    binance.changed = {start_ms: 155.0}
    assert run(submit(api, again=True)["id"]).result["corrected"] == 1
    path = "/api/v1/market-data/crypto/BTC-USDT/ohlcv?resolution=1m&start=2024-01-01&end=2024-01-01T00:01:00Z"
    closes = [
        answer(api.call("GET", f"{path}{more}"))["bars"][0]["close"] for more in ("", f"&as_of={between}")
    ]
    assert closes == [155.0, 100.5 + start_ms // 60_000 % 50]


def test_neither_a_fetch_nor_a_feed_adds_to_rows_that_the_caller_sent(api: Api, binance: FakeBinance):
    sent = {"trades": [{"symbol": "BTC-USDT", "timestamp": "2024-01-01T00:00:00Z", "price": 1, "volume": 1}]}
    assert api.call("POST", "/api/v1/trades/ingest", orjson.dumps(sent)).status_code < 300
    job = run(submit(api)["id"])
    assert (job.state, job.error["code"]) == (FAILED, "source_refused")
    feed = api.call("POST", "/api/v1/feeds", orjson.dumps({"source": "binance", "name": "BTC/USDT"}))
    assert problem(feed) == (422, "source_refused")
    for message in (job.error["message"], answer(feed)["message"]):
        assert message.startswith("BTC-USDT has rows that were not fetched, and a symbol has one source")


def test_what_was_shown_is_what_is_fetched(api: Api, binance: FakeBinance):
    body = orjson.dumps({name: value for name, value in (HOUR | {"preview": True}).items() if name != "end"})
    job = run(answer(api.call("POST", "/api/v1/fetches", body))["id"])
    shown = job.preview["end"]
    assert job.note == {"end": shown}


def test_who_may_not_correct_rows_may_not_ask_again(binance: FakeBinance):
    caller = Api(make_key(scopes=("backfill:write",)))
    refused = caller.call("POST", "/api/v1/fetches", orjson.dumps(HOUR | {"again": True}))
    assert problem(refused) == (403, "missing_scope")
    assert caller.call("POST", "/api/v1/fetches", orjson.dumps(HOUR)).status_code == 202


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"name": "BTC/USTD"}, "source_refused", "binance has no market BTC/USTD: did you mean BTC/USDT"),
        ({"timeframe": "7m"}, "source_refused", "binance has no candles of 7m; it has 1s, 1m, 3m"),
        ({"dataset": "quotes"}, "source_refused", "binance gives candles and trades, no quotes"),
    ],
)
def test_what_a_source_does_not_give_ends_the_job_with_a_sentence(
    api: Api, binance: FakeBinance, body: dict[str, Any], code: str, message: str
):
    job = run(submit(api, **body)["id"])
    assert (job.state, job.error["code"]) == (FAILED, code)
    assert job.error["message"].startswith(message)


def test_an_exchange_that_is_away_is_asked_again_by_a_later_attempt(
    api: Api, binance: FakeBinance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sources.fetching._ATTEMPTS", 1)
    binance.status, binance.failing = 503, -1
    job = run(submit(api)["id"])
    assert (job.state, job.error["code"], job.attempts) == (QUEUED, "source_failed", 1)
    binance.failing = 0
    Job.objects.update(not_before=job.created_at)
    assert run(str(job.uuid)).state == SUCCEEDED


def test_a_long_wait_that_an_exchange_asks_for_holds_no_thread(api: Api, binance: FakeBinance):
    """The job is queued again for the time at which the exchange may be asked."""
    binance.status, binance.failing, binance.retry_after = 429, 1, 900
    began = time.monotonic()
    job = run(submit(api)["id"])
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert (job.state, job.attempts, binance.failing) == (QUEUED, 1, 0)
    assert 900 - PATIENCE_SECONDS < (job.not_before - timezone.now()).total_seconds() <= 900


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "binanse"}, "source"),
        ({"source": "http://169.254.169.254/"}, "source"),
        ({"timeframe": "often"}, "timeframe"),
        ({"end": "2023-01-01"}, "end"),
        ({"symbol": "a b c d!"}, "symbol"),
        ({"dataset": "open_interest"}, "dataset"),
    ],
)
def test_a_body_that_is_wrong_is_refused_at_once(api: Api, body: dict[str, Any], field: str):
    response = api.call("POST", "/api/v1/fetches", orjson.dumps({**HOUR, **body}))
    assert problem(response)[0] == 422
    assert [each["path"] for each in answer(response)["errors"]] == [field]


def test_sources_are_listed_with_what_they_need(api: Api, settings: Any):
    settings.SOURCES = {"desk": {"kind": "installation", "url": "https://desk.example"}}
    settings.SOURCE_KEYS = {"alpaca": "a:b"}
    found = {each["name"]: each for each in answer(api.call("GET", "/api/v1/sources"))["sources"]}
    assert next(iter(found)) == "desk"
    assert found["binance"] == {
        "name": "binance", "kind": "exchange", "tested": "tested", "needs_key": False, "has_key": False, "can_feed": True,
        "terms": "binance's terms apply. Its data are for your own use: do not pass them on.",
    }  # fmt: skip
    assert (found["alpaca"]["needs_key"], found["alpaca"]["has_key"], found["alpaca"]["kind"]) == (
        True,
        True,
        "alpaca",
    )
    assert not any(found[name]["can_feed"] for name in ("desk", "databento"))
    assert found["okx"]["tested"] == "read in its source, not tested"
    assert found["bitstamp"]["tested"] == "untested"


def test_markets_are_read_by_a_job_once_a_day_and_searched(api: Api, binance: FakeBinance):
    first = answer(api.call("GET", MARKETS_PATH))
    assert (first["state"], first["markets"]) == ("reading", [])
    assert answer(api.call("GET", MARKETS_PATH))["job"] == first["job"]
    job = run(first["job"].rpartition("/")[2])
    assert (job.kind, job.state) == (MARKETS.name, SUCCEEDED), job.error
    found = answer(api.call("GET", f"{MARKETS_PATH}?search=eth"))
    assert (found["state"], found["more"]) == ("ready", 0)
    assert found["markets"][0] == {
        "name": "ETH/USDT", "symbol": "ETH-USDT", "class": "crypto", "long_name": "ETH in USDT", "currency": "USDT",
    }  # fmt: skip
    by_symbol = answer(api.call("GET", f"{MARKETS_PATH}?search=eth-usdt"))["markets"]
    assert [each["name"] for each in by_symbol] == ["ETH/USDT", "ETH/USDT:USDT"]
    assert Job.objects.count() == 1


def test_markets_of_a_source_that_refuses_say_why(api: Api, binance: FakeBinance):
    binance.status, binance.failing = 451, -1
    run(answer(api.call("GET", MARKETS_PATH))["job"].rpartition("/")[2])
    found = answer(api.call("GET", MARKETS_PATH))
    assert found["state"] == "failed"
    assert found["message"] == "binance refuses your country or address (451): fetch from binanceus"


def test_markets_of_an_unknown_source_are_refused(api: Api):
    assert problem(api.call("GET", "/api/v1/sources/binanse/markets")) == (422, "source_refused")


def test_two_fetches_of_a_source_take_turns():
    assert (
        FETCH.turn(HOUR)
        == FETCH.turn({**HOUR, "name": "ETH/USDT"})
        != FETCH.turn({**HOUR, "source": "kraken"})
    )
