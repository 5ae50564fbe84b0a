"""An HTTP server on 127.0.0.1 that answers as a test says: it hangs, breaks off, redirects, drips."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Call"], None]


class Call(BaseHTTPRequestHandler):
    """One call."""

    protocol_version = "HTTP/1.1"
    server: "_Http"
    body = b""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.body = self.rfile.read(length)
        if len(self.body) < length:
            # The caller was killed within the call: nothing was received.
            return
        self.server.posts.append((dict(self.headers), self.body))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.calls.append((self.path, dict(self.headers)))
        self.server.behave(self)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.flush()

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server is there."""
        self.server.over.wait(seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behave: Behaviour, port: int) -> None:
        super().__init__(("127.0.0.1", port), Call)
        self.behave = behave
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.over = threading.Event()

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()


class Server:
    """A running server: its base URL, and the paths and headers that were asked."""

    def __init__(self, behave: Behaviour, port: int = 0) -> None:
        self._http = _Http(behave, port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[tuple[str, dict[str, str]]]:
        return list(self._http.calls)

    @property
    def posts(self) -> list[tuple[dict[str, str], bytes]]:
        """The headers and bodies of the POSTs."""
        return list(self._http.posts)

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._http.connections

    def close(self) -> None:
        self._http.over.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def served(behave: Behaviour, *, port: int = 0) -> Iterator[Server]:
    server = Server(behave, port)
    try:
        yield server
    finally:
        server.close()


def says(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """Answer so, whole."""

    def behave(call: Call) -> None:
        call.begin(status, Content_Length=str(len(body)), **headers)
        call.wfile.write(body)

    return behave


def in_turn(behaviours: Sequence[Behaviour]) -> Behaviour:
    """Behave differently at each call; from the last one on always as the last says."""
    left = list(behaviours)

    def behave(call: Call) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(call)

    return behave


def hangs(call: Call) -> None:
    """Say nothing."""
    call.wait(30)


def cuts(body: bytes, *, chunked: bool = True) -> Behaviour:
    """Begin a good answer, and close the connection within it."""

    def behave(call: Call) -> None:
        if chunked:
            call.begin(Transfer_Encoding="chunked")
            call.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        else:
            call.begin(Content_Length=str(len(body) + 1))
            call.wfile.write(body)

    return behave


def drips(call: Call) -> None:
    """Send a byte every few milliseconds, for ever."""
    call.begin(Transfer_Encoding="chunked")
    try:
        while not call.server.over.is_set():
            call.wfile.write(b"1\r\nx\r\n")
            call.wfile.flush()
            call.wait(0.02)
    except OSError:
        return


def drips_headers(call: Call) -> None:
    """Send a header every few milliseconds, for ever."""
    call.wfile.write(b"HTTP/1.1 200 OK\r\n")
    try:
        while not call.server.over.is_set():
            call.wfile.write(b"a: b\r\n")
            call.wfile.flush()
            call.wait(0.02)
    except OSError:
        return


def endless(call: Call) -> None:
    """Send without an end."""
    call.begin(Transfer_Encoding="chunked")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    try:
        while not call.server.over.is_set():
            call.wfile.write(piece)
    except OSError:
        return
