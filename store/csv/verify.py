"""Checks a log and its derived files, and counts its content."""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from store.commits import Facts
from store.csv.derived.manifest import read_manifest
from store.csv.derived.verify import derived_findings
from store.csv.files.codec import HEADER_LIMIT_BYTES, parse_header, unknown_names
from store.csv.files.commit_records import (
    BLOCK_BYTES,
    DAMAGED_END,
    Commit,
    Part,
    PartKind,
    block_checksums,
    decode_commit,
)
from store.csv.files.part_reader import content_of_parts
from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.index_file import DERIVED_FOLDER
from store.datasets import KEPT_BARS
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Expiry
from store.rows.stored_rows import corrections_of

READ_BYTES = 1024 * BLOCK_BYTES
_EXPIRY = re.compile(rb',"expiry":(\{"window":\{[^{}]*\}[^{}]*\}),"hash":')
_expiry_decoder = msgspec.json.Decoder(Expiry)
_CLAIMED_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"(?:\}$|,"parts":)')


class _UnverifiedParts(msgspec.Struct):
    """The parts that a damaged record claims."""

    commit: int
    parts: tuple[Part, ...]


_unverified_decoder = msgspec.json.Decoder(_UnverifiedParts)


@dataclass
class CsvLogCheck(LogCheck):
    """Walks the commits of one log in bounded memory, and goes on after damage.

    Compares the hash chain of the records, the checksum of every block, the content hash of the rows of every commit,
    the index, and the checksums of the derived files.
    """

    dataset: Dataset
    symbol: str
    folder: Path
    _newest: int = 0
    _kept: int = 0
    _unread: set[str] = field(default_factory=set)
    _of_later_versions: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        files = [*self.folder.glob(COMMITS_FILE), *self.folder.glob("*.csv")]
        return sum(path.stat().st_size for path in files)

    def findings(self) -> Iterator[LogFinding]:
        seen: set[str] = set()
        expired_before_ns = _expired_before_ns(self.folder, only_removed=False)
        for record in self._commits():
            if isinstance(record, LogFinding):
                yield record
                continue
            if record.facts.expiry is not None:
                self._kept = max(self._kept, record.facts.expiry.kept)
            # A backup may lack files of expired dates that were deleted meanwhile.
            parts = [
                part
                for part in record.parts
                if part.first_ns >= expired_before_ns or (self.folder / part.file).exists()
            ]
            is_readable = bool(record.facts.content and record.parts) and len(parts) == len(record.parts)
            for part in parts:
                if part.file not in seen:
                    seen.add(part.file)
                    yield from self._header(part)
                for damage in self._part(record, part):
                    is_readable = False
                    yield damage
            if is_readable and self._unread.isdisjoint(part.file for part in parts):
                yield from self._content(record)
        yield from self._missing_records()
        yield from self._missing_kept_bars()
        yield from derived_findings(self.folder)

    def _content(self, record: Commit) -> Iterator[LogFinding]:
        """Check the rows as they are read now: under a header that names other columns, the same bytes are other rows."""
        message = "begins rows other than those that were committed: restore the file"
        is_of_later = not self._of_later_versions.isdisjoint(part.file for part in record.parts)
        try:
            # The hash has the values of columns that only a later version knows.
            if content_of_parts(self.dataset, self.folder, record) == record.facts.content or is_of_later:
                return
        except DataDamaged as error:
            message = f"begins rows that cannot be read: {error}"
        yield _finding(record, record.parts[0], record.parts[0].offset, message)

    def _missing_records(self) -> Iterator[LogFinding]:
        """Report that the log lacks commits from which derived files were made.

        If the log was cut exactly between two records, nothing else shows it.
        """
        manifest = read_manifest(self.folder / DERIVED_FOLDER)
        if manifest is not None and manifest.commit > self._newest:
            end = sum(path.stat().st_size for path in self.folder.glob(COMMITS_FILE))
            message = (
                f"is the log's end, at commit {self._newest}, but derived files hold commit {manifest.commit}:"
                " records are missing, or an older log was restored; restore the log from a newer backup"
            )
            yield LogFinding(COMMITS_FILE, end, message, self._newest + 1)

    def _missing_kept_bars(self) -> Iterator[LogFinding]:
        """Report that the log of kept bars lacks a commit that the record of an expiry names: its bars are refused."""
        newest, log = 0, self.folder.parents[1] / KEPT_BARS.name / self.folder.name / COMMITS_FILE
        with suppress(FileNotFoundError), log.open("rb") as file:
            newest = sum(line.endswith(b"\n") for line in file)
        if newest < self._kept:
            message = (
                f"names the bars of expired dates in commit {self._kept} of {KEPT_BARS.name}/{self.symbol}, which ends at"
                f" commit {newest}: restore it from a newer backup, or copy again"
            )
            yield LogFinding(COMMITS_FILE, 0, message)

    def _commits(self) -> Iterator[Commit | LogFinding]:
        head, offset = NO_COMMIT, 0
        if not (self.folder / COMMITS_FILE).exists():
            return
        with (self.folder / COMMITS_FILE).open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    # An incomplete record was never acknowledged; the next writer cuts it off.
                    if DAMAGED_END.search(line):
                        message = "begins a damaged record: its line end is missing"
                        yield LogFinding(COMMITS_FILE, offset, message, head.number + 1)
                    return
                try:
                    commit, head = decode_commit(line[:-1], head)
                    yield commit
                except (DataDamaged, msgspec.MsgspecError) as error:
                    claimed = _CLAIMED_HASH.search(line[:-1])
                    message = f"begins a damaged record: {error}"
                    yield LogFinding(COMMITS_FILE, offset, message, head.number + 1)
                    if claimed is None:
                        message = "begins records that cannot be checked: restore the log from a backup"
                        yield LogFinding(COMMITS_FILE, offset, message)
                        return
                    head = CommitId(head.number + 1, claimed[1].decode())
                    yield from _unverified_commit(line[:-1])
                offset += len(line)
                self._newest = head.number
                self._count(len(line), commits=1)

    def _header(self, part: Part) -> Iterator[LogFinding]:
        """Check the first line of a file. No checksum covers it."""
        dataset = self.dataset if part.kind is PartKind.ROWS else corrections_of(self.dataset)
        try:
            text = self._read(part.file, 0, min(part.offset, HEADER_LIMIT_BYTES))
            if text is not None and unknown_names(dataset, parse_header(dataset, text)):
                self._of_later_versions.add(part.file)
        except OSError:
            return  # so are its parts, which are reported
        except DataDamaged:
            self._unread.add(part.file)
            yield LogFinding(part.file, 0, "begins a line that is not a header: restore the line")

    def _part(self, commit: Commit, part: Part) -> Iterator[LogFinding]:
        """Yield the damaged blocks of a part."""
        written = np.frombuffer(base64.b64decode(part.checksums), dtype="<u4")
        self._count(0, rows=part.rows if part.kind is PartKind.ROWS else 0)
        for start in range(0, part.length, READ_BYTES):
            size = min(READ_BYTES, part.length - start)
            try:
                text = self._read(part.file, part.offset + start, size)
            except OSError as error:
                message = f"begins {size} bytes that cannot be read ({error.strerror}): restore the file"
                yield _finding(commit, part, part.offset + start, message)
                continue
            if text is None:
                yield _finding(commit, part, 0, "is missing with the whole file: restore it from a backup")
                return
            self._count(len(text))
            whole = text if len(text) == size else text[: len(text) // BLOCK_BYTES * BLOCK_BYTES]
            checksums = np.frombuffer(base64.b64decode(block_checksums(whole)), dtype="<u4")
            first = start // BLOCK_BYTES
            for wrong in np.flatnonzero(checksums != written[first : first + len(checksums)]).tolist():
                begin = (first + wrong) * BLOCK_BYTES
                length = min(BLOCK_BYTES, part.length - begin)
                message = f"begins {length} bytes, some of which are not as written: restore the file"
                yield _finding(commit, part, part.offset + begin, message)
            if len(text) < size:
                message = f"and all later bytes are missing; the commit ends at {part.end}: restore the file"
                yield _finding(commit, part, part.offset + start + len(text), message)
                return

    def _read(self, file: str, offset: int, size: int) -> bytes | None:
        """Return `size` bytes of a data file, or fewer if it ends before; None if it does not exist."""
        try:
            with (self.folder / file).open("rb") as opened:
                opened.seek(offset)
                return opened.read(size)
        except FileNotFoundError:
            return None

    def _count(self, size: int, *, commits: int = 0, rows: int = 0) -> None:
        self.checked.commits += commits
        self.checked.rows += rows
        self.checked.bytes += size
        self.progress(size)


def _expired_before_ns(folder: Path, *, only_removed: bool) -> int:
    """Return the instant before which a log's rows have expired, or were removed, by all records that can be read."""
    before_ns = ALL_TIME.start_ns
    with suppress(FileNotFoundError), (folder / COMMITS_FILE).open("rb") as file:
        for line in file:
            claimed = _EXPIRY.search(line)
            expiry = None if claimed is None else _expiry_decoder.decode(claimed[1])
            if expiry is not None and (expiry.is_removed or not only_removed):
                before_ns = max(before_ns, expiry.window.end_ns)
    return before_ns


def _unverified_commit(line: bytes) -> Iterator[Commit]:
    """Yield a damaged record's commit if it can be decoded, so that the caller can check its parts."""
    try:
        record = _unverified_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    yield Commit(Facts(record.commit, 0, "", "", 0), record.parts)


def _finding(commit: Commit, part: Part, offset: int, message: str) -> LogFinding:
    return LogFinding(part.file, offset, message, commit.number, part.first_ns, part.last_ns)


def log_statistics(folder: Path) -> LogStatistics:
    """Return the counts of the log in a folder. Raises `DataDamaged`, `OSError`."""
    head, rows, first, last = NO_COMMIT, 0, None, None
    removed_before_ns = _expired_before_ns(folder, only_removed=True)
    with (folder / COMMITS_FILE).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            commit, head = decode_commit(line[:-1], head)
            for part in commit.parts:
                if part.kind != PartKind.ROWS or part.first_ns < removed_before_ns:
                    continue
                rows += part.rows
                first = part.first_ns if first is None else min(first, part.first_ns)
                last = part.last_ns if last is None else max(last, part.last_ns)
    sizes = [path.stat().st_size for path in folder.glob("*.csv")]
    derived = [path.stat().st_size for path in (folder / DERIVED_FOLDER).rglob("*") if path.is_file()]
    return LogStatistics(head.number, rows, sum(sizes), sum(derived), first, last)
