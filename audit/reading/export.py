"""Exports records as NDJSON."""

from collections.abc import Iterator, Sequence

import msgspec
from django.db.models import QuerySet

from audit.chain.append import base_of_chain
from audit.models import AuditRecord
from audit.reading.documents import RecordDocument
from web.requests.work import WorkKind, count_work

PIECE_RECORDS = 500
_ENCODER = msgspec.json.Encoder()


def ndjson_pieces(records: QuerySet[AuditRecord]) -> Iterator[bytes]:
    """Yield the records as NDJSON in the chain's order, PIECE_RECORDS lines at a time. Keeps no query open."""
    for piece in document_pieces(records):
        count_work(WorkKind.ROWS, len(piece))
        yield b"".join(_ENCODER.encode(document) + b"\n" for document in piece)


def document_pieces(records: QuerySet[AuditRecord]) -> Iterator[list[RecordDocument]]:
    """Yield the records in the chain's order, at most PIECE_RECORDS at a time. Keeps no query open."""
    last = -1
    while rows := list(records.filter(sequence__gt=last).order_by("sequence")[:PIECE_RECORDS]):
        last = rows[-1].sequence
        yield documents_of(rows)


def documents_of(rows: Sequence[AuditRecord]) -> list[RecordDocument]:
    """Return the documents of records, each with the hash of the record before it."""
    before = _hashes_before(rows)
    return [RecordDocument.of(row, previous=before.get(row.sequence - 1, "")) for row in rows]


def _hashes_before(rows: Sequence[AuditRecord]) -> dict[int, str]:
    """Return a map from sequence number to hash, for `rows` and for the record before each row."""
    hashes = {row.sequence: row.hash for row in rows}
    missing = [row.sequence - 1 for row in rows if row.sequence - 1 not in hashes]
    base = base_of_chain()
    hashes[base.sequence] = base.hash
    hashes.update(AuditRecord.objects.filter(sequence__in=missing).values_list("sequence", "hash"))
    return hashes
