"""Writes copied commits into a log's folder, as they were written at their origin."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from store.copies import CopiedBytes, CopiedRecord, CopyEnd, CopyLine, CopyMalformed, LogStart, PartHashes
from store.csv.copying.copied_parts import check_commit, check_rows, decoded_record
from store.csv.files.codec import HEADER_LIMIT_BYTES
from store.csv.files.commit_records import Commit, EncodedCommit
from store.csv.files.disk import Disk, unavailable_on_error
from store.csv.log.commit_log import CommitLog
from store.csv.log.history import CommitHistory
from store.csv.writing.writer import cut_file
from store.declarations import Dataset
from store.exceptions import StoreUnavailable
from store.protocol import CommitId

_BATCH_BYTES = 8 * 2**20
_BATCH_COMMITS = 512


@dataclass(slots=True)
class _Batch:
    """Commits whose rows are in their files, but not yet synced, and whose records are not written.

    base: the log's newest commit. ends: the new length of each file that they add to.
    """

    base: CommitId
    committed_at: int
    rows: int
    lines: list[EncodedCommit] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    size: int = 0

    @property
    def previous(self) -> CommitId:
        return self.lines[-1].id if self.lines else self.base

    @property
    def is_full(self) -> bool:
        return self.size >= _BATCH_BYTES or len(self.lines) >= _BATCH_COMMITS

    def add(self, line: EncodedCommit, ends: dict[str, int]) -> None:
        commit = line.commit
        self.lines.append(line)
        self.ends |= ends
        self.committed_at = commit.facts.committed_at
        self.rows += commit.facts.rows
        self.size += sum(part.length for part in commit.parts)


class LogCopy:
    """A log that only copied commits are added to. One thread of one process uses it at a time."""

    def __init__(self, dataset: Dataset, symbol: str, folder: Path, disk: Disk) -> None:
        self._dataset, self._symbol, self._folder = dataset, symbol, folder
        self._disk = disk
        self._log = CommitLog(folder, disk)

    def head(self) -> tuple[CommitId, int]:
        """Return the newest commit, and its time in nanoseconds UTC. Raises `DataDamaged`, `StoreUnavailable`."""
        with unavailable_on_error:
            history = self._log.history()
            return history.head(), history.committed_at

    def apply(self, answer: Iterable[CopyLine]) -> None:
        """Add the commits of an answer. Each is checked before its record is written.

        If an error ends the answer, the commits before it are kept. A crash at any instant leaves a log that ends with
        a whole commit. Raises `CopyMalformed`, `DataDamaged`, `StoreUnavailable`, and the errors of `answer`.
        """
        lines = iter(answer)
        with unavailable_on_error:
            self._check_start(next(lines, None))
            batch = self._new_batch()
            try:
                for line in lines:
                    if isinstance(line, CopyEnd):
                        break
                    self._receive(batch, line, lines)
                    if batch.is_full:
                        self._write(batch)
                        batch = self._new_batch()
            except OSError:
                raise
            except Exception:
                self._write(batch)
                raise
            self._write(batch)

    def _check_start(self, line: CopyLine | None) -> None:
        named = (line.dataset, line.symbol) if isinstance(line, LogStart) else None
        if named != (self._dataset.name, self._symbol):
            raise CopyMalformed(f"the answer is not of {self._dataset.name} of {self._symbol}")

    def _new_batch(self) -> _Batch:
        history = self._log.history()
        return _Batch(history.head(), history.committed_at, history.rows)

    def _receive(self, batch: _Batch, record: CopyLine, lines: Iterator[CopyLine]) -> None:
        """Write a commit's rows, and add it to the batch once all is as told."""
        if not isinstance(record, CopiedRecord):
            raise CopyMalformed(f"a record was expected, not {type(record).__name__}")
        line = decoded_record(record.line, batch.previous)
        check_commit(self._dataset, line.commit, batch.committed_at)
        ends, hashes = self._write_parts(batch, line.commit, _PartBytes(lines))
        told = next(lines, None)
        if not isinstance(told, PartHashes) or list(told.parts) != hashes:
            raise CopyMalformed(f"commit {line.id.number}: the bytes do not have the SHA-256 that was told")
        check_rows(self._dataset, self._symbol, self._folder, line.commit, batch.rows)
        batch.add(line, ends)

    def _write_parts(
        self, batch: _Batch, commit: Commit, data: "_PartBytes"
    ) -> tuple[dict[str, int], list[str]]:
        if commit.parts and not self._folder.is_dir():
            self._disk.make_folder(self._folder)
        ends: dict[str, int] = {}
        history, hashes = self._log.history(), []
        for part in commit.parts:
            known = ends.get(part.file, batch.ends.get(part.file))
            end = history.file_end(part.file) if known is None else known
            is_next = part.offset == end
            if not end:  # the first part of a file comes after the file's header
                is_next = 0 < part.offset <= HEADER_LIMIT_BYTES
            if not is_next:
                raise CopyMalformed(f"commit {commit.number}: its part of {part.file} is not where that ends")
            hashes.append(self._append(part.file, end, part.end, data))
            ends[part.file] = part.end
        data.check_all_read(commit.number)
        return ends, hashes

    def _append(self, file: str, start: int, end: int, data: "_PartBytes") -> str:
        """Append bytes to a file from `start` on, and return their SHA-256. Bytes after `start` are cut off."""
        digest, path = hashlib.sha256(), self._folder / file
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o644)
        try:
            cut_file(self._disk, descriptor, start, path)
            while start < end:
                some = data.read(end - start)
                self._disk.append(descriptor, some)
                digest.update(some)
                start += len(some)
        finally:
            os.close(descriptor)
        return digest.hexdigest()

    def _write(self, batch: _Batch) -> None:
        """Make the batch's rows durable, and then its records."""
        if not batch.lines:
            return
        with self._log.locked() as descriptor:
            history = self._log.recover(descriptor)
            if history.head() != batch.base:
                raise StoreUnavailable("something else has written to the mirror's log: end it")
            is_listed = self._sync_files(history, batch.ends)
            self._log.append_encoded(descriptor, batch.lines, is_listed=is_listed)

    def _sync_files(self, history: CommitHistory, ends: dict[str, int]) -> bool:
        """Sync the data files. Return whether one is new, so that the folder was synced, too."""
        for file, end in ends.items():
            descriptor = os.open(self._folder / file, os.O_RDWR | os.O_CLOEXEC)
            try:
                cut_file(self._disk, descriptor, end, self._folder / file)
                self._disk.sync(descriptor)
            finally:
                os.close(descriptor)
        has_new = any(not history.file_end(file) for file in ends)
        if has_new:
            self._disk.sync_folder(self._folder)
        return has_new


class _PartBytes:
    """The bytes of a commit's parts, from the lines of an answer."""

    def __init__(self, lines: Iterator[CopyLine]) -> None:
        self._lines = lines
        self._unread = b""

    def read(self, limit: int) -> bytes:
        """Return 1 to `limit` bytes. Raises `CopyMalformed` if another line comes."""
        if not self._unread:
            line = next(self._lines, None)
            if not isinstance(line, CopiedBytes) or not line.data:
                raise CopyMalformed("bytes of a part are missing")
            self._unread = line.data
        some, self._unread = self._unread[:limit], self._unread[limit:]
        return some

    def check_all_read(self, commit: int) -> None:
        if self._unread:
            raise CopyMalformed(f"commit {commit}: there are more bytes than its parts have")
