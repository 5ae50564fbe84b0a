"""A script against a real Redis that is restarted and loses what it knew."""

import os
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from ops.redis.connection import breaker, is_available
from ops.redis.script import Script, thread_connection

ECHO = "return { KEYS[1], ARGV[1] }"


@pytest.fixture
def restarts() -> list[str]:
    return []


@pytest.fixture
def script(restarts) -> Script:
    return Script(ECHO, note_restart=lambda: restarts.append("new"))


def test_a_script_that_redis_does_not_know_is_sent_whole_and_then_called_by_its_name(
    project_redis, script, restarts
):
    assert script(["a"], [b"\x00b"]) == [b"a", b"\x00b"]
    assert restarts == ["new"]
    assert script(["a"], [1]) == [b"a", b"1"]
    assert restarts == ["new"]


def test_a_socket_that_a_restart_closed_is_replaced_once(project_redis, script, restarts):
    script(["a"], [1])
    project_redis.kill()
    project_redis.start()
    restarts.clear()
    assert script(["a"], [2]) == [b"a", b"2"]
    assert restarts == ["new"]


def test_a_script_finds_a_redis_that_is_back_at_the_first_attempt(project_redis, script, restarts):
    script(["a"], [1])
    project_redis.kill()
    breaker.failed(None)
    project_redis.start()
    breaker._next_probe_at = 0
    restarts.clear()
    assert script(["a"], [2], is_once=True) == [b"a", b"2"]
    assert restarts == ["new"]
    assert is_available()


def test_a_call_that_may_have_run_is_not_sent_again(project_redis, script):
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
