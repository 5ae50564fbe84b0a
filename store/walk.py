"""A walk over the commits of one log: its values, where it resumes, and the hook of who writes."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from store.declarations import Dataset
from store.protocol import NO_COMMIT, Action, Amendment, Append, CommitId, Receipt

ALL_ROWS = 2**63 - 1
PIECE_ROWS = 65_536
"""The most rows or corrections in one piece of a walk."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far a walk was taken: a commit's record, and so many of its rows or corrections.

    ordinal: `ALL_ROWS`, or any number that is not smaller than the commit's `receipt.stored`, is all of it.
    """

    commit: CommitId
    ordinal: int = ALL_ROWS


BEGINNING = LogPosition(NO_COMMIT)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A commit without its rows.

    committed_at: nanoseconds UTC. key_hash: SHA-256 of the idempotency key, in hex, or None. digest: what the
    store compares a batch with that comes under the same key. receipt: the answer that the caller was given;
    `stored` is the number of the commit's rows or corrections.
    """

    id: CommitId
    committed_at: int
    caller: str
    key_hash: str | None
    digest: str
    receipt: Receipt

    @property
    def position(self) -> LogPosition:
        """The place behind it: before the commit's first row."""
        return LogPosition(self.id, 0)


@dataclass(frozen=True, slots=True)
class CommittedRows:
    """Rows of a commit, in order of arrival, in the dataset's schema: at least one, at most `PIECE_ROWS`.

    ordinal: the first row's, counted from 0 in its commit.
    """

    commit: CommitId
    ordinal: int
    rows: pa.RecordBatch

    @property
    def position(self) -> LogPosition:
        """The place behind the last row."""
        return LogPosition(self.commit, self.ordinal + self.rows.num_rows)


@dataclass(frozen=True, slots=True)
class CommittedCorrection:
    """What a correction made of a row.

    target_commit, target_ordinal: the commit that stored the row, and the row's ordinal in it. before: the
    row's values until now, by column; earlier corrections, of the same commit too, are in them. after: its
    values from now on; None for a cancel.
    """

    action: Action
    target_commit: int
    target_ordinal: int
    before: Mapping[str, object]
    after: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class CommittedCorrections:
    """Corrections of a commit, in the order in which they apply: at least one, at most `PIECE_ROWS`.

    ordinal: the first correction's, counted from 0 in its commit.
    """

    commit: CommitId
    ordinal: int
    corrections: tuple[CommittedCorrection, ...]

    @property
    def position(self) -> LogPosition:
        """The place behind the last correction."""
        return LogPosition(self.commit, self.ordinal + len(self.corrections))


CommitPiece: TypeAlias = CommitRecord | CommittedRows | CommittedCorrections


class Resync(Exception):
    """The log does not have the commit that a walk is to go on after: it was restored, or cut.

    What was taken of the log may not be in it any more: discard that and walk from `BEGINNING`. head: the
    log's newest commit now. It is no `StorageError`: trying again does not help.
    """

    def __init__(self, symbol: str, head: CommitId) -> None:
        super().__init__(f"the log of {symbol} is another one now, at commit {head.token}")
        self.symbol = symbol
        self.head = head


CommitHook: TypeAlias = Callable[[Dataset, str, CommitId], None]


def call_hooks(hooks: Iterable[CommitHook], request: Append | Amendment, receipt: Receipt) -> Receipt:
    """The receipt, once every hook has been called if the request made a commit.

    An exception of a hook is logged: the commit stands.
    """
    if not receipt.replayed and (receipt.stored or request.request_key is not None):
        for hook in hooks:
            try:
                hook(request.dataset, request.symbol, receipt.commit)
            except Exception:
                _logger.exception("a hook of commits failed, at %s %s", request.symbol, receipt.commit.token)
    return receipt
