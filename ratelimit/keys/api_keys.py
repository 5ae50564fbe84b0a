"""API keys as values: their format, their digest, and how a request presents one. No database here.

A key is `md_<prefix>_<secret>`. The prefix (8 characters, a letter first, so that it is never taken for a
numeric id) names the key in lists and logs; the secret has 43 base-62 characters, 256 bits. Only the SHA-256
of the whole key is stored: with that much entropy a slow password hash would add time and no safety.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

from ratelimit.exceptions import AmbiguousCredentials, InvalidApiKey

SCHEME = "Api-Key"
PREFIX_LENGTH = 8
_SECRET_LENGTH = 43
_BASE62 = string.ascii_letters + string.digits
_KEY = re.compile(r"md_([A-Za-z][A-Za-z0-9]{7})_[A-Za-z0-9]{32,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `key` is known here and nowhere else."""

    key: str = field(repr=False)
    prefix: str
    digest: str


def generate() -> NewKey:
    """A new random key."""
    prefix = secrets.choice(string.ascii_letters) + _random(PREFIX_LENGTH - 1)
    key = f"md_{prefix}_{_random(_SECRET_LENGTH)}"
    return NewKey(key=key, prefix=prefix, digest=digest(key))


def digest(key: str) -> str:
    """The SHA-256 of the whole key as 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def prefix_of(key: str) -> str:
    """The prefix of a well-formed key."""
    return key.split("_")[1]


def is_well_formed(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def presented_key(*, authorization: str | None, x_api_key: str | None) -> str | None:
    """The key that the two headers present, or None where neither does.

    `Authorization` counts only with the scheme `Api-Key` (in any case). Raises InvalidApiKey where a key is
    malformed, AmbiguousCredentials where the headers present different ones, or one of them several.
    """
    found = [key for key in (_from_authorization(authorization), x_api_key) if key is not None]
    if not found:
        return None
    if len(found) > 1 and not hmac.compare_digest(found[0].encode(), found[1].encode()):
        raise AmbiguousCredentials("Authorization and X-API-Key present different keys; send one")
    if "," in found[-1]:
        # No key has a comma: a server joins repeated headers with it.
        raise AmbiguousCredentials("there is more than one key in X-API-Key; send one")
    if not is_well_formed(found[0]):
        raise InvalidApiKey("the API key is malformed")
    return found[0]


def _from_authorization(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() == SCHEME.lower() else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))
