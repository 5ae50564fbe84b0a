"""Prepares batches of rows and corrections without a lock: splits them by event date, encodes and hashes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from store.declarations import Dataset
from store.protocol import Amendment, Append, Expiry, Fill
from store.rows.stored_rows import corrections_of
from store.timestamps import DAY_NS
from store.whole_commits import WholeCommit

# Rows are encoded in pieces of this many rows, which fit into the processor's cache.
_ENCODED_ROWS = 32_768


@dataclass(frozen=True)
class Chunk:
    """A batch's rows of one event date, in order of arrival.

    indices: the rows' indices in the batch.
    """

    kind: ClassVar[PartKind] = PartKind.ROWS

    dataset: Dataset
    symbol: str
    day: int
    rows: pa.RecordBatch
    indices: Integers

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
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest event time."""
        times = self.rows.column(0).to_numpy()
        return int(times.min()), int(times.max())

    def has_any_of(self, times: Integers) -> bool:
        """Return whether a row may have one of these event times, which ascend."""
        first, last = times.searchsorted((self.bounds[0], self.bounds[1] + 1)).tolist()
        return bool(first < last)

    def without(self, dropped: Mask) -> Chunk:
        """Return the chunk without the rows that the mask selects."""
        is_kept = ~dropped
        return replace(self, rows=self.rows.filter(pa.array(is_kept)), indices=self.indices[is_kept])


@dataclass(frozen=True)
class _RequestFacts:
    """The fields of every prepared batch. received: the number of rows or corrections in the batch.

    digest: see `digest_of`. complete_until_ns, fill, expiry: see `Append`; None for corrections.
    """

    dataset: Dataset
    caller: str
    key_hash: str | None
    received: int
    digest: str
    complete_until_ns: int | None
    fill: Fill | None
    expiry: Expiry | None

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

    batch: Append
    chunks: tuple[Chunk, ...]
    content: str

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
        declared = batch.complete_until_ns, batch.fill, batch.expiry
        return cls(*facts, *declared, batch, chunks, content)

    def content_of(self, chunks: Sequence[Chunk]) -> str:
        """See `_RequestFacts.content_of`."""
        is_whole = len(chunks) == len(self.chunks) and all(map(is_, chunks, self.chunks))
        return self.content if is_whole else super().content_of(chunks)


def _chunks(batch: Append) -> list[Chunk]:
    if not batch.rows.num_rows:
        return []
    days = batch.rows.column(0).to_numpy() // DAY_NS
    indices = np.arange(len(days))
    if days.min() == days.max():
        return [Chunk(batch.dataset, batch.symbol, int(days[0]), batch.rows, indices)]
    chunks = []
    for day in np.unique(days).tolist():
        own = np.flatnonzero(days == day)
        chunks.append(Chunk(batch.dataset, batch.symbol, day, batch.rows.take(pa.array(own)), own))
    return chunks


class CorrectionChunk(Chunk):
    """Corrections of one event date, in the order in which they apply. Their columns are those of `corrections_of`."""

    kind = PartKind.CORRECTIONS


def correction_chunks(dataset: Dataset, symbol: str, lines: pa.RecordBatch) -> tuple[CorrectionChunk, ...]:
    """Return corrections of rows of a dataset as one chunk per event date. lines: by event date."""
    own, days = corrections_of(dataset), lines.column(0).to_numpy() // DAY_NS
    chunks = []
    for day in np.unique(days).tolist():
        start, end = days.searchsorted((day, day + 1)).tolist()
        chunks.append(
            CorrectionChunk(own, symbol, day, lines.slice(start, end - start), np.arange(start, end))
        )
    return tuple(chunks)


def chunks_of(symbol: str, dataset: Dataset, commit: WholeCommit) -> list[Chunk]:
    """Return the rows and corrections of another log's commit by event date."""
    chunks: list[Chunk] = []
    for batch in commit.rows.combine_chunks().to_batches():
        days = batch.column(0).to_numpy() // DAY_NS
        for day in np.unique(days).tolist():
            start, end = days.searchsorted((day, day + 1)).tolist()
            chunks.append(Chunk(dataset, symbol, day, batch.slice(start, end - start), np.arange(start, end)))
    for lines in commit.lines.combine_chunks().to_batches():
        chunks += correction_chunks(dataset, symbol, lines)
    return chunks


@dataclass(frozen=True)
class PreparedAmendment(_RequestFacts):
    """A batch of corrections."""

    amendment: Amendment

    @classmethod
    def of(cls, amendment: Amendment) -> PreparedAmendment:
        """Prepare a batch: do all work that needs no lock."""
        facts = (amendment.dataset, amendment.caller, amendment.key_hash, len(amendment.corrections))
        return cls(*facts, digest_of(amendment), None, None, None, amendment)


PreparedRequest: TypeAlias = PreparedBatch | PreparedAmendment
