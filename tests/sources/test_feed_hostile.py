"""A source that lies, or repeats a key, and a machine that sleeps: no trade is lost without a word, no secret shown."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import time_machine
from websockets.asyncio.server import ServerConnection, serve

from sources.alpaca_live import live_trades
from sources.asking import batch_of
from sources.feed.log_feed import FeedThreads, LogFeed
from sources.feed.rows import FedRows, RowQueue
from sources.feed_services import WantedFeed
from sources.protocol import LiveNews, SourceError, SourceFailed, SourceRefused, Wanted
from stats.market_data.plan import log_at
from store.datasets import TRADES
from store.instruments import default_instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.sources.test_feed_queue import ids_of, trades
from trades.stores import market_store

SECRET = "s3cretOfAlpaca"
FEED = WantedFeed("BTC-USDT", "binance", "BTC/USDT", "", is_setting=True)


def at(instant_ns: int, number: int) -> Any:
    columns: dict[str, list[Any]] = {"timestamp": [instant_ns], "trade_id": [str(number)]}
    columns |= {"price": [1.0], "volume": [1.0]}
    return batch_of(TRADES, columns)


def live_log(until_ns: int) -> LogFeed:
    log = LogFeed(FEED, FeedThreads(), print)
    log.rows = FedRows("binance", Wanted(TRADES, default_instrument("BTC-USDT"), FEED.name), until_ns, 0)
    log._hole_at = None
    return log


@pytest.mark.django_db
@pytest.mark.usefixtures("default_store")
def test_a_trade_of_the_future_does_not_end_the_questions_for_history() -> None:
    now_ns = time.time_ns()
    log = live_log(now_ns - MINUTE_NS)
    log._queue.add(at(now_ns + 3600 * SECOND_NS, 1))
    with pytest.raises(SourceFailed, match=r"3,(600|599) s ahead of this machine's clock"):
        asyncio.run(log._step())
    assert log.rows is not None
    assert (log.rows.until_ns, log_at(TRADES, "BTC-USDT").is_empty) == (now_ns - MINUTE_NS, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("default_store")
def test_a_quiet_time_ends_with_the_connections_last_word_also_after_a_sleep_of_the_machine() -> None:
    awake_ns = time.time_ns()
    log, heard = live_log(awake_ns - MINUTE_NS), time.monotonic()
    log.hear(LiveNews({}, is_new_connection=False, heard=heard))
    log._declared_at = heard - 61
    # Such as in a sleep, the wall clock goes on and `time.monotonic` does not.
    with time_machine.travel(time.time() + 8 * 3600):
        log.hear(LiveNews({}, is_new_connection=False, heard=heard))
        asyncio.run(log._step())
    assert log.rows is not None
    assert awake_ns - 5 * SECOND_NS <= log.rows.until_ns < awake_ns


def test_ids_that_begin_anew_are_refused_and_not_dropped_without_a_word() -> None:
    queue = RowQueue(is_sequential=True)
    queue.know(at(MINUTE_NS, 900))
    assert ids_of(queue.unknown(at(MINUTE_NS + SECOND_NS, 900))) == []
    queue.add(at(3 * MINUTE_NS, 1))
    with pytest.raises(SourceRefused, match="began the ids of its trades anew"):
        queue.take()


def run_a_step(log: LogFeed) -> None:
    async def one_step() -> None:
        task = asyncio.create_task(log.run())
        while not log.has_begun:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(one_step())


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("default_store")
def test_rows_for_a_log_that_is_ahead_of_the_clock_are_asked_of_history_until_it_takes_them() -> None:
    now_ns = time.time_ns()
    log = live_log(now_ns - MINUTE_NS)
    with time_machine.travel(time.time() + 3600):
        market_store().append(Append(TRADES, "BTC-USDT", at(now_ns - MINUTE_NS, 1), "test"))
    log._queue.add(at(now_ns, 2))
    run_a_step(log)
    assert log.status.state == "waiting"
    assert "trades/BTC-USDT: the newest commit" in log.status.message
    assert log._hole_at is not None
    assert log.rows is not None
    assert log.rows.until_ns == now_ns - MINUTE_NS, "history is asked from before the rows that were refused"


def test_an_error_that_is_not_for_people_is_shown_as_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    log = live_log(0)
    log._queue.add(trades("x9"))
    log._queue._is_sequential = True
    run_a_step(log)
    assert (log.status.state, log.status.message) == ("waiting", "the feed failed: its log has the error")


def ended_by(says: Callable[[ServerConnection], Coroutine[Any, Any, None]]) -> SourceError:
    """The error with which a live connection ends whose server says this."""

    async def listen() -> SourceError:
        async with serve(says, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/iex"
            stream = live_trades("alpaca", url, ("id", SECRET), ["AAPL"], lambda _: trades())
            with pytest.raises(SourceError) as raised:
                await anext(stream)
            return raised.value

    return asyncio.run(listen())


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (402, SourceRefused, "alpaca ends the live connection: it does not know the key (402)"),
        (406, SourceFailed, "alpaca ends the live connection: the plan has no other connection (406)"),
        (500, SourceFailed, "alpaca ends the live connection: it gives no reason (500)"),
    ],
)
def test_a_key_in_the_words_of_a_stream_is_shown_nowhere(
    code: int, kind: type[SourceError], said: str
) -> None:
    async def says(socket: ServerConnection) -> None:
        await socket.send(json.dumps([{"T": "success", "msg": "connected"}]))
        login = json.loads(await socket.recv())
        await socket.send(json.dumps([{"T": "error", "code": code, "msg": f"no {login['secret']}"}]))

    error = ended_by(says)
    assert (type(error), str(error)) == (kind, said)
