"""The response cache in Redis, shared by all processes. Redis may be unreachable at any moment."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from redis_calls.script import Script
from stats.caching.entry import Entry
from stats.caching.keys import symbol_prefix

logger = logging.getLogger(__name__)

T = TypeVar("T")

CLAIM_SECONDS = 3.0
_SCAN_COUNT = 1_000

# Returns whether the key was claimed, and what is stored. A claim without an expiry, or with a too late one, was
# not written by this script and is taken over.
_CLAIM = Script("""
local stored = redis.pcall('GET', KEYS[2])
if type(stored) == 'string' and ARGV[3] == '0' then return {0, stored} end
local owned = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not owned then
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 or left > tonumber(ARGV[2]) then
    owned = redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  end
end
return {owned and 1 or 0, stored}
""")
_STORE = Script("""
local outcome = redis.pcall('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return outcome
""")
_RELEASE = Script("""
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim. owned: the caller must compute the entry. entry: the stored one; None if there is none.

    If `owned` is false and `entry` is None, another process computes the entry.
    """

    owned: bool
    entry: Entry | None


class SharedCache:
    """Entries and claims in Redis. A claim is a process's short-lived right to compute the entry of a key.

    Redis errors are never raised: an unreachable Redis acts as an empty cache. The connection's circuit breaker
    keeps calls to it short.
    """

    def __init__(self) -> None:
        self._is_away = False

    @property
    def is_away(self) -> bool:
        """Whether the last call failed."""
        return self._is_away

    def claim(self, key: str, token: str) -> Claim | None:
        """Read the entry of `key` or, if there is none, claim the key for `token`; None if Redis is unreachable.

        The owner ends its claim with `store` or `release`. Otherwise it expires after `CLAIM_SECONDS`.
        """
        return self._attempt(lambda: _claimed(key, token))

    def store(self, key: str, token: str, entry: Entry, *, seconds: int) -> int:
        """Store `entry` for `seconds`, and end the claim of `token` on `key`.

        Returns the stored size in bytes; 0 if the entry could not be stored.
        """
        stored = entry.to_bytes(key)
        outcome = self._attempt(lambda: _STORE([_claim_key(key), key], [token, stored, seconds]))
        return 0 if outcome is None else len(stored)

    def release(self, key: str, token: str) -> None:
        """End the claim of `token` on `key`."""
        self._attempt(lambda: _RELEASE([_claim_key(key)], [token]))

    def drop(self, symbol: str) -> int | None:
        """Remove every entry of `symbol`. Returns their number; None if Redis is unreachable."""
        return self._attempt(lambda: _unlink_all(f"{symbol_prefix(symbol)}*"))

    def _attempt(self, operation: Callable[[], T]) -> T | None:
        """The result of `operation`; None after a Redis error."""
        try:
            result = operation()
        except RedisError as error:
            if not self._is_away:
                self._is_away = True
                logger.warning("Redis is away, answers are cached in process memory only: %s", error)
            return None
        if self._is_away:
            self._is_away = False
            logger.info("Redis is back")
        return result


def _client() -> "redis.Redis":
    client: redis.Redis = get_redis_connection("default")
    return client


def _claimed(key: str, token: str) -> Claim:
    """Claim the key unless it has a valid entry. A second call ignores a damaged entry."""
    for ignore_stored in ("0", "1"):
        arguments: list[str | bytes | int] = [token, int(CLAIM_SECONDS * 1_000), ignore_stored]
        owned, stored = _CLAIM([_claim_key(key), key], arguments)
        entry = Entry.from_bytes(stored, key)
        if owned or entry or not isinstance(stored, bytes):
            break
    return Claim(owned=owned == 1, entry=entry)


def _claim_key(key: str) -> str:
    return f"flight:{key}"


def _unlink_all(pattern: str) -> int:
    client, removed = _client(), 0
    batch: list[bytes] = []
    for key in client.scan_iter(match=pattern, count=_SCAN_COUNT):
        batch.append(key)
        if len(batch) == _SCAN_COUNT:
            removed += client.unlink(*batch)
            batch.clear()
    return removed + (client.unlink(*batch) if batch else 0)
