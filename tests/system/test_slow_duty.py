"""A duty of the worker that stands still: audit records arrive and the heartbeat goes on, and the worker still ends."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.front.front_server import eventually
from tests.system.clients import connected
from tests.system.installation import WEB_ONLY, Installation, installed, switched
from tests.system.slow_duty import PIPE


@pytest.fixture
def slowed(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / PIPE)
    with installed(tmp_path, **WEB_ONLY, **switched(app="tests.system.slow_duty.SlowDuty")) as installation:
        yield installation


def moves(value: Callable[[], object]) -> bool:
    """Whether a value becomes another one."""
    before = value()
    return eventually(lambda: value() != before)


def arrives(installation: Installation, correlation_id: str) -> bool:
    """Whether the audit record of a call comes into the database."""
    return eventually(lambda: len(installation.audited(correlation_id)) == 1)


def test_a_slow_duty_delays_neither_audit_nor_heartbeat(slowed: Installation) -> None:
    heartbeat = slowed.served.data_dir / "run" / "worker.heartbeat"
    for _ in range(2):
        assert moves(lambda: heartbeat.stat().st_mtime_ns)
    with connected(slowed.port, slowed.key) as client:
        for number in range(3):
            name = f"slow-duty-{number}"
            assert client.get("/v1/stats/ohlc?symbol=NONE", {"X-Correlation-ID": name}).status == 404
            assert arrives(slowed, name)
    # Only where the duty still waits for it at the other end can it be opened without waiting.
    pipe = os.open(slowed.served.data_dir / PIPE, os.O_WRONLY | os.O_NONBLOCK)
    worker = slowed.served.member("marketdata worker")
    os.kill(worker, signal.SIGTERM)
    slowed.served.says(rf"worker \(process {worker}\) ended with exit code 0")
    os.close(pipe)
