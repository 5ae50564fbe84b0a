"""Token sessions of people. A password begins a session; refresh tokens, each valid once, continue or end it.

The ids of a session's refresh tokens begin with the session's id. At most one of these tokens is not blacklisted.
When all are blacklisted, the session is over. It also ends SESSION_LIFETIME after the login. Only the tokens' ids are
stored.
"""

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from ratelimit.callers import Caller
from ratelimit.credentials.people import jwt
from ratelimit.credentials.people.grants import caller_of_person, person_of
from ratelimit.exceptions import InvalidLogin, InvalidToken

CREDENTIAL = "jwt"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token, its refresh token, and their caller."""

    caller: Caller
    access: str = field(repr=False)
    refresh: str = field(repr=False)


def session_begin(*, username: str, password: str, request: HttpRequest | None, now: datetime) -> TokenPair:
    """Log in, and return the tokens of a new session.

    Raises InvalidLogin. This takes as long for an unknown name as for a wrong password.
    """
    user = authenticate(request, username=username, password=password)
    caller = caller_of_person(user, credential=CREDENTIAL, now=now) if isinstance(user, User) else None
    if not isinstance(user, User) or caller is None:
        raise InvalidLogin
    OutstandingToken.objects.filter(user=user, expires_at__lt=now).delete()
    return _issue(user, caller, session_id=jwt.new_session_id(), logged_in_at=now)


def session_continue(*, refresh: str, now: datetime) -> TokenPair:
    """Exchange a session's newest refresh token for new tokens. An older refresh token ends the session.

    Raises InvalidToken.
    """
    claims = jwt.read_refresh_token(refresh)
    with transaction.atomic():
        outstanding = OutstandingToken.objects.filter(jti=claims.token_id).first()
        user = _person(claims)
        if outstanding is not None and user is not None:
            _, is_first = BlacklistedToken.objects.get_or_create(token=outstanding)
            caller = caller_of_person(user, credential=CREDENTIAL, now=now)
            is_over = now - claims.logged_in_at >= jwt.SESSION_LIFETIME
            if is_first and caller is not None and not is_over:
                return _issue(user, caller, session_id=claims.session_id, logged_in_at=claims.logged_in_at)
            # The token was used before (one of its two holders may be a thief), the person lost all grants, or the
            # session is too old.
            _end(claims)
    raise InvalidToken


def session_end(*, refresh: str) -> str:
    """End the session of a refresh token. Returns the person's identity. Raises InvalidToken."""
    claims = jwt.read_refresh_token(refresh)
    with transaction.atomic():
        _end(claims)
    return f"user:{claims.user_id}"


def caller_in_session(claims: jwt.Claims, *, now: datetime) -> Caller:
    """Return the caller of an access token whose session is open. Raises InvalidToken."""
    user = _person(claims)
    if user is None or not _open_tokens(claims).exists():
        raise InvalidToken
    caller = caller_of_person(user, credential=CREDENTIAL, now=now)
    if caller is None:
        raise InvalidToken
    return caller


def _person(claims: jwt.Claims) -> User | None:
    """Return the token's person; None if the person was deleted, or changed the password since the login."""
    user = person_of(claims.user_id)
    if user is None:
        return None
    digests = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    is_same = any(hmac.compare_digest(digest, claims.password_digest) for digest in digests)
    return user if is_same else None


def _open_tokens(claims: jwt.Claims) -> QuerySet[OutstandingToken]:
    """Return the session's tokens that are not blacklisted. With the filter by person the query uses an index."""
    prefix = f"{claims.session_id}."
    return OutstandingToken.objects.filter(
        user_id=claims.user_id, jti__startswith=prefix, blacklistedtoken=None
    )


def _end(claims: jwt.Claims) -> None:
    # Loops because a concurrent call may issue another token while this call waits to blacklist the first one.
    while tokens := list(_open_tokens(claims)):
        for token in tokens:
            BlacklistedToken.objects.get_or_create(token=token)


def _issue(user: User, caller: Caller, *, session_id: str, logged_in_at: datetime) -> TokenPair:
    token = jwt.new_refresh_token(
        user_id=str(user.pk),
        session_id=session_id,
        password_digest=user.get_session_auth_hash(),
        logged_in_at=logged_in_at,
    )
    OutstandingToken.objects.create(
        user=user,
        jti=token["jti"],
        # The library would store the token itself here, and whoever reads the database could use it.
        token="",
        created_at=token.current_time,
        expires_at=datetime.fromtimestamp(token["exp"], tz=UTC),
    )
    return TokenPair(caller=caller, access=str(token.access_token), refresh=str(token))
