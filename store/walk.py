"""The pieces of a log's commits that `Log.commits` yields, and the hooks that a writer calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from store import lazy_pyarrow as pa
from store.commits import Facts, chained, decode_facts, encode_facts
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.protocol import NO_COMMIT, Action, Amendment, Append, CommitId, Receipt
from store.rows.corrections import Row
from store.rows.stored_rows import ARRIVAL

ALL_ROWS = 2**63 - 1
PIECE_ROWS = 65_536
"""The maximum number of rows or corrections in one piece."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position in a log: a commit, and how many of its rows or corrections a follower has read.

    ordinal: `ALL_ROWS`, or any number of at least the record's `length`, means all of them.
    """

    commit: CommitId
    ordinal: int = ALL_ROWS


BEGINNING = LogPosition(NO_COMMIT)


class LogEnd(NamedTuple):
    """The newest commit of a log, its time in nanoseconds UTC, and the number of rows ever stored."""

    head: CommitId = NO_COMMIT
    committed_at: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A commit without its rows."""

    id: CommitId
    facts: Facts

    @property
    def committed_at(self) -> int:
        """The commit's time, in nanoseconds UTC."""
        return self.facts.committed_at

    @property
    def receipt(self) -> Receipt:
        """The answer that the caller got."""
        return self.facts.receipt(self.id.hash)

    @property
    def length(self) -> int:
        """The number of the commit's rows and corrections. Rows come first."""
        return self.facts.rows + self.facts.corrections

    @classmethod
    def of(cls, text: bytes, commit_hash: str) -> CommitRecord:
        """Return the record with a text. Raises `msgspec.MsgspecError`, `ValueError` if it is none."""
        facts = decode_facts(text)
        return cls(CommitId(facts.number, commit_hash), facts)

    @property
    def text(self) -> bytes:
        """The text that is hashed."""
        return encode_facts(self.facts)

    def follows(self, previous: CommitId) -> bool:
        """Return whether it is the next commit: its number, and the hash of its text after the other's."""
        number = previous.number + 1
        return self.id == CommitId(number, chained(previous.hash, self.text)) and self.facts.number == number

    @property
    def position(self) -> LogPosition:
        """The position before the commit's first row."""
        return LogPosition(self.id, 0)


@dataclass(frozen=True, slots=True)
class CommittedRows:
    """1 to `PIECE_ROWS` rows of a commit, in order of arrival, in the dataset's schema.

    ordinal: the index of the first row in its commit.
    """

    commit: CommitId
    ordinal: int
    rows: pa.RecordBatch

    @property
    def position(self) -> LogPosition:
        """The position after the last row."""
        return LogPosition(self.commit, self.ordinal + self.rows.num_rows)


@dataclass(frozen=True, slots=True)
class CommittedCorrection:
    """The effect of a correction on a row.

    target_commit, target_ordinal: the commit that stored the row, and the row's index in it. arrival: the row's number
    in the log, from 0. before: the row's values after all earlier corrections, including those of the same commit.
    after: its new values; None for a cancel.
    """

    action: Action
    target_commit: int
    target_ordinal: int
    arrival: int
    before: Mapping[str, object]
    after: Mapping[str, object] | None


def effect_of(
    line: Row, action_column: str, states: dict[int, Row], target: Callable[[int], tuple[int, int]]
) -> CommittedCorrection:
    """Return the effect of a stored correction, and update its row in `states`, by arrival number.

    target: returns the commit of a row, and its index in the commit.
    """
    arrival, action = line.pop(ARRIVAL.name), Action(str(line.pop(action_column)))
    assert isinstance(arrival, int)  # noqa: S101 the column's type
    if arrival not in states:
        raise DataDamaged("a correction has another time than its row")
    before, after = states[arrival], line if action is Action.CORRECT else None
    states[arrival] = after or before
    return CommittedCorrection(action, *target(arrival), arrival, before, after)


@dataclass(frozen=True, slots=True)
class CommittedCorrections:
    """1 to `PIECE_ROWS` corrections of a commit, in the order in which they apply.

    ordinal: the index of the first correction in its commit, in which rows come first.
    """

    commit: CommitId
    ordinal: int
    corrections: tuple[CommittedCorrection, ...]

    @property
    def position(self) -> LogPosition:
        """The position after the last correction."""
        return LogPosition(self.commit, self.ordinal + len(self.corrections))


CommitPiece: TypeAlias = CommitRecord | CommittedRows | CommittedCorrections


class Resync(Exception):
    """The log does not have the commit of a follower's position or of a snapshot: it was restored or cut.

    Discard everything taken from the log, and start again: a follower at `BEGINNING`. head: the log's newest commit now.
    It is not a `StorageError`: a retry does not help.
    """

    code = "resync"

    def __init__(self, symbol: str, head: CommitId) -> None:
        super().__init__(
            f"the log of {symbol} was restored and is at commit {head.token} now: start from the beginning"
        )
        self.symbol = symbol
        self.head = head


CommitHook: TypeAlias = Callable[[Dataset, str, CommitId], None]


def call_hooks(hooks: Iterable[CommitHook], request: Append | Amendment, receipt: Receipt) -> Receipt:
    """Call every hook if the request made a commit (or repeated a declaration), and return the receipt.

    An exception in a hook is only logged: the commit is stored.
    """
    is_declared = isinstance(request, Append) and (
        (request.complete_until_ns, request.fill, request.expiry) != (None, None, None)
    )
    is_stored = receipt.stored or receipt.replaced or receipt.superseded is not None
    if not receipt.replayed and (is_stored or request.request_key is not None or is_declared):
        for hook in hooks:
            try:
                hook(request.dataset, request.symbol, receipt.commit)
            except Exception:
                _logger.exception("a hook of commits failed, at %s %s", request.symbol, receipt.commit.token)
    return receipt
