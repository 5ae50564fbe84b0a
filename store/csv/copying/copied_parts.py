"""Checks of a copied commit: its record, the files that it names, and its rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from store import lazy_pyarrow as pa
from store.content_hash import ContentHash
from store.copies import CopyMalformed
from store.csv.files.commit_records import (
    Commit,
    EncodedCommit,
    Part,
    PartKind,
    StoredPart,
    decode_commit,
    rows_in,
)
from store.csv.files.file_names import is_file_of
from store.csv.files.part_reader import read_piecewise
from store.declarations import Column, ColumnKind, Dataset
from store.exceptions import DataDamaged
from store.lazy_imports import compute as pc
from store.protocol import ALL_TIME, CommitId
from store.rows.stored_rows import ACTION, ARRIVAL, corrections_of
from store.timestamps import DAY_NS

# The largest batch that is stored has some 100 MiB.
_LONGEST_PART = 2**30
_SYMBOL = Column("symbol", ColumnKind.TEXT, later=True)


def decoded_record(text: str, previous: CommitId) -> EncodedCommit:
    """Return the commit in a record. Raises `CopyMalformed` unless it is the next one, with its hash."""
    number = previous.number + 1
    if "\n" in text:
        raise CopyMalformed(f"the record of commit {number} has several lines")
    try:
        line = text.encode()
        commit, commit_id = decode_commit(line, previous)
    except (DataDamaged, msgspec.MsgspecError, ValueError):
        raise CopyMalformed(
            f"the record of commit {number} is not the next one, or its hash is wrong"
        ) from None
    return EncodedCommit(line + b"\n", commit, commit_id)


def check_commit(dataset: Dataset, commit: Commit, committed_before: int) -> None:
    """Raise `CopyMalformed` if no store would have written such a record. committed_before: the time of the last."""
    if not committed_before < commit.facts.committed_at < ALL_TIME.end_ns:
        raise CopyMalformed(f"commit {commit.number} is not later than the one before")
    if not all(ALL_TIME.start_ns <= instant < ALL_TIME.end_ns for instant in _instants(commit)):
        raise CopyMalformed(f"commit {commit.number} names an instant that is none")
    for part in commit.parts:
        if not is_file_of(part.file, part.day, dataset.partition, part.kind):
            name = part.file[:64]
            raise CopyMalformed(f"commit {commit.number} names the file {name!r}, which is none of its date")
        if part.length > _LONGEST_PART:
            raise CopyMalformed(f"commit {commit.number} has over {_LONGEST_PART:,} bytes in {part.file}")
        has_rows = 0 < part.rows <= part.length and part.first_ns <= part.last_ns < (part.day + 1) * DAY_NS
        if not has_rows:
            raise CopyMalformed(f"commit {commit.number}: the numbers of its part of {part.file} are none")
    counts = [rows_in(commit.parts, kind) for kind in (PartKind.ROWS, PartKind.CORRECTIONS)]
    if counts != [commit.facts.rows, commit.facts.corrections]:
        raise CopyMalformed(f"commit {commit.number} has another number of rows than its parts")


def _instants(commit: Commit) -> Iterator[int]:
    for part in commit.parts:
        yield from (part.first_ns, part.last_ns)
    for superseded in commit.facts.superseded:
        yield from (superseded.first_ns, superseded.last_ns)
    if commit.facts.complete_until_ns is not None:
        yield commit.facts.complete_until_ns
    if commit.facts.fill is not None:
        yield from (commit.facts.fill.window.start_ns, commit.facts.fill.window.end_ns - 1)


def check_rows(dataset: Dataset, symbol: str, folder: Path, commit: Commit, rows_before: int) -> None:
    """Read a commit's rows from their files. Raises `CopyMalformed` unless they are as the record and symbol say.

    rows_before: the number of rows in the log before the commit.
    """
    with_symbol = replace(dataset, columns=(*dataset.columns, _SYMBOL))
    try:
        content = ContentHash(dataset)
        for part in commit.parts:
            for lines in _checked_lines((with_symbol, symbol), folder, commit.number, part, rows_before):
                (content.add_rows if part.kind == PartKind.ROWS else content.add_corrections)(lines)
            if part.kind == PartKind.ROWS:
                rows_before += part.rows
    except (DataDamaged, pa.ArrowException, ValueError, LookupError, ArithmeticError) as error:
        raise CopyMalformed(f"commit {commit.number}: its rows cannot be read: {error}") from None
    if commit.original is None and commit.facts.content != content.hexdigest():
        raise CopyMalformed(f"commit {commit.number} has other rows than were committed")


def _checked_lines(
    log: tuple[Dataset, str], folder: Path, number: int, part: Part, rows_before: int
) -> Iterator[pa.Table]:
    dataset, symbol = log
    columns = dataset if part.kind == PartKind.ROWS else corrections_of(dataset)
    if not _ends_with_a_line(folder / part.file, part):
        raise ValueError(f"{part.file} has no line end after its rows")
    count, first_ns, last_ns = 0, ALL_TIME.end_ns, ALL_TIME.start_ns
    for rows in read_piecewise(columns, folder, StoredPart(number, 0, part)):
        times = rows.column(0).to_numpy()
        count += len(times)
        first_ns, last_ns = min(first_ns, int(times.min())), max(last_ns, int(times.max()))
        if not pc.all(pc.equal(rows.column("symbol"), symbol)).as_py():
            raise ValueError(f"a row of {part.file} has another symbol")
        if part.kind == PartKind.CORRECTIONS and not _are_corrections(rows, rows_before):
            raise ValueError(f"a correction in {part.file} is of no row")
        yield rows
    if (count, first_ns, last_ns) != (part.rows, part.first_ns, part.last_ns):
        raise ValueError(f"{part.file} has other rows than its record says")


def _ends_with_a_line(path: Path, part: Part) -> bool:
    with path.open("rb") as file:
        file.seek(part.end - 1)
        return file.read(1) == b"\n"


def _are_corrections(rows: pa.Table, rows_before: int) -> bool:
    arrivals = rows.column(ARRIVAL.name).to_numpy()
    actions = set(rows.column(ACTION.name).to_pylist())
    return bool(arrivals.min() >= 0 and arrivals.max() < rows_before) and actions <= {"cancel", "correct"}
