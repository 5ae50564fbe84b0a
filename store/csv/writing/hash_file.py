"""Hash files: sorted hashes of one event date's rows, to find duplicates without reading the CSV.

`.derived/hashes/2025-01-02.hashes` has the hashes of the date's rows up to a commit, and that commit's number
and hash. It may be deleted at any time. Only the holder of the log's lock writes it, so an older file never
replaces a newer one.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from store.arrays import Integers
from store.csv.files.column_file import (
    ColumnFile,
    ColumnsDamaged,
    ColumnWriter,
    MappedColumn,
    Records,
    records_in_piece,
)
from store.csv.log.history import CommitHistory
from store.csv.log.index_files import DERIVED_FOLDER
from store.csv.writing.row_hashes import (
    NO_HASHES,
    Hashes,
    StoredHashes,
    bounds_in,
    indices_of_ranges,
)
from store.declarations import Dataset
from store.protocol import CommitId

KIND = "row hashes 1"
HASHES_FOLDER = "hashes"

_IDENTITY = np.dtype([("identity", "<i8")])
_REST = np.dtype([("check", "<i8"), ("value", "<i8"), ("arrival", "<i8")])
_DTYPES: dict[str, np.dtype[Any]] = {"identity": _IDENTITY, "rest": _REST}
_PIECES_IN_RUN = 16
# At most this many identities or rows are looked up one by one. Each such look-up verifies only one or two pieces of a
# column. More are looked up all at once, which verifies the whole column.
_FEW = 16

_logger = logging.getLogger(__name__)


class HashFile:
    """The mapped hashes of a date's rows up to the commit `head`. Methods raise `ColumnsDamaged`.

    subject: see `subject_of`.
    """

    def __init__(self, columns: ColumnFile) -> None:
        facts: Any = columns.facts
        self.head = CommitId(facts["number"], facts["hash"])
        self.subject: list[str] = facts["subject"]
        self.identity, self.rest = columns["identity"], columns["rest"]

    @classmethod
    def mapped(cls, path: Path) -> "HashFile":
        """Map a file. Also raises `OSError`."""
        return cls(ColumnFile.mapped(path, KIND, _DTYPES.__getitem__))

    def __len__(self) -> int:
        return len(self.identity)

    def stored(self, identities: Hashes) -> StoredHashes:
        """Return the rows whose identity is in `identities`, in order of identity, then of arrival.

        identities: sorted and distinct.
        """
        starts, stops = self._bounds(identities)
        indices = indices_of_ranges(starts, stops)
        if not len(indices):
            return NO_HASHES
        if len(indices) > _FEW:
            rest = self.rest.all()[indices]
        else:
            rest = np.array([self.rest.part(index, index + 1)[0] for index in indices.tolist()], _REST)
        identity = np.repeat(identities, stops - starts)
        return StoredHashes(identity, rest["check"], rest["value"], rest["arrival"])

    def _bounds(self, identities: Hashes) -> tuple[Integers, Integers]:
        """Return the start and end of each identity's rows."""
        if len(identities) > _FEW:
            return bounds_in(self.identity.all()["identity"], identities)
        bounds = [self._bounds_of(each) for each in identities.tolist()]
        starts, stops = np.array(bounds, np.int64).T
        return starts, stops

    def _bounds_of(self, identity: int) -> tuple[int, int]:
        start = self.identity.search(identity, "left")
        entry = self.identity.part(start, min(start + 1, len(self)))["identity"]
        is_stored = len(entry) and int(entry[0]) == identity
        return start, self.identity.search(identity, "right") if is_stored else start


def hash_path(folder: Path, date: int) -> Path:
    """Return the path of an event date's hash file in a log's folder. date: days since the epoch."""
    return folder / DERIVED_FOLDER / HASHES_FOLDER / f"{np.datetime64(date, 'D')}.hashes"


def remove_hash_files(folder: Path) -> None:
    """Delete all hash files of a log. Errors are ignored."""
    shutil.rmtree(folder / DERIVED_FOLDER / HASHES_FOLDER, ignore_errors=True)


def subject_of(dataset: Dataset, date: int) -> list[str]:
    """Return what a hash file depends on: the date, the dataset's name, and the columns that are hashed.

    A hash file with another subject must not be used.
    """
    columns = (f"{column.name} {column.kind.value}" for column in dataset.own_columns)
    return [str(date), dataset.name, *columns, *dataset.id_columns, *dataset.arrival_columns]


def read_hash_file(path: Path, subject: list[str], history: CommitHistory) -> HashFile | None:
    """Return a hash file.

    Return None if it is damaged or missing, has another subject, or names a commit that is not in the history.
    """
    try:
        file = HashFile.mapped(path)
    except (ColumnsDamaged, OSError) as error:
        if not isinstance(error, FileNotFoundError):
            _logger.debug("the hashes in %s cannot be used: %r", path, error)
        return None
    return file if history.has(file.head) and file.subject == subject else None


def write_hash_file(
    path: Path, subject: list[str], head: CommitId, rows: StoredHashes, base: HashFile | None
) -> HashFile:
    """Replace a hash file by one with the rows of `base` and the newer `rows`.

    rows: sorted by identity. head: the newest commit of these rows. Needs the log's lock. Raises `OSError`,
    and `ColumnsDamaged` if `base` is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        with new.open("xb") as file:
            _write_columns(file, rows, base).finish(
                KIND, {"number": head.number, "hash": head.hash, "subject": subject}
            )
        written = HashFile.mapped(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return written


def _write_columns(file: BinaryIO, rows: StoredHashes, base: HashFile | None) -> ColumnWriter:
    writer = ColumnWriter(file)
    identity = np.ascontiguousarray(rows.identity).view(_IDENTITY)
    rest = np.empty(len(rows), _REST)
    rest["check"], rest["value"], rest["arrival"] = rows.check, rows.value, rows.arrival
    indices = np.arange(len(rows))
    old_identity, old_rest = (None, None) if base is None else (base.identity, base.rest)
    if old_identity is not None:
        indices += old_identity.all()["identity"].searchsorted(rows.identity, "right")
    writer.write("identity", _IDENTITY, _runs(identity, indices, old_identity), searched="identity")
    writer.write("rest", _REST, _runs(rest, indices, old_rest))
    return writer


def _runs(new: Records, indices: Integers, old: MappedColumn | None) -> Iterator[Records]:
    """Yield the old and new records, merged, in arrays of `_PIECES_IN_RUN` pieces; the last may be shorter.

    indices: the indices of the new records among all records.
    """
    count = len(new) + (0 if old is None else len(old))
    size = _PIECES_IN_RUN * records_in_piece(new.dtype)
    for start in range(0, count, size):
        stop = min(start + size, count)
        first, last = indices.searchsorted([start, stop]).tolist()
        run, is_new = np.empty(stop - start, new.dtype), np.zeros(stop - start, dtype=bool)
        is_new[indices[first:last] - start] = True
        run[is_new] = new[first:last]
        if old is not None:
            run[~is_new] = old.part(start - first, stop - last)
        yield run
