import pytest

pytestmark = pytest.mark.system


def test_statistics_are_summed_over_processes(start_worker):
    one, other = start_worker(), start_worker()
    outcomes = [worker.ask("get", key="mktdata:AAPL:1")["outcome"] for worker in (one, other, other)]
    assert outcomes == ["miss", "hit", "hit"]
    one.ask("publish")
    one.end()
    statistics = other.ask("statistics")
    assert statistics.pop("bytes_stored") > 100
    assert statistics == {"hits_local": 1, "hits_redis": 1, "misses": 1, "joined": 0, "bytes_served": 200}
