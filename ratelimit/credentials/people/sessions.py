"""Token sessions of people and of API keys. Refresh tokens, each valid once, continue or end a session.

The ids of a session's refresh tokens begin with the session's id. At most one of these tokens is not blacklisted.
When all are blacklisted, the session is over. It also ends SESSION_LIFETIME after the login. Only the tokens' ids are
stored.
"""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from ratelimit.access.table import access_of
from ratelimit.callers import Caller
from ratelimit.credentials.people import jwt
from ratelimit.credentials.people.grants import caller_of_person, person_of
from ratelimit.exceptions import (
    CredentialError,
    InvalidApiKey,
    InvalidLogin,
    InvalidToken,
    NetworkNotAllowed,
    SignatureRequired,
)
from ratelimit.keys.api_keys import digest, key_in_headers
from ratelimit.keys.selectors import CachedKey, caller_of_key, key_cache, key_now, key_used
from ratelimit.limits.services import admit
from ratelimit.limits.throttles import LimitReached

CREDENTIAL = "jwt"
_KEY = "key:"
# A login or a renewal removes at most so many expired tokens: a long delete would make the database's other writers wait.
_REMOVED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """The person or the API key of a session.

    subject: a person's id, or `key:12`. user: None for a key. secrets: digests of the password or of the key; the
    first one goes into new tokens, tokens with any of them are accepted.
    """

    subject: str
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
    cached = key_cache.find(digest(key_in_headers(authorization=None, x_api_key=key) or ""))
    if cached is None:
        raise InvalidApiKey("the API key is unknown")
    holder = _key(cached, now=now)
    _require_network(holder, address)
    _charge(holder.caller)
    key_used(cached, now=now)
    return session_of(holder, now=now)


def person_holder(user: User, *, now: datetime) -> Holder:
    """Return a person who is logged in by other means. Raises InvalidLogin if the person has no grants."""
    holder = _person(user, now=now)
    if holder is None:
        raise InvalidLogin
    return holder


def session_of(holder: Holder, *, now: datetime) -> TokenPair:
    """Return the tokens of a new session of that holder."""
    _remove_expired(holder.subject, now=now)
    return _issue(holder, session_id=jwt.new_session_id(), logged_in_at=now)


def session_continue(*, refresh: str, address: str, now: datetime) -> TokenPair:
    """Exchange a session's newest refresh token for new tokens. An older refresh token ends the session.

    Raises InvalidToken, and NetworkNotAllowed if a key may not be used from that IP address; then the token stays valid.
    """
    claims = jwt.read_refresh_token(refresh)
    _remove_expired(claims.subject, now=now)
    with transaction.atomic():
        outstanding = _tokens(claims.subject).filter(jti=claims.token_id).first()
        holder = _holder(claims, now=now)
        if holder is not None:
            _require_network(holder, address)
        if outstanding is not None:
            _, is_first = BlacklistedToken.objects.get_or_create(token=outstanding)
            is_over = now - claims.logged_in_at >= jwt.SESSION_LIFETIME
            if is_first and holder is not None and not is_over:
                return _issue(holder, session_id=claims.session_id, logged_in_at=claims.logged_in_at)
            # The token was used before (one of its two holders may be a thief), the holder lost all grants, or the
            # session is too old.
            session_close(claims.session_id)
    raise InvalidToken


def session_end(*, refresh: str) -> str:
    """End the session of a refresh token. Returns its holder's identity. Raises InvalidToken."""
    claims = jwt.read_refresh_token(refresh)
    with transaction.atomic():
        session_close(claims.session_id)
    return _identity(claims.subject)


def session_close(session_id: str) -> None:
    """End a session: none of its tokens is accepted any more."""
    # Loops because a concurrent call may issue another token while this call waits to blacklist the first one.
    while tokens := list(_open_tokens(session_id)):
        for token in tokens:
            BlacklistedToken.objects.get_or_create(token=token)


def caller_in_session(claims: jwt.Claims, *, now: datetime) -> Caller:
    """Return the caller of an access token whose session is open. Raises InvalidToken."""
    holder = _holder(claims, now=now)
    if holder is None or not _open_tokens(claims.session_id).exists():
        raise InvalidToken
    return holder.caller


def key_holder(key_id: int, *, now: datetime) -> Holder | None:
    """Return an API key as it is stored now; None if it is unknown, revoked, expired, or may only sign."""
    key = key_now(key_id)
    try:
        return None if key is None else _key(key, now=now)
    except CredentialError:
        return None


def _require_network(holder: Holder, address: str) -> None:
    if not holder.caller.may_call_from(address):
        raise NetworkNotAllowed("the key is not valid from this address; call from one of its networks")


def _charge(caller: Caller) -> None:
    access = access_of("auth-token", "POST")
    assert access is not None  # noqa: S101 the endpoint is in the table
    admission = admit(caller, access, cost=1)
    if not admission.admitted:
        raise LimitReached(admission)


def _holder(claims: jwt.Claims, *, now: datetime) -> Holder | None:
    """Return the token's holder; None if it lost its grants, or if its password or key changed since the login."""
    if claims.subject.startswith(_KEY):
        holder = key_holder(int(claims.subject.removeprefix(_KEY)), now=now)
    else:
        user = person_of(claims.subject)
        holder = None if user is None else _person(user, now=now)
    secrets = () if holder is None else holder.secrets
    is_same = any(hmac.compare_digest(secret, claims.password_digest) for secret in secrets)
    return holder if is_same else None


def _person(user: User, *, now: datetime) -> Holder | None:
    caller = caller_of_person(user, credential=CREDENTIAL, now=now)
    if caller is None:
        return None
    secrets = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return Holder(subject=str(user.pk), user=user, caller=caller, secrets=secrets)


def _key(key: CachedKey, *, now: datetime) -> Holder:
    caller = replace(caller_of_key(key, now=now), credential=CREDENTIAL)
    if key.signed_only:
        raise SignatureRequired("this key is for signing only; sign the request instead of sending the key")
    # The stored digest itself stays here: a token is readable to whoever has it.
    secret = hashlib.sha256(f"session of {key.digest}".encode()).hexdigest()
    return Holder(subject=caller.identity, user=None, caller=caller, secrets=(secret,))


def _identity(subject: str) -> str:
    return subject if subject.startswith(_KEY) else f"user:{subject}"


def _tokens(subject: str) -> QuerySet[OutstandingToken]:
    """Return the tokens of a person, or those of all keys."""
    if subject.startswith(_KEY):
        return OutstandingToken.objects.filter(user=None)
    return OutstandingToken.objects.filter(user_id=int(subject))


def _open_tokens(session_id: str) -> QuerySet[OutstandingToken]:
    """Return the session's tokens that are not blacklisted.

    Their ids are the session's id, "." and hexadecimal digits. The range uses the index of `jti` and is the same in
    every collation; a prefix would not use the index in SQLite.
    """
    return OutstandingToken.objects.filter(
        jti__gt=session_id, jti__lt=f"{session_id}g", blacklistedtoken=None
    )


def _remove_expired(subject: str, *, now: datetime) -> None:
    """Remove the expired ones of a person's oldest tokens, or of all keys'. Tokens expire in the order of their ids."""
    oldest = _tokens(subject).order_by("id").values_list("id", "expires_at")[:_REMOVED_AT_ONCE]
    expired = [number for number, expires_at in oldest if expires_at < now - jwt.LEEWAY]
    if expired:
        OutstandingToken.objects.filter(id__in=expired).delete()


def _issue(holder: Holder, *, session_id: str, logged_in_at: datetime) -> TokenPair:
    token = jwt.new_refresh_token(
        subject=holder.subject,
        session_id=session_id,
        password_digest=holder.secrets[0],
        logged_in_at=logged_in_at,
    )
    OutstandingToken.objects.create(
        user=holder.user,
        jti=token["jti"],
        # The library would store the token itself here, and whoever reads the database could use it.
        token="",
        created_at=token.current_time,
        expires_at=datetime.fromtimestamp(token["exp"], tz=UTC),
    )
    return TokenPair(holder=holder, session_id=session_id, access=str(token.access_token), refresh=str(token))
