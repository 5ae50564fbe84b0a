"""Checks the pieces of another log's walk, and gives them as whole commits: nothing of a wrong commit is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import numpy as np

from store import lazy_pyarrow as pa
from store.content_hash import ContentHash
from store.copies import CopyCut, CopyMalformed
from store.datasets import INSTRUMENTS
from store.declarations import ColumnKind, Dataset
from store.instruments import Instrument
from store.lazy_imports import compute as pc
from store.protocol import ALL_TIME, Action
from store.rows.stored_rows import ARRIVAL, action_name, corrections_of
from store.timestamps import DAY_NS
from store.walk import CommitPiece, CommitRecord, CommittedCorrections, CommittedRows, LogEnd

_COMMIT_BYTES = 2**30
_TEXT_BYTES = 2**18
# So many batches of at most so many rows are joined to one.
_JOINED, _FEW_ROWS = 8, 4096
_instrument_decoder = msgspec.json.Decoder(Instrument)

SentPiece: TypeAlias = "CommitPiece | pa.RecordBatch"
"""A piece of a walk. Rows may come as they are, and corrections as `sent_batch` gives them."""


def sent_batch(dataset: Dataset, piece: CommittedRows | CommittedCorrections) -> pa.RecordBatch:
    """Return a piece's rows, or its corrections in the schema of `corrections_of` the dataset."""
    if isinstance(piece, CommittedRows):
        return piece.rows
    action = action_name(dataset.schema.names)
    lines = [
        {**(each.after or each.before), ARRIVAL.name: each.arrival, action: each.action.value}
        for each in piece.corrections
    ]
    return pa.RecordBatch.from_pylist(lines, schema=corrections_of(dataset).schema)


@dataclass(slots=True)
class ReceivedCommit:
    """A commit of another log. batches: its rows, and its corrections in the schema of `corrections_of` the dataset."""

    dataset: Dataset
    record: CommitRecord
    batches: tuple[list[pa.RecordBatch], list[pa.RecordBatch]] = field(default_factory=lambda: ([], []))
    nbytes: int = 0
    length: int = 0

    @property
    def rows(self) -> pa.Table:
        """The rows, by event date."""
        return pa.Table.from_batches(self.batches[0], self.dataset.schema)

    @property
    def lines(self) -> pa.Table:
        """The corrections, by event date."""
        return pa.Table.from_batches(self.batches[1], corrections_of(self.dataset).schema)

    @property
    def is_whole(self) -> bool:
        return self.length >= self.record.length

    def add(self, batch: pa.RecordBatch) -> None:
        self.nbytes += batch.nbytes
        if self.nbytes > _COMMIT_BYTES:
            raise self._wrong(f"it has over {_COMMIT_BYTES:,} bytes")
        schemas = self.dataset.schema, corrections_of(self.dataset).schema
        own = [
            each for each, schema in zip(self.batches, schemas, strict=True) if batch.schema.equals(schema)
        ]
        if not own or len(set(batch.schema.names)) < len(batch.schema):
            raise self._wrong("its rows have other columns")
        (batches,) = own
        batches.append(batch)
        self.length += batch.num_rows
        # A batch takes some KiB beside its bytes, so that many small ones are joined.
        while len(batches) >= _JOINED and batches[-_JOINED].num_rows <= batches[-1].num_rows < _FEW_ROWS:
            batches[-_JOINED:] = [pa.concat_batches(batches[-_JOINED:])]

    def check(self, rows_before: int) -> None:
        """Raise `CopyMalformed` unless rows are as the record says. rows_before: the number in the log before."""
        facts, rows, lines = self.record.facts, self.rows, self.lines
        content = ContentHash(self.dataset)
        content.add_rows(rows)
        if lines.num_rows:
            content.add_corrections(lines)
        is_same = facts.content == content.hexdigest()
        if not is_same or (rows.num_rows, lines.num_rows) != (facts.rows, facts.corrections):
            raise self._wrong("it has other rows than were committed")
        if self.dataset is INSTRUMENTS and not _are_instruments(rows):
            raise self._wrong("a declaration is of no instrument")
        for dataset, table in ((self.dataset, rows), (corrections_of(self.dataset), lines)):
            if table.num_rows and not _may_be_stored(dataset, table):
                raise self._wrong(
                    "a row has no value, time or text that may be stored, or is not by event date"
                )
        if lines.num_rows:
            arrivals = lines.column(ARRIVAL.name).to_numpy()
            actions = lines.column(action_name(rows.column_names)).unique()
            is_known = arrivals.min() >= 0 and arrivals.max() < rows_before + facts.rows
            if not is_known or not set(actions.to_pylist()) <= set(Action):
                raise self._wrong("a correction is of no row")

    def _wrong(self, problem: str) -> CopyMalformed:
        return CopyMalformed(f"commit {self.record.id.number}: {problem}")


def received_commits(dataset: Dataset, end: LogEnd, pieces: Iterable[SentPiece]) -> Iterator[ReceivedCommit]:
    """Yield the commits of a walk, each once it is whole and was checked.

    end: of the log that they follow. Raises `CopyMalformed` if a commit is not the next one of the chain, or its rows are
    not those that it names, `CopyCut` if the pieces end within a commit, and the errors of `pieces`.
    """
    begun: ReceivedCommit | None = None
    for piece in pieces:
        if isinstance(piece, CommitRecord):
            _check_record(piece, end, begun)
            begun = ReceivedCommit(dataset, piece)
        elif begun is None:
            raise CopyMalformed("rows come before the record of their commit")
        else:
            begun.add(piece if isinstance(piece, pa.RecordBatch) else sent_batch(dataset, piece))
        if begun.is_whole:
            begun.check(end.rows)
            yield begun
            facts = begun.record.facts
            end, begun = LogEnd(begun.record.id, facts.committed_at, end.rows + facts.rows), None
    if begun is not None:
        raise CopyCut(f"the copy ends within commit {begun.record.id.number}")


def _check_record(record: CommitRecord, end: LogEnd, begun: ReceivedCommit | None) -> None:
    """Raise `CopyMalformed` unless a record is the next one, and says what a store may have written."""
    facts, number = record.facts, end.head.number + 1
    if begun is not None or not record.follows(end.head):
        raise CopyMalformed(f"the record of commit {number} is not the next one, or its hash is wrong")
    instants = [each for passed in facts.superseded for each in (passed.first_ns, passed.last_ns)]
    if facts.fill is not None:
        instants += [facts.fill.window.start_ns, facts.fill.window.end_ns - 1]
    if facts.complete_until_ns is not None:
        instants.append(facts.complete_until_ns)
    is_later = end.committed_at < facts.committed_at < ALL_TIME.end_ns
    if not is_later or not all(ALL_TIME.start_ns <= each < ALL_TIME.end_ns for each in instants):
        raise CopyMalformed(
            f"commit {number} is not later than the one before, or names an instant that is none"
        )


def _are_instruments(rows: pa.Table) -> bool:
    with suppress(msgspec.MsgspecError, RecursionError):
        for text in rows.column("instrument"):
            _instrument_decoder.decode(text.as_py())
        return True
    return False


def _may_be_stored(dataset: Dataset, rows: pa.Table) -> bool:
    """Return whether required values are there, numbers finite, times within `ALL_TIME` and by date, and texts short."""
    if any(column.required and rows.column(column.name).null_count for column in dataset.columns):
        return False
    times = rows.column(0).to_numpy()
    numbers = [rows.column(each.name) for each in dataset.columns if each.kind is ColumnKind.NUMBER]
    texts = [rows.column(each.name) for each in dataset.columns if each.kind is ColumnKind.TEXT]
    return bool(
        ALL_TIME.start_ns <= times.min() <= times.max() < ALL_TIME.end_ns
        and (np.diff(times // DAY_NS) >= 0).all()
        and all(pc.all(pc.is_finite(each)).as_py() is not False for each in numbers)
        and all((pc.max(pc.binary_length(text)).as_py() or 0) <= _TEXT_BYTES for text in texts)
    )
