"""The file of a log's commit index: reads it, checks it against the log, and replaces it by renaming.

The file may be deleted at any time.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from store.csv.files.column_file import ColumnsDamaged
from store.csv.files.commit_records import CommitLine, read_lines
from store.csv.log.commit_index import CommitIndex
from store.csv.log.index_builder import EMPTY, IndexBuilder
from store.exceptions import DataDamaged
from store.protocol import CommitId

DERIVED_FOLDER = ".derived"
INDEX_FILE = "commits.index"

# The index is rewritten once TAIL_COMMITS commits or TAIL_BYTES bytes of the log are not in it. For a long log the
# limits are 1/TAIL_SHARE of the commits and bytes that the index covers, so that it is rewritten less often.
TAIL_COMMITS = 4096
TAIL_BYTES = 4 * 2**20
TAIL_SHARE = 64

_COMMITS_AT_ONCE = 4096
_logger = logging.getLogger(__name__)


@contextmanager
def derived_lock(folder: Path) -> Iterator[bool]:
    """Lock the derived files of a log. Yields whether the lock was free. Does not wait for it.

    folder: the log's folder. Raises `OSError`.
    """
    derived = folder / DERIVED_FOLDER
    derived.mkdir(exist_ok=True)
    descriptor = os.open(derived / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


class IndexFiles:
    """The index of one log. It is optional: without it the whole log is read, and indexed in memory."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.path = log.parent / DERIVED_FOLDER / INDEX_FILE

    def load_usable(self, log_size: int) -> CommitIndex | None:
        """Return the index if it is usable and covers at most the log's first `log_size` bytes; else None."""
        try:
            index = CommitIndex.mapped(self.path)
            return index if index.end <= log_size and self._agrees(index) else None
        except (ColumnsDamaged, DataDamaged, OSError) as error:
            if not isinstance(error, FileNotFoundError):
                _logger.debug("the commit index %s cannot be used: %r", self.path, error)
            return None

    def lines(self, start: int, end: int, previous: CommitId) -> Iterator[CommitLine]:
        """See `read_lines`."""
        return read_lines(self._log, start, end, previous)

    def open_index(self, log_size: int) -> CommitIndex:
        """Return an index that covers the log up to a short tail of new commits. Extend the index if necessary.

        Raises `DataDamaged`, and `OSError` if the log cannot be read.
        """
        base = self.load_usable(log_size) or EMPTY
        if log_size - base.end < max(TAIL_BYTES, base.end // TAIL_SHARE):
            return base
        try:
            return self._extend(base, log_size)
        except ColumnsDamaged:
            return self._extend(EMPTY, log_size)

    def rebuild(self, damaged: CommitIndex) -> CommitIndex:
        """Return a new index that replaces a damaged one. Raises the errors of `open_index`."""
        _logger.warning("the commit index %s is damaged and is made again", self.path)
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            _logger.debug("the commit index %s cannot be removed: %r", self.path, error)
        index = self._extend(EMPTY, damaged.end)
        if index.head != damaged.head:
            raise DataDamaged(
                f"commit record {damaged.number} is not as written: restore commits.jsonl from a backup"
            )
        return index

    def renew(self, build: Callable[[], IndexBuilder]) -> CommitIndex | None:
        """Return an index of the commits so far: on disk, or in memory if the folder is not writable.

        Return None if another process is writing the index, if the old index is damaged, or if the existing one
        is newer or has other commits; that one is kept. build: returns a builder with the commits so far.
        """
        try:
            with derived_lock(self._log.parent) as is_locked:
                return self._write(build()) if is_locked else None
        except OSError as error:
            _logger.debug("the commit index %s cannot be written: %r", self.path, error)
            return build().in_memory()
        except ColumnsDamaged:
            _logger.warning("the commit index %s was damaged while it was written", self.path)
            return None

    def _extend(self, base: CommitIndex, log_size: int) -> CommitIndex:
        """Return an index of all complete lines in the log's first `log_size` bytes."""
        builder = IndexBuilder(base)
        lines = self.lines(base.end, log_size, base.head)
        while some := list(islice(lines, _COMMITS_AT_ONCE)):
            builder.add(some)
        try:
            with derived_lock(self._log.parent) as is_locked:
                index = self._write(builder) if is_locked else None
        except OSError as error:
            _logger.debug("the commit index %s cannot be written: %r", self.path, error)
            index = None
        return index or builder.in_memory()

    def _write(self, builder: IndexBuilder) -> CommitIndex | None:
        """Write the builder's index and return it, mapped.

        If the existing index is at least as new, keep it; return it if it has the same commits, else None.
        """
        existing = self.load_usable(self._log.stat().st_size)
        if existing is not None and existing.number >= builder.number:
            return existing if existing.head == builder.head else None
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        try:
            with new.open("xb") as file:
                builder.write(file)
            index = CommitIndex.mapped(new)
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
        return index

    def _agrees(self, index: CommitIndex) -> bool:
        """Return whether the log has the index's newest commit, at the offset that the index states."""
        if not index.number:
            return True
        previous = index.commit_id(index.number - 1)
        start = index.line_end(index.number - 1)
        commits = [(commit_id, end) for _, commit_id, end in self.lines(start, index.end, previous)]
        return commits == [(index.head, index.end)]
