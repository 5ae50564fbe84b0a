"""Reads a request's body in the event loop, within limits of size, time and the senders' budget.

BodyError
├── BodyOverLimit    the client must send less
├── BodyTooSlow     the client must send faster; a retry is welcome
├── BodyBudgetExhausted          too much is being received at once; a retry is welcome
└── ClientGone      the client closed the connection
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO

from marketdata_project.front.environ import Receive
from marketdata_project.front.limits import ReservedBytes

# The body is refused if no byte of it arrives for so many seconds,
PROGRESS_SECONDS = 5.0
# or if it takes longer than GRACE_SECONDS plus one second per SLOWEST_BYTES_PER_SECOND bytes.
GRACE_SECONDS = 20.0
SLOWEST_BYTES_PER_SECOND = 128 * 1024
LINGER_SECONDS = 2.0
LINGER_BYTES = 256 * 2**20


class BodyError(Exception):
    """The request's body cannot be read."""


class BodyOverLimit(BodyError):
    """The body is over the limit; send less."""


class BodyTooSlow(BodyError):
    """The body did not come in time; send it again."""


class BodyBudgetExhausted(BodyError):
    """Too many bytes of bodies are in memory; send it again in a moment."""


class ClientGone(BodyError):
    """The client closed the connection before its body was complete."""


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the message has a body (RFC 9112): it has Content-Length or Transfer-Encoding."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers)


async def read_body(receive: Receive, *, declared: str, limit: int, held: ReservedBytes) -> BytesIO:
    """The whole body, positioned at its beginning.

    `declared` is the Content-Length or ''. At most `limit` bytes are kept; `held` counts them, and the caller
    releases it. Raises BodyOverLimit (at once if `declared` exceeds the limit, else with the first byte over
    it), BodyTooSlow, BodyBudgetExhausted and ClientGone.
    """
    if declared and int(declared) > limit:
        raise BodyOverLimit
    buffer = BytesIO()
    try:
        await _fill(buffer, receive, limit=limit, held=held)
    except TimeoutError:
        raise BodyTooSlow from None
    buffer.getvalue()  # trims the buffer, so that a later read() of all of it copies nothing
    buffer.seek(0)
    return buffer


async def _fill(buffer: BytesIO, receive: Receive, *, limit: int, held: ReservedBytes) -> None:
    """Read to the body's end. Raises TimeoutError and the errors of `read_body`."""
    now = asyncio.get_running_loop().time
    start = now() + GRACE_SECONDS
    async with asyncio.timeout(PROGRESS_SECONDS) as deadline:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            if buffer.tell() + len(piece) > limit:
                raise BodyOverLimit
            if not held.take(len(piece)):
                raise BodyBudgetExhausted
            buffer.write(piece)
            if not message.get("more_body"):
                return
            if piece:
                latest = start + buffer.tell() / SLOWEST_BYTES_PER_SECOND
                deadline.reschedule(min(latest, now() + PROGRESS_SECONDS))


async def discard_rest(receive: Receive) -> None:
    """Read and discard the rest of a body for LINGER_SECONDS, so that the client can read its answer.

    Closing at once would reset the connection before the answer arrives.
    """
    left = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
