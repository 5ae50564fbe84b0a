"""One process's event loop and Django: a request as Django answers it, and as the event loop answers it again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from front import event_loop_reads
from front.answers import Answer, ReadyAnswer, answer_of_response
from front.application import DjangoHandler, _client_environ
from front.event_loop_reads import EventLoopReads
from ratelimit.callers import Caller
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.services import admit
from tests.patience import PATIENCE_SECONDS
from web.endpoints import Access

VARYING = {"age", "x-cache", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit"}
PEER = "127.0.0.1"
Headers = dict[str, str]


def admit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charge in the loop's next turn what the event loop would charge by its own connection to Redis.

    A key stays in memory for as long as a test may take: after 0.9 s Django would read it anew.
    """

    def admit_now(caller: Caller, access: Access, *, cost: int, then: Any, **_named: object) -> bool:
        admission = admit(caller, access, cost=cost)
        if admission.admitted:
            asyncio.get_running_loop().call_soon(then, admission)
        return admission.admitted

    monkeypatch.setattr(event_loop_reads, "admit_soon", admit_now)
    monkeypatch.setattr(key_cache, "_max_age", PATIENCE_SECONDS)


def request_bytes(target: str, headers: Headers) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **headers}.items()]
    return f"GET {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Process:
    def __init__(self) -> None:
        self.reads = EventLoopReads()

    def by_django(self, target: str, headers: Headers, *, peer: str = PEER, scheme: str = "http") -> Answer:
        """Django's answer, which the event loop may remember."""
        path, _, query = target.partition("?")
        environ = _client_environ(
            {
                "http_version": "1.1",
                "method": "GET",
                "scheme": scheme,
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": [
                    (name.lower().encode(), value.encode())
                    for name, value in {"Host": "localhost", **headers}.items()
                ],
                "client": (peer, 50_000),
                "server": ("127.0.0.1", 8_000),
            }
        )
        answer = answer_of_response(DjangoHandler().respond(environ), is_head=False)
        self.reads.remember(peer, request_bytes(target, headers), environ, answer)
        return answer

    def in_the_loop(self, target: str, headers: Headers, *, peer: str = PEER) -> ReadyAnswer | None:
        """The event loop's answer."""
        answers: list[ReadyAnswer | None] = [None]

        async def answered() -> None:
            self.ask(target, headers, answers.append, peer=peer)
            await asyncio.sleep(0)

        asyncio.run(answered())
        return answers[-1]

    def ask(
        self,
        target: str,
        headers: Headers,
        deliver: Callable[[ReadyAnswer | None], object],
        *,
        peer: str = PEER,
    ) -> bool:
        return self.reads.answer_without_django(peer, request_bytes(target, headers), deliver)

    def both(self, target: str, headers: Headers, **named: Any) -> tuple[Answer, ReadyAnswer | None]:
        """Django's answer, and the event loop's to the same request."""
        return self.by_django(target, headers, **named), self.in_the_loop(target, headers)


def headers_of(answer: Answer | ReadyAnswer | None) -> Headers:
    assert answer is not None
    if isinstance(answer, Answer):
        return {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    lines = answer.lines.decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines if line]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, value in pairs}


def visible(answer: Answer | ReadyAnswer | None) -> Headers:
    """The headers without those that differ from one answer to the next anyway."""
    return {name: value for name, value in headers_of(answer).items() if name not in VARYING}
