"""Tokens in `Authorization: Bearer`: JWTs of people, opaque OAuth2 tokens of programs. Valid tokens are cached."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cachetools import LRUCache
from oauth2_provider.models import AccessToken

from ratelimit.callers import Caller
from ratelimit.credentials.people import jwt
from ratelimit.credentials.people.sessions import caller_in_session
from ratelimit.entitlements import caller_from
from ratelimit.exceptions import InvalidToken
from ratelimit.models import OAuthClient

# A revocation is promised to be effective within 1 s.
MAX_AGE_SECONDS = 0.9
MAX_CACHED_TOKENS = 10_000
# RFC 6750, 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that was valid when it was read, at `loaded_at` (monotonic clock, in seconds)."""

    caller: Caller
    expires_at: datetime
    loaded_at: float


class TokenCache:
    """An LRU cache of valid tokens by their SHA-256."""

    def __init__(
        self,
        *,
        capacity: int = MAX_CACHED_TOKENS,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known: LRUCache[bytes, CachedToken] = LRUCache(capacity)
        self._lock = threading.Lock()
        self._max_age = max_age
        self._clock = clock

    def find(self, token: str, *, now: datetime) -> CachedToken:
        """Return the token, read at most `max_age` seconds ago. Raises InvalidToken."""
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
        """Remove a caller's tokens from the cache."""
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


token_cache = TokenCache()


def caller_of_bearer(token: str, *, now: datetime) -> Caller:
    """Return a token's caller. Raises InvalidToken, with the same message for every reason."""
    if len(token) > jwt.MAX_LENGTH or _TOKEN.fullmatch(token) is None:
        raise InvalidToken
    known = token_cache.find(token, now=now)
    if now >= known.expires_at:
        raise InvalidToken
    return known.caller


def _load(token: str, *, now: datetime, loaded_at: float) -> CachedToken:
    # A program's token is opaque and has no dot. A person's token is a JWT and has two dots.
    if "." not in token:
        caller, expires_at = caller_of_program_token(token, now=now)
        return CachedToken(caller=caller, expires_at=expires_at, loaded_at=loaded_at)
    claims = jwt.read_access_token(token)
    caller = caller_in_session(claims, now=now)
    return CachedToken(caller=caller, expires_at=claims.expires_at, loaded_at=loaded_at)


OAUTH2 = "oauth2"


def caller_of_program_token(token: str, *, now: datetime) -> tuple[Caller, datetime]:
    """Return the caller of a program's access token, and when the token or its client expires.

    The caller has the scopes that both the client and the token have. Raises InvalidToken.
    """
    checksum = hashlib.sha256(token.encode()).hexdigest()
    found = AccessToken.objects.select_related("application").filter(token_checksum=checksum).first()
    client = None if found is None else found.application
    if found is None or client is None or now >= found.expires or not client.is_good(now=now):
        raise InvalidToken
    granted = caller_from(client, identity=client_identity(client), name=str(client), credential=OAUTH2)
    caller = replace(granted, scopes=granted.scopes & frozenset(found.scope.split()))
    ends = [found.expires] if client.expires_at is None else [found.expires, client.expires_at]
    return caller, min(ends)


def client_identity(client: OAuthClient) -> str:
    return f"client:{client.pk}"
