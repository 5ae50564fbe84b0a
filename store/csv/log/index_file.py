"""The SQLite file with the pieces of a log's index, or a database in memory where there can be no file.

Whoever sees that many commits are not in the index adds them. The rollback journal is in memory. So there is no second
file, which SQLite could apply to another database, and a folder that is not writable can be read. A process that is killed
while it writes leaves a torn file, as a power cut does: a check finds that, and the file is made again.
"""

import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from store.csv.files.commit_records import CommitLine, read_lines
from store.csv.files.disk import unavailable_on_error
from store.csv.log.index_check import check_index
from store.csv.log.log_index import (
    STATE,
    Addition,
    IndexBusy,
    IndexDamaged,
    IndexState,
    IndexUnavailable,
    LogIndex,
    decoded_state,
    encoded_state,
)
from store.exceptions import DataDamaged, StoreUnavailable
from store.protocol import NO_COMMIT, CommitId

DERIVED_FOLDER = ".derived"
INDEX_FILE = "commits.sqlite"
MOST_OPEN = 64
"""So many index files are open in a process at a time, with a handle and at most 256 KiB each."""

_COMMITS_AT_ONCE = 4096
_PATIENCE_SECONDS = 0.5
# The errors of SQLite that say nothing about the file: busy, locked, no memory, read-only, I/O, full, and so on.
_BUSY = {5, 6, 14}  # busy, locked, cannot be opened
_PASSING = {3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 22, 23}
_APPEND = (
    "INSERT INTO pieces VALUES (?, ?)"
    " ON CONFLICT (id) DO UPDATE SET content = CAST(content || excluded.content AS BLOB)"
)

_logger = logging.getLogger(__name__)
_open: OrderedDict["IndexFile", None] = OrderedDict()
_open_mutex = threading.Lock()


class IndexFile:
    """Reads and extends the index of one log; see `IndexPieces`. Thread-safe. Its handle is closed if it is not used.

    lock: held while the file is used.
    """

    def __init__(self, log: Path) -> None:
        """Create it. log: the file of the commit records."""
        self._log = log
        self.path = log.parent / DERIVED_FOLDER / INDEX_FILE
        self.generation = 0
        self._in_memory = False
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.lock = threading.RLock()

    def between(self, first: int, last: int, limit: int = -1) -> list[tuple[int, bytes]]:
        """See `IndexPieces`."""
        sql = "SELECT id, content FROM pieces WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
        return self._rows(sql, first, last, limit)

    def both(self, first: int, second: int) -> dict[int, bytes]:
        """See `IndexPieces`."""
        return dict(self._rows("SELECT id, content FROM pieces WHERE id IN (?, ?)", first, second))

    def make_again(self, index: LogIndex, error: Exception, generation: int) -> None:
        """See `IndexPieces`."""
        with self.lock, unavailable_on_error:
            if generation != self.generation:
                return
            if isinstance(error, IndexBusy) and _inode(self.path):
                raise StoreUnavailable("the commit index is in use, or cannot be opened: retry") from error
            self.generation += 1
            try:
                if isinstance(error, IndexDamaged):
                    self.remove(error)
                made = self._extended(index.state.end)
            except (IndexDamaged, IndexUnavailable):
                self._go_into_memory()
                made = self._extended(index.state.end)
            if made.head != index.head:
                message = (
                    f"commit record {index.number} is not as written: restore commits.jsonl from a backup"
                )
                raise DataDamaged(message)
            index.use(made.state)

    def lines(self, start: int, end: int, previous: CommitId) -> Iterator[CommitLine]:
        """See `read_lines`."""
        return read_lines(self._log, start, end, previous)

    def load(self) -> LogIndex:
        """Return the index in the file; an empty one if it cannot be used. Reads the file that is there now."""
        with self.lock:
            if self._in_memory or _inode(self.path):
                try:
                    self._open_current()
                    index = self._read()
                    self._check_history(index)
                except (IndexDamaged, IndexUnavailable, OSError) as error:
                    _logger.debug("the commit index %s cannot be used: %r", self.path, error)
                else:
                    return index
            return LogIndex(self, IndexState())

    def check(self) -> None:
        """Compare the file with the log's records, if there is one.

        Raises `IndexDamaged`, `IndexUnavailable`; `DataDamaged` if a record is damaged.
        """
        if not _inode(self.path):
            return
        with self.lock, closing(self):
            index = self._read()
            self._check_history(index)
            check_index(index, self.lines(0, index.state.end, NO_COMMIT))

    def extended(
        self, end: int, before: CommitId, known: Sequence[CommitLine] = (), *, always: bool
    ) -> LogIndex | None:
        """Add the commits up to an offset in the log, and return the index; None if it cannot be written now.

        known: some of these commits. before: the commit before the first of them. always: put the index into memory
        instead. Raises `DataDamaged`, and `OSError` if the log cannot be read.
        """
        with self.lock:
            try:
                try:
                    return self._extended(end, before, known)
                except IndexDamaged as error:
                    self.remove(error)
                    return self._extended(end, before, known)
            except (IndexDamaged, IndexUnavailable) as error:
                _logger.debug("the commit index %s cannot be written: %r", self.path, error)
                if not always:
                    return None
            self._go_into_memory()
            return self._extended(end)

    def remove(self, reason: object) -> None:
        """Delete a file that cannot be used, and log why. Raises `IndexUnavailable`."""
        self.close()
        if self._in_memory:
            self._connection = None
            return
        _logger.warning("the commit index %s is made again: %s", self.path, reason)
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise IndexUnavailable(str(error)) from error

    def close(self) -> None:
        """Close the handle of the file, which is opened again when it is needed."""
        with self.lock:
            if self._connection is not None and not self._in_memory:
                self._connection.close()
                self._connection = None

    def _go_into_memory(self) -> None:
        self.close()
        self._in_memory, self._connection = True, None

    def _rows(self, sql: str, *values: int) -> list[Any]:
        with self.lock, _translated_errors:
            connection = self._connection or self._open_current()
            found = connection.execute(sql, values).fetchall()
        self._used()
        return found

    def _read(self) -> LogIndex:
        found = self.between(STATE, STATE)
        return LogIndex(self, decoded_state(found[0][1]) if found else IndexState())

    def _open_current(self, mode: str = "ro") -> sqlite3.Connection:
        """Return a connection to the file that is there now, or to the index in memory."""
        if self._connection is not None and not self._in_memory and _inode(self.path) != self._inode:
            self.close()
        if self._connection is None:
            uri = "file::memory:" if self._in_memory else f"file:{quote(str(self.path))}?mode={mode}"
            with _translated_errors:
                self._connection = sqlite3.connect(
                    uri, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False, uri=True
                )
                self._connection.text_factory = bytes
                self._connection.execute("PRAGMA cache_size = -256")
            self._inode = _inode(self.path)
        return self._connection

    def _used(self) -> None:
        """Remember that this file was used, and close the one that was not used for the longest time."""
        if self._in_memory:
            return
        with _open_mutex:
            _open[self] = None
            _open.move_to_end(self)
            oldest = _open.popitem(last=False)[0] if len(_open) > MOST_OPEN else None
        if oldest is not None and oldest.lock.acquire(blocking=False):  # one that is being written stays open
            oldest.close()
            oldest.lock.release()

    def _check_history(self, index: LogIndex) -> None:
        """Raise `IndexDamaged` unless the log has the index's newest commit where the index says."""
        state = index.state
        if not state.number:
            return
        previous = CommitId(state.number - 1, state.previous)
        try:
            found = [(line.id, line.end) for line in self.lines(state.start, state.end, previous)]
        except (DataDamaged, FileNotFoundError):
            found = []
        if found != [(index.head, state.end)]:
            raise IndexDamaged("it is of another history of the log")

    def _extended(
        self, end: int, before: CommitId | None = None, known: Sequence[CommitLine] = ()
    ) -> LogIndex:
        while True:
            with self._transaction() as connection:
                index = self._read()
                if index.state.end > end:
                    raise IndexUnavailable("it has later commits")
                some = self._lines_after(index, end, before, known)
                if not some:
                    return index
                addition = Addition(index, some)
                connection.executemany("INSERT INTO pieces VALUES (?, ?)", addition.pieces)
                connection.executemany(_APPEND, addition.appended)
                state = encoded_state(addition.state)
                connection.execute("REPLACE INTO pieces VALUES (?, ?)", (STATE, state))

    def _lines_after(
        self, index: LogIndex, end: int, before: CommitId | None, known: Sequence[CommitLine]
    ) -> Sequence[CommitLine]:
        """Return the next commits up to an offset in the log, that are to be added to the index."""
        if before is not None and known and 0 <= index.number - before.number <= len(known):
            place = index.number - before.number
            if index.head != (known[place - 1].id if place else before):
                raise IndexDamaged("it is of another history of the log")
            return known[place:]
        self._check_history(index)
        return list(islice(self.lines(index.state.end, end, index.head), _COMMITS_AT_ONCE))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing. Other processes can read until the end.

        Its handle is its own, and closed after it: while one is open for writing, nobody can mount the disk read-only.
        """
        try:
            self.path.parent.mkdir(exist_ok=True)
        except OSError as error:
            if not self._in_memory:
                raise IndexUnavailable(str(error)) from error
        self.close()
        with _translated_errors, closing(self):
            connection = self._open_current("rwc")
            for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_spill = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    self._create(connection)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE pieces (id INTEGER PRIMARY KEY, content BLOB)")


class _TranslatedErrors:
    """Raises `IndexDamaged` or `IndexUnavailable` instead of the errors of SQLite."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            passing = IndexBusy if code in _BUSY else IndexUnavailable
            raise (passing if code in _PASSING else IndexDamaged)(str(error)) from error


_translated_errors = _TranslatedErrors()


def _inode(path: Path) -> int:
    with suppress(OSError):
        return os.stat(path).st_ino  # noqa: PTH116 a quarter of Path.stat's time
    return 0
