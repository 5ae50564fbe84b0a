"""What a group of batches will add to a log: numbered, placed in files, not yet written."""

from dataclasses import dataclass, field

from trades.storage.commit import Commit, Part
from trades.storage.csv.batch import Chunk, PreparedBatch
from trades.storage.csv.codec import header
from trades.storage.csv.history import History
from trades.storage.csv.identities import IdentityIndex
from trades.storage.csv.partitions import file_for
from trades.storage.protocol import DUPLICATE_ROWS_KEPT


@dataclass(slots=True)
class _StagedDay:
    """The chunks of one event date, and an index of those that a later batch had to be compared with."""

    chunks: list[Chunk] = field(default_factory=list)
    index: IdentityIndex = field(default_factory=IdentityIndex)
    indexed: int = 0


class Stage:
    """Grows batch by batch; `commits` and `writes` are what the disk is to get, in this order per file."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.commits: list[Commit] = []
        self.writes: dict[str, list[bytes]] = {}
        self.digests: set[str] = set()
        self._committed_at = history.committed_at
        self._number = history.head().number
        self._days: dict[int, _StagedDay] = {}
        self._ends: dict[str, int] = {}
        self._newest_files: dict[int, str] = {}

    def add(
        self, batch: PreparedBatch, chunks: tuple[Chunk, ...], duplicates: tuple[int, ...], now_ns: int
    ) -> Commit:
        """Give a batch's new rows a number, an instant and places in files; returns the commit to be."""
        self._number += 1
        self._committed_at = max(now_ns, self._committed_at + 1)
        commit = Commit(
            commit=self._number,
            committed_at=self._committed_at,
            caller=batch.append.caller,
            digest=batch.digest,
            received=batch.append.rows.num_rows,
            parts=tuple(self._place(chunk) for chunk in chunks),
            duplicate_rows=duplicates[:DUPLICATE_ROWS_KEPT],
            request_key=batch.append.request_key,
        )
        self.commits.append(commit)
        self.digests.add(batch.digest)
        return commit

    def chunks_by_day(self) -> list[list[Chunk]]:
        """All that was placed, each event date's chunks in order."""
        return [day.chunks for day in self._days.values()]

    def index_for(self, chunk: Chunk) -> IdentityIndex | None:
        """The staged rows of the chunk's date, if any of them could equal one of its rows."""
        day = self._days.get(chunk.day)
        if day is None or not (chunk.has_ids or any(chunk.overlaps(*staged.bounds) for staged in day.chunks)):
            return None
        for staged in day.chunks[day.indexed :]:
            day.index.add(staged.hashes)
        day.indexed = len(day.chunks)
        return day.index

    def _place(self, chunk: Chunk) -> Part:
        newest = self._newest_file(chunk.day)
        file = file_for(chunk.day, newest, self._end(newest) if newest else 0)
        start, text = self._end(file), chunk.text
        if start == 0:
            self.writes[file] = [header(chunk.dataset)]
            start = len(self.writes[file][0])
        self.writes.setdefault(file, []).append(text)
        self._ends[file] = start + len(text)
        self._newest_files[chunk.day] = file
        self._days.setdefault(chunk.day, _StagedDay()).chunks.append(chunk)
        first_ns, last_ns = chunk.bounds
        return Part(file, start, len(text), chunk.rows.num_rows, first_ns, last_ns, chunk.checksums)

    def _newest_file(self, day: int) -> str | None:
        stored = self.history.days.get(day)
        return self._newest_files.get(day) or (stored.parts[-1].part.file if stored else None)

    def _end(self, file: str) -> int:
        return self._ends.get(file, self.history.file_ends.get(file, 0))
