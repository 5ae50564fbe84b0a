"""Tokens in `Authorization: Bearer`: of people (JWT) and of programs (OAuth2).

Known ones are answered from memory.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cachetools import LRUCache

from ratelimit.callers import Caller
from ratelimit.credentials.people import jwt
from ratelimit.credentials.people.sessions import caller_in_session
from ratelimit.credentials.program_tokens import caller_of_program
from ratelimit.exceptions import InvalidToken

# A withdrawal is promised to be effective within 1 s.
MAX_AGE_SECONDS = 0.9
MAX_CACHED_TOKENS = 10_000
# RFC 6750, 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A good token as of `loaded_at`, in seconds of the monotonic clock."""

    caller: Caller
    expires_at: datetime
    loaded_at: float


class TokenCache:
    """The good tokens lately used, by their digests; others are never held."""

    def __init__(
        self,
        *,
        capacity: int = MAX_CACHED_TOKENS,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known: LRUCache[bytes, KnownToken] = LRUCache(capacity)
        self._lock = threading.Lock()
        self._max_age = max_age
        self._clock = clock

    def find(self, token: str, *, now: datetime) -> KnownToken:
        """What the token stands for, at most `max_age` old. Raises InvalidToken."""
        digest = hashlib.sha256(token.encode()).digest()
        loaded_at = self._clock()
        with self._lock:
            known = self._known.get(digest)
        if known is not None and loaded_at - known.loaded_at < self._max_age:
            return known
        with self._lock:
            self._known.pop(digest, None)
        known = _load(token, now=now, loaded_at=loaded_at)
        with self._lock:
            self._known[digest] = known
        return known

    def forget(self, identity: str) -> None:
        """Load the tokens of a caller anew when they are next shown."""
        with self._lock:
            for digest in [
                digest for digest, known in self._known.items() if known.caller.identity == identity
            ]:
                del self._known[digest]

    def clear(self) -> None:
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)


known_tokens = TokenCache()


def caller_of_bearer(token: str, *, now: datetime) -> Caller:
    """The caller that a token makes. Raises InvalidToken, with the same message whatever is wrong with it."""
    if len(token) > jwt.MAX_LENGTH or _TOKEN.fullmatch(token) is None:
        raise InvalidToken
    known = known_tokens.find(token, now=now)
    if now >= known.expires_at:
        raise InvalidToken
    return known.caller


def _load(token: str, *, now: datetime, loaded_at: float) -> KnownToken:
    # A program's token is opaque and without a dot, a person's has two.
    if "." not in token:
        caller, expires_at = caller_of_program(token, now=now)
        return KnownToken(caller=caller, expires_at=expires_at, loaded_at=loaded_at)
    claims = jwt.read_access_token(token)
    caller = caller_in_session(claims, now=now)
    return KnownToken(caller=caller, expires_at=claims.expires_at, loaded_at=loaded_at)
