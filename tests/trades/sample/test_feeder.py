"""The sample's feed as a client of the own server: its key, and what it does if it is not answered."""

import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from marketdata_client import MarketDataError
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_revoke
from tests.api_client import Api
from trades.management.commands.sample_feed import KEY_FILE, KEY_NAME, feed_client, feed_prepare
from trades.sample import COIN

ROWS = [{"symbol": COIN, "price": 1.5}]
STORED = b'{"received": 1, "stored": 1, "duplicates": 0}'


@pytest.fixture
def run_dir(api: Api, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def prepared(run_dir: Path) -> str:
    feed_prepare(run_dir, now=timezone.now())
    return (run_dir / KEY_FILE).read_text()


def test_its_key_is_private_and_may_write_market_data_only(run_dir: Path):
    key = prepared(run_dir)
    assert stat.S_IMODE((run_dir / KEY_FILE).stat().st_mode) == 0o600
    stored = key_list().get(name=KEY_NAME)
    assert (stored.tier, stored.scopes) == ("internal", ["market:write"])
    row = {"timestamp": "2025-11-19T15:00:00Z", "symbol": COIN, "price": 1, "volume": 0.5}
    assert Api(key).ingest(row).status_code == 200
    assert Api(key).get("/api/v1/keys").status_code == 403


def test_a_key_is_used_again_until_it_is_revoked_or_its_file_is_lost(run_dir: Path):
    first = prepared(run_dir)
    assert prepared(run_dir) == first
    key_revoke(key=key_list().get(name=KEY_NAME), now=timezone.now(), actor="test")
    second = prepared(run_dir)
    assert second != first
    (run_dir / KEY_FILE).unlink()
    assert prepared(run_dir) != second
    assert key_list().filter(name=KEY_NAME).count() == 3


class _Server(ThreadingHTTPServer):
    """Answers with the statuses in turn, then with 200; 0 breaks off."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.statuses = statuses
        self.received: list[tuple[str, str | None, bytes]] = []
        self.idempotency_keys: set[str | None] = set()
        self.retry_after = ""


class _Call(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["X-API-Key"], body))
        self.server.idempotency_keys.add(self.headers["Idempotency-Key"])
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status:
            self.send_response(status)
            self.send_header("Retry-After", self.server.retry_after)
            self.end_headers()
            self.wfile.write(STORED if status == 200 else b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[_Server]:
    with _Server(list(request.param)) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr("marketdata_client._sync.session.time", SimpleNamespace(sleep=made.append))
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is a TimeoutError."""

    def give_up(_seconds: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("marketdata_client._sync.session.time", SimpleNamespace(sleep=give_up))


def deliver(server: _Server, host: str = "127.0.0.1") -> None:
    feed_client(f"http://{host}:{server.server_port}", "md_k").ingest("trades", ROWS)


@pytest.mark.parametrize(
    ("server", "pauses"),
    [
        pytest.param([], [], id="stored"),
        pytest.param([503, 503, 503], [1, 2, 4], id="unavailable"),
        pytest.param([0, 429, 401], [1, 2, 4], id="no-answer-limit-key"),
        pytest.param([507] * 8, [1, 2, 4, 8, 16, 30, 30, 30], id="disk-full"),
    ],
    indirect=["server"],
)
def test_it_waits_for_what_may_pass(
    server: _Server, pauses: list[float], slept: list[float], caplog: pytest.LogCaptureFixture
):
    deliver(server)
    assert server.received == [(server.received[0][0], "md_k", b'{"price":1.5}\n')] * (len(pauses) + 1)
    assert len(server.idempotency_keys) == 1
    assert None not in server.idempotency_keys
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(slept, pauses, strict=True))
    assert len([each for each in caplog.messages if "it is sent again" in each]) == len(pauses)


@pytest.mark.parametrize("server", [[422], [302]], indirect=True)
def test_it_does_not_wait_for_what_does_not_pass(server: _Server, slept: list[float]):
    with pytest.raises(MarketDataError):
        deliver(server)
    assert slept == []


@pytest.mark.parametrize("server", [[429, 429]], indirect=True)
def test_a_server_that_asks_for_hours_is_asked_in_half_a_minute(server: _Server, slept: list[float]):
    server.retry_after = "7200"
    deliver(server)
    assert slept == [30.0, 30.0]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("server", [[]], indirect=True)
def test_a_proxy_of_the_environment_is_not_asked(server: _Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    deliver(server)
    assert len(server.received) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("server", [[]], indirect=True)
def test_it_waits_for_a_server_that_is_not_there(server: _Server):
    with pytest.raises(TimeoutError):
        deliver(server, "[::1]")
