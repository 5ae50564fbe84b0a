"""The endpoints that mirrors read: what there is, its commits as they are written, and waiting for more."""

import asyncio
import base64
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from django.conf import settings

from front.answers import Answer
from front.lanes import Lane
from front.long_polls import LongPolls
from ratelimit.keys.selectors import key_cache
from ratelimit.models import ApiKey
from stats.mirrors import views
from stats.mirrors.waiting import LogsChange, LogsChanges
from store.copies import OriginRestored
from store.datasets import TRADES
from store.instruments import Instrument
from store.market_store import MarketStore
from store.mirroring import Mirror
from store.protocol import NO_COMMIT, CommitId
from tests.api_client import Api, make_key, problem
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import SYMBOL, amendment, batch, cancel, trade
from tests.store.csv.copying.origins import logs_of
from trades.stores import market_store
from web.requests.wsgi_variables import ANSWER_WAIT

LOGS = "/api/v1/market-data/logs"
COPY = f"{LOGS}/trades/{SYMBOL}/copy"


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def data_dir() -> Path:
    declared: Any = settings.MARKET_STORES["default"]
    return Path(declared["OPTIONS"]["path"])


def copied(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.getvalue().splitlines()]


def token(commit: CommitId) -> str:
    return f"{commit.number}-{commit.hash}"


class ApiOrigin:
    """The API as the source of a mirror."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def states(self, symbols: Any, *, seen: str, wait_seconds: int) -> bytes:
        return bytes(self._api.get(LOGS, {"symbols": ",".join(symbols)}).content)

    @contextmanager
    def copy(self, dataset: str, symbol: str, after: CommitId) -> Any:
        path = f"{LOGS}/{dataset.replace('_', '-')}/{symbol}/copy"
        response = self._api.get(path, {"after": token(after) if after.number else "0"})
        if response.status_code == 409:
            raise OriginRestored
        yield iter(response.streaming_content)


def test_a_mirror_over_the_api_has_the_same_logs(store: MarketStore, api: Api, tmp_path: Path):
    store.append(batch(trade(1), trade(2), request_key="k"))
    store.correct(amendment(cancel(1, price=100.0, volume=1.0)))
    store.append(batch(trade(3), symbol="BTC-USD"))
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    mirror = Mirror(tmp_path / "mirror", "")
    with mirror.opened():
        found = mirror.update(ApiOrigin(api), [SYMBOL, "BTC-USD"])
    assert [each.is_current for each in found] == [True, True, True]
    assert logs_of(tmp_path / "mirror") == logs_of(data_dir())


def test_the_list_of_logs_has_heads_and_declarations(store: MarketStore, api: Api):
    store.append(batch(trade(1)))
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    head = store.log(TRADES, SYMBOL).head
    first = orjson.loads(api.get(LOGS, {"symbols": "aapl,NOBODY"}).content)
    declared, log = first["logs"]
    assert (log["dataset"], log["symbol"], log["number"], log["hash"]) == ("trades", SYMBOL, 1, head.hash)
    assert (declared["dataset"], declared["symbol"], declared["number"]) == ("instruments", "ALL", 1)
    store.append(batch(trade(2)))
    second = orjson.loads(api.get(LOGS, {"symbols": SYMBOL}).content)
    assert second["seen"] != first["seen"]
    store.set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    third = orjson.loads(api.get(LOGS, {"symbols": SYMBOL}).content)
    assert len({first["seen"], second["seen"], third["seen"]}) == 3


def test_a_copy_has_records_and_their_rows(store: MarketStore, api: Api):
    store.append(batch(trade(1), trade(2)))
    start, record, rows, end = copied(api.get(COPY))
    head = store.log(TRADES, SYMBOL).head
    assert start["log"][:3] == ["trades", SYMBOL, "timestamp int64"]
    assert orjson.loads(record["text"] + "}")["rows"] == 2
    assert (record["hash"], end) == (head.hash, {"kind": "end"})
    message = base64.b64decode(rows["data"])
    assert pa.ipc.read_record_batch(message, TRADES.schema).to_pylist() == [trade(1), trade(2)]
    store.correct(amendment(cancel(1, price=100.0, volume=1.0)))
    kinds = [each["kind"] for each in copied(api.get(COPY, {"after": token(head)}))]
    assert kinds == ["walk", "record", "corrections", "end"]
    newest = copied(api.get(COPY, {"after": token(store.log(TRADES, SYMBOL).head)}))
    assert [each["kind"] for each in newest] == ["walk", "end"]


@pytest.mark.parametrize(
    ("path", "terms", "expected"),
    [
        (LOGS, {}, (400, "missing_parameter")),
        (LOGS, {"symbols": "@SP500"}, (400, "invalid_parameter")),
        (LOGS, {"symbols": "A$B"}, (422, "invalid_symbol")),
        (LOGS, {"symbols": SYMBOL, "seen": "x"}, (400, "invalid_parameter")),
        (LOGS, {"symbols": SYMBOL, "sen": "x"}, (400, "unknown_parameter")),
        (f"{LOGS}/trades/NOBODY/copy", {}, (404, "unknown_symbol")),
        (f"{LOGS}/trades/A$B/copy", {}, (422, "invalid_symbol")),
        (f"{LOGS}/secrets/{SYMBOL}/copy", {}, (404, "not_found")),
        (f"{LOGS}/trades/../copy", {}, (422, "invalid_symbol")),
        (COPY, {"after": "1"}, (400, "invalid_parameter")),
        (COPY, {"after": "1-9f3a2c"}, (400, "invalid_parameter")),
        (COPY, {"after": f"1-{'0' * 64}"}, (409, "resync")),
        (COPY, {"after": f"{'9' * 18}-{'0' * 64}"}, (409, "resync")),
        (f"{LOGS}/quotes/{SYMBOL}/copy", {}, (404, "unknown_symbol")),
    ],
)
def test_what_cannot_be_copied(store: MarketStore, api: Api, path: str, terms: Any, expected: Any):
    store.append(batch(trade(1)))
    assert problem(api.get(path, terms)) == expected


@pytest.mark.django_db
def test_reading_market_data_is_not_enough(store: MarketStore):
    store.append(batch(trade(1)))
    reader = Api(make_key(scopes=("market:read", "market:write")))
    for path, terms in ((LOGS, {"symbols": SYMBOL}), (COPY, {})):
        assert problem(reader.get(path, terms)) == (403, "missing_scope")
        assert problem(Api(None).get(path, terms)) == (401, "not_authenticated")
        public = Api(make_key(scopes=("market:copy",), sensitivity="public"))
        assert problem(public.get(path, terms)) == (403, "insufficient_sensitivity")


def _held(response: Any, change: Callable[[], object] | None) -> Answer:
    """The answer to a call after the front has held it; meanwhile `change` is called."""

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def scene() -> Answer:
        lane = Lane("waiting", threads=1, after=lambda: None)
        waiting = LongPolls(lane, {LogsChange: LogsChanges(lane.run).wait})
        answer = Answer(200, [(b"content-length", b"0")], response.content, None)
        wait = response.wsgi_request.META[ANSWER_WAIT]
        held = asyncio.create_task(waiting.answer_after(wait, answer, {}, never))
        await asyncio.sleep(0.05)
        assert not held.done()
        if change is not None:
            await lane.run(change)
        return await asyncio.wait_for(held, PATIENCE_SECONDS)

    return asyncio.run(scene())


@pytest.fixture
def may(monkeypatch: pytest.MonkeyPatch) -> set[bool]:
    """Whether the credential is still valid after a wait."""
    answers = {True}
    monkeypatch.setattr(views, "may_still_call", lambda _: True in answers)
    return answers


def test_the_list_is_held_until_something_is_new(store: MarketStore, api: Api, may: set[bool]):
    store.append(batch(trade(1)))
    seen = orjson.loads(api.get(LOGS, {"symbols": SYMBOL}).content)["seen"]
    changes: list[Callable[[], object]] = [
        lambda: store.append(batch(trade(2))),
        lambda: store.set_instrument(Instrument(SYMBOL, exchange="XNAS")),
        lambda: [store.append(batch(trade(n), symbol=name)) for n, name in ((5, "MSFT"), (6, SYMBOL))],
    ]
    for change in changes:
        response = api.get(LOGS, {"symbols": SYMBOL, "seen": seen}, Prefer="wait=30")
        new = orjson.loads(_held(response, change).body)["seen"]
        assert new != seen
        seen = new


def test_many_who_wait_look_less_often():
    spent: list[float] = []

    async def look(_has_happened: Callable[[], bool]) -> bool:
        began = time.monotonic()
        await asyncio.sleep(0.002)
        spent.append(time.monotonic() - began)
        return False

    async def scene() -> float:
        changes, began = LogsChanges(look), time.monotonic()
        waits = [asyncio.create_task(changes.wait(LogsChange(lambda: 0, 0))) for _ in range(200)]
        await asyncio.wait(waits, timeout=0.7)
        seconds = time.monotonic() - began
        for each in waits:
            each.cancel()
        return seconds

    seconds = asyncio.run(scene())
    assert spent
    assert sum(spent[:-1]) <= seconds / 20


def test_one_who_goes_away_holds_up_nobody():
    async def scene() -> None:
        is_looking = asyncio.Event()

        async def look(has_happened: Callable[[], bool]) -> bool:
            is_looking.set()
            await asyncio.sleep(0.01)
            return has_happened()

        changes = LogsChanges(look)
        first = asyncio.create_task(changes.wait(LogsChange(lambda: 0, 0)))
        await is_looking.wait()
        first.cancel()
        await asyncio.wait_for(changes.wait(LogsChange(lambda: 1, 0)), PATIENCE_SECONDS)

    asyncio.run(scene())


def test_who_may_not_read_any_more_learns_nothing_new(store: MarketStore, api: Api, may: set[bool]):
    store.append(batch(trade(1)))
    seen = orjson.loads(api.get(LOGS, {"symbols": SYMBOL}).content)["seen"]
    response = api.get(LOGS, {"symbols": SYMBOL, "seen": seen}, Prefer="wait=30")
    may.clear()
    assert orjson.loads(_held(response, lambda: store.append(batch(trade(2)))).body)["seen"] == seen


def test_a_key_that_has_lost_the_scope_learns_nothing_new(store: MarketStore, api: Api):
    store.append(batch(trade(1)))
    copier = Api(make_key(scopes=("market:copy",)))
    seen = orjson.loads(copier.get(LOGS, {"symbols": SYMBOL}).content)["seen"]
    wait = copier.get(LOGS, {"symbols": SYMBOL, "seen": seen}, Prefer="wait=30").wsgi_request.META[
        ANSWER_WAIT
    ]
    store.append(batch(trade(2)))
    assert wait.renewed() is not None
    ApiKey.objects.filter(scopes=["market:copy"]).update(scopes=["market:read"])
    key_cache.clear()
    assert wait.renewed() is None


def test_what_was_not_seen_is_answered_at_once(store: MarketStore, api: Api):
    store.append(batch(trade(1)))
    for terms in ({}, {"seen": "0" * 64}):
        response = api.get(LOGS, {"symbols": SYMBOL, **terms}, Prefer="wait=30")
        assert ANSWER_WAIT not in response.wsgi_request.META


def test_damage_within_an_answer_breaks_it_off(store: MarketStore, api: Api):
    store.append(batch(trade(1)))
    folder = data_dir() / "trades" / SYMBOL
    (folder / "2025-01-02.csv").write_bytes(b"timestamp")
    lines = iter(api.get(COPY).streaming_content)
    with pytest.raises(Exception, match="is not a header of trades"):
        list(lines)
    assert store.log(TRADES, SYMBOL).head != NO_COMMIT
