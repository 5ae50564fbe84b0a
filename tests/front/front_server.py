"""A front on a free port, in a thread of the test process, and raw HTTP to speak to it."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import orjson
import uvicorn
from django.http import HttpResponse

from front.application import Front
from front.body import BodyReader
from front.framing import is_whole_get
from front.limits import BodyBudget, ConnectionSlots
from front.protocol import GuardedProtocol
from tests.patience import PATIENCE_SECONDS
from web.endpoints import READ, WRITE

SOCKET_PATH = b"/ws/v1/stream"


def eventually(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether `condition` becomes true, be it late. A condition that computes long is asked less often."""
    deadline, worked = time.monotonic() + seconds, time.thread_time()
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(max(0.01, 4 * (time.thread_time() - worked)))
        worked = time.thread_time()
    return True


class FunctionOfTarget:
    """Repeated requests that are answered by a function of their target. It notes what it is told to remember."""

    def __init__(self, answer) -> None:
        self._answer = answer
        self.remembered: list[bytes] = []

    def answer_without_django(self, _peer, data, deliver):
        return is_whole_get(data) and self._answer(data.split(b" ")[1], deliver)

    def remember(self, _peer, data, _environ, _answer):
        self.remembered.append(data)


def lane_by_method(_path: str, method: str, _query: str) -> str:
    return READ if method == "GET" else WRITE


class QuickServer(uvicorn.Server):
    """A server that ends as soon as it is told to, and not at the next tenth of a second."""

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            for _ in range(20):  # uvicorn's tick is a tenth of a second
                if not self.should_exit:
                    await asyncio.sleep(0.005)


@contextlib.contextmanager
def running(
    respond,
    *,
    max_body_bytes: int = 100_000,
    authorize_large_body=lambda _environ: "key:1",
    budget: BodyBudget | None = None,
    writer_of=lambda _path, _method: None,
    repeated=None,
    slots: ConnectionSlots | None = None,
    held_bytes: BodyBudget | None = None,
    lane_of=lane_by_method,
    **options,
) -> Iterator[int]:
    """Serve `respond(environ) -> HttpResponse` and yield the port; `options` are Front's.

    Every path takes bodies of `max_body_bytes`. repeated: the protocol's. WebSockets are at SOCKET_PATH.
    """

    class Protocol(GuardedProtocol):
        socket_paths = (SOCKET_PATH,)

    Protocol.repeated = repeated
    Protocol.slots = slots or Protocol.slots
    Protocol.held_bytes = held_bytes or Protocol.held_bytes
    bodies = BodyReader(
        body_limit=lambda *_: max_body_bytes,
        authorize_large_body=authorize_large_body,
        budget=budget,
        writer_of=writer_of,
    )
    front = Front(respond, bodies=bodies, lane_of=lane_of, **options)
    config = uvicorn.Config(
        front,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=60,
    )
    server = QuickServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert eventually(lambda: server.started)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return orjson.loads(self.body)


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        yield connection


def read_reply(connection: socket.socket, *, method: str = "GET") -> Reply:
    """Read one answer, framing undone."""
    response = HTTPResponse(connection, method=method)
    with response:
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, body)


def ask(port: int, request: bytes) -> Reply:
    """Send `request` as it is on a connection of its own and read the answer."""
    with connected(port) as connection:
        connection.sendall(request)
        return read_reply(connection, method=request.split(b" ", 1)[0].decode())


def echo(environ) -> HttpResponse:
    """Answer with what arrived: the environ's texts, and the body's length."""
    seen = {name: value for name, value in environ.items() if isinstance(value, str | bool)}
    return HttpResponse(orjson.dumps({**seen, "body_length": len(environ["wsgi.input"].read())}))
