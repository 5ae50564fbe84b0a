"""Opaque cursors of lists: from or before which row, in which query."""

import hashlib
from dataclasses import dataclass
from typing import Self

from listing.exceptions import InvalidCursor
from listing.sealed_text import opened_text, sealed_text

_LABEL = "listing.cursors"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list that `query` names, in its order.

    Forward: the rows from `place` on. Backward: the rows just before it.
    """

    backward: bool
    place: str
    query: str

    def encode(self) -> str:
        """URL-safe base64, sealed with the secret key."""
        payload = bytes([self.backward]) + _fingerprint(self.query) + self.place.encode()
        return sealed_text(payload, label=_LABEL)

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """The cursor in `text`. Raises InvalidCursor unless it was made here, for the same query."""
        payload = opened_text(text, label=_LABEL)
        behind = 1 + _FINGERPRINT_BYTES
        if payload[1:behind] != _fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query")
        return cls(bool(payload[0]), payload[behind:].decode(), query)


def _fingerprint(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:_FINGERPRINT_BYTES]
