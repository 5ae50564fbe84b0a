"""Staged commits: the commits of a group of batches. They have numbers and files but are not written yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from store.commits import Facts
from store.csv.files.codec import Header, header_line, header_or_empty
from store.csv.files.commit_records import Commit, Part, PartKind, StoredPart, rows_in
from store.csv.files.file_names import file_for
from store.csv.log.history import CommitHistory
from store.csv.writing.batch import Chunk, PreparedRequest
from store.protocol import DUPLICATE_ROWS_KEPT, Superseded
from store.walk import CommitRecord


@dataclass(slots=True)
class _StagedDay:
    """The chunks of one event date, and their parts."""

    chunks: list[Chunk] = field(default_factory=list)
    parts: list[StoredPart] = field(default_factory=list)


class StagedCommits:
    """Collects the commits of batches.

    commits: their records, in order. committed_at: the time of the newest one, or of the log's. writes: the texts to append to
    each file, in order.
    """

    def __init__(self, history: CommitHistory, folder: Path) -> None:
        self.history = history
        self._folder = folder
        self.commits: list[Commit] = []
        self.writes: dict[str, list[bytes]] = {}
        self.committed_at = history.committed_at
        self._number = history.head().number
        self._days: dict[int, _StagedDay] = {}
        self._ends: dict[str, int] = {}
        self._headers: dict[str, Header] = {}
        self._rows = history.rows
        self._completeness = history.completeness()
        self.expired = history.expired

    def advances(self, request: PreparedRequest) -> bool:
        """Return whether a batch declares the log complete until a later instant than all before it."""
        declared_ns = request.complete_until_ns
        return declared_ns is not None and declared_ns > self._completeness.complete_until_ns

    def add(
        self,
        request: PreparedRequest,
        chunks: Sequence[Chunk],
        duplicates: tuple[int, ...],
        superseded: tuple[Superseded, ...],
        committed_at: int,
        *,
        replaced: int,
    ) -> Commit:
        """Stage the new lines of a batch: make a commit with a number, a time and parts, and return it.

        duplicates: indices of the batch's other rows. replaced: see `Facts`.
        """
        parts = self._parts(chunks)
        facts = Facts(
            number=self._number,
            committed_at=committed_at,
            caller=request.caller,
            digest=request.digest,
            received=request.received,
            rows=rows_in(parts, PartKind.ROWS),
            corrections=rows_in(parts, PartKind.CORRECTIONS),
            content=request.content_of(chunks),
            duplicate_rows=duplicates[:DUPLICATE_ROWS_KEPT],
            key_hash=request.key_hash,
            complete_until_ns=request.complete_until_ns,
            fill=request.fill,
            superseded=superseded,
            replaced=replaced,
            expiry=request.expiry,
        )
        return self._staged(Commit(facts, parts))

    def add_copied(self, record: CommitRecord, chunks: Sequence[Chunk]) -> None:
        """Stage a commit of another log, which must be the next one. Its layout is this log's own."""
        self._staged(Commit(record.facts, self._parts(chunks)))

    def _parts(self, chunks: Sequence[Chunk]) -> tuple[Part, ...]:
        self._number += 1
        return tuple(self._part_for(chunk) for chunk in chunks)

    def _staged(self, commit: Commit) -> Commit:
        self.committed_at = commit.facts.committed_at
        self._completeness = commit.completeness_after(self._completeness)
        self.expired = self.expired.after(commit.facts)
        self.commits.append(commit)
        return commit

    def staged(self, day: int) -> list[tuple[StoredPart, Chunk]]:
        """Return the staged parts of an event date, in order."""
        staged_day = self._days.get(day, _StagedDay())
        return list(zip(staged_day.parts, staged_day.chunks, strict=True))

    def stored_ends(self) -> dict[str, int]:
        """Return the committed length of each file that gets rows."""
        return {file: self.history.file_end(file) for file in self.writes}

    def days(self) -> list[int]:
        """Return the event dates with staged rows."""
        return list(self._days)

    def _part_for(self, chunk: Chunk) -> Part:
        file = file_for(
            chunk.day,
            chunk.dataset.partition,
            self._end,
            chunk.kind,
            holds=partial(self._has_columns_of, chunk),
        )
        start = self._end(file)
        if start == 0:
            self._headers[file] = chunk.header
            self.writes[file] = [header_line(chunk.header)]
            start = len(self.writes[file][0])
        text, checksums = chunk.lines_in(self._headers[file])
        self.writes.setdefault(file, []).append(text)
        self._ends[file] = start + len(text)
        rows, (first_ns, last_ns) = chunk.rows.num_rows, chunk.bounds
        part = Part(file, start, len(text), rows, first_ns, last_ns, checksums, chunk.kind)
        self._record(chunk, part)
        return part

    def _has_columns_of(self, chunk: Chunk, file: str) -> bool:
        """Return whether a file's header has all columns of a chunk's rows.

        A damaged header has no columns, so the rows go to another file. Raises `DataDamaged` if the file is
        missing.
        """
        if file not in self._headers:
            self._headers[file] = header_or_empty(chunk.dataset, self._folder / file)
        return set(chunk.header).issubset(self._headers[file])

    def _record(self, chunk: Chunk, part: Part) -> None:
        is_rows = part.kind == PartKind.ROWS
        day = self._days.setdefault(chunk.day, _StagedDay())
        day.chunks.append(chunk)
        day.parts.append(StoredPart(self._number, self._rows if is_rows else 0, part))
        self._rows += part.rows if is_rows else 0

    def _end(self, file: str) -> int:
        end = self._ends.get(file)
        return self.history.file_end(file) if end is None else end
