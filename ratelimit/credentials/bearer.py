"""Tokens in `Authorization: Bearer`: JWTs of people, opaque OAuth2 tokens of programs. Valid tokens are cached."""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime

from oauth2_provider.models import AccessToken

from ratelimit.callers import Caller
from ratelimit.credentials.people import jwt
from ratelimit.credentials.people.sessions import caller_in_session
from ratelimit.entitlements import caller_from
from ratelimit.exceptions import InvalidToken
from ratelimit.fresh_cache import FreshCache
from ratelimit.models import OAuthClient

OAUTH2 = "oauth2"
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
        cached = self.get_or_load(digest, lambda _: _load(token, now=now))
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
    return _unexpired(token_cache.find(token, now=now), now)


def caller_of_bearer_now(token: str, *, now: datetime) -> Caller:
    """Return a token's caller as it is stored now, past the cache. Raises InvalidToken."""
    return _unexpired(_load(token, now=now), now)


def _unexpired(token: CachedToken, now: datetime) -> Caller:
    if now >= token.expires_at:
        raise InvalidToken
    return token.caller


def _load(token: str, *, now: datetime) -> CachedToken:
    # A program's token is opaque and has no dot. A person's token is a JWT and has two dots.
    if "." not in token:
        return CachedToken(*caller_of_program_token(token, now=now))
    claims = jwt.token_decode(token, jwt.ACCESS)
    return CachedToken(caller_in_session(claims.session_id, now=now), claims.expires_at)


def caller_of_program_token(token: str, *, now: datetime) -> tuple[Caller, datetime]:
    """Return the caller of a program's access token, and the time at which the token or its client expires.

    The caller has the scopes that both the client and the token have. Raises InvalidToken.
    """
    checksum = hashlib.sha256(token.encode()).hexdigest()
    row = AccessToken.objects.select_related("application").filter(token_checksum=checksum).first()
    client = None if row is None else row.application
    caller = None if client is None else _caller_of_client(client, now=now)
    if row is None or client is None or now >= row.expires or caller is None:
        raise InvalidToken
    caller = replace(caller, scopes=caller.scopes & frozenset(row.scope.split()))
    return caller, row.expires if client.expires_at is None else min(row.expires, client.expires_at)


def caller_of_program(client_id: int, *, now: datetime) -> Caller | None:
    """Return a program with all that its client may do; None if the client is gone, revoked or expired."""
    client = OAuthClient.objects.filter(pk=client_id).first()
    return None if client is None else _caller_of_client(client, now=now)


def _caller_of_client(client: OAuthClient, *, now: datetime) -> Caller | None:
    if client.state_at(now) != "active":
        return None
    return caller_from(client, identity=client_identity(client), name=str(client), credential=OAUTH2)


def client_identity(client: OAuthClient) -> str:
    return f"client:{client.pk}"
