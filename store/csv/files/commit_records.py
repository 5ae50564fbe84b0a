"""Commit records: JSON lines, chained by hash, that list the parts of data files."""

import base64
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from store.commits import Facts, chained, decode_facts, encode_facts
from store.exceptions import DataDamaged
from store.protocol import CommitId, Completeness, Receipt
from store.timestamps import DAY_NS

BLOCK_BYTES = 4096
_HASH_FIELD, _PARTS_FIELD = b',"hash":"', b'","parts":'
_HASH_BYTES = 64
_END_BYTES = len(',"check":"01234567"}')


class PartKind(StrEnum):
    """Whether the lines of a part are rows or corrections."""

    ROWS = "rows"
    CORRECTIONS = "corrections"


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A commit's lines of one event date: the bytes `[offset, offset + length)` of a file.

    rows: number of lines. first_ns, last_ns: smallest and largest event time. checksums: see
    `block_checksums`.
    """

    file: str
    offset: int
    length: int
    rows: int
    first_ns: int
    last_ns: int
    checksums: str
    kind: PartKind = PartKind.ROWS

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.length

    @property
    def day(self) -> int:
        """The event date, in days since the epoch."""
        return self.first_ns // DAY_NS


class Commit(msgspec.Struct, frozen=True, gc=False):
    """A commit of a log of files: its facts, and its layout: the parts with its rows and corrections."""

    facts: Facts
    parts: tuple[Part, ...] = ()

    @property
    def number(self) -> int:
        """The commit's number."""
        return self.facts.number

    def completeness_after(self, before: Completeness) -> Completeness:
        """Return the log's completeness after this commit."""
        newest_ns = max((part.last_ns for part in self.parts), default=before.newest_ns)
        newest_ns = min(newest_ns, self.facts.committed_at)
        declared_ns = self.facts.complete_until_ns
        return before.joined(newest_ns, before.complete_until_ns if declared_ns is None else declared_ns)


def rows_in(parts: Iterable[Part], kind: PartKind) -> int:
    """Return the number of lines in parts of a kind."""
    return sum(part.rows for part in parts if part.kind == kind)


_parts_encoder = msgspec.json.Encoder()
_parts_decoder = msgspec.json.Decoder(tuple[Part, ...])


def encode_commit(commit: Commit, previous_hash: str) -> tuple[bytes, str]:
    """Return the commit's line, including the line end, and the commit's hash."""
    text = encode_facts(commit.facts)
    commit_hash = chained(previous_hash, text)
    line = b"".join(
        [text, _HASH_FIELD, commit_hash.encode(), _PARTS_FIELD, _parts_encoder.encode(commit.parts)]
    )
    return line + _checked_end(line) + b"\n", commit_hash


def decode_commit(line: bytes, previous: CommitId) -> tuple[Commit, CommitId]:
    """Return the commit in a line, and the commit's id. line: without its line end.

    Raises `DataDamaged` if a byte was changed or if the commit does not follow the commit `previous`.
    """
    text, field, ending = line.partition(_HASH_FIELD)
    commit_hash, layout = ending[:_HASH_BYTES].decode("ascii", "replace"), ending[_HASH_BYTES:]
    if not field or chained(previous.hash, text) != commit_hash:
        raise _damaged(previous)
    if not layout.startswith(_PARTS_FIELD) or line[-_END_BYTES:] != _checked_end(line[:-_END_BYTES]):
        raise _damaged(previous)
    commit = Commit(decode_facts(text), _parts_decoder.decode(layout[len(_PARTS_FIELD) : -_END_BYTES]))
    if commit.number != previous.number + 1:
        raise DataDamaged(
            f"commit record {previous.number + 1} is missing: restore commits.jsonl from a backup"
        )
    return commit, CommitId(commit.number, commit_hash)


def _checked_end(line: bytes) -> bytes:
    """Return the end of a line: the CRC-32 of all before it."""
    return b',"check":"%08x"}' % zlib.crc32(line)


def _damaged(previous: CommitId) -> DataDamaged:
    return DataDamaged(
        f"commit record {previous.number + 1} is not as written: restore commits.jsonl from a backup"
    )


def block_checksums(data: bytes) -> str:
    """Return the CRC-32 of each 4 KiB block of a part: little-endian integers, as base64."""
    view = memoryview(data)
    sums = [zlib.crc32(view[offset : offset + BLOCK_BYTES]) for offset in range(0, len(data), BLOCK_BYTES)]
    return base64.b64encode(np.array(sums, dtype="<u4").tobytes()).decode()


def first_damaged_block(data: bytes, part: Part) -> int | None:
    """Return the offset in the file of the first damaged block; None if no block is damaged."""
    if len(data) == part.length and block_checksums(data) == part.checksums:
        return None
    written = np.frombuffer(base64.b64decode(part.checksums), dtype="<u4")
    actual = np.frombuffer(base64.b64decode(block_checksums(data)), dtype="<u4")
    common = min(len(written), len(actual))
    wrong = np.flatnonzero(written[:common] != actual[:common])
    return part.offset + BLOCK_BYTES * int(wrong[0] if len(wrong) else common)


_LOAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part with its commit's number, and the arrival number of its first row (0 for corrections)."""

    commit: int
    first_arrival: int
    part: Part


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """A batch that was stored under an idempotency key."""

    digest: str
    receipt: Receipt


def of_kind(parts: Iterable[StoredPart], kind: PartKind) -> list[StoredPart]:
    """Return the parts of one kind, in the same order."""
    return [stored for stored in parts if stored.part.kind == kind]


def loads_of(parts: Iterable[StoredPart]) -> Iterator[list[StoredPart]]:
    """Yield the parts in order, in lists of about 16 MiB. Adjacent parts of one commit stay in one list."""
    load: list[StoredPart] = []
    size = 0
    for stored in parts:
        if size >= _LOAD_BYTES and stored.commit != load[-1].commit:
            yield load
            load, size = [], 0
        load.append(stored)
        size += stored.part.length
    if load:
        yield load


_READ_BYTES = 2**20

# Matches an incomplete last record that is damaged, not just interrupted. An interrupted write leaves the beginning of
# a record. It leaves no NUL bytes, and no bytes after the end of a record other than a line end.
DAMAGED_END = re.compile(rb'\0|"(hash":"[0-9a-f]{64}|check":"[0-9a-f]{8})"\}.', re.DOTALL)


class CommitLine(NamedTuple):
    """A commit of a log. end: the offset in the log after its line."""

    commit: Commit
    id: CommitId
    end: int


def read_lines(path: Path, start: int, end: int, previous: CommitId) -> Iterator[CommitLine]:
    """Yield the commits in the log's bytes `[start, end)`, each with its id and the offset after its line.

    previous: the commit before the first one. An incomplete record at the end is ignored. Raises
    `DataDamaged` for any other wrong byte, and `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        incomplete = b""
        line_end = position = start
        while data := os.pread(descriptor, min(_READ_BYTES, end - position), position):
            position += len(data)
            *lines, incomplete = (incomplete + data).split(b"\n")
            for line in lines:
                commit, previous = decode_commit(line, previous)
                line_end += len(line) + 1
                yield CommitLine(commit, previous, line_end)
    finally:
        os.close(descriptor)
    if DAMAGED_END.search(incomplete):
        raise _damaged(previous)
