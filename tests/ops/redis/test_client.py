"""The caches of CACHES against a real Redis."""

from typing import Any

import pytest
from django.core.cache import caches
from django_redis import get_redis_connection

from ops.redis.connection import breaker
from ops.redis.script import redis_call


def test_keys_and_values_are_those_of_the_caller(project_redis):
    answers = caches["answers"]
    for value in (b"text", b"7", b"\x80\x04N."):
        answers.set("mktdata:AAPL:é", value, timeout=30)
        assert redis_call("GET", "mktdata:AAPL:é") == value
        assert answers.get("mktdata:AAPL:é") == value
    assert 29_000 < redis_call("PTTL", "mktdata:AAPL:é") <= 30_000
    assert answers.delete("mktdata:AAPL:é")
    assert answers.get("mktdata:AAPL:é") is None


def test_commands_use_the_connection_of_the_thread_and_its_breaker(project_redis, monkeypatch):
    asked: list[object] = []
    monkeypatch.setattr(breaker, "check", asked.append)
    client = get_redis_connection("answers")
    assert client.set("key", 1)
    assert client.info("memory")["used_memory"] > 0
    assert client.config_get("maxmemory") == {"maxmemory": "0"}
    assert len(asked) >= 3
    assert len({id(connection) for connection in asked}) == 1


@pytest.mark.parametrize("count", [0, 7])
def test_a_pattern_deletes_what_matches_it_however_many_at_a_time(project_redis, count):
    answers: Any = caches["answers"]
    for number in range(count):
        answers.set(f"mktdata:A:{number}", b"", timeout=30)
    answers.set("mktdata:AB:0", b"", timeout=30)
    assert answers.delete_pattern("mktdata:A:*", itersize=3) == count
    assert answers.get("mktdata:AB:0") == b""
