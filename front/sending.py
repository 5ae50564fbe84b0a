"""Sends answers to a client: finished bodies at once, streams piece by piece."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import close_old_connections

from front.answers import WITHOUT_BODY, Answer, Refusal, Stream
from front.body import discard_rest
from front.environ import Message, Receive, Send
from front.lanes import Lane
from ratelimit.limits.open_calls import StreamPacing
from web.requests.wsgi_variables import ADMISSION, BODY_UNREAD, CHARGED_CALL

if TYPE_CHECKING:  # a web process imports this module before the apps
    from ratelimit.limits.admission import Admission
    from ratelimit.limits.services import ChargedCall

STREAM_THREADS = 8
# A stream ends if its client does not take PART_BYTES within STALLED_SECONDS.
PART_BYTES = 64 * 1024
STALLED_SECONDS = 30.0
# Between two checks of a stream's caller.
CHECK_SECONDS = 0.5
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class StreamCut(Exception):
    """A stream ends before its end. End its connection. reason: as in the metric of answers that were cut."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AnswerSender:
    """A sender of answers. Streams are made in threads of their own, one piece of a caller at a time (see `StreamPacing`).

    Each piece of a stream may be made by another of these threads, so a stream must not keep a database cursor
    open between pieces.
    """

    def __init__(self, pacing: StreamPacing, may_still_call: Callable[[dict[str, Any]], bool]) -> None:
        """may_still_call: tells whether the caller of a request in an environ may still make it. Called in a thread."""
        self._pacing, self._may_still_call = pacing, may_still_call
        self._lanes = [
            Lane(f"stream-{number}", threads=1, after=close_old_connections)
            for number in range(STREAM_THREADS)
        ]

    async def send(self, answer: Answer, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        """Send the answer to the request in `environ`. Discards the rest of a body that was not read.

        Raises StreamCut.
        """
        start: Message = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        if answer.stream is not None:
            is_bare = environ["REQUEST_METHOD"] == "HEAD" or answer.status in WITHOUT_BODY
            await self._send_stream(answer.stream, None if is_bare else environ, start, receive, send)
        elif BODY_UNREAD in environ:
            answer.headers.append((b"connection", b"close"))
            await send(start)
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await discard_rest(receive)
            await send(_END)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})

    async def _send_stream(
        self, stream: Stream, environ: dict[str, Any] | None, start: Message, receive: Receive, send: Send
    ) -> None:
        """Send a stream; without an environ, which charges for the pieces, only its headers."""
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await send(start)
            if environ is not None:
                await self._send_pieces(stream, environ, gone, send)
            if not gone.done():
                await send(_END)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._lane.run(stream.close))

    async def _send_pieces(
        self, stream: Stream, environ: dict[str, Any], gone: asyncio.Future[None], send: Send
    ) -> None:
        """Make and send the pieces, each in parts. A piece is made after the client has taken the piece before."""
        while (piece := await self._next_piece(stream, environ, gone)) is not None:
            for offset in range(0, len(piece), PART_BYTES):
                if gone.done():
                    return
                if offset and monotonic() - stream.checked_at > CHECK_SECONDS:
                    await self._lane.run(self._check, stream, environ)
                part = piece[offset : offset + PART_BYTES]
                try:
                    async with asyncio.timeout(STALLED_SECONDS):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                except TimeoutError:
                    raise StreamCut("stalled") from None

    async def _next_piece(
        self, stream: Stream, environ: dict[str, Any], gone: asyncio.Future[None]
    ) -> bytes | memoryview | None:
        """Make the next piece when it is the caller's turn; None after the last one, or if the client has gone."""
        call: ChargedCall | None = environ.get(CHARGED_CALL)
        if call is None or call.caller is None:
            return await self._lane.run(stream.next_piece)
        before: Admission = environ[ADMISSION]
        async with self._pacing.turn(call.caller.identity, before.bucket.name) as turn:
            if gone.done():
                return None
            piece = await self._lane.run(self._piece, stream, environ)
            after: Admission = environ[ADMISSION]
            turn.charged(None if after is before else after.bucket)
        return piece

    def _piece(self, stream: Stream, environ: dict[str, Any]) -> bytes | memoryview | None:
        """Make the next piece, if the caller may still have it."""
        self._check(stream, environ)
        return stream.next_piece()

    def _check(self, stream: Stream, environ: dict[str, Any]) -> None:
        if monotonic() - stream.checked_at > CHECK_SECONDS:
            if not self._may_still_call(environ):
                raise StreamCut("not_allowed")
            stream.checked_at = monotonic()

    @property
    def _lane(self) -> Lane:
        """The first idle lane, else the lane with the fewest tasks. So a few streams start only a few threads."""
        return min(self._lanes, key=attrgetter("open"))


async def send_refusal(refusal: Refusal, send: Send, *, path: str, correlation_id: str) -> None:
    """Send a refusal of a request to `path` (decoded) instead of an answer."""
    headers, body = refusal.render(correlation_id=correlation_id, path=path)
    await send({"type": "http.response.start", "status": refusal.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone. The request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
