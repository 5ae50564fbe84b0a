"""The commit index: a log's records up to one commit, as mapped columns that can be searched.

Commits are in order of number; parts are in order of event date and commit. There is one entry per date and
one per file. The hashes of idempotency keys and of batches are sorted. Different keys may have the same hash,
so a commit that is found by a hash is read from the log and compared.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from store.arrays import Integers
from store.commits import Facts
from store.csv.files.column_file import ColumnFile, Records
from store.csv.files.commit_records import Part, PartKind, StoredPart
from store.protocol import ALL_TIME, NO_COMMIT, NOTHING_COMPLETE, CommitId, Completeness, Window
from store.timestamps import DAY_NS

KIND = "commit index 6"

SUPERSEDED = np.dtype([("first_ns", "<i8"), ("last_ns", "<i8"), ("commit", "<i8"), ("series", "<i8")])
_HASHED = np.dtype([("hash", "<i8"), ("commit", "<i8")])

# Of `commits`, `line_end` is an offset in the log, and `newest_ns` and `complete_until_ns` are the log's completeness
# after the commit. `texts` has the parts' checksums and the names of files; `text_offset` and `text_length` point into
# it. `newest`, `first_ns`, `last_ns` and `first_part` have one entry for each entry of `dates`. `fills` has the windows
# of fills, and `superseded` what batches superseded, in order of commit; `series` is a hash.
DTYPES: dict[str, np.dtype[Any]] = {
    "commits": np.dtype(
        [
            ("hash", "V32"),
            ("committed_at", "<i8"),
            ("line_end", "<i8"),
            ("newest_ns", "<i8"),
            ("complete_until_ns", "<i8"),
        ]
    ),
    "parts": np.dtype(
        [
            ("first_ns", "<i8"),
            ("last_ns", "<i8"),
            ("first_arrival", "<i8"),
            ("offset", "<i8"),
            ("text_offset", "<i8"),
            ("text_length", "<u4"),
            ("length", "<u4"),
            ("rows", "<u4"),
            ("commit", "<u4"),
            ("file", "<u4"),
            ("kind", "<u4"),
        ]
    ),
    "part_commits": np.dtype("<i4"),
    "dates": np.dtype("<i8"),
    "newest": np.dtype("<i8"),
    "first_ns": np.dtype("<i8"),
    "last_ns": np.dtype("<i8"),
    "first_part": np.dtype("<i8"),
    "files": np.dtype([("hash", "<i8"), ("end", "<i8"), ("text_offset", "<i8"), ("text_length", "<i8")]),
    "texts": np.dtype("u1"),
    "keys": _HASHED,
    "digests": _HASHED,
    "fills": np.dtype([("start_ns", "<i8"), ("end_ns", "<i8"), ("commit", "<i8")]),
    "superseded": SUPERSEDED,
}
SEARCHED = {"commits": "committed_at", "keys": "hash", "digests": "hash"}


def text_hash(*texts: str) -> int:
    """Return a 63-bit hash of one or more texts."""
    digest = hashlib.blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def superseded_records(commits: Iterable[Facts], window: Window = ALL_TIME) -> Records:
    """Return the entries of `superseded` with times in a window, for some commits."""
    entries = [
        (each.first_ns, each.last_ns, commit.number, text_hash(each.series))
        for commit in commits
        for each in commit.superseded
        if each.first_ns < window.end_ns and each.last_ns >= window.start_ns
    ]
    return np.array(entries, SUPERSEDED)


def dates_of(window: Window) -> tuple[int, int]:
    """Return the first and last event date that a window touches, in days since the epoch."""
    return window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS


class CommitIndex:
    """The columns of an index, mapped or in memory. All methods raise `ColumnsDamaged`.

    number, head, committed_at: number, id and time of the newest commit. end: the offset in the log after
    that commit's line. rows: the number of rows that were appended up to that commit. newest_completeness: the log's
    completeness after it.
    """

    def __init__(self, columns: ColumnFile) -> None:
        self.columns = columns
        facts: Any = columns.facts
        self.number: int = facts["number"]
        self.head = CommitId(self.number, facts["hash"])
        self.committed_at: int = facts["committed_at"]
        self.end: int = facts["end"]
        self.rows: int = facts["rows"]
        self.newest_completeness = Completeness(facts["newest_ns"], facts["complete_until_ns"])
        self.kinds = [PartKind(kind) for kind in facts["kinds"]]
        self.dates: Integers = columns["dates"].all()
        self.newest: Integers = columns["newest"].all()
        self.first_ns: Integers = columns["first_ns"].all()
        self.last_ns: Integers = columns["last_ns"].all()
        self._first_part = np.append(columns["first_part"].all(), len(columns["parts"]))
        self._names: dict[int, str] = {}

    @classmethod
    def mapped(cls, path: Path) -> "CommitIndex":
        """Map an index file. Also raises `OSError`."""
        return cls(ColumnFile.mapped(path, KIND, DTYPES.__getitem__))

    @classmethod
    def of(cls, content: bytes) -> "CommitIndex":
        """Return an index from the content of its file."""
        return cls(ColumnFile(content, KIND, DTYPES.__getitem__))

    def commit_id(self, number: int) -> CommitId:
        """Return the id of a commit."""
        if number == 0:
            return NO_COMMIT
        return CommitId(number, self.columns["commits"].part(number - 1, number)["hash"].tobytes().hex())

    def line_end(self, number: int) -> int:
        """Return the offset in the log after a commit's line."""
        return int(self.columns["commits"].part(number - 1, number)["line_end"][0]) if number else 0

    def committed_at_of(self, number: int) -> int:
        """Return the time of a commit, in nanoseconds UTC."""
        return int(self.columns["commits"].part(number - 1, number)["committed_at"][0])

    def committed_times(self, numbers: Integers) -> Integers:
        """Return the times of commits, in nanoseconds UTC."""
        first, last = int(numbers.min(initial=self.number + 1)), int(numbers.max(initial=0))
        times: Integers = self.columns["commits"].part(first - 1, last)["committed_at"][numbers - first]
        return times

    def completeness(self, number: int) -> Completeness:
        """Return the log's completeness after a commit."""
        if not number:
            return NOTHING_COMPLETE
        record = self.columns["commits"].part(number - 1, number)
        return Completeness(int(record["newest_ns"][0]), int(record["complete_until_ns"][0]))

    def commit_as_of(self, instant_ns: int) -> int:
        """Return the number of the newest commit made at or before an instant."""
        return self.columns["commits"].search(instant_ns, "right")

    def request_commits(self, caller: str, key_hash: str) -> list[int]:
        """Return the commits that may have a caller's idempotency key (given by its hash), newest first."""
        return self._commits_of("keys", text_hash(caller, key_hash))

    def batch_commits(self, digest: str) -> list[int]:
        """Return the commits that may have this digest, newest first."""
        return self._commits_of("digests", text_hash(digest))

    def fill_commits(self, window: Window, commit: int) -> list[int]:
        """Return the commits up to `commit` that are fills with windows that overlap a window, in order."""
        fills = self.columns["fills"].all()
        overlaps = (fills["start_ns"] < window.end_ns) & (fills["end_ns"] > window.start_ns)
        commits: list[int] = fills["commit"][overlaps & (fills["commit"] <= commit)].tolist()
        return commits

    def superseded(self, window: Window) -> Records:
        """Return the entries of `superseded` with times in a window, in order of commit."""
        entries = self.columns["superseded"].all()
        return entries[(entries["first_ns"] < window.end_ns) & (entries["last_ns"] >= window.start_ns)]

    def file_end(self, file: str) -> int:
        """Return the offset after the last committed byte of a data file; 0 if no commit names the file."""
        files = self.columns["files"].all()
        indices = (int(index) for index in np.flatnonzero(files["hash"] == text_hash(file)))
        return next((int(files["end"][index]) for index in indices if self.file_name(index) == file), 0)

    def file_name(self, index: int) -> str:
        """Return the name of a file. index: the index of its entry in `files`."""
        name = self._names.get(index)
        if name is None:
            _, _, start, length = self.columns["files"].all()[index].item()
            name = self._names[index] = self._text(start, start + length).decode()
        return name

    def newest_at(self, dates: Integers, commit: int) -> Integers:
        """Return, for each date, the newest commit up to `commit` that touches it; 0 if there is none."""
        newest = np.zeros(len(dates), np.int64)
        if not len(self.dates):
            return newest
        indices = np.minimum(self.dates.searchsorted(dates), len(self.dates) - 1)
        has_parts = self.dates[indices] == dates
        indices = indices[has_parts]
        starts, stops = self._first_part[indices], self._parts_until(indices, commit)
        commits = self.columns["part_commits"].all()
        newest[np.flatnonzero(has_parts)[stops > starts]] = commits[stops[stops > starts] - 1]
        return newest

    def parts_in(self, window: Window, after: int, commit: int) -> list[StoredPart]:
        """Return the parts of commits in `(after, commit]` with times in the window.

        They are ordered by event date, then by commit.
        """
        return [
            part for records in self.part_records(window, after, commit) for part in self._stored(records)
        ]

    def part_records(self, window: Window, after: int, commit: int) -> Iterator[Records]:
        """Yield the entries of `parts` of the same parts as `parts_in`, in the same order."""
        first, last = dates_of(window)
        start, stop = self.dates.searchsorted(first), self.dates.searchsorted(last, "right")
        indices = start + np.flatnonzero(self.newest[start:stop] > after)
        starts, stops = self._parts_until(indices, after), self._parts_until(indices, commit)
        gaps = np.flatnonzero(starts[1:] != stops[:-1]) + 1
        if not len(indices):
            return
        for begin, end in zip(starts[np.append(0, gaps)], stops[np.append(gaps - 1, -1)], strict=True):
            records = self.columns["parts"].part(int(begin), int(end))
            yield records[(records["first_ns"] < window.end_ns) & (records["last_ns"] >= window.start_ns)]

    def _parts_until(self, indices: Integers, commit: int) -> Integers:
        """Return, for each date, the index after its last part from a commit up to `commit`.

        indices: the dates' indices in `self.dates`.
        """
        if commit <= 0:
            return self._first_part[indices]
        if commit >= self.number:
            return self._first_part[indices + 1]
        commits = self.columns["part_commits"].all()
        low, high = self._first_part[indices], self._first_part[indices + 1]
        # Bisects the ranges of all dates at once. One by one, 5,000 dates would take 12 ms.
        while (is_open := low < high).any():
            middle = (low + high) // 2
            is_later = commits[np.minimum(middle, len(commits) - 1)] > commit
            low = np.where(is_open & ~is_later, middle + 1, low)
            high = np.where(is_open & is_later, middle, high)
        return low

    def _stored(self, records: Records) -> list[StoredPart]:
        if not len(records):
            return []
        text_start = int(records["text_offset"].min())
        text = self._text(text_start, int((records["text_offset"] + records["text_length"]).max()))
        parts = []
        for first_ns, last_ns, arrival, offset, text_offset, size, *numbers in records.tolist():
            length, rows, commit, file, kind = numbers
            checksums = text[text_offset - text_start : text_offset - text_start + size].decode()
            name = self.file_name(file)
            part = Part(name, offset, length, rows, first_ns, last_ns, checksums, self.kinds[kind])
            parts.append(StoredPart(commit, arrival, part))
        return parts

    def _text(self, start: int, stop: int) -> bytes:
        return self.columns["texts"].part(start, stop).tobytes()

    def _commits_of(self, column: str, hash_: int) -> list[int]:
        hashes = self.columns[column]
        entries = hashes.part(hashes.search(hash_, "left"), hashes.search(hash_, "right"))
        return [int(commit) for commit in entries["commit"][::-1]]
