"""Checks every byte of a log against its commit records, and counts its content."""

import base64
import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from store.csv.damage import Damage, changed_byte, changed_line
from store.csv.derived.manifest import read_manifest
from store.csv.files.codec import (
    HEADER_LIMIT_BYTES,
    Header,
    header_line,
    header_of,
    parse_header,
    unknown_names,
)
from store.csv.files.commit_records import (
    BLOCK_BYTES,
    NOT_TORN,
    Commit,
    Part,
    PartKind,
    block_checksums,
    decode_commit,
)
from store.csv.files.part_reader import corrections_of
from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.index_files import DERIVED_FOLDER
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.maintained import CheckProgress, LogFinding, LogStatistics
from store.protocol import NO_COMMIT, CommitId

READ_BYTES = 1024 * BLOCK_BYTES
_LINE_BYTES_LOOKED_BACK = 16 * 2**10
_CLAIMED_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}$')
_loose = msgspec.json.Decoder(Commit)


@dataclass
class CsvLogCheck:
    """The check of one log, in bounded memory. `findings` runs it, once; `checked` counts its progress."""

    dataset: Dataset
    symbol: str
    folder: Path
    checked: CheckProgress = field(default_factory=CheckProgress)
    progress: Callable[[int], None] = lambda _: None
    _newest: int = 0
    _headers: dict[str, Header] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of the log's files in bytes."""
        files = [*self.folder.glob(COMMITS_FILE), *self.folder.glob("*.csv")]
        return sum(path.stat().st_size for path in files)

    def findings(self) -> Iterator[LogFinding]:
        """Yield damage and harmless leftovers, in the order of the log.

        Raises `OSError` if a file cannot be read.
        """
        ends: dict[str, int] = {}
        with closing(_Files(self.folder)) as files:
            for found in self._commits():
                if isinstance(found, LogFinding):
                    yield found
                    continue
                for part in found.parts:
                    if part.file not in ends:
                        yield from self._header(files, part)
                    ends[part.file] = max(ends.get(part.file, 0), part.end)
                    yield from self._part(files, found, part)
        yield from self._missing_records()
        yield from self._leftovers(ends)

    def _missing_records(self) -> Iterator[LogFinding]:
        """Report records that the log lacks although derived files were made from them.

        This is the only sign of a log that was cut between records.
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
                    yield _tail(line, offset, head)
                    return
                try:
                    commit, head = decode_commit(line[:-1], head)
                    yield commit
                except (DataDamaged, msgspec.MsgspecError) as error:
                    claimed = _CLAIMED_HASH.search(line[:-1])
                    yield LogFinding(
                        COMMITS_FILE, offset, f"begins a damaged record: {error}", head.number + 1
                    )
                    if claimed is None:
                        yield LogFinding(
                            COMMITS_FILE,
                            offset,
                            "later records cannot be checked: restore the log from a backup",
                        )
                        return
                    head = CommitId(head.number + 1, claimed[1].decode())
                    yield from _unproved(line[:-1])
                offset += len(line)
                self._newest = head.number
                self._count(len(line), commits=1)

    def _header(self, files: "_Files", part: Part) -> Iterator[LogFinding]:
        """Check a file's header, which no commit's checksum covers, against the dataset's columns."""
        dataset = self.dataset if part.kind is PartKind.ROWS else corrections_of(self.dataset)
        found = files.read(part.file, 0, min(part.offset, HEADER_LIMIT_BYTES))
        if found is None:
            return
        try:
            header = self._headers[part.file] = parse_header(dataset, found)
        except DataDamaged:
            wanted = header_line(header_of(dataset))
            pairs = enumerate(zip(found, wanted, strict=False))
            same = next((at for at, (byte, right) in pairs if byte != right), min(len(found), len(wanted)))
            yield LogFinding(
                part.file, same, "is in the file's first line, which is not a header: restore the line"
            )
            return
        yield from _later_columns(
            dataset, header, part, files.read(part.file, part.offset, BLOCK_BYTES) or b""
        )

    def _part(self, files: "_Files", commit: Commit, part: Part) -> Iterator[LogFinding]:
        written = np.frombuffer(base64.b64decode(part.checksums), dtype="<u4")
        self._count(0, rows=part.rows if part.kind is PartKind.ROWS else 0)
        for start in range(0, part.length, READ_BYTES):
            size = min(READ_BYTES, part.length - start)
            text = files.read(part.file, part.offset + start, size)
            if text is None:
                yield _finding(
                    commit, part, 0, "is missing with the whole file: restore the file from a backup"
                )
                return
            self._count(len(text))
            if len(text) < size:
                end = part.offset + start + len(text)
                yield _finding(
                    commit,
                    part,
                    end,
                    f"and all later bytes are missing; the commit ends at {part.end}: restore the file",
                )
                return
            found = np.frombuffer(base64.b64decode(block_checksums(text)), dtype="<u4")
            first = start // BLOCK_BYTES
            wrong = np.flatnonzero(found != written[first : first + len(found)])
            if len(wrong):
                number = first + int(wrong[0])
                damage = self._located(files, part, number, int(written[number]))
                at = part.offset + number * BLOCK_BYTES + damage.at
                yield _finding(commit, part, at, damage.message)
                return

    def _located(self, files: "_Files", part: Part, number: int, checksum: int) -> Damage:
        """Return the damage in a part's block. number: the block's index in the part."""
        start = part.offset + number * BLOCK_BYTES
        block = files.read(part.file, start, min(BLOCK_BYTES, part.end - start)) or b""
        damage = changed_byte(block, checksum)
        if damage is None and part.kind is PartKind.ROWS:
            back = max(part.offset, start - _LINE_BYTES_LOOKED_BACK)
            before = files.read(part.file, back, start - back) or b""
            behind = files.read(part.file, start + len(block), _LINE_BYTES_LOOKED_BACK) or b""
            begun = before[before.rfind(b"\n") + 1 :]
            text = begun + block + behind[: behind.find(b"\n") + 1]
            header = self._headers.get(part.file) or header_of(self.dataset)
            damage = changed_line(self.dataset, self.symbol, text, (part.first_ns, part.last_ns), header)
            if damage is not None and damage.at < len(begun):
                damage = Damage(0, "is in the first line that differs from what the store writes")
            elif damage is not None:
                damage = Damage(damage.at - len(begun), damage.message)
        return damage or Damage(0, f"begins {len(block)} bytes, some of which are not as written")

    def _leftovers(self, ends: dict[str, int]) -> Iterator[LogFinding]:
        for path in sorted(self.folder.glob("*.csv")):
            end, size = ends.get(path.name, 0), path.stat().st_size
            if size > end:
                what = (
                    "never acknowledged, harmless"
                    if self._newest
                    else "never acknowledged, or their log was lost"
                )
                message = f"begins {size - end} bytes that no commit names: {what}"
                yield LogFinding(path.name, end, message, is_harmless=True)

    def _count(self, size: int, *, commits: int = 0, rows: int = 0) -> None:
        self.checked.commits += commits
        self.checked.rows += rows
        self.checked.bytes += size
        self.progress(size)


class _Files:
    """Reads data files of a folder; the file used last stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._file: IO[bytes] | None = None

    def read(self, name: str, offset: int, size: int) -> bytes | None:
        """Return bytes of a file, fewer at its end; None if the file does not exist."""
        if name != self._name:
            self.close()
            try:
                self._file = (self._folder / name).open("rb")
            except FileNotFoundError:
                self._file = None
            self._name = name
        if self._file is None:
            return None
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _later_columns(dataset: Dataset, header: Header, part: Part, lines: bytes) -> Iterator[LogFinding]:
    """Report later columns that do not fit the file's rows, or that this version does not know."""
    first = header_of(dataset)
    if len(header) == len(first):
        return
    end = len(header_line(first))
    cells = next(csv.reader(io.StringIO(lines.decode(errors="replace"), newline="")), [])
    if len(cells) != len(header):
        yield LogFinding(
            part.file, end, "is in the file's first line, which does not fit its rows: restore the line"
        )
    elif unknown := unknown_names(dataset, header):
        message = (
            f"begins columns that this version does not know, {', '.join(unknown)}: kept, but in no answer"
        )
        yield LogFinding(
            part.file, header_line(header).index(unknown[0].encode(), end), message, is_harmless=True
        )


def _tail(line: bytes, offset: int, head: CommitId) -> LogFinding:
    if NOT_TORN.search(line):
        return LogFinding(
            COMMITS_FILE, offset, "begins a damaged record: its line end is missing", head.number + 1
        )
    message = f"begins {len(line)} bytes of an incomplete record: never acknowledged, harmless"
    return LogFinding(COMMITS_FILE, offset, message, is_harmless=True)


def _unproved(line: bytes) -> Iterator[Commit]:
    """Yield the content of a damaged record if it can be decoded, so that its parts are checked."""
    try:
        yield _loose.decode(_CLAIMED_HASH.sub(b"}", line))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return


def _finding(commit: Commit, part: Part, offset: int, message: str) -> LogFinding:
    return LogFinding(part.file, offset, message, commit.commit, part.first_ns, part.last_ns)


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
