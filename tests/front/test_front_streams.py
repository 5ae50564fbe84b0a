"""A stream's pieces are made in turns of its caller, and none for a client that has gone."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from front import sending
from front.answers import Answer, Stream
from front.sending import AnswerSender, StreamCut
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.services import ChargedCall
from ratelimit.limits.token_bucket import Bucket, BucketState, bucket_state, take
from web.endpoints import Access
from web.requests.wsgi_variables import ADMISSION, CHARGED_CALL

CALL = ChargedCall(Caller("key:1", "desk", "default", 10, frozenset()), Access("market:read"), 10)
PIECES = [b"one", b"two", b"three"]


def admission(tokens: int) -> Admission:
    bucket = Bucket(rate=10, burst=20)
    taken = take(bucket, full_at=None, now_us=0, cost=tokens)
    return Admission(bucket_state(bucket, taken, name="read", now_us=0, epoch_now_us=0))


class NotedTurns:
    """Notes what was charged in each turn. closing: the turn in which the client goes."""

    def __init__(self, closing: int = 0) -> None:
        self.charges: list[Any] = []
        self.gone = asyncio.Event()
        self._left = closing

    @asynccontextmanager
    async def turn(self, identity: str, bucket: str) -> Any:
        assert (identity, bucket) == ("key:1", "read")
        self._left -= 1
        if not self._left:
            self.gone.set()
            await asyncio.sleep(0.01)
        yield self

    def charged(self, bucket: BucketState | None) -> None:
        self.charges.append(bucket)


async def sent(
    turns: NotedTurns,
    environ: dict[str, Any],
    method: str = "GET",
    may: Callable[[Any], bool] = lambda _: True,
) -> tuple[bytes, int]:
    """The body that a client gets, and how often the stream was closed."""
    closed, body = 0, b""

    def pieces() -> Any:
        for number, piece in enumerate(PIECES):
            if number:
                environ[ADMISSION] = admission(number)
            yield piece

    def close() -> None:
        nonlocal closed
        closed += 1

    async def receive() -> Any:
        await turns.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    answer = Answer(200, [], b"", Stream(pieces(), close))
    environ["REQUEST_METHOD"] = method
    with suppress(StreamCut):
        await AnswerSender(turns, may).send(answer, environ, receive, send)  # type: ignore[arg-type]
    return body, closed


@pytest.mark.parametrize(("method", "body"), [("GET", b"onetwothree"), ("HEAD", b"")])
def test_each_piece_has_a_turn_which_is_told_what_was_charged(method: str, body: bytes):
    async def scene() -> None:
        turns = NotedTurns()
        assert await sent(turns, {CHARGED_CALL: CALL, ADMISSION: admission(0)}, method) == (body, 1)
        assert turns.charges == ([None, admission(1).bucket, admission(2).bucket, None] if body else [])

    asyncio.run(scene())


def test_nothing_is_made_for_a_client_that_went_while_it_waited():
    async def scene() -> None:
        turns = NotedTurns(closing=2)
        assert await sent(turns, {CHARGED_CALL: CALL, ADMISSION: admission(0)}) == (b"one", 1)
        assert turns.charges == [None]

    asyncio.run(scene())


def test_a_caller_who_may_not_go_on_gets_no_further_piece(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "CHECK_SECONDS", -1.0)
    answers = iter([True, False])

    async def scene() -> None:
        environ = {CHARGED_CALL: CALL, ADMISSION: admission(0)}
        assert await sent(NotedTurns(), environ, may=lambda _: next(answers)) == (b"one", 1)

    asyncio.run(scene())


def test_nor_the_next_part_of_a_large_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(sending, "PART_BYTES", 1)
    answers = iter([True, True, False])

    async def scene() -> None:
        environ = {CHARGED_CALL: CALL, ADMISSION: admission(0)}
        assert await sent(NotedTurns(), environ, may=lambda _: next(answers)) == (b"on", 1)

    asyncio.run(scene())


def test_whether_it_may_is_not_asked_for_each_piece():
    async def scene() -> None:
        environ = {CHARGED_CALL: CALL, ADMISSION: admission(0)}
        assert await sent(NotedTurns(), environ, may=lambda _: False) == (b"onetwothree", 1)

    asyncio.run(scene())


@pytest.mark.parametrize("environ", [{}, {CHARGED_CALL: CALL._replace(caller=None)}])
def test_what_no_caller_pays_for_has_no_turns(environ: dict[str, Any]):
    async def scene() -> None:
        turns = NotedTurns()
        assert await sent(turns, environ) == (b"onetwothree", 1)
        assert turns.charges == []

    asyncio.run(scene())
