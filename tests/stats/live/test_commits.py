"""What was committed to a log, over plain HTTP: the frames of the live feed, and waiting for the next one."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest

from front.answers import Answer
from front.lanes import Lane
from front.long_polls import LongPolls
from ops.metrics.declarations import LIVE_SUBSCRIPTIONS
from ratelimit.keys.selectors import key_cache
from ratelimit.models import ApiKey
from stats.live import commits
from stats.live.channels import row_channel
from stats.live.commits import NewCommits, committed_lines
from stats.live.followers import SymbolFollower
from stats.live.hub import Hub
from stats.live.tokens import parse_tokens
from store.datasets import TRADES
from store.exceptions import DataDamaged
from store.market_store import MarketStore
from store.protocol import NO_COMMIT
from tests.api_client import Api, make_key, problem
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import SYMBOL, amendment, batch, cancel, trade
from trades.stores import market_store
from web.requests.wsgi_variables import ANSWER_WAIT

TREE = "/api/v1/market-data"
COMMITS = f"{TREE}/equities/{SYMBOL}/trades/commits"
CHANNEL = f"trades:{SYMBOL}"
# The key is stored for all connections: after a second a thread of the held answers reads it again.
READ_BY_THREADS = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def lines(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.content.splitlines()]


def test_the_lines_are_the_messages_of_the_live_feed(store: MarketStore, api: Api):
    follower = SymbolFollower(SYMBOL)
    follower.add(row_channel("trades", SYMBOL))
    store.append(batch(*(trade(n, trade_id=str(n)) for n in range(700))))
    store.correct(amendment(cancel(1, trade_id="1")))
    store.append(batch(complete_until=trade(10_000)["timestamp"]))
    sent = [orjson.loads(message.payload) for message in follower.advance().messages]
    found = lines(api.get(COMMITS))
    assert len(found) == 4
    assert [{**each, "sent_at": ""} for each in found] == [{**each, "sent_at": ""} for each in sent]
    for number, frame in enumerate(sent):
        assert len(lines(api.get(COMMITS, {"after": frame["seq"]}))) == 3 - number
    assert len(lines(api.get(COMMITS, {"after": "0"}))) == 4


def test_the_token_of_a_page_is_taken(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    token = api.get(f"{TREE}/equities/{SYMBOL}/trades", {"last": 1})["X-Commit"]
    assert token.startswith("trades=")
    assert lines(api.get(COMMITS, {"after": token})) == []
    store.append(batch(trade(1)))
    assert len(lines(api.get(COMMITS, {"after": f"{token}, bars=1-abcdef"}))) == 1


def test_an_answer_ends_with_the_frame_that_fills_it(store: MarketStore, api: Api, monkeypatch):
    monkeypatch.setattr(commits, "ANSWER_BYTES", 1000)
    for number in range(40):
        store.append(batch(trade(number)))
    found: list[dict[str, Any]] = []
    answers = 0
    while True:
        response = api.get(COMMITS, {"after": found[-1]["seq"]} if found else {})
        if not (new := lines(response)):
            break
        assert len(response.content) - len(response.content.splitlines()[-1]) - 1 < 1000
        found += new
        answers += 1
    assert answers > 5
    assert [each["prev"] for each in found] == [NO_COMMIT.token, *(each["seq"] for each in found[:-1])]
    assert len(found) == 40


@pytest.mark.parametrize("after", ["1-ffffff", "9-ffffff.3"])
def test_the_token_of_a_restored_log_is_answered_resync(store: MarketStore, api: Api, after: str):
    store.append(batch(trade(0)))
    (line,) = lines(api.get(COMMITS, {"after": after}, Prefer="wait=5"))
    assert line == {"op": "resync", "ch": CHANNEL, "seq": store.log(TRADES, SYMBOL).head.token}


def test_quotes_and_trading_status_have_commits_of_their_own(store: MarketStore, api: Api):
    quote = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "BTC-USD", "bid": 1, "ask": 2}
    status = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "BTC-USD", "status": "halted"}
    api.call("PUT", "/api/v1/instruments/BTC-USD", b'{"symbol":"BTC-USD","class":"crypto"}')
    api.ingest(orjson.dumps({"quotes": [quote]}), path="/api/v1/quotes/ingest")
    api.ingest(orjson.dumps({"trading_status": [status]}), path="/api/v1/trading-status/ingest")
    (quotes,) = lines(api.get(f"{TREE}/crypto/BTC-USD/quotes/commits"))
    (statuses,) = lines(api.get(f"{TREE}/crypto/btc-usd/trading-status/commits"))
    assert (quotes["ch"], quotes["data"][0]["bid"]) == ("quotes:BTC-USD", 1)
    assert (statuses["ch"], statuses["data"][0]["status"]) == ("status:BTC-USD", "halted")
    assert lines(api.get(f"{TREE}/crypto/BTC-USD/trades/commits")) == []


def test_quotes_of_options_are_of_their_own_dataset(store: MarketStore, api: Api):
    option = "AAPL250117C00190000"
    quote = {"timestamp": "2025-01-02T14:30:00Z", "symbol": option, "bid": 1, "ask": 2}
    api.ingest(orjson.dumps({"option_quotes": [quote]}), path="/api/v1/option-quotes/ingest")
    path = f"{TREE}/options/{option}/quotes/commits"
    (frame,) = lines(api.get(path))
    token = frame["seq"].partition(".")[0]
    assert lines(api.get(path, {"after": f"option_quotes={token}"})) == []


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        (COMMITS, {"after": "17"}, (400, "invalid_resume_token")),
        (COMMITS, {"after": "bars=1-abcdef"}, (400, "invalid_resume_token")),
        (COMMITS, {"after": ""}, (400, "empty_parameter")),
        (COMMITS, {"limit": "5"}, (400, "unknown_parameter")),
        (COMMITS, {"format": "csv"}, (406, "not_acceptable")),
        (f"{TREE}/equities/NOBODY/trades/commits", {}, (404, "unknown_symbol")),
        (f"{TREE}/equities/A$B/trades/commits", {}, (422, "invalid_symbol")),
        (f"{TREE}/crypto/{SYMBOL}/trades/commits", {}, (404, "wrong_class")),
        (f"{TREE}/equities/{SYMBOL}/ohlcv/commits", {}, (404, "not_found")),
    ],
)
def test_bad_calls_are_refused(store: MarketStore, api: Api, path: str, query: dict[str, str], refusal):
    store.append(batch(trade(0)))
    assert problem(api.get(path, query)) == refusal


def test_only_readers_read(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    writer = Api(make_key(scopes=("market:write",)))
    assert problem(writer.get(COMMITS)) == (403, "missing_scope")
    assert problem(Api(None).get(COMMITS)) == (401, "not_authenticated")


def test_a_key_that_has_lost_the_scope_gets_no_frames_after_a_wait(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    reader = Api(make_key(scopes=("market:read",)))
    head = {"after": store.log(TRADES, SYMBOL).head.token}
    wait = reader.get(COMMITS, head, Prefer="wait=30").wsgi_request.META[ANSWER_WAIT]
    store.append(batch(trade(1)))
    assert wait.renewed().body
    ApiKey.objects.filter(scopes=["market:read"]).update(scopes=["market:copy"])
    key_cache.clear()
    assert not wait.renewed().body


def test_a_long_answer_is_compressed(store: MarketStore, api: Api):
    store.append(batch(*(trade(n) for n in range(200))))
    response = api.get(COMMITS, Accept_Encoding="gzip")
    assert response["Content-Encoding"] == "gzip"
    assert len(orjson.loads(gzip.decompress(response.content))["data"]) == 200


class Held:
    """An answer that the front holds, over a hub of its own."""

    def __init__(self) -> None:
        self.lane = Lane("live", threads=2, after=lambda: None)
        self.hub = Hub(self.lane.run, self.lane.run, self.lane.run)
        self.waiting = LongPolls(self.lane, {NewCommits: self.hub.wait})
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def start(self, response: Any) -> asyncio.Task[Answer]:
        """Hold the answer to a call, as the front does."""
        answer = Answer(200, [(b"content-length", b"0")], response.content, None)
        wait = response.wsgi_request.META[ANSWER_WAIT]
        return asyncio.create_task(self.waiting.answer_after(wait, answer, {}, self.receive))

    async def followed(self) -> None:
        """Wait until the hub follows the symbol."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not subscriptions():
                await asyncio.sleep(0.005)

    async def left(self) -> None:
        """Wait until the hub follows nothing."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while subscriptions() or self.hub._followed:
                await asyncio.sleep(0.005)


def subscriptions() -> float:
    return LIVE_SUBSCRIPTIONS.series().get(("trades",), [0.0])[0]


@READ_BY_THREADS
def test_a_held_answer_has_the_next_commit(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    after = {"after": store.log(TRADES, SYMBOL).head.token}
    responses = [api.get(COMMITS, after, Prefer="wait=30") for _ in range(20)]

    async def scene() -> None:
        held = Held()
        tasks = [held.start(response) for response in responses]
        await held.followed()
        await held.lane.run(store.append, batch(trade(1)))
        held.hub.look(SYMBOL)
        answers = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_SECONDS)
        for answer in answers:
            assert orjson.loads(answer.body)["seq"] == f"{store.log(TRADES, SYMBOL).head.token}.0"
            assert (b"preference-applied", b"wait") in answer.headers
        await held.left()
        held.hub.stop()

    asyncio.run(scene())


@READ_BY_THREADS
def test_a_commit_between_the_reading_and_the_waiting_is_not_missed(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    response = api.get(COMMITS, {"after": store.log(TRADES, SYMBOL).head.token}, Prefer="wait=30")
    store.append(batch(trade(1)))

    async def scene() -> None:
        held = Held()
        answer = await asyncio.wait_for(held.start(response), PATIENCE_SECONDS)
        assert len(answer.body.splitlines()) == 1
        held.hub.stop()

    asyncio.run(scene())


@READ_BY_THREADS
def test_after_the_time_an_answer_without_frames_is_sent(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    response = api.get(COMMITS, {"after": store.log(TRADES, SYMBOL).head.token}, Prefer="wait=1")

    async def scene() -> None:
        held = Held()
        assert (await held.start(response)).body == b""
        await held.left()
        held.hub.stop()

    asyncio.run(scene())


@READ_BY_THREADS
@pytest.mark.parametrize("is_opened", [True, False])
def test_a_client_that_goes_away_is_forgotten_at_once(store: MarketStore, api: Api, is_opened: bool):
    store.append(batch(trade(0)))
    response = api.get(COMMITS, {"after": store.log(TRADES, SYMBOL).head.token}, Prefer="wait=30")

    async def scene() -> None:
        held = Held()
        task = held.start(response)
        if is_opened:
            await held.followed()
        else:
            await asyncio.sleep(0)
        held.gone.set()
        await asyncio.wait((task,))
        assert task.exception() is not None
        await held.left()
        held.hub.stop()

    asyncio.run(scene())


def test_with_something_new_nobody_waits(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    assert ANSWER_WAIT not in api.get(COMMITS, Prefer="wait=5").wsgi_request.META
    head = {"after": store.log(TRADES, SYMBOL).head.token}
    assert ANSWER_WAIT not in api.get(COMMITS, head).wsgi_request.META


def test_frames_before_a_failure_are_answered_first(store: MarketStore, monkeypatch):
    store.append(batch(trade(0)))
    store.append(batch(trade(1)))
    log_type = type(store.log(TRADES, SYMBOL))
    walk = log_type.commits

    def broken(log, position, upto=None):
        for piece in walk(log, position, upto):
            if piece.position.commit.number > 1:
                raise DataDamaged(SYMBOL, [])
            yield piece

    monkeypatch.setattr(log_type, "commits", broken)
    channel = row_channel("trades", SYMBOL)
    first = committed_lines(channel, {})
    assert len(first.lines.splitlines()) == 1
    with pytest.raises(DataDamaged):
        committed_lines(channel, parse_tokens(orjson.loads(first.lines)["seq"]))
