"""The hashes of one event date's rows: older ones in a hash file, newer ones in memory."""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from store.csv.files.commit_records import PartKind, StoredPart, loads_of, of_kind
from store.csv.files.disk import NEVER_SEEN, NO_FILE, signature_if_readable
from store.csv.files.part_reader import read_known
from store.csv.log.history import CommitHistory
from store.csv.writing.hash_file import HashFile, hash_path, read_hash_file, subject_of, write_hash_file
from store.csv.writing.row_hashes import Hashes, StoredHashes, bounds_in, hash_rows, indices_of_ranges
from store.declarations import Dataset
from store.protocol import Window
from store.rows.stored_rows import ARRIVAL

_SMALL = 64
_RECENT_LIMIT = 1024
_GROWTH = 4
_RUN_ROW_BYTES = 32
_RECENT_ROW_BYTES = 300

_Recent = tuple[int, int, int]  # (check, value, arrival) of a stored row


@dataclass(slots=True)
class IdentityIndex:
    """Hashes in memory: sorted runs, which are merged as they grow, and a dictionary of rows of small batches.

    The cost of a search grows with the logarithm of the number of rows.
    """

    _runs: list[StoredHashes] = field(default_factory=list)
    _recent: dict[int, list[_Recent]] = field(default_factory=lambda: defaultdict(list))
    _recent_rows: int = 0

    def __len__(self) -> int:
        return self._recent_rows + sum(len(run) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return len(self) * _RUN_ROW_BYTES + self._recent_rows * (_RECENT_ROW_BYTES - _RUN_ROW_BYTES)

    def add(self, rows: StoredHashes) -> None:
        """Add rows that were stored or staged."""
        if len(rows) >= _SMALL:
            self._flush_recent()
            self._add_run(rows.by_identity())
            return
        for identity, *others in zip(*(column.tolist() for column in rows.columns), strict=True):
            self._recent[identity].append(tuple(others))
        self._recent_rows += len(rows)
        if self._recent_rows >= _RECENT_LIMIT:
            self._flush_recent()

    def stored(self, identities: Hashes) -> StoredHashes:
        """Return the rows whose identity is in `identities`. Rows of one identity are in the order of adding.

        identities: sorted and distinct.
        """
        parts = [run.taken(indices_of_ranges(*bounds_in(run.identity, identities))) for run in self._runs]
        recent = self._recent
        rows = (
            [(i, *each) for i in identities.tolist() if i in recent for each in recent[i]] if recent else []
        )
        if rows:
            parts.append(StoredHashes(*np.array(rows, dtype=np.int64).T))
        return StoredHashes.joined(parts)

    def by_identity(self) -> StoredHashes:
        """Return all rows, sorted by identity. Rows of one identity are in the order of adding."""
        self._flush_recent()
        return StoredHashes.joined(self._runs).by_identity()

    def _flush_recent(self) -> None:
        if self._recent_rows:
            rows = [(identity, *each) for identity, others in self._recent.items() for each in others]
            self._recent, self._recent_rows = defaultdict(list), 0
            self._add_run(StoredHashes(*np.array(rows, dtype=np.int64).T).by_identity())

    def _add_run(self, run: StoredHashes) -> None:
        while self._runs and len(self._runs[-1]) < _GROWTH * len(run):
            run = StoredHashes.joined([self._runs.pop(), run]).by_identity()
        self._runs.append(run)


# The hash file is rewritten once the newer rows number at least FILE_ROWS and at least 1/FILE_SHARE of its own rows.
# So each row is written about five times in all.
FILE_ROWS = 4_096
FILE_SHARE = 4
# It is also rewritten once this many newer parts had to be read from the CSV.
FILE_PARTS = 256

# Reading one part takes as long as reading this many more rows of a part.
_ROWS_OF_A_READ = 2_048

_OWN_BYTES = 4_096

_logger = logging.getLogger(__name__)


class KnownDate:
    """The hashes of one event date's rows. Used by one thread at a time, under the log's lock.

    covered: the commit up to which the date's rows are included.
    """

    def __init__(self, dataset: Dataset, day: int, folder: Path, history: CommitHistory) -> None:
        self.history = history
        self.covered = 0
        self._dataset = dataset
        self._day = day
        self._folder = folder
        self._path = hash_path(folder, day)
        self._signature = NEVER_SEEN  # of the hash file when it was last checked
        self._readable_alone: int | None = None  # the rows that may be read before reading all is cheaper
        self._start_from(None)

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return _OWN_BYTES + self._tail.nbytes

    def stored(self, identities: Hashes) -> list[StoredHashes]:
        """Return the rows whose identity is in `identities`. Rows of one identity are in order of arrival.

        identities: sorted and distinct. Raises `ColumnsDamaged`.
        """
        in_file = [] if self._file is None else [self._file.stored(identities)]
        return [*in_file, self._tail.stored(identities)]

    def missing_between(self, newest: int, first_ns: int, last_ns: int) -> IdentityIndex | None:
        """Return the missing rows of the parts that overlap `[first_ns, last_ns]`, if they are few; else None.

        So a late batch without ids waits for the rows beside it, not for the whole date. Calls that together read
        half of the missing rows return None from then on: then `catch_up` is cheaper. newest: the date's newest
        commit. Raises `DataDamaged`.
        """
        self._read_newer_file()
        if self.covered == newest:
            return None
        if self._readable_alone is None:
            missing = self.history.parts_of(self._day, newest, after=self.covered)
            self._readable_alone = sum(each.part.rows for each in missing) // 2
        parts = self.history.parts_in(Window(first_ns, last_ns + 1), newest, after=self.covered)
        self._readable_alone -= sum(each.part.rows for each in parts) + _ROWS_OF_A_READ
        if self._readable_alone < 0:
            return None
        between = IdentityIndex()
        for load in loads_of(of_kind(parts, PartKind.ROWS)):
            between.add(self._hashes(load))
        return between

    def catch_up(self, newest: int, limit_bytes: int) -> None:
        """Read the missing rows: from a hash file that another process wrote, and from the CSV files.

        newest: the date's newest commit. If the rows need more memory than `limit_bytes`, they are written to
        the hash file. Raises `ColumnsDamaged`, `DataDamaged`.
        """
        self._read_newer_file()
        if self.covered < newest:
            self._read(newest, limit_bytes)

    def rebuild(self, newest: int) -> None:
        """Ignore the damaged hash file and read all rows from the CSV files.

        The file is replaced at the next `write_if_due` with enough rows.
        """
        _logger.warning("the hashes in %s are damaged and are made again", self._path)
        self._start_from(None)
        self._read(newest, math.inf)

    def add(self, rows: Sequence[StoredHashes], newest: int) -> None:
        """Add the rows of the commits in `(covered, newest]`."""
        for each in rows:
            self._tail.add(each)
        self.covered = newest

    def write_if_due(self) -> None:
        """Write the hash file if many rows are not in it. Raises `ColumnsDamaged`."""
        if len(self._tail) >= self._due:
            self._write()

    def _start_from(self, file: HashFile | None) -> None:
        self._file, self._tail = file, IdentityIndex()
        self.covered = 0 if file is None else file.head.number
        self._due = max(FILE_ROWS, (0 if file is None else len(file)) // FILE_SHARE)
        self._readable_alone = None

    def _read_newer_file(self) -> None:
        signature = signature_if_readable(self._path)
        if signature not in (self._signature, NO_FILE):
            file = read_hash_file(self._path, subject_of(self._dataset, self._day), self.history)
            if file is not None and (self._file is None or file.head.number > self._file.head.number):
                self._start_from(file)
        self._signature = signature

    def _read(self, newest: int, limit_bytes: float) -> None:
        parts = self.history.parts_of(self._day, newest, after=self.covered)
        if len(parts) >= FILE_PARTS:
            self._due = 0
        for load in loads_of(parts):
            self._tail.add(self._hashes(load))
            self.covered = load[-1].commit
            if self._tail.nbytes > limit_bytes:
                self._write()
        self.covered = newest

    def _hashes(self, parts: Sequence[StoredPart]) -> StoredHashes:
        rows = read_known(self._dataset, self._folder, parts)
        return StoredHashes.of(hash_rows(self._dataset, rows), rows.column(ARRIVAL.name).to_numpy())

    def _write(self) -> None:
        head, subject = self.history.head(self.covered), subject_of(self._dataset, self._day)
        try:
            self._start_from(write_hash_file(self._path, subject, head, self._tail.by_identity(), self._file))
        except OSError as error:
            self._due = len(self._tail) + max(FILE_ROWS, len(self._tail) // FILE_SHARE)
            _logger.debug("the hashes in %s cannot be written: %r", self._path, error)
        self._signature = signature_if_readable(self._path)
