"""The secret with which the bearer of a key signs requests (hmac-sha256).

It is derived when it is needed, and stored nowhere. It is HKDF-SHA256 (RFC 5869) of the master secret with
the key's digest in `info`. Whoever reads the database alone, or the master secret alone, signs nothing; each
key has another one, and a rotated key a new one. The master secret is the setting SIGNING_SECRET or, where it
is not set, derived from SECRET_KEY under a label of its own.
"""

from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

# What a signing secret begins with, so that one is known for a secret wherever it turns up.
MARK = "mds_"
_MASTER_LABEL = b"marketdata signing master 1"
_KEY_LABEL = b"marketdata signing secret 1:"
_BYTES = 32


def signing_secret(digest: str) -> str:
    """The signing secret of the key with that digest.

    It is 47 ASCII characters, which are the HMAC's key as they are.
    """
    return signing_secrets(digest)[0]


def signing_secrets(digest: str) -> tuple[str, ...]:
    """The signing secret of a key, and the former ones that still hold, of SECRET_KEY_FALLBACKS."""
    return tuple(_of_key(master, digest) for master in _masters())


def _masters() -> list[bytes]:
    if settings.SIGNING_SECRET:
        return [settings.SIGNING_SECRET.encode()]
    return [_of_secret_key(str(key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=16)
def _of_secret_key(secret_key: str) -> bytes:
    return _derived(secret_key.encode(), _MASTER_LABEL)


# Asked at each signed request.
@lru_cache(maxsize=10_000)
def _of_key(master: bytes, digest: str) -> str:
    derived = _derived(master, _KEY_LABEL + digest.encode())
    return MARK + urlsafe_b64encode(derived).rstrip(b"=").decode()


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=info).derive(secret)
