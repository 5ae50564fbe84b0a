"""WebSockets of clients: uvicorn's protocol with limits, and with a way to write frames that are ready for the wire."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from stats.live.sockets import SOCKET

# A connection that is being closed is aborted after so many seconds in which its client took nothing; at the latest
# after the second number.
CLOSE_SECONDS, MOST_CLOSE_SECONDS = 2.0, 20.0
MESSAGE_BYTES = 64 * 1024
MOST_FRAGMENTS = 256
# Above the first number of unsent bytes `drained` waits, until they are fewer than the second.
_MANY_UNSENT, _FEW_UNSENT = 64 * 1024, 16 * 1024
# The most bytes that are parsed in one turn of the loop: 85 of the smallest frames, which take 2 ms.
_PIECE_BYTES = 512
_PING = bytes((0x89, 0))


def handshake_in(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Request | None:
    """Return the request to open a WebSocket; None if it is not valid (RFC 6455, 4.2.1)."""
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    request = Request(target.decode("ascii"), Headers(texts))
    is_valid = ServerProtocol().accept(request).status_code == HTTPStatus.SWITCHING_PROTOCOLS
    return request if is_valid else None


class GuardedSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is a `stats.live.sockets.Socket`, in the extensions of its ASGI scope.

    Its client cannot fill the memory, because nothing is read while a message waits for the application, and only the
    newest pong waits for a client that does not read. Nor can it fill the log, or prevent the connection's end.
    Nothing is compressed, and nothing is pinged but by `ping`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        on_lost: Callable[[Exception | None], object],
    ) -> None:
        """on_lost: called once, when the connection has ended."""
        super().__init__(config, server_state, app_state)
        self.conn = ServerProtocol(max_size=MESSAGE_BYTES, logger=self.logger)
        # The parser of frames expects the lines of a request first. The HTTP parser has read those, with its own limits.
        self.conn.receive_data(b"GET / HTTP/1.1\r\n\r\n")
        self.conn.events_received()
        self.ping_interval = None
        self.heard_at = self.loop.time()
        self._on_lost = on_lost
        self._unread = bytearray()
        self._late_pong = b""
        self._abort: asyncio.TimerHandle | None = None

    def open(self, transport: asyncio.Transport, request: Request, early: bytes) -> None:
        """Start the application. early: bytes that came behind the request; they are read once it has accepted."""
        self.connection_made(transport)
        transport.set_write_buffer_limits(high=_MANY_UNSENT, low=_FEW_UNSENT)
        transport.pause_reading()
        self._unread += early
        self.handle_connect(request)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[SOCKET] = self

    @property
    def unsent_bytes(self) -> int:
        """The number of bytes that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def write(self, frame: bytes) -> bool:
        """Write one whole frame at once, whatever is unsent. Return False if the socket is closing."""
        if self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def ping(self) -> None:
        """Send a ping of the protocol."""
        self.write(_PING)

    async def drained(self) -> None:
        """Wait until little is unsent, or the connection has ended."""
        await self.writable.wait()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is unsent. reason: at most 123 bytes of UTF-8.

        The connection is aborted once the client takes nothing for CLOSE_SECONDS, and after MOST_CLOSE_SECONDS.
        """
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self._await_end(code, reason)

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says. Raises ClientDisconnected, an OSError, if the socket is closing."""
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Otherwise uvicorn logs that the application has not accepted.
            self.handshake_complete = True
        if message["type"] == "websocket.accept":
            self._read_on()
        self._abort_if_closing()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next event."""
        event = await super().receive()
        if self._unread and not self.read_paused:
            self._go_on()
        return event

    async def run_asgi(self) -> None:
        """Run the application, and then close the connection."""
        await super().run_asgi()
        self._abort_if_closing()

    def data_received(self, data: bytes) -> None:
        """Read frames, until one is wrong."""
        self.heard_at = self.loop.time()
        self._unread += data
        self._read_on()

    def handle_parser_exception(self) -> None:
        """Send the close frame that says what was wrong, and read no more frames.

        Bytes are received until the client closes: the system resets a connection that is closed before, and the client
        would not see the frame.
        """
        close = self.conn.close_sent
        if close is not None and not self.close_sent:
            self._await_end(close.code, close.reason)
            self.transport.write_eof()

    def eof_received(self) -> None:
        """Close the connection of a client that sends no more."""
        self.transport.close()
        self._abort_if_closing()

    def shutdown(self) -> None:
        """Close the connection, because the server ends."""
        if self.handshake_complete:
            self.close(CloseCode.SERVICE_RESTART, "")
        else:
            super().shutdown()
        self._abort_if_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application and `on_lost`."""
        if self._abort is not None:
            self._abort.cancel()
        super().connection_lost(exc)
        self._on_lost(exc)

    def resume_writing(self) -> None:
        """Send the pong that waited."""
        super().resume_writing()
        late, self._late_pong = self._late_pong, b""
        if late:
            self.write(late)

    def handle_ping(self) -> None:
        """Leave the pong to `_send_pong`."""

    def handle_cont(self, event: Frame) -> None:
        """Add a fragment to its message. The number is limited, because fragments may be empty."""
        if self.close_sent:
            return
        if len(self.frames) == MOST_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Give the application a whole message. uvicorn would log text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "no UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _await_end(self, code: int, reason: str) -> None:
        """Send the close frame. Tell the application. Wait until the client closes."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        # As long as uvicorn's timer runs, it does not close the connection when the application ends.
        self.close_timer = self.loop.call_later(MOST_CLOSE_SECONDS, self.transport.abort)
        self._abort_if_closing()
        if self.read_paused:
            self.read_paused = False
            self._go_on()

    def _read_on(self) -> None:
        """Parse a piece of what was received. A segment may have 40,000 frames, which take 1 s."""
        piece = bytes(self._unread[:_PIECE_BYTES])
        del self._unread[:_PIECE_BYTES]
        if self.conn.parser_exc is None and not self.transport.is_closing():
            super().data_received(piece)
            self._send_pong()
        self._abort_if_closing()
        if not self.read_paused:
            self._go_on()

    def _go_on(self) -> None:
        """Parse the next piece in another turn of the loop; if all is parsed, receive more."""
        if self._unread:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def _send_pong(self) -> None:
        """Answer the newest ping of a piece (RFC 6455, 5.5.3); later, if much is unsent.

        A close frame of the piece was answered before.
        """
        pongs = self.conn.data_to_send()
        if pongs and self.writable.is_set():
            self.write(pongs[-1])
        elif pongs:
            self._late_pong = pongs[-1]

    def _abort_if_closing(self) -> None:
        """Begin to count the seconds of a connection that is closing, if that was not done before."""
        is_closing = self.close_sent or self.transport.is_closing()
        if is_closing and self._abort is None and not self.disconnected:
            self._abort_later(self.loop.time() + MOST_CLOSE_SECONDS)

    def _abort_later(self, until: float) -> None:
        self._abort = self.loop.call_later(CLOSE_SECONDS, self._abort_if_stalled, self.unsent_bytes, until)

    def _abort_if_stalled(self, unsent: int, until: float) -> None:
        """Abort the connection, unless the client has taken some of its unsent bytes. until: by the loop's clock."""
        if self.unsent_bytes < unsent and self.loop.time() < until:
            self._abort_later(until)
        else:
            self.transport.abort()
