"""The demo market as a feed: its rows are valid, each is posted once, and a coin trades when nothing else does."""

import datetime as dt
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
import time_machine

from marketdata_client import Client
from store.datasets import QUOTES, TRADES
from store.protocol import ALL_TIME
from store.timestamps import MINUTE_NS, SECOND_NS, parse_timestamp
from tests.api_client import Api
from trades.instruments.services import instruments_set
from trades.sample.feed import (
    COIN_INSTRUMENT,
    OVERLAP_NS,
    FeedCorrection,
    FeedPost,
    FeedRows,
    SampleFeed,
)
from trades.sample.feeder import send
from trades.sample.market import COIN, EQUITIES, SEED, coin_day, day_quotes, symbol_day, trading_sessions
from trades.stores import market_store

pytestmark = pytest.mark.system

NEW_YORK = ZoneInfo("America/New_York")
OPEN = "2025-11-19T09:40"
SUNDAY = "2025-11-23T12:00"
MIDNIGHT = "2025-11-22T19:00"  # in UTC
MOST_ROWS_A_SECOND = 5


def instant(text: str) -> int:
    """The nanoseconds of a time of New York."""
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND_NS


def paced(begin_ns: int, minutes: float, *, seed: int = 1) -> Iterator[tuple[int, FeedPost]]:
    """What a feed posts in so many minutes, with the instants, if time goes by only while it waits."""
    feed, now_ns = SampleFeed(now_ns=begin_ns, rng=random.Random(seed)), begin_ns
    while now_ns <= begin_ns + minutes * MINUTE_NS:
        yield from ((now_ns, post) for post in feed.posts(now_ns))
        wait = feed.wait_seconds(now_ns)
        assert 0 < wait <= 1
        now_ns += max(round(wait * SECOND_NS), 1)


def rows_of(posts: Iterable[FeedPost], dataset: str) -> list[dict[str, Any]]:
    return [
        row for post in posts if isinstance(post, FeedRows) and post.dataset == dataset for row in post.rows
    ]


def to_the_api(api: Api) -> httpx.MockTransport:
    """Takes what the client sends through Django's middleware, without a socket."""

    def answer(request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        response = api.call(request.method, target, request.content, **request.headers)
        return httpx.Response(response.status_code, stream=httpx.ByteStream(response.content))

    return httpx.MockTransport(answer)


def test_the_api_stores_every_request_and_bars_become_final(api: Api):
    instruments_set(instruments=[COIN_INSTRUMENT])
    sent = 0
    with (
        time_machine.travel(0, tick=False) as clock,
        Client("http://testserver", transport=to_the_api(api), compression=False) as client,
    ):
        for now_ns, post in paced(instant(OPEN) + 50 * SECOND_NS, 1.3):
            clock.move_to(now_ns / SECOND_NS)
            send(client, post)
            sent += 1
        bars = api.get(f"/api/v1/market-data/crypto/{COIN}/ohlcv", {"last": "3", "resolution": "1m"}).json()[
            "bars"
        ]
    assert sent > 60
    assert [bar["final"] for bar in bars] == [True, True, False]
    for symbol in (*EQUITIES, COIN):
        assert len(market_store().log(TRADES, symbol).at().rows(ALL_TIME)) > 20
        assert len(market_store().log(QUOTES, symbol).at().rows(ALL_TIME)) > 20


def test_equities_have_the_trades_that_the_sample_has():
    begin_ns = instant(OPEN)
    now = dt.datetime.fromtimestamp(begin_ns / SECOND_NS, dt.UTC)
    (session,) = trading_sessions(now=now, days=1)
    day = symbol_day(seed=SEED, symbol="DEMOA", session=session)
    # The late ones of the window have come by its end.
    posts = [post for _, post in paced(begin_ns, 10)]
    posted = {row["trade_id"]: row for row in rows_of(posts, "trades") if row["symbol"] == "DEMOA"}
    window = [begin_ns - OVERLAP_NS, begin_ns + 9 * MINUTE_NS]
    first, last = day.received_at_ns.searchsorted(window, side="right")
    assert last - first > 100
    for row in range(first, last):
        found = posted[day.trade_id[row]]
        assert parse_timestamp(found["timestamp"]) == day.time_ns[row]
        assert parse_timestamp(found["received_at"]) == day.received_at_ns[row]
        assert (found["price"], found["volume"]) == (day.price[row], day.volume[row])
        assert (found["exchange"], tuple(found["conditions"])) == (day.exchange[row], day.conditions[row])


@pytest.mark.parametrize("begin", [OPEN, MIDNIGHT], ids=["open", "across-midnight"])
def test_no_trade_is_posted_twice_or_left_out(begin: str):
    rows = rows_of((post for _, post in paced(instant(begin) - MINUTE_NS, 5)), "trades")
    ids = [row["trade_id"] for row in rows]
    assert max(Counter(ids).values()) == 1
    still_to_come = 2
    for symbol in (COIN, "DEMOA"):
        own = sorted(trade_id for trade_id in ids if trade_id.startswith(symbol))
        # The number after the last dash counts the trades of a date.
        steps = [int(b[-6:]) - int(a[-6:]) for a, b in pairwise(own) if a[:-6] == b[:-6]]
        assert len(steps) > 50 or symbol != COIN
        assert sum(step - 1 for step in steps) <= still_to_come


@pytest.mark.parametrize(
    ("begin", "traded"),
    [
        pytest.param(OPEN, {*EQUITIES, COIN}, id="regular-hours"),
        pytest.param(SUNDAY, {COIN}, id="sunday"),
        pytest.param("2025-11-27T12:00", {COIN}, id="thanksgiving"),
    ],
)
def test_equities_trade_in_their_hours_and_the_coin_always(begin: str, traded: set[str]):
    posts = [(now_ns, post) for now_ns, post in paced(instant(begin), 20)]
    trades, quotes = (rows_of((post for _, post in posts), name) for name in ("trades", "quotes"))
    assert {row["symbol"] for row in trades} == {row["symbol"] for row in quotes} == traded
    assert len(trades) + len(quotes) < MOST_ROWS_A_SECOND * 20 * 60
    # Rows are posted when they are received, not in bunches.
    assert max(Counter(now_ns for now_ns, _ in posts[8:]).values()) <= 4


def test_a_later_feed_goes_on_with_the_same_walk():
    first, second = (
        [row for row in rows_of((post for _, post in paced(begin_ns, 5)), "trades") if row["symbol"] == COIN]
        for begin_ns in (instant(SUNDAY), instant(SUNDAY) + 10 * MINUTE_NS)
    )
    assert parse_timestamp(second[0]["timestamp"]) > parse_timestamp(first[-1]["timestamp"]) + 3 * MINUTE_NS
    assert abs(second[0]["price"] / first[-1]["price"] - 1) < 0.01


def test_a_coins_price_goes_on_over_midnight():
    days = [coin_day(seed=SEED, symbol=COIN, date=dt.date(2025, 11, day)) for day in (20, 21, 22, 23)]
    for before, after in pairwise(days):
        assert abs(after.price[0] / before.price[-1] - 1) < 0.01
        assert before.time_ns[-1] < after.time_ns[0]
    for day in days:
        assert 42_000 < len(day) < 44_400
        assert (np.diff(day.time_ns) >= 0).all()
        assert (np.diff(day.received_at_ns) >= 0).all()
        assert day.volume.min() > 0
        assert 0.01 < np.log(day.price.max() / day.price.min()) < 0.3


def test_each_trade_is_at_a_side_of_its_quote():
    day = coin_day(seed=SEED, symbol=COIN, date=dt.date(2025, 11, 20))
    quotes = day_quotes(day, seed=SEED)
    at_bid, at_ask = quotes.bid == day.price, quotes.ask == day.price
    assert (at_bid ^ at_ask).all()
    assert 0.4 < at_bid.mean() < 0.6
    assert (quotes.bid < quotes.ask).all()
    assert quotes.bid.min() > 0
    assert (quotes.time_ns < day.time_ns).all()
    assert min(quotes.bid_size.min(), quotes.ask_size.min()) > 0


def test_now_and_then_a_trade_is_late_corrected_or_cancelled():
    posted: dict[str, int] = {}
    lateness: list[int] = []
    actions = Counter[str]()
    for now_ns, post in paced(instant(SUNDAY), 90):
        if isinstance(post, FeedCorrection):
            actions[post.correction["action"]] += 1
            assert posted[post.correction["trade_id"]] < now_ns
            continue
        rows = rows_of([post], "trades")
        posted |= {row["trade_id"]: now_ns for row in rows}
        received = [parse_timestamp(row["received_at"]) for row in rows]
        if post.complete_until is None:
            lateness += [now_ns - each for each in received]
        else:
            assert now_ns - SECOND_NS < parse_timestamp(post.complete_until) < now_ns
    assert 10 <= len(lateness) <= 80
    assert min(lateness) >= 5 * SECOND_NS
    assert min(actions["correct"], actions["cancel"]) >= 5
    assert 30 <= actions.total() <= 120


def test_after_an_outage_all_that_was_due_is_posted_at_once():
    begin_ns = instant(SUNDAY)
    feed = SampleFeed(now_ns=begin_ns, rng=random.Random(1))
    feed.posts(begin_ns)
    posts = feed.posts(begin_ns + 30 * MINUTE_NS)
    assert 750 < len(rows_of(posts[:2], "trades")) < 1_050
    assert feed.posts(begin_ns + 30 * MINUTE_NS) == []
