"""The front: an ASGI application that reads requests in the event loop and runs Django's WSGI handler in threads.

Reads and writes have threads of their own, so that writes that wait for the disk never delay reads; streamed
bodies have a third kind. A body is read before a thread is used: a slow client occupies a coroutine, not a thread.

Any stream thread may make the next piece of a streamed body: it must not keep a database cursor open between
pieces.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from operator import attrgetter
from time import perf_counter_ns
from typing import Any, NamedTuple

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from http_requests.addresses import identity_of
from http_requests.received import SAFE_METHODS, ReceivedCall, call_in
from http_requests.wsgi_variables import BODY_TOO_LARGE, BODY_UNREAD, ROUTE
from marketdata_project.correlation import chosen_id, correlated
from marketdata_project.endpoints import endpoint_at
from marketdata_project.front.answers import (
    APPLICATION_FAILED,
    BODY_TOO_SLOW,
    TOO_MANY_BODIES,
    WITHOUT_BODY,
    Answer,
    Refusal,
    Stream,
    answer_of_finished,
    answer_of_response,
    count_answer,
    count_refusal,
    route_of,
)
from marketdata_project.front.body import (
    BodyBudgetExhausted,
    BodyOverLimit,
    BodyTooSlow,
    ClientGone,
    discard_rest,
    has_body,
    read_body,
)
from marketdata_project.front.environ import Message, Receive, Scope, Send, environ_for
from marketdata_project.front.lanes import Lane
from marketdata_project.front.limits import MOST_BODY_BYTES, MOST_SMALL_BODY_BYTES, BodyBudget, ReservedBytes
from marketdata_project.proxies import trusted_environ
from metrics.declarations import REQUESTS_IN_FLIGHT
from ratelimit.access.table import SMALL_BODY_BYTES
from stats.delivery.finished_answers import FinishedAnswer

READ_THREADS = 3
WRITE_THREADS = 16
STREAM_THREADS = 8
# A stream ends if its client does not take PART_BYTES within STALLED_SECONDS.
PART_BYTES = 64 * 1024
STALLED_SECONDS = 30.0
_CORRELATION_ID = "HTTP_X_CORRELATION_ID"

logger = logging.getLogger(__name__)


class RefusedCall(NamedTuple):
    """A request that the front itself refused, with `status`, after `latency_us`."""

    environ: dict[str, Any]
    status: int
    latency_us: int


class BodyAllowance(NamedTuple):
    """The largest body in bytes, the holders that its bytes count for, and whether only an unproven caller limits it."""

    limit: int
    held: ReservedBytes
    is_refused: bool = False


class DjangoHandler(WSGIHandler):
    """Django's WSGI handler, which returns the response instead of calling start_response."""

    def respond(self, environ: dict[str, Any]) -> HttpResponseBase:
        """Answer a request; errors become responses. The caller closes the response."""
        request_started.send(sender=self.__class__, environ=environ)
        request = self.request_class(environ)
        response = self.get_response(request)
        environ[ROUTE] = route_of(request.resolver_match)
        response._handler_class = self.__class__  # type: ignore[attr-defined]  # noqa: SLF001 as WSGIHandler does
        return response

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The view of a request, from the cache of paths. Raises Resolver404."""
        found = endpoint_at(request.path_info)
        if found is None:
            return super().resolve_request(request)
        request.resolver_match = found
        return found


class Front:
    """The ASGI application around Django."""

    def __init__(
        self,
        respond: Callable[[dict[str, Any]], HttpResponseBase],
        *,
        body_limit: Callable[[str, str], int],
        body_sender: Callable[[dict[str, Any]], str | None],
        ready: Callable[[dict[str, Any]], FinishedAnswer | None] = lambda _environ: None,
        on_refusal: Callable[[RefusedCall], object] = lambda _call: None,
        budget: BodyBudget | None = None,
    ) -> None:
        """`body_limit` returns the largest body in bytes for a path and method; it is called in the event loop.

        The other functions are called in a thread. `body_sender` returns the identity of a caller who may send
        a large body, or None. `ready` returns a finished answer without Django, or None. `on_refusal` is called
        for each request that the front itself refuses. `budget` bounds all large bodies of known callers together.
        """
        self._respond = respond
        self._ready = ready
        self._on_refusal = on_refusal
        self._body_limit = body_limit
        self._body_sender = body_sender
        self._budget = budget or BodyBudget(MOST_BODY_BYTES)
        self._small_bodies = BodyBudget(MOST_SMALL_BODY_BYTES)
        # `after` replaces Django's receivers of the request signals (see serve/warm.py).
        self._reads = Lane("read", threads=READ_THREADS, after=close_old_connections)
        self._writes = Lane("write", threads=WRITE_THREADS, after=close_old_connections)
        self._streams = [
            Lane(f"stream-{number}", threads=1, after=close_old_connections)
            for number in range(STREAM_THREADS)
        ]

    @property
    def reads(self) -> Lane:
        """The lane (thread pool) of reads, which the watchdog probes."""
        return self._reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "http":
            REQUESTS_IN_FLIGHT.add(1)
            try:
                await self._serve(scope, receive, send)
            finally:
                REQUESTS_IN_FLIGHT.add(-1)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = environ_for(scope)
        trusted_environ(environ)
        environ["wsgi.input"] = BytesIO()
        # All later code finds the chosen id in the header's variable.
        environ[_CORRELATION_ID] = chosen_id(environ.get(_CORRELATION_ID))
        call = call_in(environ)
        lane = self._reads if scope["method"] in SAFE_METHODS else self._writes
        started, held = perf_counter_ns(), None
        with correlated(environ[_CORRELATION_ID]):
            try:
                if has_body(scope["headers"]):
                    allowance = await self._allowance(call, environ, lane)
                    held = allowance.held
                    await _add_body(environ, receive, allowance)
                began_ns = perf_counter_ns()
                answer = await lane.run(self._call, environ)
                count_answer(environ, answer.status, began_ns=began_ns)
            except ClientGone:
                return
            except Exception as error:  # noqa: BLE001 unknown ones are logged by _refusal_of
                refusal = _refusal_of(error)
                count_refusal(refusal, method=environ["REQUEST_METHOD"])
                await _refuse(send, refusal, correlation_id=environ[_CORRELATION_ID])
                latency_us = (perf_counter_ns() - started) // 1000
                await lane.run(self._on_refusal, RefusedCall(environ, refusal.status.value, latency_us))
                return
            finally:
                if held is not None:
                    held.release()
                    # Django's and DRF's requests are reference cycles: without this they keep the body until garbage collection.
                    environ["wsgi.input"].close()
            await self._answer(answer, environ, receive, send)

    async def _allowance(self, call: ReceivedCall, environ: dict[str, Any], lane: Lane) -> "BodyAllowance":
        """Return how much of a call's body may be read.

        A small body is read before the caller is known, and counts for the address. A larger body is read only
        after a thread has authenticated and authorized the caller by the headers.
        """
        limit = self._body_limit(call.path, call.method)
        address = identity_of(call.address)
        small = ReservedBytes(self._small_bodies, (address,))
        declared = call.headers.get("content-length")
        if limit <= SMALL_BODY_BYTES or (declared and not SMALL_BODY_BYTES < int(declared) <= limit):
            return BodyAllowance(limit, small)
        sender = await lane.run(self._body_sender, environ)
        if sender is None:
            return BodyAllowance(SMALL_BODY_BYTES, small, is_refused=True)
        return BodyAllowance(limit, ReservedBytes(self._budget, (sender, address)))

    def _call(self, environ: dict[str, Any]) -> Answer:
        """Answer a request; called in a thread."""
        with correlated(environ[_CORRELATION_ID]):
            finished = self._ready(environ)
            return self._application_made(environ) if finished is None else answer_of_finished(finished)

    def _application_made(self, environ: dict[str, Any]) -> Answer:
        """Django's answer to a request."""
        response = self._respond(environ)
        return answer_of_response(response, is_head=environ["REQUEST_METHOD"] == "HEAD")

    async def _answer(self, answer: Answer, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        if answer.stream is not None:
            bare = environ["REQUEST_METHOD"] == "HEAD" or answer.status in WITHOUT_BODY
            await self._send_stream(answer.stream, start, receive, send, bare=bare)
        elif BODY_UNREAD in environ:
            answer.headers.append((b"connection", b"close"))
            await send(start)
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await discard_rest(receive)
            await send(_LAST)
        else:
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})

    async def _send_stream(
        self, stream: Stream, start: Message, receive: Receive, send: Send, *, bare: bool
    ) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send(start)
            if not bare:
                await self._send_pieces(stream, gone, send)
            if not gone.done():
                await send(_LAST)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._stream_lane.run(stream.close))

    @property
    def _stream_lane(self) -> Lane:
        """The first idle lane, else one with the fewest jobs. So few streams start few threads, each of which holds memory."""
        return min(self._streams, key=attrgetter("open"))

    async def _send_pieces(self, stream: Stream, gone: asyncio.Future[None], send: Send) -> None:
        """Make and send the pieces, each in parts. Makes a piece after the client has taken the one before."""
        while (piece := await self._stream_lane.run(stream.next_piece)) is not None:
            for start in range(0, len(piece), PART_BYTES):
                if gone.done():
                    return
                part = piece[start : start + PART_BYTES]
                async with asyncio.timeout(STALLED_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _add_body(environ: dict[str, Any], receive: Receive, allowance: BodyAllowance) -> None:
    """Set the environ's body. If the body is too large, set an empty one and BODY_UNREAD.

    Then Django answers: 413 with the limit if it knows the caller (also by a session), otherwise the reason why
    it does not.
    """
    declared = environ.get("CONTENT_LENGTH", "")
    try:
        body = await read_body(receive, declared=declared, limit=allowance.limit, held=allowance.held)
    except BodyOverLimit:
        environ[BODY_UNREAD] = True
        if not allowance.is_refused or settings.SESSION_COOKIE_NAME in environ.get("HTTP_COOKIE", ""):
            environ[BODY_TOO_LARGE] = allowance.limit
        body = BytesIO()
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(body.getbuffer().nbytes)


_LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def _refusal_of(error: Exception) -> Refusal:
    """The refusal for an error that Django did not turn into a response. Logs an unknown error."""
    if isinstance(error, BodyTooSlow):
        return BODY_TOO_SLOW
    if isinstance(error, BodyBudgetExhausted):
        return TOO_MANY_BODIES
    logger.error("The application failed outside of its own error handling", exc_info=error)
    return APPLICATION_FAILED


async def _refuse(send: Send, refusal: Refusal, *, correlation_id: str) -> None:
    headers, body = refusal.render(correlation_id=correlation_id)
    await send({"type": "http.response.start", "status": refusal.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
