"""Prepares batches of rows and corrections without a lock: splits them by event date, encodes and hashes them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from operator import is_
from typing import ClassVar, TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.cached_property import cached_property
from store.commits import digest_of
from store.content_hash import ContentHash
from store.csv.files.codec import Header, encode_rows, header_of
from store.csv.files.commit_records import PartKind, block_checksums
from store.csv.files.part_reader import known_values
from store.csv.writing.candidate_rows import CandidateRows
from store.csv.writing.row_hashes import Hashes, RowHashes, StoredHashes, hash_rows
from store.declarations import Dataset
from store.protocol import Amendment, Append, Dedupe, Fill
from store.rows.corrections import AppliedCorrection
from store.rows.stored_rows import ACTION, ARRIVAL, corrections_of
from store.timestamps import DAY_NS

# Rows are encoded in pieces of this many rows, which fit into the processor's cache.
_ENCODED_ROWS = 32_768


@dataclass(frozen=True)
class Chunk:
    """A batch's rows of one event date, in order of arrival.

    indices: the rows' indices in the batch. batch_hashes: returns the hashes of all rows of the batch.
    """

    kind: ClassVar[PartKind] = PartKind.ROWS

    dataset: Dataset
    symbol: str
    day: int
    rows: pa.RecordBatch
    indices: Integers
    batch_hashes: Callable[[], RowHashes]

    @cached_property
    def later(self) -> tuple[str, ...]:
        """The names of the dataset's later columns that have a value in any row."""
        rows = self.rows
        return tuple(n for n in self.dataset.later_names if rows.column(n).null_count < rows.num_rows)

    @cached_property
    def header(self) -> Header:
        """The header of a new file for these rows; its later columns are only those in `later`."""
        return header_of(self.dataset, self.later)

    @cached_property
    def own_text(self) -> bytes:
        """The rows as CSV, of the dataset's `own_columns`. Digests of version 1 are made from it."""
        ids = tuple(name for name in self.later if name in self.dataset.id_columns)
        return self.text if ids == self.later else self._encoded(header_of(self.dataset, ids))

    @cached_property
    def text(self) -> bytes:
        """The rows as lines of a file whose header is `header`."""
        return self._encoded(self.header)

    @cached_property
    def checksums(self) -> str:
        """The checksums of the blocks of `text`."""
        return block_checksums(self.text)

    def lines_in(self, header: Header) -> tuple[bytes, str]:
        """Return the rows as lines of a file with the given header, and the lines' checksums."""
        if header == self.header:
            return self.text, self.checksums
        text = self._encoded(header)
        return text, block_checksums(text)

    def _encoded(self, header: Header) -> bytes:
        pieces = (
            self.rows.slice(start, _ENCODED_ROWS) for start in range(0, self.rows.num_rows, _ENCODED_ROWS)
        )
        return b"".join(encode_rows(self.dataset, self.symbol, piece, header) for piece in pieces)

    @cached_property
    def hashes(self) -> RowHashes:
        """The hashes by which the rows are recognised."""
        return self.batch_hashes().taken(self.indices)

    @cached_property
    def identities(self) -> Hashes:
        """The rows' distinct identities, sorted."""
        ordered = np.sort(self.hashes.identity)  # a third of the time of numpy.unique
        distinct: Hashes = ordered[np.append(True, ordered[1:] != ordered[:-1])]
        return distinct

    def stored_hashes(self, first_arrival: int) -> StoredHashes:
        """Return the hashes for comparison with later rows. first_arrival: the first row's arrival number."""
        hashes = self.hashes
        return StoredHashes.of(hashes, np.arange(first_arrival, first_arrival + len(hashes)))

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest event time."""
        times = self.rows.column(0).to_numpy()
        return int(times.min()), int(times.max())

    @cached_property
    def has_ids(self) -> bool:
        """Whether any row has an id."""
        ids = self.dataset.id_columns
        return bool(ids) and self.rows.column(ids[-1]).null_count < self.rows.num_rows

    def overlaps(self, first_ns: int, last_ns: int) -> bool:
        """Return whether the chunk's range of event times overlaps `[first_ns, last_ns]`."""
        first, last = self.bounds
        return first <= last_ns and last >= first_ns

    def without(self, dropped: Mask) -> Chunk:
        """Return the chunk without the rows that the mask selects."""
        is_kept = ~dropped
        return replace(self, rows=self.rows.filter(pa.array(is_kept)), indices=self.indices[is_kept])


@dataclass(frozen=True)
class _RequestFacts:
    """The fields of every prepared batch. received: the number of rows or corrections in the batch.

    digest: see `digest_of`. complete_until_ns, fill: see `Append`; None for corrections.
    """

    dataset: Dataset
    caller: str
    key_hash: str | None
    received: int
    digest: str
    complete_until_ns: int | None
    fill: Fill | None

    def digests(self) -> Iterator[str]:
        """Yield the digests by which a stored batch is this one, in records of this version and of version 1."""
        yield self.digest

    def content_of(self, chunks: Sequence[Chunk]) -> str:
        """Return the `ContentHash` of what is stored of the batch."""
        return content_of(self.dataset, chunks)


def content_of(dataset: Dataset, chunks: Sequence[Chunk]) -> str:
    """Return the `ContentHash` of rows and corrections."""
    content = ContentHash(dataset)
    for chunk in chunks:
        if chunk.kind == PartKind.ROWS:
            content.add_rows(chunk.rows)
        else:
            content.add_corrections(chunk.rows)
    return content.hexdigest()


@dataclass(frozen=True)
class PreparedBatch(_RequestFacts):
    """A batch of rows, divided by event date. content: the `ContentHash` of all rows."""

    chunks: tuple[Chunk, ...]
    content: str
    dedupe: Dedupe
    replaces: bool

    @classmethod
    def of(cls, batch: Append) -> PreparedBatch:
        """Prepare a batch: do all work that needs no lock."""
        chunks = tuple(_chunks(batch))
        for chunk in chunks:
            _ = chunk.checksums
        content = content_of(batch.dataset, chunks)
        has_own_only = len(chunks) == 1 and set(chunks[0].later).issubset(batch.dataset.id_columns)
        digest = digest_of(batch, content if has_own_only else None)
        facts = (batch.dataset, batch.caller, batch.key_hash, batch.rows.num_rows, digest)
        said = (batch.complete_until_ns, batch.fill)
        return cls(*facts, *said, chunks, content, batch.dedupe, batch.replaces)

    def digests(self) -> Iterator[str]:
        """See `_RequestFacts.digests`."""
        yield self.digest
        digest = hashlib.sha256()
        for chunk in self.chunks:
            digest.update(chunk.own_text)
            if len(self.chunks) > 1:  # two batches differ if rows of different dates have another order
                digest.update(chunk.indices.tobytes())
        if self.complete_until_ns is not None:
            digest.update(f"complete until {self.complete_until_ns}".encode())
        if self.fill is not None:
            digest.update(f"fill {json.dumps(asdict(self.fill))}".encode())
        if self.replaces:
            digest.update(b"replaces")
        yield digest.hexdigest()

    def content_of(self, chunks: Sequence[Chunk]) -> str:
        """See `_RequestFacts.content_of`."""
        is_whole = len(chunks) == len(self.chunks) and all(map(is_, chunks, self.chunks))
        return self.content if is_whole else super().content_of(chunks)


def _chunks(batch: Append) -> list[Chunk]:
    if not batch.rows.num_rows:
        return []
    days = batch.rows.column(0).to_numpy() // DAY_NS
    indices, hashes = np.arange(len(days)), cache(partial(hash_rows, batch.dataset, batch.rows))
    if days.min() == days.max():
        return [Chunk(batch.dataset, batch.symbol, int(days[0]), batch.rows, indices, hashes)]
    by_day = [(int(day), np.flatnonzero(days == day)) for day in np.unique(days)]
    return [
        Chunk(batch.dataset, batch.symbol, day, batch.rows.take(pa.array(day_indices)), day_indices, hashes)
        for day, day_indices in by_day
    ]


class CorrectionChunk(Chunk):
    """Corrections of one event date, in the order in which they apply. Their columns are those of `corrections_of`."""

    kind = PartKind.CORRECTIONS

    @classmethod
    def of(
        cls, dataset: Dataset, symbol: str, day: int, rows: pa.RecordBatch, indices: Integers
    ) -> CorrectionChunk:
        """Return a chunk. dataset: as of `corrections_of`."""
        return cls(dataset, symbol, day, rows, indices, cache(partial(hash_rows, dataset, rows)))

    @classmethod
    def of_changes(
        cls, dataset: Dataset, symbol: str, day: int, applied: Sequence[AppliedCorrection]
    ) -> CorrectionChunk:
        """Return the chunk of applied corrections of rows of a dataset."""
        own = corrections_of(dataset)
        rows = [
            {**change.row, ARRIVAL.name: change.arrival, ACTION.name: change.action.value}
            for change in applied
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=own.schema)
        return cls.of(own, symbol, day, batch, np.array([change.index for change in applied]))

    def stored_hashes(self, first_arrival: int) -> StoredHashes:
        """Return the hashes of the new values of corrected rows with ids, with the rows' arrival numbers."""
        own = {ARRIVAL.name, ACTION.name}
        columns = tuple(column for column in self.dataset.columns if column.name not in own)
        dataset = replace(self.dataset, columns=columns)
        rows = known_values(dataset, self.rows)
        return StoredHashes.of(hash_rows(dataset, rows), rows.column(ARRIVAL.name).to_numpy())


@dataclass(frozen=True)
class PreparedAmendment(_RequestFacts):
    """A batch of corrections, and the rows to which they may refer."""

    amendment: Amendment
    candidates: CandidateRows

    @classmethod
    def of(cls, amendment: Amendment, candidates: CandidateRows) -> PreparedAmendment:
        """Prepare a batch: do all work that needs no lock."""
        facts = (amendment.dataset, amendment.caller, amendment.key_hash, len(amendment.corrections))
        return cls(*facts, digest_of(amendment), None, None, amendment, candidates)

    def chunks(self, applied: Sequence[AppliedCorrection]) -> tuple[CorrectionChunk, ...]:
        """Return the applied corrections as one chunk per event date, in order within a date."""
        dataset, symbol = self.amendment.dataset, self.amendment.symbol
        time = dataset.columns[0].name
        by_day: dict[int, list[AppliedCorrection]] = defaultdict(list)
        for change in applied:
            by_day[int(str(change.row[time])) // DAY_NS].append(change)
        return tuple(
            CorrectionChunk.of_changes(dataset, symbol, day, day_changes)
            for day, day_changes in sorted(by_day.items())
        )


PreparedRequest: TypeAlias = PreparedBatch | PreparedAmendment
