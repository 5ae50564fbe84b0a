import time
from functools import partial
from pathlib import Path

import pytest

from stats.caching.shared import CLAIM_SECONDS
from stats.caching.single_flight import PROCESS_PATIENCE_SECONDS
from tests.marketdata_project.front_server import eventually
from tests.stats.caching.builders import client_of

pytestmark = pytest.mark.system

ATTEMPTS = 10


def computations(run_dir: Path) -> int:
    log = run_dir / "computations"
    return log.stat().st_size if log.exists() else 0


def await_computations(run_dir: Path, count: int) -> None:
    assert eventually(lambda: computations(run_dir) >= count)


def calls_of_scripts(redis_server) -> int:
    with client_of(redis_server) as client:
        calls: int = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    return calls


def has_polled(redis_server, calls: int) -> bool:
    return calls_of_scripts(redis_server) >= calls


def test_two_processes_compute_once(start_worker, tmp_path: Path, redis_server):
    one, other = start_worker(), start_worker()
    for number in range(ATTEMPTS):
        symbol, before = f"S{number}", computations(tmp_path)
        for worker in (one, other):
            worker.ask("statistics")
        (tmp_path / "hold").touch()
        began = time.monotonic()
        one.tell("get", key=f"mktdata:{symbol}:1")
        await_computations(tmp_path, before + 1)
        # Until the other has asked for the claim again and again.
        polled = calls_of_scripts(redis_server) + 4
        other.tell("get", key=f"mktdata:{symbol}:1")
        assert eventually(partial(has_polled, redis_server, polled))
        (tmp_path / "hold").unlink()
        answers = [one.hear(), other.hear()]
        # Nobody waits for longer: then each computes for itself.
        if time.monotonic() < began + min(CLAIM_SECONDS, PROCESS_PATIENCE_SECONDS):
            break
    assert [answer["outcome"] for answer in answers] == ["miss", "hit"]
    assert answers[0]["body"] == answers[1]["body"]
    assert computations(tmp_path) == before + 1


def test_a_killed_owner_is_replaced(start_worker, tmp_path: Path):
    one, other = start_worker(), start_worker()
    other.ask("statistics")
    (tmp_path / "hold").touch()
    one.tell("get", key="mktdata:AAPL:1")
    await_computations(tmp_path, 1)
    one.process.kill()
    (tmp_path / "hold").unlink()
    assert other.ask("get", key="mktdata:AAPL:1")["outcome"] == "miss"
    assert computations(tmp_path) == 2


def test_statistics_are_summed_over_processes(start_worker):
    one, other = start_worker(), start_worker()
    for worker in (one, other, other):
        worker.ask("get", key="mktdata:AAPL:1")
    one.ask("publish")
    one.end()
    statistics = other.ask("statistics")
    assert statistics.pop("bytes_stored") > 100
    assert statistics == {"hits_local": 1, "hits_redis": 1, "misses": 1, "joined": 0, "bytes_served": 200}
