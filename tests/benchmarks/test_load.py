"""The load sends every prepared request by turns, and refuses to count answers that are none."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks.load import CONNECTIONS, load
from benchmarks.report import UnexpectedAnswer
from benchmarks.servers import Server

KEYS = [f"key{number}" for number in range(5)]


class Counting(BaseHTTPRequestHandler):
    """Counts requests by path and key. `/refused` is answered 429."""

    protocol_version = "HTTP/1.1"
    seen: Counter[tuple[str, str]]

    def do_GET(self):
        self.seen[self.path, self.headers["X-API-Key"]] += 1
        self.send_response(429 if self.path == "/refused" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    if shutil.which("wrk") is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no wrk")
    Counting.seen = Counter()
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield Server("127.0.0.1", http.server_port, KEYS, Path(), (os.getpid(),))
        http.shutdown()
        thread.join()


def test_all_keys_send_equally_many_requests(server):
    figures = load(server, server.by_all_keys("/bars"), 1)
    counts = [Counting.seen["/bars", key] for key in KEYS]
    assert min(counts) > 0
    # wrk does not wait for the last answer of each connection.
    assert max(counts) - min(counts) <= CONNECTIONS
    assert figures.per_second > 0
    assert 0 < figures.p50_ms <= figures.p99_ms <= figures.p999_ms
    assert figures.processor_us > 0


def test_refusals_are_no_answers(server):
    with pytest.raises(UnexpectedAnswer, match="refusals"):
        load(server, server.by_all_keys("/refused"), 1)


def test_requests_that_must_not_be_repeated_are_not(server):
    with pytest.raises(UnexpectedAnswer, match="do not suffice"):
        load(server, server.by_all_keys("/once"), 1, once=True)
