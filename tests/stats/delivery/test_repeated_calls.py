"""An answer is held while it is the newest, and sent from memory."""

import gc
import time
import types
from functools import partial

import orjson
import pytest
import time_machine

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.answers import AnswerSnapshot, finished_answer, rendered
from stats.delivery.responses import RepeatedCall
from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import parse_query
from stats.market_data.reports import parse_report_query, report_snapshot
from stats.ohlc import ohlc_snapshot, parse_ohlc_query
from store.datasets import TRADES
from store.instruments import Instrument
from store.timestamps import SECOND_NS, parse_timestamp
from tests.api_client import Api, trade
from trades.stores import market_store

QUERY = "symbol=AAPL&start=2025-01-02&end=2025-01-03"
LATEST = parse_report_query("latest", "equities", "AAPL", "")


@pytest.fixture
def held(api: Api) -> RepeatedCall:
    api.ingest(trade())
    return RepeatedCall(partial(ohlc_snapshot, parse_ohlc_query(QUERY)), "json")


def test_the_same_answer_is_held_until_a_commit(held: RepeatedCall, api: Api):
    now_ns = time.time_ns()
    assert held.if_newest(now_ns) is None
    first = held.newest(now_ns)
    assert held.newest(now_ns) is held.if_newest(now_ns) is first
    api.ingest(trade(price=190.0))
    assert held.if_newest(now_ns) is None
    assert held.newest(now_ns).etag != first.etag


@pytest.mark.parametrize(
    ("symbol", "snapshots"), [("AAPL", [1]), ("MSFT", [1, 2])], ids=["the logs", "other logs"]
)
def test_an_answer_of_known_logs_needs_one_snapshot(api: Api, symbol: str, snapshots: list[int]):
    """If the logs to watch are wrong, the second call takes another one, with the logs of the first."""
    api.ingest(trade())
    calls: list[AnswerSnapshot] = []

    def take_snapshot(*, now_ns: int) -> AnswerSnapshot:
        calls.append(ohlc_snapshot(parse_ohlc_query(QUERY), now_ns=now_ns))
        return calls[-1]

    held = RepeatedCall(take_snapshot, "json", logs=frozenset({(TRADES, symbol)}))
    counts = []
    while held.if_newest(time.time_ns()) is None:
        held.newest(time.time_ns())
        counts.append(len(calls))
    assert counts == snapshots
    api.ingest(trade(price=190.0))
    assert held.if_newest(time.time_ns()) is None


def test_a_commit_to_another_symbol_leaves_the_answer(held: RepeatedCall, api: Api):
    first = held.newest(time.time_ns())
    api.ingest(trade(symbol="MSFT"))
    assert held.if_newest(time.time_ns()) is first


def test_a_declaration_ends_the_answer(held: RepeatedCall):
    held.newest(time.time_ns())
    market_store().set_instrument(Instrument("AAPL", bar_policy="us_equities"))
    assert held.if_newest(time.time_ns()) is None


def test_an_answer_that_changes_with_time_is_held_until_then(api: Api):
    api.ingest(trade())
    query = parse_query(MARKET_DATASETS["ohlcv"], "equities", "AAPL", "last=1&resolution=1m")
    held = RepeatedCall(partial(page_snapshot, query=query), "json")
    now_ns = time.time_ns()
    expires_ns = held.newest(now_ns).snapshot.expires_ns
    assert expires_ns is not None
    assert held.if_newest(expires_ns - 1) is not None
    assert held.if_newest(expires_ns) is held.if_newest(now_ns - 1) is None


@pytest.mark.parametrize("seconds", [-5, 20, 90], ids=["past", "in the bar", "future"])
def test_an_answer_at_an_instant_is_held_after_it(api: Api, seconds: int):
    """The only bar is final a minute after its start, and `as_of` is before or after that."""
    with time_machine.travel("2025-01-02T14:30:10Z", tick=False):
        api.ingest(trade())
    now_ns, end_ns = (parse_timestamp(f"2025-01-02T14:3{time}Z") for time in ("0:20", "1:00"))
    as_of_ns = now_ns + seconds * SECOND_NS
    query = parse_query(
        MARKET_DATASETS["ohlcv"], "equities", "AAPL", f"last=1&resolution=1m&as_of={as_of_ns}"
    )
    held = RepeatedCall(partial(page_snapshot, query=query), "json")
    held.newest(now_ns)
    assert (held.if_newest(end_ns) is None) == (as_of_ns >= end_ns)
    later = held.newest(as_of_ns + SECOND_NS)
    assert held.if_newest(as_of_ns + 3_600 * SECOND_NS) is later
    assert later.snapshot.expires_ns is None


def test_the_newest_rows_are_held_until_a_commit(api: Api):
    api.ingest(trade())
    held = RepeatedCall(partial(report_snapshot, query=LATEST), "json")
    noticed_ns = time.time_ns()
    first = held.newest(noticed_ns)
    assert held.if_newest(noticed_ns + 3_600 * SECOND_NS) is first
    api.ingest(trade(price=190.0))
    assert held.if_newest(noticed_ns) is None


def test_a_row_of_the_future_is_answered_when_its_time_comes(api: Api):
    api.ingest(trade(price=1.0), trade(price=2.0, timestamp="2025-01-02T14:30:10Z"))
    held = RepeatedCall(partial(report_snapshot, query=LATEST), "json")
    first_ns = parse_timestamp("2025-01-02T14:30:00Z")
    prices = [
        orjson.loads(rendered(held.newest(first_ns + seconds * SECOND_NS).snapshot, "json")[0])["trade"][
            "price"
        ]
        for seconds in range(12)
    ]
    assert prices == [1.0] * 10 + [2.0] * 2


def test_an_answer_is_sent_from_memory_only(held: RepeatedCall):
    now_ns = time.time_ns() // SECOND_NS * SECOND_NS
    sent = partial(held.from_memory, if_none_match=None)
    key = held.newest(now_ns)
    assert sent(now_ns=now_ns) is None
    computed = finished_answer(key, if_none_match=None, now_ns=now_ns)
    first = sent(now_ns=now_ns)
    assert first is not None
    assert (first.body, first.headers) == (computed.body, {**computed.headers, "X-Cache": "hit"})
    same = sent(now_ns=now_ns + SECOND_NS - 1)
    assert same is not None
    assert same.headers is first.headers
    later = sent(now_ns=now_ns + SECOND_NS)
    assert later is not None
    assert later.headers == {**first.headers, "Age": "1"}
    RESPONSE_CACHE.local.clear()
    assert sent(now_ns=now_ns) is None
    unchanged = held.from_memory(if_none_match=key.etag, now_ns=now_ns)
    assert unchanged is not None
    assert (unchanged.status, unchanged.body) == (304, b"")


def test_an_answer_is_checked_once_in_a_poll(held: RepeatedCall, api: Api):
    now_ns, poll = time.time_ns(), object()
    first = held.newest(now_ns)
    assert held.if_newest(now_ns, poll=poll) is first
    api.ingest(trade(price=190.0))
    assert held.if_newest(now_ns, poll=poll) is first
    assert held.if_newest(now_ns) is None
    assert held.if_newest(now_ns, poll=object()) is None
    second = held.newest(now_ns)
    assert held.if_newest(now_ns, poll=poll) is second is not first


def test_a_body_is_kept_by_the_response_cache_alone(held: RepeatedCall):
    now_ns = time.time_ns()
    finished_answer(held.newest(now_ns), if_none_match=None, now_ns=now_ns)
    entry = RESPONSE_CACHE.local.get(held.newest(now_ns).cache_key)
    assert entry is not None
    held.from_memory(if_none_match=None, now_ns=now_ns)
    RESPONSE_CACHE.local.clear()
    gc.collect()
    holders = [each for each in gc.get_referrers(entry.body) if not isinstance(each, types.FrameType)]
    assert all(each is entry for each in holders)


def test_a_report_without_a_part_sees_the_commit_that_makes_it_available(api: Api):
    weekly = {
        "timestamp": "2025-01-06",
        "symbol": "WEEKLY",
        "resolution": "1w",
        "open": 1,
        "high": 1,
        "low": 1,
        "close": 1,
        "volume": 1,
    }
    path = "/api/v1/bars/ingest"
    stored = api.call("POST", path, orjson.dumps({"bars": [weekly]}))
    assert stored.status_code == 200, stored.content
    query = parse_report_query("snapshot", "equities", "WEEKLY", "")
    held = RepeatedCall(partial(report_snapshot, query=query), "json")
    before = held.newest(time.time_ns())
    daily = {**weekly, "timestamp": "2025-01-07", "resolution": "1d"}
    stored = api.call("POST", path, orjson.dumps({"bars": [daily]}))
    assert stored.status_code == 200, stored.content
    assert held.newest(time.time_ns()).etag != before.etag
