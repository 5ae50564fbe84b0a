"""The record of one accepted batch: a line of JSON, chained by hash to the line before it."""

import base64
import hashlib
import zlib
from enum import StrEnum

import msgspec
import numpy as np

from store.exceptions import DataDamaged
from store.protocol import CommitId, Receipt, hash_of_key
from store.timestamps import DAY_NS

BLOCK_BYTES = 4096
_HASH_FIELD = b',"hash":"'
_HASH_BYTES = 64


class PartKind(StrEnum):
    """What the lines of a part are: rows, or corrections of rows."""

    ROWS = "rows"
    CORRECTIONS = "corrections"


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a commit's lines of one event date are: a file's bytes `[offset, offset + length)`.

    rows: how many lines. first_ns and last_ns: smallest and largest event time. checksums: CRC-32 of each 4
    KiB block, base64.
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
        """The offset behind the last byte."""
        return self.offset + self.length

    @property
    def day(self) -> int:
        """The event date, in days since the epoch."""
        return self.first_ns // DAY_NS


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One accepted batch: its number, when, by whom, what became of it, and where its rows are.

    committed_at: nanoseconds UTC, larger than in any earlier commit. digest: SHA-256 of the batch as CSV
    text. duplicate_rows: the first hundred rows that were stored before. For corrections the same, of
    corrections. key_hash: SHA-256 of the idempotency key. request_key: the key itself, only in lines of
    earlier versions; a decoded commit has its hash instead.
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

    def receipt(self, commit_hash: str, *, replayed: bool = False) -> Receipt:
        """The answer that this commit gave to its caller."""
        return Receipt(
            received=self.received,
            stored=sum(part.rows for part in self.parts),
            duplicate_rows=self.duplicate_rows,
            commit=CommitId(self.commit, commit_hash),
            replayed=replayed,
        )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


def encode_commit(commit: Commit, previous_hash: str) -> tuple[bytes, str]:
    """The line, with its line end, and the commit's hash."""
    payload = _encoder.encode(commit)[:-1]
    commit_hash = _chained(previous_hash, payload)
    return payload + _HASH_FIELD + commit_hash.encode() + b'"}\n', commit_hash


def decode_commit(line: bytes, previous: CommitId) -> tuple[Commit, CommitId]:
    """The commit in a line (without its line end) that follows the commit `previous`.

    Raises `DataDamaged` if a bit of it is not as written, or if it does not follow.
    """
    payload, field, rest = line.rpartition(_HASH_FIELD)
    commit_hash = rest[:_HASH_BYTES].decode("ascii", "replace")
    if not field or rest[_HASH_BYTES:] != b'"}' or _chained(previous.hash, payload) != commit_hash:
        raise DataDamaged(f"commit record {previous.number + 1} is not what was written")
    commit = _decoder.decode(payload + b"}")
    if commit.commit != previous.number + 1:
        raise DataDamaged(f"commit record {previous.number + 1} is missing")
    if commit.request_key is not None:
        key_hash = hash_of_key(commit.request_key)
        commit = msgspec.structs.replace(commit, request_key=None, key_hash=key_hash)
    return commit, CommitId(commit.commit, commit_hash)


def block_checksums(data: bytes) -> str:
    """CRC-32 of each 4 KiB block of a part, little-endian, base64."""
    view = memoryview(data)
    sums = [zlib.crc32(view[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]
    return base64.b64encode(np.array(sums, dtype="<u4").tobytes()).decode()


def first_damaged_block(data: bytes, part: Part) -> int | None:
    """The offset in the file of the first block that is not what was written; None if all are."""
    if len(data) == part.length and block_checksums(data) == part.checksums:
        return None
    written = np.frombuffer(base64.b64decode(part.checksums), dtype="<u4")
    found = np.frombuffer(base64.b64decode(block_checksums(data)), dtype="<u4")
    common = min(len(written), len(found))
    wrong = np.flatnonzero(written[:common] != found[:common])
    return part.offset + BLOCK_BYTES * int(wrong[0] if len(wrong) else common)


def _chained(previous_hash: str, payload: bytes) -> str:
    return hashlib.sha256(previous_hash.encode() + payload).hexdigest()
