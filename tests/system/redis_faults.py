"""An installation's Redis frozen, killed and filled with what nobody expects, and how the installation says that it noticed."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

from redis import Redis
from redis.exceptions import RedisError

from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import REDIS
from tests.system.clients import Client, clients_of_every_web
from tests.system.installation import Installation

HEALS_SECONDS = 5.0
_EXPIRES_SECONDS = 60


@contextlib.contextmanager
def frozen_redis(installation: Installation) -> Iterator[None]:
    pid = installation.served.member(REDIS)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_redis(installation: Installation) -> None:
    """Kill it, and wait until another one answers."""
    before = installation.served.member(REDIS)
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: _is_another(installation, before) and answers(installation))


def _is_another(installation: Installation, before: int) -> bool:
    """Whether a Redis runs that is another process than before."""
    return any(pid != before for pid, command in installation.served.members().items() if REDIS in command)


def answers(installation: Installation) -> bool:
    with contextlib.suppress(RedisError), contextlib.closing(installation.redis) as redis:
        return bool(redis.ping())
    return False


def is_degraded(installation: Installation) -> bool:
    return _says_that_redis_is_away(*installation.served.get("/readyz"))


def is_degraded_everywhere(installation: Installation) -> bool:
    """Whether every web process says so in the end: what it says is up to a second old."""

    def is_degraded_there(client: Client) -> bool:
        reply = client.get("/readyz")
        return _says_that_redis_is_away(reply.status, reply.json())

    with clients_of_every_web(installation.served, installation.key, each=1) as clients:
        return all(eventually(partial(is_degraded_there, client)) for client in clients)


def _says_that_redis_is_away(status: int, answer: dict[str, object]) -> bool:
    assert status == 200
    reasons = answer.get("reasons")
    return answer["status"] == "degraded" and isinstance(reasons, list) and reasons[0].startswith("redis: ")


def is_whole_everywhere(installation: Installation) -> bool:
    """Whether every web process finds Redis again, which it looks for when it is asked something."""

    def is_whole(client: Client) -> bool:
        return "x-degraded" not in client.get("/readyz").headers

    with clients_of_every_web(installation.served, installation.key, each=1) as clients:
        return all(eventually(partial(is_whole, client)) for client in clients)


# Every type of value that Redis knows, and texts that something else might be taken for.
_GARBAGE: list[Callable[[Redis, bytes], object]] = [
    lambda redis, key: redis.set(key, b""),
    lambda redis, key: redis.set(key, b"\x00garbage" * 50),
    lambda redis, key: redis.set(key, b"99999999999999999999 0"),
    lambda redis, key: redis.set(key, b"-1"),
    lambda redis, key: redis.setbit(key, 100_000, 1),
    lambda redis, key: redis.pfadd(key, "garbage"),
    lambda redis, key: redis.rpush(key, "garbage"),
    lambda redis, key: redis.sadd(key, "garbage"),
    lambda redis, key: redis.zadd(key, {"garbage": 1.5}),
    lambda redis, key: redis.hset(key, "garbage", "1"),
    lambda redis, key: redis.xadd(key, {"garbage": "1"}),
    lambda redis, key: redis.geoadd(key, (13.4, 52.5, "garbage")),
]
KINDS_OF_GARBAGE = len(_GARBAGE)


def fill_with_garbage(installation: Installation, turn: int, *, names: Iterator[bytes] | None = None) -> int:
    """Put something else under every key, of each type in turns; returns how many there were.

    names: of keys that get something even where nothing is held under them now.
    """
    with contextlib.closing(installation.redis) as redis:
        keys = list({*redis.scan_iter(count=1000), *(names or ())})
        kinds = cycle(_GARBAGE[turn % KINDS_OF_GARBAGE :] + _GARBAGE[: turn % KINDS_OF_GARBAGE])
        for key, put in zip(keys, kinds, strict=False):
            at_once = redis.pipeline(transaction=True)
            at_once.delete(key)
            put(at_once, key)
            at_once.expire(key, _EXPIRES_SECONDS)
            at_once.execute()
        return len(keys)
