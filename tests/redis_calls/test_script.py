"""A script against a real Redis that is restarted and loses what it knew."""

import os
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from redis_calls.connection import breaker, is_available
from redis_calls.script import Script
from redis_calls.thread_connection import thread_connection

ECHO = "return { KEYS[1], ARGV[1] }"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def script(told) -> Script:
    return Script(ECHO, note_failure=lambda: told.append("failed"), note_restart=lambda: told.append("new"))


def test_a_script_that_redis_does_not_know_is_sent_whole_and_then_called_by_its_name(
    project_redis, script, told
):
    assert script(["a"], [b"\x00b"]) == [b"a", b"\x00b"]
    assert told == ["failed", "new"]
    assert script(["a"], [1]) == [b"a", b"1"]
    assert told == ["failed", "new"]


def test_a_socket_that_a_restart_closed_is_replaced_once(project_redis, script, told):
    script(["a"], [1])
    project_redis.kill()
    project_redis.start()
    told.clear()
    assert script(["a"], [2]) == [b"a", b"2"]
    # The socket was closed, and then the script was not known.
    assert told == ["failed", "failed", "new"]


def test_a_script_finds_a_redis_that_is_back_at_the_first_attempt(project_redis, script, told):
    script(["a"], [1])
    project_redis.kill()
    breaker.failed(None)
    project_redis.start()
    breaker._next_probe_at = 0
    told.clear()
    assert script(["a"], [2], is_once=True) == [b"a", b"2"]
    assert told == ["failed", "new"]
    assert is_available()


def test_each_attempt_that_fails_is_noted(project_redis, script, told):
    script(["a"], [1])
    project_redis.kill()
    told.clear()
    with pytest.raises(RedisConnectionError):
        script(["a"], [2])
    assert told == ["failed", "failed"]


def test_what_may_have_been_carried_out_is_not_sent_again(project_redis, script):
    script(["a"], [1])
    project_redis.kill()
    project_redis.start()
    with pytest.raises(RedisConnectionError):
        script(["a"], [2], is_once=True)
    assert script(["a"], [3], is_once=True) == [b"a", b"3"]


def test_each_thread_and_each_child_has_a_connection_of_its_own(project_redis):
    own = thread_connection()
    assert thread_connection() is own
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(thread_connection()))
    thread.start()
    thread.join()
    assert others[0] is not own
    child = os.fork()
    if child == 0:
        os._exit(0 if thread_connection() is not own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
