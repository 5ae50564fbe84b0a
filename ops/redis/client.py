"""What CACHES names for django-redis: commands go over the thread's connection, and values are bytes."""

from typing import Any

import redis
from django_redis.client import DefaultClient

from ops.redis.script import redis_call


def unchanged_key(key: str, _key_prefix: str, _version: int | str) -> str:
    """A KEY_FUNCTION: keys in Redis are those that the caller gives."""
    return key


class ThreadRedis(redis.Redis):
    """Sends commands as `redis_call` does, without the pool. Pipelines and subscriptions are not for this client."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer in the form of redis-py."""
        name, *rest = args
        answer = redis_call(*name.split(), *rest)
        options.pop("keys", None)  # for redis-py's own cache
        read = self.response_callbacks.get(name)  # type: ignore[no-untyped-call]
        return answer if read is None else read(answer, **options)


class BytesClient(DefaultClient):  # type: ignore[misc]  # django-redis is not typed
    """Stores bytes as they are: nothing is pickled, and nothing read from Redis is unpickled."""

    def encode(self, value: bytes, *, allow_int: bool = True) -> bytes:
        return value

    def decode(self, value: bytes) -> bytes:
        return value

    def delete_pattern(
        self,
        pattern: str,
        version: int | None = None,
        prefix: str | None = None,
        client: redis.Redis | None = None,
        itersize: int | None = None,
    ) -> int:
        """Remove the keys that match, and return their number.

        Unlinks `itersize` keys at a time. django-redis deletes all in one transaction, which would block Redis for
        longer than others wait for an answer.
        """
        client = client or self.get_client()
        removed, cursor = 0, 0
        while True:
            cursor, keys = client.scan(
                cursor, match=self.make_pattern(pattern, version, prefix), count=itersize
            )
            removed += client.unlink(*keys) if keys else 0
            if cursor == 0:
                return removed
