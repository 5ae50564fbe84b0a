"""Opaque cursors: where a page begins or ends, of which query, in which snapshot."""

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
    """A row's place.

    place: of its symbol among those asked for. time_ns: nanoseconds UTC. ordinal: among rows that share both.
    """

    place: int
    time_ns: int
    ordinal: int = 0


# Earlier, place, time, ordinal, when the walk began, query, range, rules, number of commits.
_LAYOUT = struct.Struct(">?HqIq8s8s8sH")
_COMMIT = struct.Struct(">q8s")  # number, hash
_LABEL = "stats.cursors"


@dataclass(frozen=True, slots=True)
class SeenCommit:
    """The newest commit of a log when a walk began: its number, and the first sixteen digits of its hash."""

    number: int
    hash: str

    @classmethod
    def of(cls, commit: CommitId) -> Self:
        """What a cursor keeps of a commit."""
        return cls(commit.number, commit.hash[:16])

    def check(self, commit: CommitId) -> None:
        """Raises `ResyncRequired` unless the log's commit of that number is still the same one."""
        if SeenCommit.of(commit) != self:
            raise ResyncRequired("the log was restored since the cursor was made; begin the walk anew")


def fingerprint(text: str) -> bytes:
    """Eight bytes that tell a text from others."""
    return hashlib.sha256(text.encode()).digest()[:8]


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Rows from `position` on; if `earlier`, the rows just before it.

    commits: of each log that the walk reads, in the order of the query's logs: all pages are read as of
    these. begun_ns: the time of the walk's first page, where the answer depends on it. within, rules: its
    range, and how its rows are made, each hashed.
    """

    earlier: bool
    position: RowPosition
    commits: tuple[SeenCommit, ...]
    walk_now_ns: int = 0
    within: bytes = fingerprint("")
    rules: bytes = fingerprint("")

    def encode(self, query: str) -> str:
        """URL-safe base64, sealed with the secret key, bound to the query."""
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
        """The cursor in `text`. Raises `InvalidCursor` unless it was made here, for the same query."""
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
        """Raises `InvalidCursor` unless the walk is of this range, `ResyncRequired` unless its rows are still made in the same way."""
        if self.within != within:
            raise InvalidCursor("the cursor belongs to another range")
        if self.rules != rules:
            raise ResyncRequired(
                "the rows are made otherwise than when the cursor was made; begin the walk anew"
            )


def seen_commits(heads: Sequence[CommitId]) -> tuple[SeenCommit, ...]:
    """What a cursor keeps of the logs' newest commits."""
    return tuple(map(SeenCommit.of, heads))
