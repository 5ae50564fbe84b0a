import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stats.caching.response_cache import ResponseCache
from stats.caching.shared import Entry
from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.stats.caching.builders import entry_of


def await_waiting(cache: ResponseCache, count: int) -> None:
    assert eventually(lambda: cache.waiting("key") >= count)


def body(cache: ResponseCache, key: str, compute) -> bytes:
    return cache.fetch(key, compute, seconds=0)[0].body


def test_a_failure_reaches_only_the_computing_thread(cache: ResponseCache):
    attempts = []

    def compute() -> Entry:
        attempts.append(1)
        if len(attempts) == 1:
            await_waiting(cache, 9)
            raise LookupError("first")
        return entry_of()

    def run(_: int) -> str:
        try:
            return body(cache, "key", compute).decode()
        except LookupError:
            return "failed"

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(run, range(10)))
    assert sorted(outcomes) == ["body"] * 9 + ["failed"]
    assert cache.waiting("key") == 0


def test_keys_do_not_wait_for_one_another(cache: ResponseCache):
    def outer() -> Entry:
        return cache.fetch("inner", lambda: entry_of(b"inner"), seconds=0)[0]

    assert body(cache, "outer", outer) == b"inner"


@pytest.mark.usefixtures("redis_server")
def test_a_thread_that_waited_too_long_computes():
    cache = ResponseCache(patience_seconds=0.02)
    resume, began = threading.Event(), threading.Event()

    def slow() -> Entry:
        began.set()
        resume.wait(PATIENCE_SECONDS)
        return entry_of(b"slow")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(body, cache, "key", slow)
        began.wait(PATIENCE_SECONDS)
        assert body(cache, "key", lambda: entry_of(b"own")) == b"own"
        resume.set()
        assert first.result() == b"slow"
