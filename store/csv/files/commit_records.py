"""Commit records: JSON lines, chained by hash, that list the parts of data files."""

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
import numpy as np

from store.exceptions import DataDamaged
from store.protocol import CLOCKS_APART_NS, CommitId, Completeness, Fill, Receipt, Superseded, hash_of_key
from store.timestamps import DAY_NS

BLOCK_BYTES = 4096
_HASH_FIELD = b',"hash":"'
_HASH_BYTES = 64


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


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One accepted batch: its number, time, caller, result, and parts.

    committed_at: nanoseconds UTC, larger than in any earlier commit. digest: SHA-256 of the batch's rows (as
    CSV without later columns) or corrections (as JSON). duplicate_rows: indices in the batch of the first
    hundred rows (or corrections) that were stored before. key_hash: SHA-256 of the idempotency key.
    request_key: the key itself, only in lines of earlier versions; decoding replaces it by `key_hash`.
    complete_until, fill: see `Append`. superseded: see `Superseded`; then the parts of corrections cancel rows of fills.
    replaced: how many of the lines in parts of corrections replace rows; see `Append`.
    """

    commit: int
    committed_at: int
    caller: str
    digest: str
    received: int
    parts: tuple[Part, ...]
    duplicate_rows: tuple[int, ...] = ()
    request_key: str | None = None
    key_hash: str | None = None
    complete_until: int | None = None
    fill: Fill | None = None
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0

    def completeness_after(self, before: Completeness) -> Completeness:
        """Return the log's completeness after this commit."""
        newest_ns = max((part.last_ns for part in self.parts), default=before.newest_ns)
        newest_ns = min(newest_ns, self.committed_at + CLOCKS_APART_NS)
        declared_ns = before.complete_until_ns if self.complete_until is None else self.complete_until
        return before.joined(newest_ns, declared_ns)

    def receipt(self, commit_hash: str, *, replayed: bool = False, stored_bytes: int = 0) -> Receipt:
        """Return the receipt that the caller got. stored_bytes: see `Receipt`."""
        lines = sum(part.rows for part in self.parts)
        corrections = sum(part.rows for part in self.parts if part.kind == PartKind.CORRECTIONS)
        is_of_rows = bool(self.superseded or self.replaced)
        return Receipt(
            received=self.received,
            stored=lines - corrections if is_of_rows else lines,
            duplicate_rows=self.duplicate_rows,
            commit=CommitId(self.commit, commit_hash),
            replayed=replayed,
            superseded=corrections - self.replaced if self.superseded else None,
            stored_bytes=stored_bytes,
            replaced=self.replaced,
        )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


@dataclass(frozen=True, slots=True)
class EncodedCommit:
    """A commit with its line, including the line end, and its id."""

    line: bytes
    commit: Commit
    id: CommitId


def encode_commit(commit: Commit, previous_hash: str) -> tuple[bytes, str]:
    """Return the commit's line, including the line end, and the commit's hash."""
    payload = _encoder.encode(commit)[:-1]
    commit_hash = _chained(previous_hash, payload)
    return payload + _HASH_FIELD + commit_hash.encode() + b'"}\n', commit_hash


def decode_commit(line: bytes, previous: CommitId) -> tuple[Commit, CommitId]:
    """Return the commit in a line, and the commit's id. line: without its line end.

    Raises `DataDamaged` if a byte was changed or if the commit does not follow the commit `previous`.
    """
    payload, field, ending = line.rpartition(_HASH_FIELD)
    commit_hash = ending[:_HASH_BYTES].decode("ascii", "replace")
    if not field or ending[_HASH_BYTES:] != b'"}' or _chained(previous.hash, payload) != commit_hash:
        raise DataDamaged(
            f"commit record {previous.number + 1} is not as written: restore commits.jsonl from a backup"
        )
    commit = _decoder.decode(payload + b"}")
    if commit.commit != previous.number + 1:
        raise DataDamaged(
            f"commit record {previous.number + 1} is missing: restore commits.jsonl from a backup"
        )
    if commit.request_key is not None:
        key_hash = hash_of_key(commit.request_key)
        commit = msgspec.structs.replace(commit, request_key=None, key_hash=key_hash)
    return commit, CommitId(commit.commit, commit_hash)


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


def _chained(previous_hash: str, payload: bytes) -> str:
    return hashlib.sha256(previous_hash.encode() + payload).hexdigest()


_LOAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part with its commit's number, and the arrival number of its first row (0 for corrections)."""

    commit: int
    first_arrival: int
    part: Part


@dataclass(frozen=True, slots=True)
class DateSummary:
    """An event date with rows: its newest commit, and its smallest and largest event time."""

    newest: int
    first_ns: int
    last_ns: int


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
DAMAGED_END = re.compile(rb'\0|"hash":"[0-9a-f]{64}"\}.', re.DOTALL)

CommitLine = tuple[Commit, CommitId, int]


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
                yield commit, previous, line_end
    finally:
        os.close(descriptor)
    if DAMAGED_END.search(incomplete):
        raise DataDamaged(
            f"commit record {previous.number + 1} is not as written: restore commits.jsonl from a backup"
        )
