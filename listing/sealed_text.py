"""Bytes as text that goes out and comes back unchanged: URL-safe base64, sealed with the secret key."""

import base64
import binascii
import hmac
from functools import lru_cache

from django.conf import settings
from django.utils.crypto import salted_hmac

from listing.exceptions import InvalidCursor

_SEAL_BYTES = 16


def sealed_text(payload: bytes, *, label: str) -> str:
    """The text of a payload. label: what it is for; another's text is not opened."""
    return _spelled(payload + _seal(payload, label, settings.SECRET_KEY))


def opened_text(text: str, *, label: str) -> bytes:
    """The payload in a text that was sealed with the secret key or one before it. Raises `InvalidCursor`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor("the cursor is not one of ours") from error
    payload, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    is_ours = any(hmac.compare_digest(seal, _seal(payload, label, secret)) for secret in secrets)
    if not is_ours or _spelled(data) != text:
        raise InvalidCursor("the cursor is not one of ours")
    return payload


def _spelled(data: bytes) -> str:
    """The one spelling of a text: base64 also reads others, with padding or with bits that it drops."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _seal(payload: bytes, label: str, secret: str | bytes) -> bytes:
    return hmac.digest(_key(label, secret), payload, "sha256")[:_SEAL_BYTES]


@lru_cache(maxsize=64)
def _key(label: str, secret: str | bytes) -> bytes:
    # As Django derives keys; kept, because every page opens and makes cursors.
    return salted_hmac(label, "", secret, algorithm="sha256").digest()
