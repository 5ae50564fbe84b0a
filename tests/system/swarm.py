"""Many clients at once, each of which asks again as soon as it is answered, and what each of them saw and when."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import uvloop

from tests.patience import PATIENCE_SECONDS


class Answered(Protocol):
    """What limits are judged by: when a request was sent and answered, and whether it was admitted."""

    @property
    def sent(self) -> float: ...
    @property
    def received(self) -> float: ...
    @property
    def admitted(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer. `sent` and `received` are in seconds of the client's monotonic clock."""

    sent: float
    received: float
    status: int
    retry_after: int | None
    is_disturbed: bool
    """Whether Redis was thought away."""

    @property
    def admitted(self) -> bool:
        return self.status != 429


@dataclass(frozen=True, slots=True)
class Admitted:
    """How many answers were admitted within the seconds from the first one's request to the last one's answer."""

    count: int
    seconds: float

    def share_of(self, *, burst: int, rate: int) -> float:
        """How much that is of burst + rate x time.

        Every token was taken within these seconds, so that more than 1 is one too many.
        """
        return self.count / (burst + rate * self.seconds)


def admitted_of(seen: Iterable[Answered]) -> Admitted:
    admitted = [each for each in seen if each.admitted]
    seconds = max(each.received for each in admitted) - min(each.sent for each in admitted)
    return Admitted(len(admitted), seconds)


def least_share_of(seen: Sequence[Answered], *, burst: int, rate: int) -> float:
    """What was admitted, of burst + rate x the shortest time that it can have been, to when the last one was refused."""
    admitted = [each for each in seen if each.admitted]
    refused_at = max(each.sent for each in seen if not each.admitted)
    seconds = max(0.0, refused_at - min(each.received for each in admitted))
    # Of a token that is not whole yet nobody was given a part.
    return (len(admitted) + 1) / (burst + rate * seconds)


def is_refused(seen: Iterable[Answered]) -> bool:
    """Whether somebody was: else nobody asked for more than there is, and limits were not put to the test."""
    return not all(each.admitted for each in seen)


def rates_from(rate: int) -> Iterator[int]:
    """Rates down to 1, each half of the one before, for a machine so slow that it asks for less than there is."""
    while rate:
        yield rate
        rate //= 2


def swarm(
    port: int, key: str, path: str, *, clients: int, seconds: float, stopping: threading.Event | None = None
) -> list[Seen]:
    """What so many connections saw that ask for a path with one key, without a pause, for so long or until they are to stop.

    Raises OSError where a connection ends before its answer.
    """
    return uvloop.run(
        _swarm(port, _request(path, key), stopping or threading.Event(), clients=clients, seconds=seconds)
    )


def _request(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n\r\n".encode()


async def _swarm(
    port: int, request: bytes, stopping: threading.Event, *, clients: int, seconds: float
) -> list[Seen]:
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    ends_at = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds + PATIENCE_SECONDS):
            lists = await asyncio.gather(*(_one(*stream, request, ends_at, stopping) for stream in streams))
    finally:
        for _, writer in streams:
            writer.close()
    return [seen for each in lists for seen in each]


async def _one(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: bytes,
    ends_at: float,
    stopping: threading.Event,
) -> list[Seen]:
    answers = []
    while (sent := time.monotonic()) < ends_at and not stopping.is_set():
        writer.write(request)
        answers.append(await _answer(reader, sent))
    return answers


async def _answer(reader: asyncio.StreamReader, sent: float) -> Seen:
    head = await reader.readuntil(b"\r\n\r\n")
    received = time.monotonic()
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    await reader.readexactly(int(headers["content-length"]))
    wait = headers.get("retry-after")
    return Seen(
        sent,
        received,
        status=int(first.split()[1]),
        retry_after=None if wait is None else int(wait),
        is_disturbed="x-degraded" in headers,
    )
