"""The hash chain: each record has a keyed hash over itself and the hash of the record before it.

Pure: no Django, no files, no clock. The hash of record n is an HMAC-SHA256 with the key, in hex. Its input is the
hash of record n - 1, followed by the JSON of a list: n, then the record's columns in the order of `AuditColumns`.
Without the key nobody can compute a valid hash. The JSON is msgspec's: it has no spaces, and times are in RFC 3339
and UTC with as many digits as needed.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from audit.records.columns import AuditColumns

GENESIS = "0" * 64
"""The "hash before" of the first record."""

_encode = msgspec.json.Encoder().encode


class Head(NamedTuple):
    """Number and hash of the last record of a chain, or of a part of it."""

    sequence: int
    hash: str


BEGINNING = Head(0, GENESIS)


class Link(NamedTuple):
    """A record with its number and hash."""

    sequence: int
    columns: AuditColumns
    hash: str


class ChainKey:
    """The key of hashes and seals, derived from a secret. The repr of this object does not show the secret."""

    def __init__(self, secret: str) -> None:
        self._root = hashlib.sha256(secret.encode()).digest()
        self._records = self._keyed("records")

    def hash(self, previous: str, sequence: int, columns: Iterable[object]) -> str:
        """Return the hash of a record. `previous` is the hash of the record before it. Times must be aware."""
        mac = self._records.copy()
        mac.update(previous.encode() + _encode((sequence, *columns)))
        return mac.hexdigest()

    def derived(self, purpose: str) -> bytes:
        """Return a key of 256 bits for this purpose and no other."""
        return hmac.digest(self._root, b"marketdata audit " + purpose.encode(), "sha256")

    def seal(self, purpose: str, text: str) -> str:
        """Return a code that proves that a holder of the key wrote `text` for this purpose."""
        mac = self._keyed(purpose)
        mac.update(text.encode())
        return mac.hexdigest()

    def chained(self, head: Head, rows: Iterable[AuditColumns]) -> Iterator[Link]:
        """Return the rows with numbers and hashes that continue from `head`."""
        sequence, previous = head
        for columns in rows:
            sequence += 1
            previous = self.hash(previous, sequence, columns)
            yield Link(sequence, columns, previous)

    def _keyed(self, purpose: str) -> hmac.HMAC:
        return hmac.new(self.derived(purpose), digestmod="sha256")


def in_utc(at: datetime) -> datetime:
    """Convert an instant to UTC. Raises ValueError for a time without an offset."""
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError("a time without an offset is no instant")
    return at.astimezone(UTC)
