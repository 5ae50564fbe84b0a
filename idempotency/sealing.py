"""What is sealed for this service alone, with keys of SECRET_KEY: the database tells nothing of it."""

from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_LABEL = b"marketdata sealed answers 1"


def seal(data: bytes) -> str:
    return _box().encrypt(data).decode()


def opened(sealed: str) -> bytes | None:
    """What was sealed; None where the secret key is another one now, or where it was altered."""
    try:
        return _box().decrypt(sealed.encode())
    except InvalidToken:
        return None


def _box() -> MultiFernet:
    return MultiFernet([_fernet(str(key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@lru_cache(maxsize=16)
def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_LABEL).derive(secret_key.encode())
    return Fernet(urlsafe_b64encode(derived))
