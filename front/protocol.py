"""uvicorn's HTTP/1.1 protocol with limits on connections and on the time and size of headers, and JSON error bodies."""

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from front.answers import (
    HEADERS_TOO_LARGE,
    HEADERS_TOO_SLOW,
    MALFORMED,
    NOT_A_HANDSHAKE,
    STATUS_LINES,
    TOO_MANY_CONNECTIONS,
    ReadyAnswer,
    Refusal,
    count_refusal,
    header_lines,
)
from front.body import has_body
from front.environ import ABORT, REMEMBER
from front.framing import (
    HEADER_BYTES,
    asks_for_socket,
    body_length,
    head_bytes,
    head_refusal,
    is_whole_get,
    section_end,
    send_without_chunks,
)
from front.limits import MOST_HELD_BYTES, BodyBudget, ConnectionSlots, ReservedBytes
from front.sockets import GuardedSocketProtocol, handshake_in
from ops.metrics.declarations import ANSWERS_CUT, CONNECTIONS
from web.correlation import HEADER

if TYPE_CHECKING:  # needs the apps
    from front.event_loop_reads import EventLoopReads

logger = logging.getLogger(__name__)

# Also the longest time between two requests of a connection.
HEADER_SECONDS = 20.0
CHECK_SECONDS = 5.0
_CORRELATION_ID = HEADER.lower().encode()


class GuardedProtocol(HttpToolsProtocol):
    """A protocol that closes connections whose headers take longer than HEADER_SECONDS, or are too many or too large.

    Requests are parsed one at a time. Bytes that arrive while a request is answered are held unparsed, and no more
    bytes are read until these are parsed. `held_bytes` limits what the connections of the process hold together.
    `slots` limits the connections of the process; a connection without a slot is refused before anything is read.
    HEADER_BYTES also limits other bytes that complete neither a piece of a body nor a request, such as trailers.
    Each connection has one timer, which checks every CHECK_SECONDS. A timer per request would be too expensive.
    """

    # Whether each connection ends with its next answer.
    is_leaving = False
    slots = ConnectionSlots()
    held_bytes = BodyBudget(MOST_HELD_BYTES)
    repeated: "EventLoopReads | None" = None
    # The paths at which clients open WebSockets. Any other request to upgrade is answered as plain HTTP.
    socket_paths: Collection[bytes] = ()
    # The request that is being parsed, if it came whole and may be answered again without the application.
    _whole: bytes | None = None
    # The request that the event loop is answering.
    _awaited: bytes | None = None
    _is_last = False
    # Whether the client sends no more.
    _is_ended = False
    _has_slot = False
    _headers_since: float | None
    _check: asyncio.TimerHandle
    _is_in_request = False
    _is_in_body = False
    _has_progress = False
    _unfinished_bytes = 0
    # The last bytes of the request that were parsed.
    _tail = b""
    # How many bytes of the body are still to come; 0 if its length is not known.
    _body_left = 0
    # What arrived and is not parsed yet.
    _arrived: bytearray
    _held: ReservedBytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to wait for headers; refuse the connection if its address has no free slot."""
        super().connection_made(transport)
        self._arrived, self._held = bytearray(), ReservedBytes(self.held_bytes, (self._address,))
        CONNECTIONS.inc()
        self._headers_since = self.loop.time()
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_headers)
        self._has_slot = self.slots.take(self._address)
        if not self._has_slot:
            self._refuse(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer and release the slot."""
        self._check.cancel()
        if exc is not None and self._is_answering():
            ANSWERS_CUT.labels("reset").inc()
        self._awaited = None
        self._held.release()
        CONNECTIONS.dec()
        if self._has_slot:
            self._has_slot = False
            self.slots.give_back(self._address)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the request's headers."""
        self._headers_since = self.loop.time()
        self._is_in_request = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header without the white space around its value (RFC 9112, 5.1)."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Check the headers. From then on the application limits the body. Raises HttpParserError if it refuses."""
        if self.parser.should_upgrade():
            # `_after_upgrade` has the request parsed again.
            return
        self._headers_since = None
        refusal = head_refusal(self.url, self.headers, version=self.parser.get_http_version())
        if refusal is not None:
            self._refuse(refusal)
            raise HttpParserError(refusal.message)
        self._is_in_body = self._has_progress = True
        self._body_left = body_length(self.headers)
        super().on_headers_complete()
        if self.is_leaving:
            self.cycle.keep_alive = False
        # The application begins in a later turn of the loop.
        self._extend(self.cycle.scope)
        if any(name == b"transfer-encoding" for name, _ in self.headers):
            # The parser adds trailers to this list. They must not become headers, because proxies do not check
            # them (RFC 9110, 6.5.1).
            self.headers = []

    def _extend(self, scope: Any) -> None:
        """Add to a request's scope what the application may call."""
        scope[ABORT] = self._abort
        is_plain = scope["http_version"] == "1.1" and self.cycle.keep_alive and not has_body(scope["headers"])
        if self.repeated is not None and self._whole is not None and is_plain:
            scope[REMEMBER] = partial(self.repeated.remember, self._address, self._whole)
        # Only HTTP/1.1 clients know chunks (RFC 9112, 6.1).
        if scope["http_version"] < "1.1":
            send_without_chunks(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of a body."""
        self._has_progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._is_in_request = self._is_in_body = False
        self._has_progress = True

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, up to the end of a request; the rest when that is answered."""
        self._arrived += data
        self._parse_on()

    def on_response_complete(self) -> None:
        """Go on with the requests that arrived meanwhile. `_check_headers` closes the connection if it stays idle."""
        self.server_state.total_requests += 1
        self._headers_since = self.loop.time()
        self.loop.call_soon(self._parse_on)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio does
        """Return whether to keep a connection whose client sends no more: until its complete requests are answered."""
        if not (self._arrived or (self._is_answering() and not self._is_in_request)):
            return False
        self._is_ended = True
        if not self._arrived:
            self.shutdown()
        return True

    def shutdown(self) -> None:
        """Close the connection when the running request is answered."""
        if self._awaited is None:
            super().shutdown()
        else:
            self._is_last = True

    def _abort(self) -> None:
        if not self.transport.is_closing():
            # The connection is reset: closed, a client by HTTP/1.0 would take what it has for the whole answer.
            self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        # uvicorn logs an error if the application ends an answer that a connected client lacks.
        self.cycle.disconnected = True
        self.transport.abort()

    def _parse_on(self) -> None:
        """Parse what arrived, up to the end of a request, unless one is being answered. Hold the rest."""
        self._held.release()
        if self.transport.is_closing():
            self._arrived.clear()
            return
        while self._arrived and (self._is_in_request or not self._is_answering()):
            self._take(self._next_section())
            if not self._is_in_request:
                # Other connections have their turn.
                break
        if self._arrived:
            self._hold_rest()
        elif self._is_ended:
            self.shutdown()
        elif not self._is_body_full():
            self.flow.resume_reading()

    def _is_body_full(self) -> bool:
        """Return whether so much of a body waits for the application that no more is read until it asks."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and len(cycle.body) > HIGH_WATER_LIMIT

    def _next_section(self) -> bytes:
        """Take the next piece to parse from what arrived. A request may end with the piece, but not within it."""
        if self._body_left:
            end = min(self._body_left, len(self._arrived))
            self._body_left -= end
        else:
            end = section_end(self._arrived, self._tail if self._is_in_request else b"")
        section = bytes(self._arrived[:end])
        del self._arrived[:end]
        self._tail = (self._tail + section[-3:])[-3:]
        return section

    def _hold_rest(self) -> None:
        """Read nothing more until the rest is parsed; if too much is held, end the connection after the answer."""
        if not self._held.take(len(self._arrived)):
            self._arrived.clear()
            self.shutdown()
            return
        self.flow.pause_reading()
        if not self._is_answering():
            self.loop.call_soon(self._parse_on)

    def _take(self, data: bytes) -> None:
        """Answer a request that came before; parse all other data. No request ends before the last byte."""
        if not self._is_in_request and self._is_free() and self._is_answered_again(data):
            self._unfinished_bytes = 0
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse the data. Refuse the request if more than HEADER_BYTES arrived without completing anything."""
        self._has_progress = False
        self._whole = data if not self._is_in_request and is_whole_get(data) else None
        self._feed(data)
        self._whole = None
        self._unfinished_bytes = 0 if self._has_progress else self._unfinished_bytes + len(data)
        if self._unfinished_bytes > HEADER_BYTES:
            self._refuse(HEADERS_TOO_LARGE)

    def _feed(self, data: bytes) -> None:
        """Give the data to the parser; answer a malformed request with a problem."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            self._after_upgrade()
        except HttpParserError:
            self._refuse(MALFORMED)

    def _after_upgrade(self) -> None:
        """Open a WebSocket. Parse the head of any other request to upgrade again, without Connection.

        The parser would take what follows the head for another protocol, a body too. A server may ignore Upgrade
        (RFC 9110, 7.8). To the parser CONNECT always upgrades; its target is that of a proxy.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if self._opens_socket(method, version):
            self._open_socket()
        elif method == b"CONNECT":
            self._refuse(MALFORMED)
        else:
            headers = [header for header in self.headers if header[0] != b"connection"]
            if not self.parser.should_keep_alive():
                headers.append((b"connection", b"close"))
            # This one would ignore what follows a request that ends its connection.
            self.parser = HttpRequestParser(self)
            self._feed(head_bytes(method, self.url, version, headers))

    def _opens_socket(self, method: bytes, version: str) -> bool:
        """Return whether the request to upgrade is one for a WebSocket, and no other request is before it."""
        return (
            self.url.partition(b"?")[0].removesuffix(b"/") in self.socket_paths
            and self._is_free()
            and asks_for_socket(method, version, self.headers)
            and head_refusal(self.url, self.headers, version=version) is None
        )

    def _open_socket(self) -> None:
        """Hand the connection over to a WebSocket, at whose end this protocol gives back what it holds."""
        request = handshake_in(self.url, self.headers)
        self._has_progress = True
        if request is None:
            self._refuse(NOT_A_HANDSHAKE)
            return
        self._check.cancel()
        # From now on the WebSocket pauses and resumes the transport.
        self.flow.resume_reading()
        self.connections.discard(self)
        client_socket = GuardedSocketProtocol(
            self.config, self.server_state, self.app_state, on_lost=self.connection_lost
        )
        self.transport.set_protocol(client_socket)
        client_socket.open(self.transport, request, early=bytes(self._arrived))
        self._arrived.clear()

    def _is_free(self) -> bool:
        """Return whether an answer could be sent now: nothing is being answered, and the client reads."""
        return not (self._is_answering() or self.flow.write_paused)

    def _is_answered_again(self, data: bytes) -> bool:
        """Return whether a request will be answered without the application."""
        if self.repeated is None or self.is_leaving:
            return False
        try:
            is_awaited = self.repeated.answer_without_django(self._address, data, self._deliver)
        except Exception:
            logger.exception("The event loop could not answer; the application does")
            return False
        if is_awaited:
            self._awaited, self._headers_since = data, None
        return is_awaited

    def _deliver(self, answer: ReadyAnswer | None) -> None:
        """Send the awaited answer; None leaves the request to the application."""
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return
        if answer is None:
            self._parse(awaited)
        elif not self.transport.is_closing():
            added = header_lines(self.server_state.default_headers)
            head = b"".join((STATUS_LINES[answer.status], added, answer.lines, b"\r\n"))
            self.transport.writelines((head, answer.body))
            self.server_state.total_requests += 1
            self._headers_since = self.loop.time()
        if self._is_last:
            self.shutdown()
        self._parse_on()

    def _check_headers(self) -> None:
        since = self._headers_since
        is_late = since is not None and self.loop.time() - since > HEADER_SECONDS - CHECK_SECONDS
        if is_late and not self._is_answering():
            self._refuse(HEADERS_TOO_SLOW if self._is_in_request else None)
            return
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_headers)

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _offered_id(self) -> str | None:
        """Return the X-Correlation-ID among the headers read so far; None unless there is exactly one."""
        if not self._is_in_request:
            return None
        ids = [value for name, value in self.headers if name == _CORRELATION_ID]
        return ids[0].decode("latin-1") if len(ids) == 1 else None

    def _is_answering(self) -> bool:
        return self._awaited is not None or (self.cycle is not None and not self.cycle.response_complete)

    def _refuse(self, refusal: Refusal | None) -> None:
        """Send the refusal, unless the answer to the request has begun, and close the connection."""
        if self.transport.is_closing():
            return
        is_answering = self._is_answering()
        if refusal is not None and (not is_answering or self._awaits_own_body()):
            path = unquote(self.url.partition(b"?")[0].decode("latin-1")) if self._is_in_request else ""
            self.transport.write(refusal.http_bytes(offered_id=self._offered_id(), path=path))
            count_refusal(refusal)
        if is_answering and self._awaited is None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _awaits_own_body(self) -> bool:
        """Return whether the body of the request that is being answered is still arriving."""
        return self._is_in_body and not self.cycle.response_started
