"""Records as lines of JSON, of which each can be verified alone: it says the hash before its own."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db.models import QuerySet

from audit.append import base_of_chain, chain_key
from audit.chain import BEGINNING, ChainKey, Columns, Head
from audit.findings import Finding, Kind
from audit.models import AuditRecord

PIECE_RECORDS = 500
_NO_DETAIL = b"null"


class Line(msgspec.Struct, frozen=True):
    """A record as it is exported. `detail` is the very text that its hash covers; null is none."""

    sequence: int
    at: datetime
    caller: str
    method: str
    path: str
    query: str
    status: int
    latency_us: int
    address: str
    correlation_id: str
    audit_class: str
    event: str
    subject: str
    detail: msgspec.Raw
    previous: str
    hash: str

    def columns(self) -> Columns:
        """What its hash covers besides its number."""
        told = bytes(self.detail)
        detail = "" if told == _NO_DETAIL else told.decode()
        return Columns(**_call(self), detail=detail)


class LinesVerified(NamedTuple):
    """How many lines are right, and the last of them; how many gaps are between them, and where the first begins, or 0."""

    records: int = 0
    last: Head = BEGINNING
    gaps: int = 0
    gap: int = 0
    finding: Finding | None = None

    @property
    def remark(self) -> str:
        """What their numbers say, and what nothing says."""
        gaps = f"gaps: {self.gaps:,}, the first at record {self.gap:,}" if self.gaps else "no gaps"
        return f"{gaps}; whether records follow the last is not told by a file"


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Line)


def ndjson_pieces(records: QuerySet[AuditRecord]) -> Iterator[bytes]:
    """The records in the order of the chain, some hundred lines at a time.

    Between pieces no query is open.
    """
    last = -1
    while rows := list(records.filter(sequence__gt=last).order_by("sequence")[:PIECE_RECORDS]):
        last = rows[-1].sequence
        yield b"".join(_ENCODER.encode(line) + b"\n" for line in lines_of(rows))


def lines_of(rows: Iterable[AuditRecord]) -> list[Line]:
    """The records, each with the hash before its own."""
    rows = list(rows)
    before = _hashes_before(rows)
    return [
        Line(
            sequence=row.sequence,
            **_call(row),
            detail=msgspec.Raw(row.detail.encode() or _NO_DETAIL),
            previous=before.get(row.sequence - 1, ""),
            hash=row.hash,
        )
        for row in rows
    ]


def lines_verify(lines: Iterable[bytes], *, is_unfiltered: bool = False) -> LinesVerified:
    """How many lines of an export are right, and what is wrong with the first that is not.

    Each line is verified alone, and against the one before where it follows it in the chain. An export that
    was filtered has gaps; of one that was not, `is_unfiltered`, the first gap is what is wrong. Where it ends
    says nothing.
    """
    key, found = chain_key(), LinesVerified()
    for number, text in enumerate(lines, 1):
        try:
            line = _DECODER.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unread = Finding(Kind.UNKNOWN, found.last.sequence + 1, f"line {number:,} is no record")
            return found._replace(finding=unread)
        if (wrong := _wrong(key, found.last, line)) is not None:
            return found._replace(finding=wrong)
        if found.records and line.sequence != found.last.sequence + 1:
            if is_unfiltered:
                return found._replace(finding=Finding.of(Kind.MISSING, found.last.sequence + 1))
            found = found._replace(gaps=found.gaps + 1, gap=found.gap or found.last.sequence + 1)
        found = found._replace(records=found.records + 1, last=Head(line.sequence, line.hash))
    return found


def _call(told: Any) -> dict[str, Any]:
    """All columns but the last, `detail`."""
    return {name: getattr(told, name) for name in Columns._fields[:-1]}


def _wrong(key: ChainKey, before: Head, line: Line) -> Finding | None:
    if line.sequence <= before.sequence:
        return Finding.of(Kind.REORDERED, line.sequence)
    if key.hash(line.previous, line.sequence, line.columns()) != line.hash:
        return Finding.of(Kind.ALTERED, line.sequence)
    if line.sequence == before.sequence + 1 and line.previous != before.hash:
        return Finding.of(Kind.FORKED, line.sequence, "it follows another than the line before")
    return None


def _hashes_before(rows: list[AuditRecord]) -> dict[int, Any]:
    hashes: dict[int, Any] = {row.sequence: row.hash for row in rows}
    wanted = [row.sequence - 1 for row in rows if row.sequence - 1 not in hashes]
    base = base_of_chain()
    hashes[base.sequence] = base.hash
    hashes.update(AuditRecord.objects.filter(sequence__in=wanted).values_list("sequence", "hash"))
    return hashes
