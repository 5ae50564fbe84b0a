"""uvicorn's HTTP/1.1 protocol with what it lacks: limits on connections and on headers in time and size, problem bodies."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from httptools import HttpParserError
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from marketdata_project.correlation import HEADER
from marketdata_project.front.answers import (
    HEADER_TOO_LONG,
    HEADERS_TOO_LARGE,
    HEADERS_TOO_SLOW,
    MALFORMED,
    NOT_ONE_HOST,
    TARGET_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_HEADERS,
    Refusal,
    count_refusal,
)
from marketdata_project.front.limits import ConnectionSlots
from metrics.declarations import CONNECTIONS

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


HEADER_SECONDS = 20.0
HEADER_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024
MOST_HEADERS = 100
CHECK_SECONDS = 5.0
_CORRELATION_ID = HEADER.lower().encode()


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers take longer than HEADER_SECONDS, or are too many or too large.

    `slots` count all connections of a process; whoever finds none is told so and cut off before anything
    is read. The same number of bytes may come at any time without a message getting further: trailers behind
    a body are no way around. One timer per connection looks every few seconds: a timer per request would cost
    more than all else here.
    """

    slots = ConnectionSlots()
    _has_slot = False
    _headers_since: float | None
    _check: asyncio.TimerHandle
    _has_begun = False
    _is_in_body = False
    _got_further = False
    _unfinished_bytes = 0
    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to wait for headers, unless the address has its fill of connections."""
        super().connection_made(transport)
        CONNECTIONS.add(1)
        self._headers_since = self.loop.time()
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_headers)
        self._has_slot = self.slots.take(self._address)
        if not self._has_slot:
            self._refuse(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection's timer, and give its place back."""
        self._check.cancel()
        CONNECTIONS.add(-1)
        if self._has_slot:
            self._has_slot = False
            self.slots.give_back(self._address)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for a further request's headers."""
        self._headers_since = self.loop.time()
        self._has_begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header without the white space around its value, which is none of it (RFC 9112, 5.1)."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Headers are there: the body's limits are the application's.

        Raises HttpParserError for headers that are too large, for none or several Hosts (RFC 9112, 3.2), and
        for a body that is not framed in chunks although it says how it is: it would have no end (RFC 9112,
        6.3).
        """
        if (refusal := _excess(self.url, self.headers)) is not None:
            self._refuse(refusal)
            raise HttpParserError(refusal.message)
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._refuse(NOT_ONE_HOST)
            raise HttpParserError(NOT_ONE_HOST.message)
        framings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if any(framing.strip().lower() != b"chunked" for framing in framings):
            raise HttpParserError("the end of the body cannot be known")
        self._headers_since = None
        self._is_in_body = self._got_further = True
        super().on_headers_complete()
        if framings:
            # Trailers are no headers (RFC 9110, 6.5.1): a proxy that guards these has not looked at them.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        """Hand a piece of a body on."""
        self._got_further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is there, with its body."""
        self._has_begun = self._is_in_body = False
        self._got_further = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse, then look at how much has come without headers, a piece of a body or a request being complete."""
        self._got_further = False
        super().data_received(data)
        self._unfinished_bytes = 0 if self._got_further else self._unfinished_bytes + len(data)
        if self._unfinished_bytes > HEADER_BYTES:
            self._refuse(HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the API's own form."""
        self._refuse(MALFORMED)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if not knows_chunks(cycle.scope["http_version"]):
            app = without_chunks(app, cycle)
        super()._start_asgi_task(cycle, app)

    def _check_headers(self) -> None:
        since = self._headers_since
        late = since is not None and self.loop.time() - since > HEADER_SECONDS - CHECK_SECONDS
        if late and not self._answering():
            self._refuse(HEADERS_TOO_SLOW if self._has_begun else None)
            return
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_headers)

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _offered_id(self) -> str | None:
        """The client's id, as far as the headers of the request that is under way have been read.

        None without exactly one.
        """
        if not self._has_begun:
            return None
        ids = [value for name, value in self.headers if name == _CORRELATION_ID]
        return ids[0].decode("latin-1") if len(ids) == 1 else None

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, refusal: Refusal | None) -> None:
        """Answer and close; while an earlier request is answered, only close.

        Nobody else answers afterwards.
        """
        if self.transport.is_closing():
            return
        if refusal is not None and (not self._answering() or self._awaits_own_body()):
            self.transport.write(refusal.wire(offered=self._offered_id()))
            count_refusal(refusal)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self.transport.close()

    def _awaits_own_body(self) -> bool:
        """Whether the request that has no answer yet is the very one whose body is still coming."""
        return self._is_in_body and self._running is self.cycle and not self.cycle.response_started


def _excess(target: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
    """What is too much of a request's first lines, if anything is."""
    if len(headers) > MOST_HEADERS:
        return TOO_MANY_HEADERS
    total = len(target) + sum(len(name) + len(value) for name, value in headers)
    # Within this all together, no line is longer: most requests need no second look.
    if total <= LINE_BYTES:
        return None
    if total > HEADER_BYTES:
        return HEADERS_TOO_LARGE
    if len(target) > LINE_BYTES:
        return TARGET_TOO_LONG
    is_long = any(len(name) + len(value) > LINE_BYTES for name, value in headers)
    return HEADER_TOO_LONG if is_long else None
