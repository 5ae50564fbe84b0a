"""The demo market as a feed: its rows are valid, each is posted once, and a coin trades when nothing else does."""

import datetime as dt
import io
from collections import Counter
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import time_machine
from django.core.management import call_command

from marketdata_client import Client
from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import MINUTE_NS, SECOND_NS, parse_timestamp
from tests.api_client import Api
from trades.management.commands.sample_feed import post_due
from trades.sample import COIN, EQUITIES, sample_day, trading_sessions
from trades.stores import market_store

pytestmark = pytest.mark.system

NEW_YORK = ZoneInfo("America/New_York")
OPEN = "2025-11-19T09:40"
SUNDAY = "2025-11-23T12:00"
MIDNIGHT = "2025-11-22T18:58"  # in UTC, two minutes later


def instant(text: str) -> int:
    """The nanoseconds of a time of New York."""
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND_NS


def to_the_api(api: Api) -> httpx.MockTransport:
    """Takes what the client sends through Django's middleware, without a socket."""

    def answer(request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        response = api.call(request.method, target, request.content, **request.headers)
        return httpx.Response(response.status_code, stream=httpx.ByteStream(response.content))

    return httpx.MockTransport(answer)


def posted(begin: str, minutes: float, *, every_seconds: int = 5) -> list[dict[str, Any]]:
    """The trades that a feed posts in so many minutes."""
    kept: list[dict[str, Any]] = []

    class Taker:
        def ingest(self, dataset: str, rows: list[dict[str, Any]], **_: Any) -> None:
            kept.extend(rows if dataset == "trades" else [])

        def post(self, *_: Any, **__: Any) -> None:
            pass

    begin_ns, step = instant(begin), every_seconds * SECOND_NS
    for after_ns in range(begin_ns, begin_ns + round(minutes * MINUTE_NS), step):
        post_due(Taker(), after_ns, after_ns + step)  # type: ignore[arg-type]
    return kept


def test_the_api_stores_every_request_and_bars_become_final(api: Api):
    begin_ns = instant(OPEN)
    with (
        time_machine.travel(begin_ns / SECOND_NS, tick=False) as clock,
        Client("http://testserver", transport=to_the_api(api), compression=False) as client,
    ):
        call_command("sample", history=0, days=1, stdout=io.StringIO())
        for second in range(0, 150, 15):
            now_ns = begin_ns + second * SECOND_NS
            clock.move_to(now_ns / SECOND_NS)
            post_due(client, now_ns - 30 * SECOND_NS, now_ns)
        path = f"/api/v1/market-data/crypto/{COIN}/ohlcv"
        bars = api.get(path, {"last": "3", "resolution": "1m"}).json()["bars"]
    assert [bar["final"] for bar in bars] == [True, True, False]
    rows = market_store().log(TRADES, "DEMOA").at().rows(ALL_TIME).sort_by("sequence")
    assert rows["sequence"].to_pylist() == list(range(1, len(rows) + 1))


def test_a_wrong_print_is_corrected_ten_seconds_later(api: Api):
    (session,) = trading_sessions(
        now=dt.datetime(2025, 11, 19, 20, tzinfo=dt.UTC), days=1, symbol=EQUITIES[0]
    )
    day = sample_day("DEMOA", session)
    assert day.correction is not None
    received_ns = day.corrected_at_ns - 10 * SECOND_NS
    prices = []
    with Client("http://testserver", transport=to_the_api(api), compression=False) as client:
        for after_s in (-5, 0, 5, 10):
            after_ns = received_ns + after_s * SECOND_NS
            with time_machine.travel((after_ns + 5 * SECOND_NS) / SECOND_NS, tick=False):
                post_due(client, after_ns, after_ns + 5 * SECOND_NS)
            rows = market_store().log(TRADES, "DEMOA").at().rows(ALL_TIME).to_pylist()
            prices += [each["price"] for each in rows if each["trade_id"] == day.correction.named["trade_id"]]
    right: Any = day.correction.new["price"]
    assert prices == [round(right * 1.05, 2), round(right * 1.05, 2), right, right]


@pytest.mark.parametrize("begin", [OPEN, MIDNIGHT], ids=["open", "across-midnight"])
def test_no_trade_is_posted_twice_or_left_out(begin: str):
    ids = [row["trade_id"] for row in posted(begin, 5)]
    assert max(Counter(ids).values()) == 1
    own = sorted(trade_id for trade_id in ids if trade_id.startswith(COIN))
    steps = [int(b[-6:]) - int(a[-6:]) for a, b in pairwise(own) if a[:-6] == b[:-6]]
    assert len(steps) > 200
    assert set(steps) == {1}


@pytest.mark.parametrize(
    ("begin", "traded"),
    [
        pytest.param(OPEN, {*EQUITIES, COIN}, id="regular-hours"),
        pytest.param(SUNDAY, {COIN}, id="sunday"),
        pytest.param("2025-11-27T12:00", {COIN}, id="thanksgiving"),
    ],
)
def test_equities_trade_in_their_hours_and_the_coin_always(begin: str, traded: set[str]):
    rows = posted(begin, 10, every_seconds=60)
    assert {row["symbol"] for row in rows} == traded
    received = [parse_timestamp(row["received_at"]) for row in rows]
    assert min(received) > instant(begin)


def test_a_later_feed_goes_on_with_the_same_walk():
    first, second = (
        [row for row in posted(begin, 5, every_seconds=60) if row["symbol"] == COIN]
        for begin in (SUNDAY, "2025-11-23T12:10")
    )
    assert abs(second[0]["price"] / first[-1]["price"] - 1) < 0.01
