"""Opaque cursors: where a page begins or ends, of which query, in which snapshot."""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Self

from django.conf import settings

from stats.exceptions import InvalidCursor
from trades.storage.protocol import CommitId

_LAYOUT = struct.Struct(">?qq8s8s")  # backward, position_ns, commit number, commit hash, query
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """Forward: rows from `position_ns` on. Backward: the rows just before it.

    commit: the newest commit when the walk began; all pages of it are read as of that commit.
    """

    backward: bool
    position_ns: int
    commit_number: int
    commit_hash: str
    query: str

    def encode(self) -> str:
        """URL-safe base64, sealed with the secret key."""
        payload = _LAYOUT.pack(
            self.backward,
            self.position_ns,
            self.commit_number,
            bytes.fromhex(self.commit_hash[:16]),
            _fingerprint(self.query),
        )
        return _spelled(payload + _seal(payload))

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """The cursor in `text`. Raises `InvalidCursor` unless it was made here, for the same query."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor("the cursor is not one of ours") from error
        payload, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        is_ours = len(payload) == _LAYOUT.size and hmac.compare_digest(seal, _seal(payload))
        if not is_ours or _spelled(data) != text:
            raise InvalidCursor("the cursor is not one of ours")
        backward, position_ns, number, commit_hash, of_query = _LAYOUT.unpack(payload)
        if of_query != _fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query")
        return cls(backward, position_ns, number, commit_hash.hex(), query)

    def is_of(self, commit: CommitId) -> bool:
        """Whether the log still has the cursor's commit, with the same hash."""
        return commit.number == self.commit_number and commit.hash[:16] == self.commit_hash[:16]


def _spelled(data: bytes) -> str:
    """The one spelling of a cursor: base64 also reads others, with padding or with bits that it drops."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _fingerprint(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:8]


def _seal(payload: bytes) -> bytes:
    key = hashlib.sha256(b"cursor" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(key, payload, "sha256")[:_SEAL_BYTES]
