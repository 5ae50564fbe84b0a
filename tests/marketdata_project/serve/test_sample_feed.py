"""The sample's feed as a client of the own server: its key, and what it does if it is not answered."""

import logging
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.utils import timezone

from marketdata_project.serve.sample_feed import KEY_FILE, KEY_NAME, FeedSender, feed_prepare
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_revoke
from store.instruments import Instrument
from tests.api_client import Api
from trades.instruments.services import instruments_set
from trades.sample import COIN
from trades.sample_feed import FeedPost
from trades.stores import market_store

POST = FeedPost("trades/ingest?complete_until=x", b'{"trades":[]}')


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


def test_the_coin_is_declared_unless_somebody_has_declared_it(run_dir: Path):
    prepared(run_dir)
    assert market_store().instrument(COIN).instrument_class == "crypto"
    declared = Instrument(COIN, instrument_class="crypto", currency="EUR")
    instruments_set(instruments=[declared])
    prepared(run_dir)
    assert market_store().instrument(COIN) == declared


class _Server(ThreadingHTTPServer):
    """Answers with the statuses in turn, then with 200; 0 breaks off."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.statuses = statuses
        self.received: list[tuple[str, str | None, bytes]] = []


class _Call(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["X-API-Key"], body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status:
            self.send_response(status)
            self.end_headers()

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


@pytest.mark.parametrize(
    ("server", "pauses", "warnings"),
    [
        pytest.param([], [], [], id="stored"),
        pytest.param([503, 503, 503], [0.5, 1.0, 2.0], ["503"], id="unavailable"),
        pytest.param([0, 429, 401], [0.5, 1.0, 2.0], ["0", "429", "401"], id="no-answer-limit-key"),
        pytest.param([507] * 8, [0.5, 1, 2, 4, 8, 16, 30, 30], ["507"], id="disk-full"),
        pytest.param([422], [], ["422"], id="refused"),
    ],
    indirect=["server"],
)
def test_it_waits_for_what_may_pass_and_gives_up_what_is_refused(
    server: _Server, pauses: list[float], warnings: list[str], caplog: pytest.LogCaptureFixture
):
    slept: list[float] = []
    calls = len(pauses) + 1
    sender = FeedSender(url=f"http://127.0.0.1:{server.server_port}", key="md_k", sleep=slept.append)
    with caplog.at_level(logging.WARNING):
        sender.deliver(POST)
    assert server.received == [(f"/api/v1/{POST.path}", "md_k", POST.body)] * calls
    assert slept == pauses
    assert [record.getMessage().split()[5] for record in caplog.records] == warnings


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_it_waits_for_a_server_that_is_not_there(server: _Server):
    port = server.server_port

    def give_up(_seconds: float) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        FeedSender(url=f"http://[::1]:{port}", key="md_k", sleep=give_up).deliver(POST)
