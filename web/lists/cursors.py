"""Opaque cursors of lists. Each ends with a seal, an HMAC made with SECRET_KEY, so that clients cannot forge them."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from django.conf import settings
from django.utils.crypto import salted_hmac

from web.requests.exceptions import RequestError

_LABEL = "listing.cursors"
_FINGERPRINT_BYTES = 8
_FORGED = "the cursor was altered, or is not of this service; start again without a cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the result of `query`. The page starts at the position; if `backward`, it ends just before it."""

    backward: bool
    position: str
    query: str

    def encode(self) -> str:
        """Return the cursor as URL-safe base64, sealed with SECRET_KEY."""
        payload = bytes([self.backward]) + _fingerprint(self.query) + self.position.encode()
        return seal_text(payload, label=_LABEL)

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """Parse a cursor. Raises InvalidCursor unless this installation sealed it for the same query."""
        payload = unseal_text(text, label=_LABEL)
        header_length = 1 + _FINGERPRINT_BYTES
        if payload[1:header_length] != _fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query; start again without a cursor")
        return cls(bool(payload[0]), payload[header_length:].decode(), query)


def _fingerprint(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:_FINGERPRINT_BYTES]


_SEAL_BYTES = 16


def seal_text(payload: bytes, *, label: str) -> str:
    """Return payload and seal as URL-safe base64. A text sealed with one label cannot be unsealed with another."""
    return _canonical(payload + _seal(payload, label, settings.SECRET_KEY))


def unseal_text(text: str, *, label: str) -> bytes:
    """Return the payload of a text sealed with SECRET_KEY or one of SECRET_KEY_FALLBACKS. Raises InvalidCursor."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor(_FORGED) from error
    payload, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    is_ours = any(hmac.compare_digest(seal, _seal(payload, label, secret)) for secret in secrets)
    if not is_ours or _canonical(data) != text:
        raise InvalidCursor(_FORGED)
    return payload


def _canonical(data: bytes) -> str:
    """Return the canonical base64 text. Decoders also accept texts with padding or with other unused last bits."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _seal(payload: bytes, label: str, secret: str | bytes) -> bytes:
    return hmac.digest(_key(label, secret), payload, "sha256")[:_SEAL_BYTES]


@lru_cache(maxsize=64)
def _key(label: str, secret: str | bytes) -> bytes:
    # Cached because every page seals and unseals cursors.
    return salted_hmac(label, "", secret, algorithm="sha256").digest()


class InvalidCursor(RequestError):
    """The cursor is forged, truncated, or of another query; start again without a cursor."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_cursor", message)
