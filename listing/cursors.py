"""Opaque cursors of lists: from or before which row, in which query."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Self

from django.conf import settings
from django.utils.crypto import salted_hmac

from listing.exceptions import InvalidCursor

_LABEL = "listing.cursors"
_FINGERPRINT_BYTES = 8
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """Forward: rows from `place` on. Backward: the rows just before it. In the order of `query`, which names its list."""

    backward: bool
    place: str
    query: str

    def encode(self) -> str:
        """URL-safe base64, sealed with the secret key."""
        payload = bytes([self.backward]) + _fingerprint(self.query) + self.place.encode()
        return _spelled(payload + _seal(payload, settings.SECRET_KEY))

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """The cursor in `text`. Raises InvalidCursor unless it was made here, for the same query."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _not_ours() from error
        payload, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        if not _is_sealed(payload, seal) or _spelled(data) != text:
            raise _not_ours()
        behind = 1 + _FINGERPRINT_BYTES
        if payload[1:behind] != _fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query")
        return cls(bool(payload[0]), payload[behind:].decode(), query)


def _not_ours() -> InvalidCursor:
    return InvalidCursor("the cursor is not one of ours")


def _spelled(data: bytes) -> str:
    """The one spelling of a cursor: base64 also reads others, with padding or with bits that it drops."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _fingerprint(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:_FINGERPRINT_BYTES]


def _is_sealed(payload: bytes, seal: bytes) -> bool:
    """Whether this installation sealed it, with the secret key or one before it."""
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(seal, _seal(payload, secret)) for secret in secrets)


def _seal(payload: bytes, secret: str | bytes) -> bytes:
    # Django's function takes text; the digits of the payload are as good.
    return salted_hmac(_LABEL, payload.hex(), secret, algorithm="sha256").digest()[:_SEAL_BYTES]
