"""Opaque page cursors, bound to a query, its range and commits.

A walk is the sequence of pages that a client reads by following cursors. All its pages read the same commits.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from listing.cursors import InvalidCursor, seal_text, unseal_text
from stats.exceptions import ResyncRequired
from store.protocol import CommitId


@dataclass(frozen=True, slots=True, order=True)
class RowPosition:
    """A row's position in an answer.

    place: the index of its symbol in the query. time_ns: nanoseconds UTC. ordinal: its index among the rows of
    the same symbol and time.
    """

    place: int
    time_ns: int
    ordinal: int = 0


# earlier, place, time_ns, ordinal, walk_now_ns, hashes of query, range and rules, number of commits.
_LAYOUT = struct.Struct(">?HqIq8s8s8sH")
_COMMIT = struct.Struct(">q8s")  # number, hash
_LABEL = "stats.cursors"


@dataclass(frozen=True, slots=True)
class SeenCommit:
    """A log's newest commit when a walk began: its number, and the first 16 digits of its hash."""

    number: int
    hash: str

    @classmethod
    def of(cls, commit: CommitId) -> Self:
        """The commit, in the form that a cursor stores."""
        return cls(commit.number, commit.hash[:16])

    def check(self, commit: CommitId) -> None:
        """Raise `ResyncRequired` unless `commit`, the log's commit of this number, has this hash."""
        if SeenCommit.of(commit) != self:
            raise ResyncRequired(
                "the log was restored since the cursor was made; start again at the first page"
            )


def fingerprint(text: str) -> bytes:
    """The first eight bytes of a text's SHA-256."""
    return hashlib.sha256(text.encode()).digest()[:8]


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Names a page: the rows from `position` on or, if `earlier`, the last rows before it.

    commits: the commit that every page reads, one per log, in the order of the query's logs. walk_now_ns: the
    walk's frozen "now" (see `Validity`). within, rules: hashes of the range, and of everything that the rows
    are made from.
    """

    earlier: bool
    position: RowPosition
    commits: tuple[SeenCommit, ...]
    walk_now_ns: int = 0
    within: bytes = fingerprint("")
    rules: bytes = fingerprint("")

    def encode(self, query: str) -> str:
        """Return the cursor as URL-safe base64, sealed with the secret key and bound to the query."""
        at = self.position
        head = _LAYOUT.pack(
            self.earlier,
            at.place,
            at.time_ns,
            at.ordinal,
            self.walk_now_ns,
            fingerprint(query),
            self.within,
            self.rules,
            len(self.commits),
        )
        commits = (_COMMIT.pack(commit.number, bytes.fromhex(commit.hash)) for commit in self.commits)
        return seal_text(b"".join((head, *commits)), label=_LABEL)

    @classmethod
    def decode(cls, text: str, *, query: str) -> Self:
        """The cursor in `text`. Raises `InvalidCursor` unless it was made here for the same query."""
        payload = unseal_text(text, label=_LABEL)
        earlier, place, time_ns, ordinal, walk_now_ns, of_query, within, rules, count = _LAYOUT.unpack_from(
            payload
        )
        if of_query != fingerprint(query):
            raise InvalidCursor("the cursor belongs to another query")
        commits = (
            _COMMIT.unpack_from(payload, _LAYOUT.size + number * _COMMIT.size) for number in range(count)
        )
        seen = tuple(SeenCommit(number, digest.hex()) for number, digest in commits)
        return cls(earlier, RowPosition(place, time_ns, ordinal), seen, walk_now_ns, within, rules)

    def check(self, within: bytes, rules: bytes) -> None:
        """Raise `InvalidCursor` if the range differs, `ResyncRequired` if the rows' inputs have changed."""
        if self.within != within:
            raise InvalidCursor("the cursor belongs to another range")
        if self.rules != rules:
            raise ResyncRequired(
                "the rows are made differently since the cursor was made; start again at the first page"
            )


def seen_commits(heads: Sequence[CommitId]) -> tuple[SeenCommit, ...]:
    """The commits, in the form that a cursor stores."""
    return tuple(map(SeenCommit.of, heads))
