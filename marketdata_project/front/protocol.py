"""uvicorn's HTTP/1.1 protocol with what it lacks: limits on a request's headers in time and size, problem bodies."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from marketdata_project.front.refusals import HEADERS_TOO_LARGE, HEADERS_TOO_SLOW, MALFORMED, Refusal

HEADER_SECONDS = 20.0
HEADER_BYTES = 64 * 1024
_CHECK_SECONDS = 5.0


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers take longer than HEADER_SECONDS or more than HEADER_BYTES.

    One timer per connection looks every few seconds: a timer per request would cost more than all else here.
    """

    _headers_since: float | None
    _header_bytes: int
    _check: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._await_headers()
        self._check = self.loop.call_later(_CHECK_SECONDS, self._check_headers)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection's timer."""
        self._check.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for a further request's headers."""
        self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Headers are there: the body's limits are the application's."""
        self._headers_since = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse, then look at how much has come without the headers being complete."""
        super().data_received(data)
        if self._headers_since is not None:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._refuse(HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the API's own form."""
        self._refuse(MALFORMED)

    def _await_headers(self) -> None:
        self._headers_since = self.loop.time()
        self._header_bytes = 0

    def _check_headers(self) -> None:
        since = self._headers_since
        late = since is not None and self.loop.time() - since > HEADER_SECONDS - _CHECK_SECONDS
        if late and not self._answering():
            self._refuse(HEADERS_TOO_SLOW if self._header_bytes else None)
            return
        self._check = self.loop.call_later(_CHECK_SECONDS, self._check_headers)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, refusal: Refusal | None) -> None:
        """Answer and close; while an earlier answer is on its way, only close."""
        if self.transport.is_closing():
            return
        if refusal is not None and not self._answering():
            self.transport.write(refusal.wire())
        self.transport.close()
