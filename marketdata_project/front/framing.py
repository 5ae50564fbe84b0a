"""Where HTTP/1.1 requests begin and end (RFC 9112), how large they may be, and how bodies of unknown length are sent."""

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from marketdata_project.front.answers import (
    HEADER_TOO_LONG,
    HEADERS_TOO_LARGE,
    TARGET_TOO_LONG,
    TOO_MANY_HEADERS,
    Refusal,
)

HEADER_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024
MOST_HEADERS = 100
# The event loop answers requests up to this size, if each comes alone and whole.
WHOLE_BYTES = 4 * 1024
_HEAD_END = b"\r\n\r\n"

_Application = Callable[[Any, Any, Any], Awaitable[None]]


def is_whole_get(data: bytes) -> bool:
    """Return whether the data is a GET from its first to its last byte, without a body, and nothing else."""
    return (
        len(data) <= WHOLE_BYTES
        and data.startswith(b"GET ")
        and data.find(_HEAD_END) == len(data) - len(_HEAD_END)
        and data.count(b"\r\n") <= MOST_HEADERS + 2
    )


def excess(target: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
    """Return the refusal of a request line or headers over a limit; None within all limits."""
    if len(headers) > MOST_HEADERS:
        return TOO_MANY_HEADERS
    total = len(target) + sum(len(name) + len(value) for name, value in headers)
    # If all lines together are shorter than the limit of one line, no line exceeds it.
    if total <= LINE_BYTES:
        return None
    if total > HEADER_BYTES:
        return HEADERS_TOO_LARGE
    if len(target) > LINE_BYTES:
        return TARGET_TOO_LONG
    is_long = any(len(name) + len(value) > LINE_BYTES for name, value in headers)
    return HEADER_TOO_LONG if is_long else None


def without_chunks(app: ASGI3Application, cycle: RequestResponseCycle) -> _Application:
    """Wrap `app` so that a body of unknown length is sent without chunks and ends with the connection (RFC 9112, 6.3).

    Without chunks uvicorn sends at most the expected length, so each piece sets that to its own length.
    """
    has_no_length = False

    async def send(message: Any) -> None:
        nonlocal has_no_length
        if message["type"] == "http.response.start":
            has_no_length = all(name != b"content-length" for name, _ in message["headers"])
            if has_no_length:
                cycle.chunked_encoding = cycle.keep_alive = False
        elif has_no_length:
            cycle.expected_content_length = len(message["body"])
        await cycle.send(message)

    async def wrapped(scope: Any, receive: Any, _send: Any) -> None:
        await app(scope, receive, send)

    return wrapped
