"""Exports records as NDJSON and verifies exports.

Each line also contains the hash of the record before it, so it can be verified alone.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_type_hints

import msgspec
from django.db.models import QuerySet

from audit.chain.append import base_of_chain, chain_key
from audit.chain.findings import ChainFinding, FindingKind
from audit.chain.links import ChainKey, Head
from audit.chain.verify import Verification
from audit.models import AuditRecord
from audit.records.columns import AuditColumns
from web.requests.work import WorkKind, count_work

PIECE_RECORDS = 500
_NO_DETAIL = b"null"


class ExportedRecord(NamedTuple):
    """A record with the hash of the record before it."""

    sequence: int
    columns: AuditColumns
    previous: str
    hash: str

    def document(self) -> dict[str, Any]:
        """Return the members of the exported line, in order. `detail` is the text that the hash covers, or null."""
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


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Members)


def ndjson_pieces(records: QuerySet[AuditRecord]) -> Iterator[bytes]:
    """Yield the records as NDJSON in the chain's order, PIECE_RECORDS lines at a time. Keeps no query open."""
    for piece in record_pieces(records):
        count_work(WorkKind.ROWS, len(piece))
        yield b"".join(_ENCODER.encode(record.document()) + b"\n" for record in piece)


def record_pieces(records: QuerySet[AuditRecord]) -> Iterator[list[ExportedRecord]]:
    """Yield the records in the chain's order, at most PIECE_RECORDS at a time. Keeps no query open."""
    last = -1
    while rows := list(records.filter(sequence__gt=last).order_by("sequence")[:PIECE_RECORDS]):
        last = rows[-1].sequence
        yield exported_records(rows)


def exported_records(rows: Sequence[AuditRecord]) -> list[ExportedRecord]:
    """Return the records, each with the hash of the record before it."""
    before = _hashes_before(rows)
    return [
        ExportedRecord(row.sequence, _columns_of(row, row.detail), before.get(row.sequence - 1, ""), row.hash)
        for row in rows
    ]


def lines_verify(lines: Iterable[bytes], *, is_unfiltered: bool = False) -> Verification:
    """Verify the lines of an export up to the first wrong one.

    Each line is verified alone. If the line before it is the preceding record, the two are also compared. A
    filtered export may have gaps; with `is_unfiltered` a gap is a finding. A missing end cannot be detected.
    """
    key, result = chain_key(), Verification()
    gaps: list[int] = []
    for number, text in enumerate(lines, 1):
        next_sequence = result.last.sequence + 1
        try:
            record = _parse_line(text)
        except (ValueError, RecursionError):
            message = f"line {number:,} is no record"
            result.findings.append(ChainFinding(FindingKind.UNKNOWN, next_sequence, message))
            break
        has_gap = result.records > 0 and record.sequence > next_sequence
        finding = _finding(key, result.last, record)
        if finding is None and has_gap and is_unfiltered:
            finding = ChainFinding.of(FindingKind.MISSING, next_sequence)
        if finding is not None:
            result.findings.append(finding)
            break
        if has_gap:
            gaps.append(next_sequence)
        result.records, result.last = result.records + 1, Head(record.sequence, record.hash)
    summary = f"gaps: {len(gaps):,}, the first at record {gaps[0]:,}" if gaps else "no gaps"
    result.remark = f"{summary}; a file cannot show whether records after its last are missing"
    return result


def _parse_line(text: bytes) -> ExportedRecord:
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


def _finding(key: ChainKey, before: Head, record: ExportedRecord) -> ChainFinding | None:
    if record.sequence <= before.sequence:
        return ChainFinding.of(FindingKind.ALTERED, record.sequence, "its line is not in order")
    if key.hash(record.previous, record.sequence, record.columns) != record.hash:
        return ChainFinding.of(FindingKind.ALTERED, record.sequence)
    if record.sequence == before.sequence + 1 and record.previous != before.hash:
        remark = "it follows another record than the line before"
        return ChainFinding.of(FindingKind.ALTERED, record.sequence, remark)
    return None


def _hashes_before(rows: Sequence[AuditRecord]) -> dict[int, str]:
    """Return a map from sequence number to hash, for `rows` and for the record before each row."""
    hashes = {row.sequence: row.hash for row in rows}
    missing = [row.sequence - 1 for row in rows if row.sequence - 1 not in hashes]
    base = base_of_chain()
    hashes[base.sequence] = base.hash
    hashes.update(AuditRecord.objects.filter(sequence__in=missing).values_list("sequence", "hash"))
    return hashes
