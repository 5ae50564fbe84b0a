"""The chain of records: each carries a keyed hash over itself and the hash before.

Pure: no Django, no files, no clock. `hash` of record n = HMAC-SHA256(key, hash of n - 1 ‖ JSON of [n, its
columns in the order of `AuditColumns`]), in hex. Keyed, so that whoever can write the database and knows all of
this cannot make a hash anew. Of the texts of JSON one is canonical: msgspec's, without spaces, times in RFC
3339 and UTC with as many digits as needed.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from audit.records.columns import AuditColumns

GENESIS = "0" * 64
"""What stands for the hash before the first record."""

_encode = msgspec.json.Encoder().encode


class Head(NamedTuple):
    """The last record of a chain, or of a part of it."""

    sequence: int
    hash: str


BEGINNING = Head(0, GENESIS)


class Link(NamedTuple):
    """A record with its place in the chain."""

    sequence: int
    columns: AuditColumns
    hash: str


class ChainKey:
    """What hashes are keyed with, derived from a secret; it shows in no representation."""

    def __init__(self, secret: str) -> None:
        self._root = hashlib.sha256(secret.encode()).digest()
        self._records = self._keyed("records")

    def hash(self, previous: str, sequence: int, columns: Iterable[object]) -> str:
        """The hash of a record, given the one before it. Times are aware."""
        mac = self._records.copy()
        mac.update(previous.encode())
        mac.update(_encode((sequence, *columns)))
        return mac.hexdigest()

    def derived(self, purpose: str) -> bytes:
        """A key of 256 bits for this purpose and no other."""
        return hmac.digest(self._root, b"marketdata audit " + purpose.encode(), "sha256")

    def seal(self, purpose: str, text: str) -> str:
        """A code that shows that `text` was written by a holder of the key, for this purpose and no other."""
        mac = self._keyed(purpose)
        mac.update(text.encode())
        return mac.hexdigest()

    def is_sealed(self, purpose: str, text: str, seal: str) -> bool:
        """Whether `seal` is the text's."""
        return hmac.compare_digest(self.seal(purpose, text).encode(), seal.encode("utf-8", "replace"))

    def chained(self, head: Head, rows: Iterable[AuditColumns]) -> Iterator[Link]:
        """The rows with their places after `head`."""
        sequence, previous = head
        for columns in rows:
            sequence += 1
            previous = self.hash(previous, sequence, columns)
            yield Link(sequence, columns, previous)

    def _keyed(self, purpose: str) -> hmac.HMAC:
        return hmac.new(self.derived(purpose), digestmod="sha256")


def in_utc(at: datetime) -> datetime:
    """The same instant in UTC: its one spelling. Raises ValueError for a time without an offset."""
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError("a time without an offset is no instant")
    return at.astimezone(UTC)
