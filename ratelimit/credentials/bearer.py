"""Tokens in `Authorization: Bearer`. Valid tokens are cached."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from ratelimit.callers import Caller
from ratelimit.credentials import jwt
from ratelimit.credentials.sessions import caller_in_session
from ratelimit.exceptions import InvalidToken
from ratelimit.fresh_cache import FreshCache

# The live feed looks for revoked tokens four times a second, and they must end within a second.
MAX_AGE_SECONDS = 0.5
# The syntax of a token (RFC 6750, 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that was valid when it was loaded."""

    caller: Caller
    expires_at: datetime


class TokenCache(FreshCache[bytes, CachedToken]):
    """Valid tokens by their SHA-256."""

    def find(self, token: str, *, now: datetime) -> CachedToken:
        """Return the token. Raises InvalidToken."""
        digest = hashlib.sha256(token.encode()).digest()
        cached = self.get(digest, lambda _: _load(token, now=now))
        assert cached is not None  # noqa: S101 `_load` raises instead
        return cached

    def forget(self, identity: str) -> None:
        """Remove a caller's tokens from the cache."""
        self.remove(lambda cached: cached.caller.identity == identity)


token_cache = TokenCache(max_age=MAX_AGE_SECONDS)


def caller_of_bearer(token: str, *, now: datetime) -> Caller:
    """Return a token's caller. Raises InvalidToken, with the same message for every reason."""
    if len(token) > jwt.MAX_LENGTH or _TOKEN.fullmatch(token) is None:
        raise InvalidToken
    cached = token_cache.find(token, now=now)
    if now >= cached.expires_at:
        raise InvalidToken
    return cached.caller


def caller_of_bearer_now(token: str, *, now: datetime) -> Caller:
    """Return the caller of a token that was valid as it is stored now, past the cache. Raises InvalidToken.

    The token may have expired since; its session must be open.
    """
    claims = jwt.token_decode(token, jwt.ACCESS, may_have_expired=True)
    return caller_in_session(claims.session_id, now=now)


def _load(token: str, *, now: datetime) -> CachedToken:
    claims = jwt.token_decode(token, jwt.ACCESS)
    return CachedToken(caller_in_session(claims.session_id, now=now), claims.expires_at)
