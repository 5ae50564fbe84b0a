"""Encrypts texts for the database, with keys derived from SECRET_KEY."""

from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypted(data: bytes, *, label: bytes) -> str:
    """Return the data encrypted with SECRET_KEY. What is encrypted with one label cannot be decrypted with another."""
    return _cipher(label).encrypt(data).decode()


def decrypted(text: str, *, label: bytes) -> bytes | None:
    """Return the data; None if neither SECRET_KEY nor SECRET_KEY_FALLBACKS encrypted it, or it was altered."""
    try:
        return _cipher(label).decrypt(text.encode())
    except InvalidToken:
        return None


def _cipher(label: bytes) -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(urlsafe_b64encode(derived_key(str(key), label=label))) for key in keys])


@lru_cache(maxsize=64)
def derived_key(secret_key: str, *, label: bytes) -> bytes:
    """Return 32 bytes that follow from a secret and a label (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(secret_key.encode())
