from pathlib import Path

from tests.marketdata_project.front_server import eventually
from tests.stats.caching.builders import client_of


def computations(run_dir: Path) -> int:
    log = run_dir / "computations"
    return log.stat().st_size if log.exists() else 0


def await_computations(run_dir: Path, count: int) -> None:
    assert eventually(lambda: computations(run_dir) >= count)


def await_polling(redis_server) -> None:
    """Until somebody has asked for the claim again and again."""
    with client_of(redis_server) as client:
        assert eventually(lambda: client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) >= 5)


def test_two_processes_compute_once(start_worker, tmp_path: Path, redis_server):
    one, other = start_worker(), start_worker()
    for worker in (one, other):
        worker.ask("epoch", symbol="AAPL")
    (tmp_path / "hold").touch()
    one.tell("get", symbol="AAPL", key="mktdata:AAPL:1")
    await_computations(tmp_path, 1)
    other.tell("get", symbol="AAPL", key="mktdata:AAPL:1")
    await_polling(redis_server)
    (tmp_path / "hold").unlink()
    answers = [one.hear(), other.hear()]
    assert [answer["outcome"] for answer in answers] == ["miss", "hit"]
    assert answers[0]["body"] == answers[1]["body"]
    assert computations(tmp_path) == 1


def test_a_killed_owner_is_replaced(start_worker, tmp_path: Path):
    one, other = start_worker(), start_worker()
    other.ask("epoch", symbol="AAPL")
    (tmp_path / "hold").touch()
    one.tell("get", symbol="AAPL", key="mktdata:AAPL:1")
    await_computations(tmp_path, 1)
    one.process.kill()
    (tmp_path / "hold").unlink()
    assert other.ask("get", symbol="AAPL", key="mktdata:AAPL:1")["outcome"] == "miss"
    assert computations(tmp_path) == 2


def test_invalidation_reaches_the_memory_of_another_process_at_once(
    start_worker, tmp_path: Path, redis_server
):
    one, other = start_worker(), start_worker()
    for worker in (one, other):
        worker.ask("get", symbol="AAPL", key="mktdata:AAPL:1")
    assert other.ask("get", symbol="AAPL", key="mktdata:AAPL:1")["outcome"] == "hit"
    assert one.ask("drop", symbol="AAPL") == {"entries": 1}
    assert other.ask("get", symbol="AAPL", key="mktdata:AAPL:1")["outcome"] == "miss"
    assert one.ask("get", symbol="AAPL", key="mktdata:AAPL:1")["outcome"] == "hit"
    assert computations(tmp_path) == 2


def test_statistics_are_summed_over_processes(start_worker, tmp_path: Path):
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    one, other = start_worker(metrics), start_worker(metrics)
    for worker in (one, other, other):
        worker.ask("get", symbol="AAPL", key="mktdata:AAPL:1")
    one.end()
    statistics = other.ask("statistics")
    assert statistics.pop("bytes_stored") > 100
    assert statistics == {"hits_local": 1, "hits_redis": 1, "misses": 1, "joined": 0, "bytes_served": 200}
