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
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from ratelimit.exceptions import AmbiguousCredentials, InvalidApiKey

SCHEME = "Api-Key"
# The headers of Alpaca's clients, which send a key in two parts.
ALPACA_KEY_ID, ALPACA_SECRET = "apca-api-key-id", "apca-api-secret-key"
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


def generate(prefix: str = "") -> NewKey:
    """Make a random key, with a random prefix unless one is given."""
    prefix = prefix or secrets.choice(string.ascii_letters) + _random(PREFIX_LENGTH - 1)
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


def has_key(headers: Mapping[str, str]) -> bool:
    """Return whether one of the headers that have nothing but a key is there."""
    return "x-api-key" in headers or ALPACA_KEY_ID in headers


def key_in_headers(headers: Mapping[str, str]) -> str | None:
    """Return the key in the headers, whose names are lower case; None if there is none.

    `Authorization` is read only if its scheme is `Api-Key` or `Basic` (in upper or lower case). Raises InvalidApiKey for
    a malformed key, AmbiguousCredentials for several keys.
    """
    found = (_in_authorization(headers), headers.get("x-api-key"), _in_alpaca_headers(headers))
    keys = [key for key in found if key is not None]
    if not keys:
        return None
    if any("," in key for key in keys):
        # Servers join repeated headers with commas, and keys do not contain commas.
        raise AmbiguousCredentials("there is more than one key in one header; send one")
    if not all(hmac.compare_digest(keys[0].encode(), key.encode()) for key in keys):
        raise AmbiguousCredentials("there are different keys in several headers; send one")
    if not is_well_formed(keys[0]):
        raise InvalidApiKey("the API key is malformed; send it as it was shown")
    return keys[0]


def _in_authorization(headers: Mapping[str, str]) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "basic":
        try:
            key_id, _, secret = b64decode(credentials.strip(), validate=True).decode().partition(":")
        except ValueError:
            raise InvalidApiKey("the credentials of Basic are no base64 of key:secret") from None
        return joined_key(key_id, secret)
    return credentials.strip() if scheme.lower() == SCHEME.lower() else None


def _in_alpaca_headers(headers: Mapping[str, str]) -> str | None:
    key_id = headers.get(ALPACA_KEY_ID)
    return None if key_id is None else joined_key(key_id, headers.get(ALPACA_SECRET, ""))


def joined_key(key_id: str, secret: str) -> str:
    """Return the key of a client that sends a name and a secret, as Alpaca's clients do.

    One of the two is the whole key, or key_id is the key's prefix, with or without `md_`, and secret is the rest.
    """
    whole = next((part for part in (key_id, secret) if is_well_formed(part)), None)
    return whole or f"md_{key_id.removeprefix('md_')}_{secret}"


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
