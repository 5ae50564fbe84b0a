"""How a body ends for a client that knows no chunks."""

from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_FIRST_WITH_CHUNKS = "1.1"
_Application = Callable[[Any, Any, Any], Awaitable[None]]


def knows_chunks(http_version: str) -> bool:
    """Whether a request of that version may be answered in chunks (RFC 9112, 6.1)."""
    return http_version >= _FIRST_WITH_CHUNKS


def without_chunks(app: ASGI3Application, cycle: RequestResponseCycle) -> _Application:
    """`app`, whose bodies of unknown length are sent as they are and end with the connection (RFC 9112, 6.3).

    Where uvicorn may not send chunks it lets nothing pass beyond a length, which each piece therefore brings.
    """
    is_bare = False

    async def send(message: Any) -> None:
        nonlocal is_bare
        if message["type"] == "http.response.start":
            is_bare = all(name != b"content-length" for name, _ in message["headers"])
            if is_bare:
                cycle.chunked_encoding = cycle.keep_alive = False
        elif is_bare:
            cycle.expected_content_length = len(message["body"])
        await cycle.send(message)

    async def answered(scope: Any, receive: Any, _send: Any) -> None:
        await app(scope, receive, send)

    return answered
