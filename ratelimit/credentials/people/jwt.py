"""Makes and parses the tokens of people (JWT, RFC 7519). `sessions` checks whether a token's session is still open.

The tokens are simplejwt's, with stricter rules: one algorithm and one exact header. They have their own keys, derived
from SECRET_KEY (HKDF, RFC 5869), so that nothing else signed by this installation can pass for a token.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from jwt.utils import base64url_decode, base64url_encode
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from ratelimit.exceptions import InvalidToken
from ratelimit.keys.api_keys import derive_key

ALGORITHM = "HS256"
ACCESS_LIFETIME = timedelta(minutes=5)
REFRESH_LIFETIME = timedelta(days=1)
# A session ends this long after its login, however often it is renewed. This limits the use of a stolen token.
SESSION_LIFETIME = timedelta(days=30)
# The clocks of two hosts may differ by this much.
LEEWAY = timedelta(seconds=2)
# The longest token, in characters.
MAX_LENGTH = 2048
AUDIENCE = "marketdata-api"
# The claim with the id of the session.
SESSION = "sid"
# The claim with the time of the login, in seconds since the epoch.
LOGIN_TIME = "auth_time"
# The claim with a digest of the stored password hash, or of the key's. A new password changes it, which ends the sessions.
PASSWORD_DIGEST = "pwd"  # noqa: S105 the name of a claim

_LABEL = b"marketdata: tokens of people, 1"
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti", "token_type", SESSION, LOGIN_TIME, PASSWORD_DIGEST]
_FORMS = {
    # A person's id, or the identity of an API key.
    "sub": re.compile(r"(key:)?[0-9]{1,18}", re.ASCII),
    "jti": re.compile(r"([0-9a-f]{32}\.)?[0-9a-f]{32}", re.ASCII),
    SESSION: re.compile(r"[0-9a-f]{32}", re.ASCII),
    PASSWORD_DIGEST: re.compile(r"[0-9a-f]{64}", re.ASCII),
}
_SEGMENTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_HEADER = jwt.encode({}, "-" * 32, algorithm=ALGORITHM).partition(".")[0]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. `subject` is a person's id, or `key:12`. `expires_at` includes LEEWAY."""

    subject: str
    session_id: str
    token_id: str
    password_digest: str
    logged_in_at: datetime
    expires_at: datetime


def signing_keys() -> tuple[bytes, ...]:
    """Return the keys: the first one signs, all verify. They come from SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return _derived((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _derived(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(derive_key(secret.encode(), _LABEL) for secret in secrets)


class Backend(TokenBackend):
    """A backend that signs with the first of `signing_keys`, verifies with any of them, and requires every claim."""

    def __init__(self) -> None:
        super().__init__(algorithm=ALGORITHM, audience=AUDIENCE, issuer=settings.TOKEN_ISSUER, leeway=LEEWAY)

    @property
    def prepared_signing_key(self) -> Any:
        return signing_keys()[0]

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the token's payload. Raises TokenBackendError."""
        error: Exception | None = None
        for key in signing_keys():
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    issuer=self.issuer,
                    leeway=LEEWAY,
                    options={"require": _CLAIMS, "strict_aud": True, "verify_signature": verify},
                )
            except jwt.InvalidSignatureError as signature_error:
                error = signature_error
            except jwt.InvalidTokenError as token_error:
                raise TokenBackendError("the token is invalid") from token_error
        raise TokenBackendError("no key of this installation signed the token") from error


class PersonsAccessToken(AccessToken):
    """An access token. Its session claims are copied from the refresh token from which it is made."""

    lifetime = ACCESS_LIFETIME

    def get_token_backend(self) -> Backend:
        return Backend()


class PersonsRefreshToken(RefreshToken):
    """A refresh token, exchanged once for a new access token and a new refresh token."""

    lifetime = REFRESH_LIFETIME
    access_token_class = PersonsAccessToken

    def get_token_backend(self) -> Backend:
        return Backend()

    def check_blacklist(self) -> None:
        """Skip the library's check. `sessions` checks for reuse in the transaction that exchanges the token."""


def read_access_token(token: str) -> Claims:
    """Return the claims of an access token. Raises InvalidToken, with the same message for every reason."""
    return _read(token, PersonsAccessToken)


def read_refresh_token(token: str) -> Claims:
    """Return the claims of a refresh token, whether it was used or not. Raises InvalidToken."""
    claims = _read(token, PersonsRefreshToken)
    if not claims.token_id.startswith(f"{claims.session_id}."):
        raise InvalidToken
    return claims


def _read(token: str, token_class: type[PersonsAccessToken] | type[PersonsRefreshToken]) -> Claims:
    if not _is_well_formed(token):
        raise InvalidToken
    try:
        # The library annotates the parameter wrongly.
        payload = token_class(token).payload  # type: ignore[arg-type]
        expires_at = datetime.fromtimestamp(payload["exp"], tz=UTC) + LEEWAY
        logged_in_at = _instant(payload[LOGIN_TIME])
    except (TokenError, ValueError, OverflowError):
        raise InvalidToken from None
    texts = {name: payload[name] for name in _FORMS}
    if not all(isinstance(text, str) and _FORMS[name].fullmatch(text) for name, text in texts.items()):
        raise InvalidToken
    return Claims(
        subject=texts["sub"],
        session_id=texts[SESSION],
        token_id=texts["jti"],
        password_digest=texts[PASSWORD_DIGEST],
        logged_in_at=logged_in_at,
        expires_at=expires_at,
    )


def _instant(seconds: object) -> datetime:
    """Return whole seconds since the epoch as a datetime. Raises ValueError, OverflowError."""
    # Not isinstance, because a bool is an int, too.
    if type(seconds) is not int:
        raise ValueError("not whole seconds")
    return datetime.fromtimestamp(seconds, tz=UTC)


def _is_well_formed(token: str) -> bool:
    """Return whether the token is short enough, has our exact header, and a canonically encoded signature."""
    match = _SEGMENTS.fullmatch(token) if len(token) <= MAX_LENGTH else None
    if match is None or match[1] != _HEADER:
        return False
    try:
        return base64url_encode(base64url_decode(match[3])) == match[3].encode()
    except ValueError:
        return False


def new_session_id() -> str:
    return uuid.uuid4().hex


def new_refresh_token(
    *, subject: str, session_id: str, password_digest: str, logged_in_at: datetime
) -> PersonsRefreshToken:
    """Make a session's refresh token. Its property `access_token` is an access token of the same session.

    The refresh token is valid once an OutstandingToken with its `jti` is stored.
    """
    token = PersonsRefreshToken()
    token["sub"] = subject
    token[SESSION] = session_id
    token["jti"] = f"{session_id}.{uuid.uuid4().hex}"
    token[PASSWORD_DIGEST] = password_digest
    token[LOGIN_TIME] = int(logged_in_at.timestamp())
    return token
