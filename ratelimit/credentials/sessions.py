"""Token sessions of people and of API keys. A refresh token, valid once, continues its session or ends it."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from ratelimit.authorize import check_limits
from ratelimit.callers import Caller
from ratelimit.credentials import jwt
from ratelimit.credentials.people import caller_of_person, person_of
from ratelimit.exceptions import (
    CredentialError,
    InvalidApiKey,
    InvalidLogin,
    InvalidToken,
    NetworkNotAllowed,
    SignatureRequired,
)
from ratelimit.keys.api_keys import digest, is_well_formed, key_in_headers, prefix_of
from ratelimit.keys.selectors import CachedKey, caller_of_key, key_cache, key_now, key_used
from ratelimit.limits.services import admit
from ratelimit.models import TokenSession
from web.endpoints import ANYBODY, WRITE, Access

JWT, OAUTH2 = "jwt", "oauth2"
# The longest life of an OAuth2 token.
_OAUTH2_LIFETIME = timedelta(hours=1)
# The calls that give, renew and end credentials.
CREDENTIAL_CALLS = Access(ANYBODY, group="access", kind=WRITE)


@dataclass(frozen=True, slots=True)
class Holder:
    """The person or the API key of a session.

    user: None for a key. secrets: digests of the password or of the key; new sessions get the first one, sessions
    with any of them are valid.
    """

    user: User | None
    caller: Caller
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token, its refresh token, their holder, and the id of their session."""

    holder: Holder
    session_id: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)


def session_begin(*, username: str, password: str, request: HttpRequest | None, now: datetime) -> TokenPair:
    """Log in, and return the tokens of a new session.

    Raises InvalidLogin. This takes as long for an unknown name as for a wrong password.
    """
    user = authenticate(request, username=username, password=password)
    holder = _person(user, now=now) if isinstance(user, User) else None
    if holder is None:
        raise InvalidLogin
    return session_of(holder, now=now)


def key_session_begin(*, key: str, address: str, now: datetime) -> TokenPair:
    """Return the tokens of a new session of an API key, for a caller at that IP address.

    The key is charged a token. Raises InvalidApiKey, RevokedApiKey, ExpiredApiKey, SignatureRequired,
    NetworkNotAllowed, LimitReached, DatabaseError.
    """
    cached = key_cache.find(digest(key_in_headers({"x-api-key": key}) or ""))
    if cached is None:
        raise InvalidApiKey("the API key is unknown")
    return session_of(_used_key(cached, address=address, now=now), now=now)


def person_holder(user: User, *, now: datetime) -> Holder:
    """Return a person who is logged in by other means. Raises InvalidLogin if the person has no grants."""
    holder = _person(user, now=now)
    if holder is None:
        raise InvalidLogin
    return holder


def session_of(holder: Holder, *, now: datetime) -> TokenPair:
    """Return the tokens of a new session of that holder."""
    session = _begun(holder, refresh_id=jwt.new_id(), began_at=now, expires_at=now + jwt.REFRESH_LIFETIME)
    return _pair(holder, session.pk, session.refresh_id, now=now)


def _begun(holder: Holder, **columns: Any) -> TokenSession:
    return TokenSession.objects.create(
        id=jwt.new_id(), identity=holder.caller.identity, secret=holder.secrets[0], **columns
    )


def secret_holder(*, client_id: str, secret: str, address: str, now: datetime) -> Holder:
    """Return the key of an OAuth2 client that calls from that IP address. Its id is the key's prefix, its secret the key.

    The key is charged a token. Raises what `key_session_begin` raises.
    """
    key = key_cache.find(digest(secret)) if is_well_formed(secret) else None
    if key is None or prefix_of(secret) != client_id:
        raise InvalidApiKey("the client is unknown, or its secret is wrong")
    return _used_key(key, address=address, now=now)


def oauth2_session_begin(holder: Holder, *, scopes: frozenset[str], now: datetime) -> tuple[str, int]:
    """Return the token of a new session of a key, with some of its scopes, and its seconds. It is not renewed."""
    end = holder.caller.expires_at
    lifetime = _OAUTH2_LIFETIME if end is None else min(_OAUTH2_LIFETIME, end - now)
    session = _begun(holder, scopes=sorted(scopes), began_at=now, expires_at=now + lifetime)
    ids: Any = {"identity": session.identity, "session_id": session.pk, "token_id": jwt.new_id()}
    access = jwt.token_encode(jwt.ACCESS, now=now, lifetime=lifetime, **ids)
    return access, int(lifetime.total_seconds())


def oauth2_session_end(holder: Holder, *, token: str, now: datetime) -> str:
    """End the session of an access token if it is one of the key.

    Returns the identity whose session ended; "" if none did.
    """
    try:
        claims = jwt.token_decode(token, jwt.ACCESS)
        caller = caller_in_session(claims.session_id, now=now)
    except InvalidToken:
        return ""
    if caller.identity != holder.caller.identity:
        return ""
    session_close(claims.session_id, now=now)
    return caller.identity


def session_continue(*, refresh: str, address: str, now: datetime) -> TokenPair:
    """Exchange a session's newest refresh token for new tokens. An older refresh token ends the session.

    Raises InvalidToken, and NetworkNotAllowed if a key may not be used from that IP address; then the token stays valid.
    """
    claims = jwt.token_decode(refresh, jwt.REFRESH)
    session, holder = _open_session(claims.session_id, now=now)
    if holder is not None:
        _require_network(holder, address)
        refresh_id = jwt.new_id()
        if now - session.began_at < jwt.SESSION_LIFETIME and _open(session.pk).filter(
            refresh_id=claims.token_id
        ).update(refresh_id=refresh_id, secret=holder.secrets[0], expires_at=now + jwt.REFRESH_LIFETIME):
            return _pair(holder, session.pk, refresh_id, now=now)
    # The token was used before (one of its two holders may be a thief), the holder lost all grants, or the session is
    # too old.
    session_close(session.pk, now=now)
    raise InvalidToken


def session_end(*, refresh: str, now: datetime) -> str:
    """End the session of a refresh token. Returns its holder's identity. Raises InvalidToken."""
    claims = jwt.token_decode(refresh, jwt.REFRESH)
    session_close(claims.session_id, now=now)
    return claims.identity


def session_close(session_id: str, *, now: datetime) -> None:
    """End a session: none of its tokens is accepted any more."""
    _open(session_id).update(ended_at=now)


def caller_in_session(session_id: str, *, now: datetime) -> Caller:
    """Return the caller of an open session. Raises InvalidToken."""
    session, holder = _open_session(session_id, now=now)
    if holder is None:
        raise InvalidToken
    if session.scopes is None:
        return holder.caller
    return replace(holder.caller, scopes=holder.caller.scopes & frozenset(session.scopes), credential=OAUTH2)


def key_holder(key_id: int, *, secret: str, now: datetime) -> Holder | None:
    """Return the API key of a session as it is stored now; None if it is unknown, revoked, expired, or may only sign.

    secret: the session's. It ends with the key that began it, at the latest at the end of the overlap of a rotation.
    """
    stored = key_now(key_id)
    digests = () if stored is None else stored.digests
    key_digest = next((each for each in digests if _session_secret(each) == secret), None)
    key = None if key_digest is None else key_now(key_id, digest=key_digest)
    try:
        return None if key is None else _key(key, now=now)
    except CredentialError:
        return None


def _used_key(key: CachedKey, *, address: str, now: datetime) -> Holder:
    """Check a key that was sent from that IP address, charge it a token, and note its use."""
    holder = _key(key, now=now)
    _require_network(holder, address)
    check_limits(admit(holder.caller, CREDENTIAL_CALLS, cost=1))
    key_used(key, now=now)
    return holder


def _require_network(holder: Holder, address: str) -> None:
    if not holder.caller.may_call_from(address):
        raise NetworkNotAllowed("the key is not valid from this address; call from one of its networks")


def _open(session_id: str) -> QuerySet[TokenSession]:
    return TokenSession.objects.filter(pk=session_id, ended_at=None)


def _open_session(session_id: str, *, now: datetime) -> tuple[TokenSession, Holder | None]:
    """Return an open session and its holder; None if it lost its grants, or if its password or key changed since.

    Raises InvalidToken.
    """
    session = _open(session_id).first()
    if session is None:
        raise InvalidToken
    kind, _, number = session.identity.partition(":")
    if kind == "key":
        return session, key_holder(int(number), secret=session.secret, now=now)
    user = person_of(number)
    holder = None if user is None else _person(user, now=now)
    return session, holder if holder is not None and session.secret in holder.secrets else None


def _person(user: User, *, now: datetime) -> Holder | None:
    caller = caller_of_person(user, credential=JWT, now=now)
    if caller is None:
        return None
    secrets = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return Holder(user=user, caller=caller, secrets=secrets)


def _key(key: CachedKey, *, now: datetime) -> Holder:
    caller = replace(caller_of_key(key, now=now), credential=JWT)
    if key.signed_only:
        raise SignatureRequired("this key is for signing only; sign the request instead of sending the key")
    return Holder(user=None, caller=caller, secrets=(_session_secret(caller.key_digest),))


def _session_secret(key_digest: str) -> str:
    # Not the stored digest itself, which stays in the table of keys.
    return hashlib.sha256(f"session of {key_digest}".encode()).hexdigest()


def _pair(holder: Holder, session_id: str, refresh_id: str, *, now: datetime) -> TokenPair:
    ids: Any = {"identity": holder.caller.identity, "session_id": session_id, "now": now}
    return TokenPair(
        holder=holder,
        session_id=session_id,
        access=jwt.token_encode(jwt.ACCESS, token_id=jwt.new_id(), lifetime=jwt.ACCESS_LIFETIME, **ids),
        refresh=jwt.token_encode(jwt.REFRESH, token_id=refresh_id, lifetime=jwt.REFRESH_LIFETIME, **ids),
    )
