"""An ASGI application that answers every GET with the body of the last POST: what uvicorn alone costs.

It checks no key, charges nothing and records nothing.
"""

from typing import Any

_answer = b""


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a GET; keep the body of a POST."""
    global _answer  # noqa: PLW0603 the whole state of this process
    if scope["method"] == "POST":
        _answer = await _body(receive)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _answer})


async def _body(receive: Any) -> bytes:
    pieces, is_complete = [], False
    while not is_complete:
        message = await receive()
        pieces.append(message.get("body", b""))
        is_complete = not message.get("more_body", False)
    return b"".join(pieces)
