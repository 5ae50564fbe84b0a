"""Reads a log's commits as they are written, for a mirror."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from store.copies import CopiedBytes, CopiedRecord, CopyEnd, LogStart, PartHashes, encode_line
from store.csv.files.codec import HEADER_LIMIT_BYTES, open_file
from store.csv.files.commit_records import Commit, Part, decode_commit
from store.csv.files.disk import unavailable_on_error
from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.history import CommitHistory
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.protocol import CommitId

COPY_COMMITS = 1_000
COPY_BYTES = 8 * 2**20
"""An answer ends with the commit by which it has so many commits, or so many bytes of their parts."""

_READ_BYTES = 48 * 1024


class LogPiece:
    """The next commits of a log, as the lines of an answer."""

    def __init__(
        self,
        dataset: Dataset,
        symbol: str,
        folder: Path,
        history: CommitHistory,
        between: tuple[CommitId, CommitId],
    ) -> None:
        """between: the commit before the first one, and the newest. Raises `DataDamaged` and `StoreUnavailable`."""
        self._dataset, self._symbol, self._folder = dataset, symbol, folder
        self._after, self._head = between
        last = min(self._head.number, self._after.number + COPY_COMMITS)
        self._bounds = history.line_end(self._after.number), history.line_end(last)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines. Raises `DataDamaged`, `StoreUnavailable`: then the answer has no end."""
        yield encode_line(LogStart(self._dataset.name, self._symbol, self._head.number, self._head.hash))
        previous, size = self._after, 0
        with unavailable_on_error:
            for record in self._records():
                commit, previous = decode_commit(record, previous)
                yield encode_line(CopiedRecord(record.decode()))
                yield from self._parts(commit)
                size += sum(part.length for part in commit.parts)
                if size >= COPY_BYTES:
                    break
        yield encode_line(CopyEnd(previous.number, previous.hash))

    def _records(self) -> Iterator[bytes]:
        start, end = self._bounds
        with (self._folder / COMMITS_FILE).open("rb") as file:
            file.seek(start)
            while start < end:
                line = file.readline()
                start += len(line)
                if not line.endswith(b"\n"):
                    raise DataDamaged("the log was cut while it was read: ask again")
                yield line[:-1]

    def _parts(self, commit: Commit) -> Iterator[bytes]:
        hashes = []
        for part in commit.parts:
            digest = hashlib.sha256()
            for data in self._bytes(part):
                digest.update(data)
                yield encode_line(CopiedBytes(data))
            hashes.append(digest.hexdigest())
        yield encode_line(PartHashes(tuple(hashes)))

    def _bytes(self, part: Part) -> Iterator[bytes]:
        descriptor = open_file(self._folder / part.file)
        try:
            header = os.pread(descriptor, HEADER_LIMIT_BYTES, 0).partition(b"\n")[0]
            position = 0 if part.offset == len(header) + 1 else part.offset
            while position < part.end:
                data = os.pread(descriptor, min(_READ_BYTES, part.end - position), position)
                if not data:
                    raise DataDamaged(f"{self._folder.name}/{part.file} ends at byte {position}: restore it")
                position += len(data)
                yield data
        finally:
            os.close(descriptor)
