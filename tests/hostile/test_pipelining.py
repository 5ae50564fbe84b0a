"""Requests without end on connections that wait for no answer, and clients that reset them."""

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.test_http import OF_ITSELF
from tests.hostile.wire import Wire
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.system.installation import Installation

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("hostile")]

REQUESTS = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 4_096
SECONDS = 15.0 if SOAK else 1.0
# What all connections together may hold (`MOST_HELD_BYTES`: 16 MiB an address), and what answering takes.
MOST_GROWN_MIB = 64.0


@contextlib.contextmanager
def pipelining(port: int, count: int) -> Iterator[Callable[[], int]]:
    """Send requests on so many connections as fast as they are taken. Yields a function: the bytes sent so far."""
    sent, is_over = [0] * count, threading.Event()

    def send(number: int) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(opened(port)) as connection:
            connection.settimeout(0.05)
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    sent[number] += connection.send(REQUESTS)
                with contextlib.suppress(TimeoutError):
                    connection.recv(2**20)

    threads = [threading.Thread(target=send, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(sent)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


TARGETS = [
    "/api/v1/stats/ohlc?symbol=AAPL",
    "/api/v1/limits",
    "/api/v1/market-data/equities/AAPL/trades/stream",
    "/",
]


def test_clients_that_reset_connections_with_calls_outstanding_write_nothing_into_the_log(
    installation: Installation, wire: Wire, rng: random.Random, told: Told
):
    output = installation.served.output
    begin = len(output.read_text())
    before = resets(wire)
    for _ in range(500 if SOAK else 100):
        calls = rng.choices(TARGETS, k=rng.choice([1, 2, 60]))
        lines = [
            f"GET {target} HTTP/1.1\r\nHost: h\r\nX-API-Key: {installation.key}\r\n\r\n" for target in calls
        ]
        connection = opened(wire.port)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall("".join(lines).encode())
        time.sleep(rng.choice([0.0, 0.005, 0.05]))
        connection.close()
    assert eventually(lambda: resets(wire) > before)
    told("9 connections that were reset", f"{resets(wire) - before} of 100 counted")
    said = output.read_text()[begin:].splitlines()
    assert [line for line in said if OF_ITSELF.search(line) is None] == []


def resets(wire: Wire) -> int:
    """How many connections were reset before their answer, says the installation."""
    found = re.search(
        rb'marketdata_answers_cut_total\{reason="reset"\} (\d+)', wire.ask("GET", "/metrics").body
    )
    return int(found[1]) if found else 0


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.usefixtures("resident_before")
def test_requests_without_end_cost_little_memory_and_nobody_waits_for_them(
    wire: Wire, gauge: Gauge, told: Told, count: int
):
    gauge.forget_peak()
    before, slowest = gauge.resident_mib(), 0.0
    with pipelining(wire.port, count) as sent:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or sent() <= count * len(REQUESTS):
            assert time.monotonic() < until + PATIENCE_SECONDS
            began = time.monotonic()
            assert wire.ask("GET", "/healthz").status == 200
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
    grown = gauge.peak_mib() - before
    told(f"9 pipelining on {count}", f"{grown:+.1f} MiB, another's slowest answer {1000 * slowest:.0f} ms")
    assert is_kept(MOST_GROWN_MIB, grown)
    assert is_kept(2.0, slowest)
