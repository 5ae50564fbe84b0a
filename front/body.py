"""Reads request bodies in the event loop, within limits of size, time and memory.

BodyError
├── BodyOverLimit         the client must send less
├── BodyTooSlow           the client must send faster, and may retry
├── BodyBudgetExhausted   too many bytes are being received at once; the client may retry
└── ClientGone            the client closed the connection
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from front.environ import Receive
from front.lanes import Lane
from front.limits import (
    MOST_BODY_BYTES,
    MOST_SIGNED_BYTES,
    MOST_SMALL_BODY_BYTES,
    BodyBudget,
    DecodingMemory,
    DecodingPlace,
    ReservedBytes,
)
from web.endpoints import SMALL_BODY_BYTES
from web.requests.addresses import identity_of
from web.requests.received import ReceivedCall
from web.requests.wsgi_variables import (
    BODY_DECODED,
    BODY_TOO_LARGE,
    BODY_UNREAD,
    VERIFIED_SIGNATURE,
)

# A body is refused if none of its bytes arrives for PROGRESS_SECONDS.
PROGRESS_SECONDS = 5.0
# A body is refused if it takes longer than GRACE_SECONDS plus one second per SLOWEST_BYTES_PER_SECOND bytes.
GRACE_SECONDS = 20.0
SLOWEST_BYTES_PER_SECOND = 128 * 1024
_WRITTEN_AT_ONCE = 2**20
LINGER_SECONDS = 2.0
LINGER_BYTES = 256 * 2**20


class BodyError(Exception):
    """The request's body cannot be read."""


class BodyOverLimit(BodyError):
    """The body is larger than the limit. Send less."""


class BodyTooSlow(BodyError):
    """The body did not arrive in time. Send it again."""


class BodyBudgetExhausted(BodyError):
    """Too many bytes of bodies are in memory. Send it again in a moment."""


class ClientGone(BodyError):
    """The client closed the connection before its body was complete."""


class BodyWriter(Protocol):
    """Writes a body to a file. room: how many bytes it takes. error: why it takes no more; None if it does."""

    room: int
    error: Exception | None

    def write(self, data: bytes) -> None:
        """Append bytes; sets `error` if that fails. Called in a thread."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""


# Returns the writer of a call's body for a caller who may send it; None if the view refuses the call.
OpenWriter = Callable[[dict[str, Any], str], BodyWriter | None]


class BodyAllowance(NamedTuple):
    """How much of a body may be read: at most `limit` bytes, which `reserved` counts.

    is_refused: whether the limit is low only because the caller may not send a large body. sender: who may send a large
    body; None for a small one. writer: of a body that is written to a file; it is closed with the body's end.
    """

    limit: int
    reserved: ReservedBytes
    is_refused: bool = False
    sender: str | None = None
    writer: BodyWriter | None = None


class BodyReader:
    """A reader of bodies: small ones before the caller is known, large ones only from callers who may send them."""

    def __init__(
        self,
        *,
        body_limit: Callable[[str, str, str], int],
        authorize_large_body: Callable[[dict[str, Any]], str | None],
        budget: BodyBudget | None = None,
        decoding: DecodingMemory | None = None,
        writer_of: Callable[[str, str], OpenWriter | None] = lambda _path, _method: None,
    ) -> None:
        """`body_limit` returns the size limit of a body in bytes, by path, method and Content-Type. The event loop calls it.

        `authorize_large_body` is called in a thread; it returns the identity of a caller who may send a large body, or None.
        `budget` bounds all large bodies together, `decoding` those that are being decoded. `writer_of` returns, by path
        and method, what opens the file of a large body; None for a body that is read into memory.
        """
        self._body_limit = body_limit
        self._authorize_large_body = authorize_large_body
        self._writer_of = writer_of
        self._large_bodies = budget or BodyBudget(MOST_BODY_BYTES)
        self._small_bodies = BodyBudget(MOST_SMALL_BODY_BYTES)
        self._decoding = decoding or DecodingMemory()

    async def allowance(
        self, call: ReceivedCall, environ: dict[str, Any], lane: Lane, caller: str = ""
    ) -> BodyAllowance:
        """Return how much of a call's body may be read. The caller releases the reserved bytes.

        A small body counts for the address. Before a larger body is read, a thread of `lane` authenticates and
        authorises the caller by the headers.
        """
        limit = self._body_limit(call.path, call.method, call.headers.get("content-type", ""))
        address = identity_of(call.address)
        small = ReservedBytes(self._small_bodies, (address,))
        declared = call.headers.get("content-length")
        if limit <= SMALL_BODY_BYTES or (declared and not SMALL_BODY_BYTES < int(declared) <= limit):
            # The body is small, or is refused at once because of its declared length.
            return BodyAllowance(limit, small)
        sender = await lane.run_for(caller, self._authorize_large_body, environ)
        if sender is None:
            return BodyAllowance(SMALL_BODY_BYTES, small, is_refused=True)
        open_writer = self._writer_of(call.path, call.method)
        if open_writer is not None and VERIFIED_SIGNATURE in environ:
            # The body is compared with the signature as a whole, in memory.
            limit = min(limit, MOST_SIGNED_BYTES)
        elif open_writer is not None:
            writer = await lane.run_for(caller, open_writer, environ, sender)
            if writer is None:
                return BodyAllowance(SMALL_BODY_BYTES, small, is_refused=True)
            return BodyAllowance(writer.room, small, writer=writer)
        return BodyAllowance(limit, ReservedBytes(self._large_bodies, (sender, address)), sender=sender)

    @staticmethod
    async def add_body(
        environ: dict[str, Any], receive: Receive, allowance: BodyAllowance, lane: Lane
    ) -> None:
        """Set the environ's body, or write it to its file, by threads of `lane`.

        If the body is too large, set an empty one and BODY_UNREAD. Django then answers 413 with the limit, or, if it does not accept the caller, the reason for that.
        """
        declared = environ.get("CONTENT_LENGTH", "")
        try:
            if allowance.writer is None:
                body = await read_body(receive, allowance, declared=declared)
            else:
                body = BytesIO()
                await write_body(receive, allowance.writer, declared=declared, lane=lane)
        except BodyOverLimit:
            environ[BODY_UNREAD] = True
            if not (allowance.is_refused or (allowance.writer and allowance.writer.error)):
                environ[BODY_TOO_LARGE] = allowance.limit
            body = BytesIO()
        environ["wsgi.input"] = body
        environ["CONTENT_LENGTH"] = str(body.getbuffer().nbytes)

    async def decoding_place(self, environ: dict[str, Any], allowance: BodyAllowance) -> DecodingPlace | None:
        """Wait for the memory in which a large body is decoded; None for a small one. The caller releases it.

        The view shrinks it once it has decoded the body. Raises `BodyBudgetExhausted`.
        """
        length = int(environ["CONTENT_LENGTH"])
        if allowance.sender is None or length <= SMALL_BODY_BYTES:
            return None
        try:
            place = await self._decoding.place(length, allowance.sender)
        except TimeoutError:
            raise BodyBudgetExhausted from None
        loop = asyncio.get_running_loop()
        environ[BODY_DECODED] = lambda size: loop.call_soon_threadsafe(place.shrink, size)
        return place


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether the message has a body (RFC 9112): it has Content-Length or Transfer-Encoding."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers)


async def read_body(receive: Receive, allowance: BodyAllowance, *, declared: str) -> BytesIO:
    """Return the whole body, positioned at its beginning. `declared` is the Content-Length or ''.

    Raises BodyTooSlow, BodyBudgetExhausted, ClientGone, and BodyOverLimit: at once if `declared` exceeds the limit,
    else at the first byte beyond the limit.
    """
    if declared and int(declared) > allowance.limit:
        raise BodyOverLimit
    buffer = BytesIO()
    async for piece in _pieces(receive, allowance.limit):
        if not allowance.reserved.take(len(piece)):
            raise BodyBudgetExhausted
        buffer.write(piece)
    buffer.getvalue()  # trims the buffer, so that a later read() of the whole body copies nothing
    buffer.seek(0)
    return buffer


async def write_body(receive: Receive, writer: BodyWriter, *, declared: str, lane: Lane) -> None:
    """Write a body to its file, and close the file. What has arrived before an error is written, too.

    Raises BodyTooSlow, ClientGone, and BodyOverLimit: also if the file takes no more, with the reason as its `error`.
    """
    pending = bytearray()

    async def flush() -> None:
        data = bytes(pending)
        pending.clear()
        await lane.run(writer.write, data)
        if writer.error is not None:
            raise BodyOverLimit

    try:
        if declared and int(declared) > writer.room:
            raise BodyOverLimit
        try:
            async for piece in _pieces(receive, writer.room):
                pending.extend(piece)
                if len(pending) >= _WRITTEN_AT_ONCE:
                    await flush()
        finally:
            await flush()
    finally:
        writer.close()


async def _pieces(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """Iterate over a body. Raises BodyTooSlow, ClientGone, BodyOverLimit."""
    now = asyncio.get_running_loop().time
    slowest, deadline, count = now() + GRACE_SECONDS, now() + PROGRESS_SECONDS, 0
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        count += len(piece)
        if count > limit:
            raise BodyOverLimit
        yield piece
        if not message.get("more_body"):
            return
        if piece:
            deadline = min(slowest + count / SLOWEST_BYTES_PER_SECOND, now() + PROGRESS_SECONDS)


async def discard_rest(receive: Receive) -> None:
    """Read and discard the rest of a body, for at most LINGER_SECONDS and LINGER_BYTES.

    Meanwhile the client can read its answer. Closing at once would reset the connection before the answer arrives.
    """
    remaining_bytes = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while remaining_bytes > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                remaining_bytes -= len(message.get("body", b""))
