"""Checks every byte of a log against its commit records, and counts its content."""

import base64
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from store.commits import Facts
from store.csv.derived.manifest import read_manifest
from store.csv.files.codec import HEADER_LIMIT_BYTES, header_of, parse_header, unknown_names
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
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.protocol import NO_COMMIT, CommitId
from store.rows.stored_rows import corrections_of

READ_BYTES = 1024 * BLOCK_BYTES
_CLAIMED_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"(?:\}$|,"(?:parts|layout)":)')


class _UnverifiedParts(msgspec.Struct):
    """The parts that a damaged record claims, of any version. layout: those of a commit that was moved."""

    commit: int
    parts: tuple[Part, ...]
    layout: tuple[Part, ...] | None = None


_layout_decoder = msgspec.json.Decoder(_UnverifiedParts)


@dataclass
class CsvLogCheck(LogCheck):
    """Checks one log in bounded memory."""

    dataset: Dataset
    symbol: str
    folder: Path
    _newest: int = 0
    _misread: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        files = [*self.folder.glob(COMMITS_FILE), *self.folder.glob("*.csv")]
        return sum(path.stat().st_size for path in files)

    def findings(self) -> Iterator[LogFinding]:
        ends: dict[str, int] = {}
        for record in self._commits():
            if isinstance(record, LogFinding):
                yield record
                continue
            is_readable = bool(record.facts.content and record.parts)
            for part in record.parts:
                if part.file not in ends:
                    for finding in self._header(part):
                        self._misread.add(part.file)
                        yield finding
                ends[part.file] = max(ends.get(part.file, 0), part.end)
                damage = self._part(record, part)
                if damage is not None:
                    yield damage
                is_readable = is_readable and damage is None and part.file not in self._misread
            if is_readable:
                yield from self._content(record)
        yield from self._missing_records()
        yield from self._leftovers(ends)

    def _content(self, record: Commit) -> Iterator[LogFinding]:
        """Check the rows as they are read now: under a header that names other columns, the same bytes are other rows."""
        message = "begins rows other than those that were committed: restore the file"
        try:
            if content_of_parts(self.dataset, self.folder, record) == record.facts.content:
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

    def _commits(self) -> Iterator[Commit | LogFinding]:
        head, offset = NO_COMMIT, 0
        if not (self.folder / COMMITS_FILE).exists():
            return
        with (self.folder / COMMITS_FILE).open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    yield _incomplete_record(line, offset, head)
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
        """Check a file's header against the dataset's columns. No checksum covers the header."""
        dataset = self.dataset if part.kind is PartKind.ROWS else corrections_of(self.dataset)
        text = self._read(part.file, 0, min(part.offset, HEADER_LIMIT_BYTES))
        if text is None:
            return
        try:
            header = parse_header(dataset, text)
        except DataDamaged:
            yield LogFinding(part.file, 0, "begins a line that is not a header: restore the line")
            return
        rows = self._read(part.file, part.offset, BLOCK_BYTES) or b""
        cells = next(csv.reader(io.StringIO(rows.decode(errors="replace"), newline="")), [])
        unknown = unknown_names(dataset, header)
        if len(header) > len(header_of(dataset)) and len(cells) != len(header):
            yield LogFinding(part.file, 0, "begins a header that does not fit its rows: restore the line")
        elif unknown:
            message = (
                f"begins a header with columns that this version does not know, {', '.join(unknown)}:"
                " kept, but in no answer"
            )
            yield LogFinding(part.file, 0, message, is_harmless=True)

    def _part(self, commit: Commit, part: Part) -> LogFinding | None:
        """Return the first damage in a part."""
        written = np.frombuffer(base64.b64decode(part.checksums), dtype="<u4")
        self._count(0, rows=part.rows if part.kind is PartKind.ROWS else 0)
        for start in range(0, part.length, READ_BYTES):
            size = min(READ_BYTES, part.length - start)
            text = self._read(part.file, part.offset + start, size)
            if text is None:
                return _finding(commit, part, 0, "is missing with the whole file: restore it from a backup")
            self._count(len(text))
            if len(text) < size:
                message = f"and all later bytes are missing; the commit ends at {part.end}: restore the file"
                return _finding(commit, part, part.offset + start + len(text), message)
            checksums = np.frombuffer(base64.b64decode(block_checksums(text)), dtype="<u4")
            first = start // BLOCK_BYTES
            wrong = np.flatnonzero(checksums != written[first : first + len(checksums)])
            if len(wrong):
                begin = (first + int(wrong[0])) * BLOCK_BYTES
                length = min(BLOCK_BYTES, part.length - begin)
                message = f"begins {length} bytes, some of which are not as written: restore the file"
                return _finding(commit, part, part.offset + begin, message)
        return None

    def _read(self, file: str, offset: int, size: int) -> bytes | None:
        """Return `size` bytes of a data file, or fewer if it ends before; None if it does not exist."""
        try:
            with (self.folder / file).open("rb") as opened:
                opened.seek(offset)
                return opened.read(size)
        except FileNotFoundError:
            return None

    def _leftovers(self, ends: dict[str, int]) -> Iterator[LogFinding]:
        for path in sorted(self.folder.glob("*.csv")):
            end, size = ends.get(path.name, 0), path.stat().st_size
            if size > end:
                cause = "harmless" if self._newest else "or their log was lost"
                message = f"begins {size - end} bytes that no commit names: never acknowledged, {cause}"
                yield LogFinding(path.name, end, message, is_harmless=True)

    def _count(self, size: int, *, commits: int = 0, rows: int = 0) -> None:
        self.checked.commits += commits
        self.checked.rows += rows
        self.checked.bytes += size
        self.progress(size)


def _incomplete_record(line: bytes, offset: int, head: CommitId) -> LogFinding:
    if DAMAGED_END.search(line):
        return LogFinding(
            COMMITS_FILE, offset, "begins a damaged record: its line end is missing", head.number + 1
        )
    message = f"begins {len(line)} bytes of an incomplete record: never acknowledged, harmless"
    return LogFinding(COMMITS_FILE, offset, message, is_harmless=True)


def _unverified_commit(line: bytes) -> Iterator[Commit]:
    """Yield a damaged record's commit if it can be decoded, so that the caller can check its parts."""
    try:
        record = _layout_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    yield Commit(Facts(record.commit, 0, "", "", 0), record.parts if record.layout is None else record.layout)


def _finding(commit: Commit, part: Part, offset: int, message: str) -> LogFinding:
    return LogFinding(part.file, offset, message, commit.number, part.first_ns, part.last_ns)


def log_statistics(folder: Path) -> LogStatistics:
    """Return the counts of the log in a folder. Raises `DataDamaged`, `OSError`."""
    head, rows, first, last = NO_COMMIT, 0, None, None
    with (folder / COMMITS_FILE).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            commit, head = decode_commit(line[:-1], head)
            for part in commit.parts:
                if part.kind != PartKind.ROWS:
                    continue
                rows += part.rows
                first = part.first_ns if first is None else min(first, part.first_ns)
                last = part.last_ns if last is None else max(last, part.last_ns)
    sizes = [path.stat().st_size for path in folder.glob("*.csv")]
    derived = [path.stat().st_size for path in (folder / DERIVED_FOLDER).rglob("*") if path.is_file()]
    return LogStatistics(head.number, rows, sum(sizes), sum(derived), first, last)
