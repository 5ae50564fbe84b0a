"""Opaque page cursors, bound to a query, its range and commits.

A walk is the sequence of pages that a client reads by following cursors. All its pages read the same commits.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from stats.exceptions import ResyncRequired
from store.protocol import CommitId
from web.lists.cursors import InvalidCursor, seal_text, unseal_text


@dataclass(frozen=True, slots=True, order=True)
class RowPosition:
    """A row's position in an answer.

    symbol_index: the index of its symbol in the query. time_ns: nanoseconds UTC. ordinal: its index among the
    rows of the same symbol and time.
    """

    symbol_index: int
    time_ns: int
    ordinal: int = 0


# earlier, symbol_index, time_ns, ordinal, walk_now_ns, hashes of query, range and inputs, number of commits.
_LAYOUT = struct.Struct(">?HqIq8s8s8sH")
_COMMIT = struct.Struct(">q8s")  # number, hash
_INSTANT = struct.Struct(">q")
_LABEL = "stats.cursors"


def stored_commit(commit: CommitId) -> CommitId:
    """Return a log's commit in the form that a cursor stores: with the first 16 digits of its hash."""
    return CommitId(commit.number, commit.hash[:16])


def fingerprint(text: str) -> bytes:
    """Return the first eight bytes of a text's SHA-256."""
    return hashlib.sha256(text.encode()).digest()[:8]


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The start of a page: the page has the rows from `position` on or, if `earlier`, the last rows before it.

    commits: the commits that every page reads, one per log, in the order of the query's logs; see `stored_commit`.
    walk_now_ns: the walk's frozen "now" (see `Plan`). inputs_hash: a hash of everything that the rows are made from, except logs.
    final_until_ns: for each symbol, up to where bars are final; empty if the rows do not say which are.
    """

    earlier: bool
    position: RowPosition
    commits: tuple[CommitId, ...]
    walk_now_ns: int = 0
    range_hash: bytes = fingerprint("")
    inputs_hash: bytes = fingerprint("")
    final_until_ns: tuple[int, ...] = ()

    def encode(self, query: str) -> str:
        """Return the cursor as URL-safe base64, sealed with the secret key and bound to the query."""
        head = _LAYOUT.pack(
            self.earlier,
            self.position.symbol_index,
            self.position.time_ns,
            self.position.ordinal,
            self.walk_now_ns,
            fingerprint(query),
            self.range_hash,
            self.inputs_hash,
            len(self.commits),
        )
        commits = (_COMMIT.pack(commit.number, bytes.fromhex(commit.hash)) for commit in self.commits)
        final = map(_INSTANT.pack, self.final_until_ns)
        return seal_text(b"".join((head, *commits, *final)), label=_LABEL)

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """Return the cursor in `text`. Raises `InvalidCursor` unless it was made here for the same query."""
        payload = unseal_text(text, label=_LABEL)
        fields = _LAYOUT.unpack_from(payload)
        earlier, symbol_index, time_ns, ordinal, walk_now_ns, query_hash, range_hash, inputs_hash, count = (
            fields
        )
        if query_hash != fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query")
        commits_end = _LAYOUT.size + count * _COMMIT.size
        commits = tuple(
            CommitId(number, digest.hex())
            for number, digest in _COMMIT.iter_unpack(payload[_LAYOUT.size : commits_end])
        )
        final = tuple(instant for (instant,) in _INSTANT.iter_unpack(payload[commits_end:]))
        position = RowPosition(symbol_index, time_ns, ordinal)
        return cls(earlier, position, commits, walk_now_ns, range_hash, inputs_hash, final)

    def check(self, range_hash: bytes, inputs_hash: bytes) -> None:
        """Raise `InvalidCursor` if the range differs, `ResyncRequired` if the rows' inputs have changed."""
        if self.range_hash != range_hash:
            raise InvalidCursor("the cursor belongs to another range")
        if self.inputs_hash != inputs_hash:
            raise ResyncRequired(
                "the inputs of the rows have changed since the cursor was made; start again at the first page"
            )
