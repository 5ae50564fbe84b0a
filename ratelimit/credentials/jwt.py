"""Makes and reads the tokens of sessions (JWT, RFC 7519). `sessions` checks whether a token's session is still open.

The tokens have their own keys, derived from SECRET_KEY (HKDF, RFC 5869), so that nothing else signed by this
installation can pass for a token.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import jwt
from django.conf import settings

from ratelimit.exceptions import InvalidToken
from ratelimit.keys.api_keys import derive_key

ALGORITHM = "HS256"
ACCESS, REFRESH = "access", "refresh"
ACCESS_LIFETIME = timedelta(minutes=5)
REFRESH_LIFETIME = timedelta(days=1)
# A session ends this long after its login, however often it is renewed. This limits the use of a stolen token.
SESSION_LIFETIME = timedelta(days=30)
# The clocks of two hosts may differ by this much.
LEEWAY = timedelta(seconds=2)
# The longest token, in characters.
MAX_LENGTH = 2048
AUDIENCE = "marketdata-api"

_LABEL = b"marketdata: tokens of sessions, 2"
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "jti", "token_type"]
# Only this header is parsed, because whoever sends a token can put anything into its header.
_HEADER = jwt.encode({}, "-" * 32, algorithm=ALGORITHM).partition(".")[0]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token. `identity` is `Caller.identity`. `expires_at` includes LEEWAY."""

    identity: str
    session_id: str
    token_id: str
    expires_at: datetime


def signing_keys() -> tuple[bytes, ...]:
    """Return the keys: the first one signs, all verify. They come from SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return _derived((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _derived(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(derive_key(secret.encode(), _LABEL) for secret in secrets)


def new_id() -> str:
    """Return a new id of a session or of a token: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def token_encode(
    kind: str, *, identity: str, session_id: str, token_id: str, now: datetime, lifetime: timedelta
) -> str:
    """Return a signed token. kind: ACCESS or REFRESH."""
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "aud": AUDIENCE,
        "sub": identity,
        "sid": session_id,
        "jti": token_id,
        "token_type": kind,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, signing_keys()[0], algorithm=ALGORITHM)


def token_decode(token: str, kind: str, *, may_have_expired: bool = False) -> Claims:
    """Return the claims of a token of that kind. Raises InvalidToken, with the same message for every reason."""
    if len(token) <= MAX_LENGTH and token.partition(".")[0] == _HEADER:
        for key in signing_keys():
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    issuer=settings.TOKEN_ISSUER,
                    leeway=LEEWAY,
                    options={"require": _CLAIMS, "strict_aud": True, "verify_exp": not may_have_expired},
                )
            except (jwt.InvalidTokenError, ValueError):
                continue
            if claims["token_type"] == kind:
                expires_at = datetime.fromtimestamp(claims["exp"], tz=UTC) + LEEWAY
                return Claims(claims["sub"], claims["sid"], claims["jti"], expires_at)
    raise InvalidToken
