"""Reads the rows and corrections of parts; every block is verified."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.prints import STANDS
from store.content_hash import ContentHash
from store.csv.files.codec import Header, decode_rows, open_file, read_header
from store.csv.files.commit_records import (
    BLOCK_BYTES,
    Commit,
    PartKind,
    StoredPart,
    first_damaged_block,
)
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.lazy_imports import compute as pc
from store.rows.stored_rows import COMMIT, ArrivalRun, corrections_of, stored_rows, with_system_columns
from store.timestamps import fixed_width_text, format_timestamp

# Number of blocks (4 MiB in total) that `read_piecewise` reads at a time.
SLICE_BLOCKS = 1024
# Far above what is stored: the longest text of a row has some kilobytes.
_LONGEST_LINE = 2**20


def read_rows(dataset: Dataset, folder: Path, parts: Sequence[StoredPart]) -> pa.Table:
    """Return the stored rows of parts, as they came in, without their corrections. Raises `DataDamaged`."""
    return rows_table(read_parts(dataset, folder, parts), parts)


def read_corrections(dataset: Dataset, folder: Path, parts: Sequence[StoredPart]) -> pa.Table:
    """Return the corrections in parts, each with its commit's number. Raises `DataDamaged`."""
    return corrections_table(read_parts(corrections_of(dataset), folder, parts), parts)


def rows_table(rows: pa.Table, parts: Sequence[StoredPart]) -> pa.Table:
    """Return the rows of parts with the columns `arrival`, `commit` and `until`."""
    return stored_rows(rows, [ArrivalRun(each.first_arrival, each.commit, each.part.rows) for each in parts])


def corrections_table(corrections: pa.Table, parts: Sequence[StoredPart]) -> pa.Table:
    """Return the corrections of parts with the column `commit`."""
    commits = np.array([each.commit for each in parts], dtype=np.int32)
    commit = np.repeat(commits, [each.part.rows for each in parts])
    return corrections.append_column(COMMIT.field, pa.array(commit))


def read_parts(dataset: Dataset, folder: Path, parts: Sequence[StoredPart]) -> pa.Table:
    """Return the rows of the parts, part by part, and in order of arrival within a part.

    Each file's own header names its columns. Raises `DataDamaged` with the file and the first damaged block.
    """
    by_header = _texts_by_header(dataset, folder, parts)
    if not by_header:
        return dataset.schema.empty_table()
    return pa.concat_tables(_decoded(dataset, folder, *each) for each in by_header)


def read_parts_at(
    dataset: Dataset, folder: Path, parts: Sequence[StoredPart], instants: Integers
) -> tuple[pa.Table, Integers]:
    """Return the rows of `read_parts` at these event times (ns), and their indices. All blocks are verified.

    Unless they are most, only their lines are decoded: that takes a fifth of the time of all rows.
    """
    tables, indices, count = [dataset.schema.empty_table()], [np.zeros(0, np.int64)], 0
    for header, texts in _texts_by_header(dataset, folder, parts):
        text = b"".join(texts)
        lines = _lines_at(text, instants)
        if lines is None:
            table = _decoded(dataset, folder, header, [text])
            found, total = np.flatnonzero(np.isin(table.column(0).to_numpy(), instants)), table.num_rows
            tables.append(table.take(pa.array(found)))
        else:
            text, found, total = lines
            tables += [_decoded(dataset, folder, header, [text])] if text else []
        indices.append(found + count)
        count += total
    return pa.concat_tables(tables), np.concatenate(indices)


def read_rows_at(dataset: Dataset, folder: Path, parts: Sequence[StoredPart], instants: Integers) -> pa.Table:
    """Return the stored rows of parts at these event times, as they came in. Raises `DataDamaged`."""
    rows, indices = read_parts_at(dataset, folder, parts, instants)
    begins = np.cumsum([0, *(each.part.rows for each in parts)])
    counts = np.diff(indices.searchsorted(begins))
    of_part = np.repeat(np.arange(len(parts)), counts)
    arrival = np.array([each.first_arrival for each in parts])[of_part] + indices - begins[of_part]
    commit = np.array([each.commit for each in parts])[of_part]
    return with_system_columns(rows, arrival=arrival, commit=commit, until=np.full(len(indices), STANDS))


def _lines_at(text: bytes, instants: Integers) -> tuple[bytes, Integers, int] | None:
    """Return the lines that begin with one of these instants, their indices, and the number of all lines.

    None if all lines should be decoded: because most are wanted, or a line may not begin with a time as
    `fixed_width_text` writes it.
    """
    if 2 * len(instants) > text.count(b"\n"):
        return None
    wanted = [instant.encode() for instant in fixed_width_text(instants, ",").to_pylist()]
    width = len(wanted[0])
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    starts = np.append(0, ends)[:-1]
    if b'"' in text or not len(ends) or starts[-1] + width > len(text):
        return None
    cells = np.ndarray((len(text) - width + 1,), f"V{width}", text, strides=(1,))[starts]
    if not (cells.view(np.uint8).reshape(-1, width)[:, -2:] == np.frombuffer(b"Z,", np.uint8)).all():
        return None
    kind = pa.binary(width)
    begins = pa.Array.from_buffers(kind, len(cells), [None, pa.py_buffer(cells)])
    is_wanted = pc.is_in(begins, pa.array(wanted, kind)).to_numpy(zero_copy_only=False)
    found = np.flatnonzero(is_wanted)
    places = zip(starts[found].tolist(), ends[found].tolist(), strict=True)
    return b"".join([text[start:end] for start, end in places]), found, len(ends)


def _texts_by_header(
    dataset: Dataset, folder: Path, parts: Sequence[StoredPart]
) -> list[tuple[Header, list[bytes]]]:
    """Return the verified texts of the parts, in order. Neighbours with the same header are together."""
    by_header: list[tuple[Header, list[bytes]]] = []
    for file, file_parts in groupby(parts, key=lambda stored: stored.part.file):
        header, texts = _verified_texts(dataset, folder / file, list(file_parts))
        if by_header and by_header[-1][0] == header:
            by_header[-1][1].extend(texts)
        else:
            by_header.append((header, texts))
    return by_header


def read_piecewise(dataset: Dataset, folder: Path, stored: StoredPart) -> Iterator[pa.Table]:
    """Yield the rows of one part in order, a few mebibytes at a time.

    Raises `DataDamaged` like `read_parts`.
    """
    incomplete = b""
    for each in _slices(stored):
        header, (text,) = _verified_texts(dataset, folder / each.part.file, [each])
        text = incomplete + text
        end = _lines_end(text)
        incomplete = text[end:]
        if len(incomplete) > _LONGEST_LINE:
            raise DataDamaged(f"{each.part.file}: a line has over {_LONGEST_LINE:,} bytes; restore the file")
        if end:
            yield _decoded(dataset, folder, header, [text[:end]])


def content_of_parts(dataset: Dataset, folder: Path, commit: Commit) -> str:
    """Return the `ContentHash` of a commit's parts. Raises `DataDamaged` like `read_parts`."""
    content, corrections = ContentHash(dataset), corrections_of(dataset)
    for part in commit.parts:
        is_rows = part.kind == PartKind.ROWS
        for lines in read_piecewise(
            dataset if is_rows else corrections, folder, StoredPart(commit.number, 0, part)
        ):
            (content.add_rows if is_rows else content.add_corrections)(lines)
    return content.hexdigest()


def _slices(stored: StoredPart) -> Iterator[StoredPart]:
    """Yield the part in slices of `SLICE_BLOCKS` blocks."""
    part, sums = stored.part, base64.b64decode(stored.part.checksums)
    for start in range(0, part.length, SLICE_BLOCKS * BLOCK_BYTES):
        first = start // BLOCK_BYTES
        checksums = base64.b64encode(sums[4 * first : 4 * (first + SLICE_BLOCKS)]).decode()
        length = min(part.length - start, SLICE_BLOCKS * BLOCK_BYTES)
        cut = msgspec.structs.replace(part, offset=part.offset + start, length=length, checksums=checksums)
        yield replace(stored, part=cut)


def _lines_end(text: bytes) -> int:
    """Return the offset after the last complete line; a line end in quotes does not count."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    quotes_before = np.flatnonzero(data == ord('"')).searchsorted(ends)
    line_ends = ends[quotes_before % 2 == 0]
    return int(line_ends[-1]) + 1 if len(line_ends) else 0


def _decoded(dataset: Dataset, folder: Path, header: Header, texts: Sequence[bytes]) -> pa.Table:
    try:
        return decode_rows(dataset, b"".join(texts), header)
    except pa.ArrowInvalid as error:  # the lines are verified, so the header must be wrong
        message = f"{folder.name}: a header of {dataset.name} does not fit its lines: {','.join(header)}; restore the file"
        raise DataDamaged(message) from error


def _verified_texts(dataset: Dataset, path: Path, parts: Sequence[StoredPart]) -> tuple[Header, list[bytes]]:
    descriptor = open_file(path)
    try:
        header = read_header(dataset, path, descriptor)
        return header, [_verified_text(descriptor, path, stored) for stored in parts]
    finally:
        os.close(descriptor)


def _verified_text(descriptor: int, path: Path, stored: StoredPart) -> bytes:
    part = stored.part
    text = os.pread(descriptor, part.length, part.offset)
    damaged = first_damaged_block(text, part)
    if damaged is not None:
        raise DataDamaged(
            f"{path.parent.name}/{path.name}, commit {stored.commit}: the {BLOCK_BYTES} bytes from {damaged}"
            f" are not as written: restore the file; rows from {format_timestamp(part.first_ns)}"
            f" to {format_timestamp(part.last_ns)} cannot be served"
        )
    return text
