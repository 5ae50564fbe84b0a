"""Exports records as NDJSON and verifies exports. Each line also holds the previous record's hash, so it can be verified alone."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_type_hints

import msgspec
from django.db.models import QuerySet

from audit.chain.append import base_of_chain, chain_key
from audit.chain.links import BEGINNING, ChainKey, Head
from audit.chain.verify import ChainFinding, FindingKind
from audit.models import AuditRecord
from audit.records.columns import AuditColumns

PIECE_RECORDS = 500
_NO_DETAIL = b"null"


class ExportedRecord(NamedTuple):
    """A record with the hash of the record before it."""

    sequence: int
    columns: AuditColumns
    previous: str
    hash: str

    def document(self) -> dict[str, Any]:
        """The members of the exported line, in order. `detail` is the text that the hash covers, or null."""
        detail = msgspec.Raw(self.columns.detail.encode() or _NO_DETAIL)
        columns = {**self.columns._asdict(), "detail": detail}
        return {"sequence": self.sequence, **columns, "previous": self.previous, "hash": self.hash}


_Members = msgspec.defstruct(
    "_Members",
    [
        ("sequence", int),
        *{**get_type_hints(AuditColumns), "detail": msgspec.Raw}.items(),
        ("previous", str),
        ("hash", str),
    ],
    frozen=True,
    forbid_unknown_fields=True,
)


class LinesVerified(NamedTuple):
    """The number of valid lines, the last of them, the number of gaps, the start of the first gap (or 0), and the finding."""

    records: int = 0
    last: Head = BEGINNING
    gaps: int = 0
    gap: int = 0
    finding: ChainFinding | None = None

    @property
    def remark(self) -> str:
        """A sentence about gaps, and about errors that a file cannot show."""
        gaps = f"gaps: {self.gaps:,}, the first at record {self.gap:,}" if self.gaps else "no gaps"
        return f"{gaps}; a file cannot show whether records after its last are missing"


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Members)


def ndjson_pieces(records: QuerySet[AuditRecord]) -> Iterator[bytes]:
    """The records as NDJSON in the chain's order, PIECE_RECORDS lines per piece. No query stays open between pieces."""
    last = -1
    while rows := list(records.filter(sequence__gt=last).order_by("sequence")[:PIECE_RECORDS]):
        last = rows[-1].sequence
        yield b"".join(_ENCODER.encode(line.document()) + b"\n" for line in lines_of(rows))


def lines_of(rows: Iterable[AuditRecord]) -> list[ExportedRecord]:
    """The records, each with the hash of the record before it."""
    rows = list(rows)
    before = _hashes_before(rows)
    return [
        ExportedRecord(row.sequence, _columns_of(row, row.detail), before.get(row.sequence - 1, ""), row.hash)
        for row in rows
    ]


def lines_verify(lines: Iterable[bytes], *, is_unfiltered: bool = False) -> LinesVerified:
    """Verify the lines of an export up to the first wrong one.

    Each line is verified alone; if the line before has the previous number, also against that line. A filtered
    export may have gaps; with `is_unfiltered` a gap is a finding. A missing end cannot be detected.
    """
    key, found = chain_key(), LinesVerified()
    for number, text in enumerate(lines, 1):
        try:
            line = _line(text)
        except (ValueError, RecursionError):
            unread = ChainFinding(
                FindingKind.UNKNOWN, found.last.sequence + 1, f"line {number:,} is no record"
            )
            return found._replace(finding=unread)
        if (wrong := _wrong(key, found.last, line)) is not None:
            return found._replace(finding=wrong)
        if found.records and line.sequence != found.last.sequence + 1:
            if is_unfiltered:
                return found._replace(finding=ChainFinding.of(FindingKind.MISSING, found.last.sequence + 1))
            found = found._replace(gaps=found.gaps + 1, gap=found.gap or found.last.sequence + 1)
        found = found._replace(records=found.records + 1, last=Head(line.sequence, line.hash))
    return found


def _line(text: bytes) -> ExportedRecord:
    """Parse a line. Raises ValueError or RecursionError if it is not a line of an export."""
    parsed = _DECODER.decode(text)
    # Refuses repeated members: JSON readers differ on which of the two they use.
    if len(json.loads(text, object_pairs_hook=list)) != len(_Members.__struct_fields__):
        raise ValueError("a member is repeated")
    detail = bytes(parsed.detail)
    columns = _columns_of(parsed, "" if detail == _NO_DETAIL else detail.decode())
    return ExportedRecord(parsed.sequence, columns, parsed.previous, parsed.hash)


def _columns_of(source: Any, detail: str) -> AuditColumns:
    return AuditColumns(**{name: getattr(source, name) for name in AuditColumns._fields[:-1]}, detail=detail)


def _wrong(key: ChainKey, before: Head, line: ExportedRecord) -> ChainFinding | None:
    if line.sequence <= before.sequence:
        return ChainFinding.of(FindingKind.ALTERED, line.sequence, "its line is not in order")
    if key.hash(line.previous, line.sequence, line.columns) != line.hash:
        return ChainFinding.of(FindingKind.ALTERED, line.sequence)
    if line.sequence == before.sequence + 1 and line.previous != before.hash:
        return ChainFinding.of(
            FindingKind.ALTERED, line.sequence, "it follows another record than the line before"
        )
    return None


def _hashes_before(rows: list[AuditRecord]) -> dict[int, Any]:
    hashes: dict[int, Any] = {row.sequence: row.hash for row in rows}
    wanted = [row.sequence - 1 for row in rows if row.sequence - 1 not in hashes]
    base = base_of_chain()
    hashes[base.sequence] = base.hash
    hashes.update(AuditRecord.objects.filter(sequence__in=wanted).values_list("sequence", "hash"))
    return hashes
