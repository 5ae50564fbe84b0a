"""Where HTTP/1.1 requests begin and end (RFC 9112), how large they may be, and how bodies of unknown length are sent."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from front.answers import (
    HEADER_TOO_LONG,
    HEADERS_TOO_LARGE,
    MALFORMED,
    NOT_ONE_HOST,
    TARGET_TOO_LONG,
    TOO_MANY_HEADERS,
    Refusal,
)

HEADER_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024
MOST_HEADERS = 100
# The event loop answers requests up to this size, if each comes alone and whole.
WHOLE_BYTES = 1_024
_HEAD_END = b"\r\n\r\n"


def is_whole_get(data: bytes) -> bool:
    """Return whether the data is a GET from its first to its last byte, without a body, and nothing else."""
    return (
        len(data) <= WHOLE_BYTES
        and data.startswith(b"GET ")
        and data.find(_HEAD_END) == len(data) - len(_HEAD_END)
        and data.count(b"\r\n") <= MOST_HEADERS + 2
    )


def section_end(data: bytearray, tail: bytes) -> int:
    """Return the end of the first empty line of the data, else the data's end. tail: the last bytes before the data.

    Every head, and every body in chunks, ends with an empty line (RFC 9112, 2.1 and 7.1).
    """
    for text, before in ((tail + data[:3], len(tail)), (data, 0)):
        found = text.find(_HEAD_END)
        if found >= 0:
            return found + len(_HEAD_END) - before
    return len(data)


def body_length(headers: list[tuple[bytes, bytes]]) -> int:
    """Return the Content-Length that the parser has accepted; 0 without one."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def asks_for_socket(method: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether a request to upgrade asks for a WebSocket (RFC 6455, 4.1): a GET of HTTP/1.1 without a body."""
    upgrades = [value.lower() for name, value in headers if name == b"upgrade"]
    has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers)
    return method == b"GET" and version == "1.1" and upgrades == [b"websocket"] and not has_body


def head_refusal(target: bytes, headers: list[tuple[bytes, bytes]], *, version: str) -> Refusal | None:
    """Return the refusal of a request by its headers; None if it can be read.

    Refused are headers over a limit; several Hosts or, in HTTP/1.1, none (RFC 9112, 3.2); and a Transfer-Encoding that
    is not `chunked`: the end of the body would be unknown (RFC 9112, 6.3).
    """
    refusal = _excess(target, headers)
    if refusal is not None:
        return refusal
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return NOT_ONE_HOST
    framings = [value for name, value in headers if name == b"transfer-encoding"]
    return MALFORMED if any(framing.strip().lower() != b"chunked" for framing in framings) else None


def head_bytes(method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a request line and headers as they are sent."""
    lines = [name + b": " + value for name, value in headers]
    return b"\r\n".join([b"%s %s HTTP/%s" % (method, target, version.encode()), *lines, b"", b""])


def _excess(target: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
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


def send_without_chunks(cycle: RequestResponseCycle) -> None:
    """Have a body of unknown length sent without chunks. It ends with the connection (RFC 9112, 6.3).

    Without chunks uvicorn sends at most the expected length, so each piece sets that to its own length.
    """
    cycle.chunked_encoding = cycle.keep_alive = False
    send = cycle.send

    async def send_piece(message: Any) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_piece  # type: ignore[method-assign]  # of this answer only
