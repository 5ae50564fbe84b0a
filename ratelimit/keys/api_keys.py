"""API keys as values: their format, digest and signing secret, and parsing from headers. No database access.

A key is `md_<prefix>_<secret>`. The prefix (8 characters, a letter first, so that it never looks like a numeric id)
names the key in lists and logs. The secret has 43 base-62 characters, 256 bits. Only the SHA-256 of the whole key is
stored: with that much entropy a slow password hash would cost time and add no security.

The signing secret is derived on demand and never stored: HKDF-SHA256 (RFC 5869) of the master secret, with the key's
digest as `info`. Nobody can sign with the database alone, or with the master secret alone. The master secret is the
setting SIGNING_SECRET; without it, a secret derived from SECRET_KEY.
"""

import hashlib
import hmac
import re
import secrets
import string
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from ratelimit.exceptions import AmbiguousCredentials, InvalidApiKey

SCHEME = "Api-Key"
PREFIX_LENGTH = 8
_SECRET_LENGTH = 43
_BASE62 = string.ascii_letters + string.digits
_KEY = re.compile(r"md_([A-Za-z][A-Za-z0-9]{7})_[A-Za-z0-9]{32,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. `key` is stored nowhere else."""

    key: str = field(repr=False)
    prefix: str
    digest: str


def generate() -> NewKey:
    """Make a random key."""
    prefix = secrets.choice(string.ascii_letters) + _random(PREFIX_LENGTH - 1)
    key = f"md_{prefix}_{_random(_SECRET_LENGTH)}"
    return NewKey(key=key, prefix=prefix, digest=digest(key))


def digest(key: str) -> str:
    """Return the SHA-256 of the whole key as 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def prefix_of(key: str) -> str:
    """Return the prefix of a well-formed key."""
    return key.split("_")[1]


def is_well_formed(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def key_in_headers(*, authorization: str | None, x_api_key: str | None) -> str | None:
    """Return the key in the two headers; None if there is none.

    `Authorization` is read only if its scheme is `Api-Key` (in upper or lower case). Raises InvalidApiKey for a
    malformed key, AmbiguousCredentials for several keys.
    """
    keys = [key for key in (_from_authorization(authorization), x_api_key) if key is not None]
    if not keys:
        return None
    if len(keys) > 1 and not hmac.compare_digest(keys[0].encode(), keys[1].encode()):
        raise AmbiguousCredentials("Authorization and X-API-Key have different keys; send one")
    if "," in keys[-1]:
        # Servers join repeated headers with commas, and keys do not contain commas.
        raise AmbiguousCredentials("there is more than one key in X-API-Key; send one")
    if not is_well_formed(keys[0]):
        raise InvalidApiKey("the API key is malformed; send it as it was shown")
    return keys[0]


def _from_authorization(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() == SCHEME.lower() else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


# The prefix of signing secrets, so that leaked ones are recognised (secret scanners, log masking).
SIGNING_SECRET_PREFIX = "mds_"  # noqa: S105 what all secrets begin with
_MASTER_LABEL = b"marketdata signing master 1"
_KEY_LABEL = b"marketdata signing secret 1:"


def signing_secret(digest: str) -> str:
    """Return the signing secret of the key with that digest: 47 ASCII characters, used as the HMAC key undecoded."""
    return signing_secrets(digest)[0]


def signing_secrets(digest: str) -> tuple[str, ...]:
    """Return the key's signing secret, then older ones, derived from SECRET_KEY_FALLBACKS, that are still accepted."""
    return tuple(_secret_of(master, digest) for master in _masters())


def _masters() -> list[bytes]:
    if settings.SIGNING_SECRET:
        return [settings.SIGNING_SECRET.encode()]
    return [_master_of(str(key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=16)
def _master_of(secret_key: str) -> bytes:
    return derive_key(secret_key.encode(), _MASTER_LABEL)


# Cached because every signed request needs it.
@lru_cache(maxsize=10_000)
def _secret_of(master: bytes, digest: str) -> str:
    key = derive_key(master, _KEY_LABEL + digest.encode())
    return SIGNING_SECRET_PREFIX + urlsafe_b64encode(key).rstrip(b"=").decode()


def derive_key(secret: bytes, info: bytes) -> bytes:
    """Derive a key of 32 bytes with HKDF-SHA256. A different `info` makes an independent key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
