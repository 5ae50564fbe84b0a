"""Clients that say next to nothing, for as long as they may: hundreds of them cost the others nothing, and are sent away."""

import contextlib
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from select import select

import pytest

from tests.front.front_server import Reply
from tests.hostile.figures import Told, teller
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.system.batches import Batch
from tests.system.clients import OHLC, Client, connected
from tests.system.installation import UNLIMITED, Installation

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("installation")]

EACH = 200
CLOSED_SECONDS = 30.0
SLOWEST_MS = 1000.0
# Of nobody who is slow: one address, for all of them, and the same for who is not.
HEADERS = b"GET /v1/stats/ohlc?symbol=SLOW HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY = b"POST /v1/trades/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Told:
    return teller(request.node)


@dataclass
class Slow:
    """Connections that each send a byte a second, and when they were closed, in seconds from their beginning."""

    port: int
    starts: list[bytes]
    closed_after: list[float] = field(default_factory=list)
    said: defaultdict[socket.socket, bytes] = field(default_factory=lambda: defaultdict(bytes))

    def run(self) -> None:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            going = [self._opened(stack, start) for start in self.starts]
            while going and time.monotonic() < began + PATIENCE_SECONDS:
                time.sleep(1)
                going = [each for each in going if self._goes_on(each, began)]
        assert not going, f"{len(going)} are still open"

    def _opened(self, stack: contextlib.ExitStack, start: bytes) -> socket.socket:
        connection = stack.enter_context(
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        )
        connection.sendall(start)
        return connection

    def _goes_on(self, connection: socket.socket, began: float) -> bool:
        try:
            if not select([connection], [], [], 0)[0]:
                connection.sendall(b"a")
                return True
            if read := connection.recv(65_536):
                self.said[connection] += read
                return True
        except ConnectionError:
            pass
        self.closed_after.append(time.monotonic() - began)
        return False


@pytest.fixture
def healthy(installation: Installation) -> Iterator[Client]:
    with connected(installation.port, installation.new_key(tier="internal", rate=UNLIMITED)) as client:
        assert client.ingest(Batch(1, "SLOW", 50, has_ids=True).body).status == 200
        yield client


def latency_ms(call: Callable[[], Reply]) -> float:
    """How long a call took that was answered well."""
    began = time.perf_counter()
    assert call().status == 200
    return (time.perf_counter() - began) * 1000


def test_hundreds_of_slow_headers_and_bodies_cost_the_others_nothing(
    installation: Installation, healthy: Client, told: Told
):
    key = installation.new_key(tier="internal", rate=UNLIMITED).encode()
    slow = Slow(installation.port, [HEADERS, BODY % key] * EACH)
    thread = threading.Thread(target=slow.run)
    thread.start()
    latencies_ms: list[float] = []
    while thread.is_alive():
        batch = Batch(2 + len(latencies_ms), "SLOW", 1, has_ids=True).body
        latencies_ms.append(latency_ms(partial(healthy.ingest, batch)))
        latencies_ms.append(latency_ms(partial(healthy.bars, "SLOW")))
        time.sleep(0.02)
    thread.join()
    latencies_ms.sort()
    p99 = latencies_ms[int(len(latencies_ms) * 0.99)]
    told(
        f"7 {EACH} slow headers and {EACH} slow bodies",
        f"healthy p99 {p99:.0f} ms of {len(latencies_ms)}, none failed; the last closed after {max(slow.closed_after):.1f} s",
    )
    assert len(latencies_ms) > 100
    assert is_kept(SLOWEST_MS, p99)
    assert len(slow.closed_after) == 2 * EACH
    assert is_kept(CLOSED_SECONDS, *slow.closed_after)
    assert len(slow.said) == 2 * EACH
    assert all(
        answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer for answer in slow.said.values()
    )


def test_whoever_takes_no_answer_costs_the_others_nothing(
    installation: Installation, healthy: Client, told: Told
):
    """Requests one behind the other, and not one answer is read."""
    request = b"GET %s?symbol=SLOW HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % OHLC.encode()
    with contextlib.ExitStack() as stack:
        for _ in range(EACH):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", installation.port), timeout=PATIENCE_SECONDS)
            )
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(20 * request)
        latencies_ms = [latency_ms(partial(healthy.bars, "SLOW")) for _ in range(200)]
    latencies_ms.sort()
    told(f"7 {EACH} that take no answer", f"healthy p99 {latencies_ms[197]:.0f} ms")
    assert is_kept(SLOWEST_MS, latencies_ms[197])
