"""An event loop's connection to a real Redis that is killed, frozen and restarted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from django.conf import settings as project_settings
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ops.redis.connection import breaker, is_available
from ops.redis.loop_connection import LoopConnection
from tests.patience import PATIENCE_SECONDS

USUAL_SECONDS = project_settings.REDIS_TIMEOUT_SECONDS


def run(test: Callable[[LoopConnection], Awaitable[None]]) -> None:
    """Run a test in a loop of its own, as the web processes have it."""

    async def main() -> None:
        connection = LoopConnection()
        try:
            await test(connection)
        finally:
            connection.close()
            await asyncio.sleep(0)

    uvloop.run(main())


async def answer_to(connection: LoopConnection, *command: str | bytes | int) -> Any:
    """The answer to a command, sent as soon as there is a connection."""
    answer = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not connection.ask(answer.set_result, *command):
            await asyncio.sleep(0.01)
        return await answer


def reads() -> int:
    """How often Redis has read from a socket."""
    count: int = get_redis_connection("default").info("stats")["total_reads_processed"]
    return count


def test_the_first_command_opens_the_connection_and_later_ones_are_answered_in_order(project_redis):
    async def test(connection: LoopConnection) -> None:
        answers: list[Any] = []
        assert not connection.ask(answers.append, "PING")
        assert await answer_to(connection, "SET", "name", b"\x00value") == b"OK"
        assert all(connection.ask(answers.append, "ECHO", number) for number in range(100))
        assert await answer_to(connection, "GET", "name") == b"\x00value"
        assert answers == [str(number).encode() for number in range(100)]

    run(test)


def test_what_is_asked_at_the_end_of_a_turn_is_sent_with_the_commands_of_the_turn(project_redis):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        asked: list[str] = []
        answers: list[Any] = []

        def ask() -> None:
            asked.append("end")
            assert connection.ask(answers.append, "ECHO", "last")

        connection.before_sending(ask)
        assert connection.ask(answers.append, "ECHO", "first")
        assert asked == []
        before = reads()
        assert await answer_to(connection, "ECHO", "second") == b"second"
        await answer_to(connection, "PING")
        assert answers == [b"first", b"last"]
        assert asked == ["end"]
        assert reads() - before <= 3  # the turn's, the PING, and the one that asks

    run(test)


def test_an_error_at_the_end_of_a_turn_harms_nothing_else(project_redis, caplog):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        answers: list[object] = []
        connection.before_sending(lambda: 1 / 0)
        connection.before_sending(lambda: connection.ask(answers.append, "ECHO", "behind"))
        assert await answer_to(connection, "ECHO", "before") == b"before"
        assert await answer_to(connection, "ECHO", "next") == b"next"
        assert answers == [b"behind"]

    run(test)
    assert "ZeroDivisionError" in caplog.text


def test_an_error_that_redis_returns_is_an_answer(project_redis):
    async def test(connection: LoopConnection) -> None:
        assert "unknown command" in str(await answer_to(connection, "NOSUCH"))
        assert isinstance(await answer_to(connection, "EVALSHA", "0" * 40, 0), Exception)
        assert await answer_to(connection, "PING") == b"PONG"
        assert is_available()

    run(test)


def test_an_answer_that_cannot_be_used_does_not_harm_the_others(project_redis, caplog):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        assert connection.ask(lambda _: 1 / 0, "PING")
        assert await answer_to(connection, "ECHO", "next") == b"next"

    run(test)
    assert "An answer of Redis could not be used" in caplog.text


def test_a_killed_redis_fails_what_waits_and_is_found_again(project_redis):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        project_redis.freeze()
        answer = asyncio.get_running_loop().create_future()
        assert connection.ask(answer.set_result, "PING")
        project_redis.kill()
        assert isinstance(await answer, RedisConnectionError)
        assert not connection.ask(lambda _: None, "PING")
        await asyncio.sleep(0.05)
        assert not connection.ask(lambda _: None, "PING")
        assert is_available()
        project_redis.start()
        assert await answer_to(connection, "PING") == b"PONG"

    run(test)


@pytest.mark.parametrize("redis_timeout", [USUAL_SECONDS])
def test_a_frozen_redis_opens_the_breaker_and_fails_what_waits(project_redis):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        project_redis.freeze()
        answers: list[Any] = []
        for _ in range(3):
            assert connection.ask(answers.append, "PING")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(answers) < 3:
                await asyncio.sleep(0.01)
        assert {type(answer) for answer in answers} == {RedisTimeoutError}
        assert not is_available()
        project_redis.thaw()
        assert not connection.ask(answers.append, "PING")
        breaker.close()
        assert await answer_to(connection, "PING") == b"PONG"

    run(test)


def test_while_the_breaker_is_open_nothing_is_sent(project_redis):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        breaker.failed(None)
        assert not connection.ask(lambda _: None, "PING")
        breaker.close()
        assert await answer_to(connection, "PING") == b"PONG"

    run(test)


def test_an_answer_that_arrived_while_the_process_stood_still_is_in_time(project_redis):
    """The loop comes to the deadline before it reads."""

    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        answer = asyncio.get_running_loop().create_future()
        assert connection.ask(answer.set_result, "PING")
        connection._check_oldest(None)
        connection._waiting[0] = (0.0, connection._waiting[0][1])
        connection._check_oldest(None)
        assert await answer == b"PONG"
        assert is_available()

    run(test)


def test_a_connection_that_is_closed_fails_what_waits(project_redis):
    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "PING")
        answers: list[Any] = []
        connection.ask(answers.append, "PING")
        connection.close()
        assert isinstance(answers[0], RedisError)
        assert await answer_to(connection, "PING") == b"PONG"

    run(test)


def test_password_and_database_of_the_url_are_used(project_redis, settings):
    cache = settings.CACHES["default"]
    client = get_redis_connection("default")
    client.config_set("requirepass", "secret")
    path = cache["LOCATION"].removeprefix("unix://")
    settings.CACHES = {**settings.CACHES, "default": {**cache, "LOCATION": f"unix://:secret@{path}?db=3"}}

    async def test(connection: LoopConnection) -> None:
        await answer_to(connection, "SET", "here", 1)
        assert await answer_to(connection, "SELECT", 0) == b"OK"
        assert await answer_to(connection, "EXISTS", "here") == 0

    try:
        run(test)
    finally:
        client.execute_command("AUTH", "secret")
        client.config_set("requirepass", "")
