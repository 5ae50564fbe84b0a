"""The front: an ASGI application that reads requests in the event loop and runs Django's WSGI handler in threads.

Reads, heavy reads, writes, logins and calls of trading have threads of their own (lanes). A write that waits for the
disk, a read that computes for long or a login that waits for its turn delays no other read, and no order. A body is read in the event loop: a slow client occupies a coroutine, not a thread.
"""

import logging
from collections.abc import Callable
from io import BytesIO
from time import perf_counter_ns
from typing import Any, NamedTuple, Protocol

from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import DatabaseError, close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from front.answers import (
    APPLICATION_FAILED,
    BODY_TOO_SLOW,
    DATABASE_UNAVAILABLE,
    TOO_MANY_BODIES,
    Answer,
    Refusal,
    answer_of_response,
    count_answer,
    count_refusal,
    route_of,
)
from front.body import (
    BodyBudgetExhausted,
    BodyReader,
    BodyTooSlow,
    ClientGone,
    has_body,
)
from front.environ import ABORT, REMEMBER, Receive, Scope, Send, environ_for
from front.lane_of_call import HEAVY, LOGIN
from front.lanes import Lane
from front.sending import AnswerSender, StreamCut, send_refusal
from ops.metrics.declarations import ANSWERS_CUT, REQUESTS_IN_FLIGHT, UNROUTED
from ratelimit.keys.api_keys import ALPACA_KEY_ID
from ratelimit.limits.open_calls import StreamPacing
from stats.live.sockets import ENVIRON
from web.correlation import ENVIRON_NAME, TRACEPARENT, accepted_id, correlated
from web.endpoints import CLOSING, READ, TRADING, WRITE, endpoint_at
from web.proxies import trusted_environ
from web.requests.received import ReceivedCall, call_in
from web.requests.wsgi_variables import ROUTE

READ_THREADS = 3
HEAVY_THREADS = 2
WRITE_THREADS = 16
# A call of trading mostly waits: for its account's lock and for the database's commit. On SQLite, which has one writer
# at a time, more threads would only wait there instead of here.
TRADING_THREADS = 8
# Few, because these calls are rare: they must not wait for previews and orders, nor for reads of an account.
CLOSING_THREADS = 4
# As many as can wait for a turn to check a password, the one that has it, and one that refuses the next.
LOGIN_THREADS = 10
_THREADS = {
    READ: READ_THREADS,
    HEAVY: HEAVY_THREADS,
    WRITE: WRITE_THREADS,
    TRADING: TRADING_THREADS,
    CLOSING: CLOSING_THREADS,
    LOGIN: LOGIN_THREADS,
}
# The status in the record of a call whose client went before its body was complete. No client ever sees it.
CLIENT_GONE = 499

logger = logging.getLogger(__name__)


class RefusedCall(NamedTuple):
    """A request that the front itself refused, or whose client went before its body was complete (CLIENT_GONE).

    latency_us: microseconds until then.
    """

    environ: dict[str, Any]
    status: int
    latency_us: int


class SocketServer(Protocol):
    """The application of WebSockets."""

    def begin(self) -> None:
        """Begin to hear of commits. Called in the event loop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket. Its scope has the extensions of `stats.live.sockets`."""

    async def close(self) -> None:
        """Tell all clients to connect again, and close their sockets. Returns at once; accept no more sockets."""


class NoSockets:
    """Refuses all WebSockets."""

    def begin(self) -> None:
        """Do nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse."""
        await send({"type": "websocket.close"})

    async def close(self) -> None:
        """Do nothing."""


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
        """Return the view of a request. Paths are cached. Raises Resolver404."""
        match = endpoint_at(request.path_info)
        if match is None:
            return super().resolve_request(request)
        request.resolver_match = match
        return match


class Front:
    """The ASGI application: Django for the scope `http`, the live feed for `websocket`."""

    def __init__(
        self,
        respond: Callable[[dict[str, Any]], HttpResponseBase],
        *,
        bodies: BodyReader,
        lane_of: Callable[[str, str, str], str],
        record_refusal: Callable[[RefusedCall], object] = lambda _call: None,
        live: SocketServer | None = None,
        may_still_call: Callable[[dict[str, Any]], bool] = lambda _environ: True,
    ) -> None:
        """All functions except `lane_of` are called in a thread.

        `respond` is Django. `lane_of` returns a call's lane by path, method and query string. `record_refusal` is
        called for each request that Django does not get. `live` serves the WebSockets, which are refused by default.
        `may_still_call` tells whether a stream's caller may still read it.
        """
        self._respond = respond
        self._bodies = bodies
        self._record_refusal = record_refusal
        self._lanes = {
            name: Lane(name, threads=threads, after=close_old_connections)
            for name, threads in _THREADS.items()
        }
        self._lane_of = lane_of
        self._sender = AnswerSender(StreamPacing(), may_still_call)
        self.live = live or NoSockets()
        self.open_sockets = 0

    @property
    def reads(self) -> Lane:
        """The lane (thread pool) of reads, which the watchdog probes."""
        return self._lanes[READ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
            return
        REQUESTS_IN_FLIGHT.inc()
        try:
            await self._serve(scope, receive, send)
        finally:
            REQUESTS_IN_FLIGHT.dec()

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][ENVIRON] = environ = _client_environ(scope)
        self.open_sockets += 1
        try:
            with correlated(environ[ENVIRON_NAME]):
                await self.live(scope, receive, send)
        finally:
            self.open_sockets -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = _client_environ(scope)
        call = call_in(environ)
        lane, caller = self._lanes[self._lane_of(call.path, call.method, call.query)], _fairness_key(call)
        started, reserved, decoding = perf_counter_ns(), None, None
        with correlated(environ[ENVIRON_NAME]):
            try:
                if has_body(scope["headers"]):
                    allowance = await self._bodies.allowance(call, environ, lane, caller)
                    reserved = allowance.reserved
                    await self._bodies.add_body(environ, receive, allowance, lane)
                    decoding = await self._bodies.decoding_place(environ, allowance)
                began_ns = perf_counter_ns()
                answer = await lane.run_for(caller, self._call, environ)
                route = environ.get(ROUTE, UNROUTED)
                count_answer(route, scope["method"], answer.status, began_ns=began_ns)
                if REMEMBER in scope:
                    scope[REMEMBER](environ, answer)
            except Exception as error:  # noqa: BLE001 unknown ones are logged by _refusal_of
                status = CLIENT_GONE
                if not isinstance(error, ClientGone):
                    refusal = _refusal_of(error)
                    status = refusal.status.value
                    count_refusal(refusal, method=environ["REQUEST_METHOD"])
                    await send_refusal(refusal, send, path=call.path, correlation_id=environ[ENVIRON_NAME])
                latency_us = (perf_counter_ns() - started) // 1000
                await lane.run(self._record_refusal, RefusedCall(environ, status, latency_us))
                return
            finally:
                if decoding is not None:
                    decoding.release()
                if reserved is not None:
                    reserved.release()
                    # Django's and DRF's requests are reference cycles, which would keep the body in memory until
                    # the next garbage collection.
                    environ["wsgi.input"].close()
            await self._send(answer, environ, scope, receive, send)

    async def _send(
        self, answer: Answer, environ: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await self._sender.send(answer, environ, receive, send)
        except StreamCut as cut:
            ANSWERS_CUT.labels(cut.reason).inc()
            scope[ABORT]()

    def _call(self, environ: dict[str, Any]) -> Answer:
        """Answer a request; called in a thread."""
        with correlated(environ[ENVIRON_NAME]):
            return answer_of_response(self._respond(environ), is_head=environ["REQUEST_METHOD"] == "HEAD")


def _client_environ(scope: Scope) -> dict[str, Any]:
    """Return the environ with an empty body, and the client as trusted proxies name it."""
    environ = environ_for(scope)
    trusted_environ(environ)
    environ["wsgi.input"] = BytesIO()
    # All later code reads the accepted id from the header's variable.
    environ[ENVIRON_NAME] = accepted_id(environ.get(ENVIRON_NAME), environ.get(TRACEPARENT, ""))
    return environ


def _fairness_key(call: ReceivedCall) -> str:
    """Return for whom a call is answered: its key or token, else its address. Nobody has all threads of a lane.

    Nothing is verified yet. A caller who invents keys counts as many callers; each of these calls is refused later.
    A caller with several tokens counts as several callers, and has one rate. No credential is equal to an address.
    """
    headers = call.headers
    credential = headers.get("x-api-key") or headers.get(ALPACA_KEY_ID) or headers.get("authorization") or ""
    return credential.split()[-1] if credential.strip() else f"address {call.address}"


def _refusal_of(error: Exception) -> Refusal:
    """Return the refusal for an error that Django did not turn into a response. Logs an unknown error."""
    if isinstance(error, BodyTooSlow):
        return BODY_TOO_SLOW
    if isinstance(error, BodyBudgetExhausted):
        return TOO_MANY_BODIES
    if isinstance(error, DatabaseError):
        logger.error("the database cannot be used", exc_info=error)
        return DATABASE_UNAVAILABLE
    logger.error("The application failed outside of its own error handling", exc_info=error)
    return APPLICATION_FAILED
