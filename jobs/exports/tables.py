"""Exports of tables: rows that the API lists as documents, in one file; of the audit log with its endpoint."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pyarrow as pa
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from audit.models import AuditRecord
from audit.reading.documents import RecordDocument
from audit.reading.export import document_pieces
from jobs.exports.files import FileEntry, file_sha256, new_file, rows_writer
from jobs.exports.query import EXPORT_FORMATS, PARQUET
from jobs.exports.services import export_write
from jobs.exports.views import ExportSubmissionViewSet
from jobs.exports.writing import manifest_write
from jobs.kinds import JobKind, Run
from jobs.serializers import SubmissionSerializer
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.instant_text import format_instant
from web.documents import AnswerDocument, arrow_schema
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject, Word

NDJSON = "ndjson"
_INSTANT = pa.timestamp("ns", "UTC")
_ROLES = {
    _INSTANT: ColumnRole.TIME,
    pa.int64(): ColumnRole.INTEGER,
    pa.float64(): ColumnRole.NUMBER,
    pa.bool_(): ColumnRole.FLAG,
    pa.string(): ColumnRole.TEXT,
}
_LINES = msgspec.json.Encoder()
Report = Callable[[int, int, int | None], None]


class TableExportSerializer(SubmissionSerializer):
    """The format of a table's file."""

    examples: ClassVar = {"As CSV": {"format": "csv"}}

    format = Word(EXPORT_FORMATS, default=PARQUET)


def table_export(
    run: Run, document: type[AnswerDocument], pages: Iterable[Sequence[AnswerDocument]]
) -> JsonObject:
    """Write a table's file and the manifest (the function of the kinds). The parameters name its `table` and `format`.

    pages: the rows, some at a time: the same ones in the same order at each attempt, which begins anew.
    """
    return export_write(run, partial(table_write, run.parameters, document, pages))


def table_write(
    parameters: JsonObject,
    document: type[AnswerDocument],
    pages: Iterable[Sequence[AnswerDocument]],
    *,
    out: Path,
    work: Path,
    report: Report,
) -> JsonObject:
    """Write a table's file and the manifest below `out`, as `ExportWriter.write` does."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    form, schema = parameters["format"], arrow_schema(document)
    columns = [OutColumn(each.name, _ROLES[each.type]) for each in schema]
    texts = {each.name: each.metadata[b"description"].decode() for each in schema}
    path, count = f"{parameters['table']}.{form}", 0
    with new_file(out / path, work) as file, rows_writer(file, form, columns, texts) as write:
        for page in pages:
            if form == NDJSON:
                file.write(_LINES.encode_lines(page))
            else:
                write(_table(columns, schema, page))
            count += len(page)
            report(count, file.tell(), None)
    size = (out / path).stat().st_size
    entry = FileEntry(path, count, size, file_sha256(out / path, partial(report, count, size, count)))
    return manifest_write(parameters, [entry], out, work)


def _table(columns: Sequence[OutColumn], schema: pa.Schema, page: Sequence[AnswerDocument]) -> Table:
    """Return documents as rows. A list, and an object without columns of its own, is its JSON."""
    rows = msgspec.to_builtins(page, enc_hook=lambda raw: bytes(raw).decode())
    values = {}
    for field in schema:
        cells = [_cell(row, field.name.split(".")) for row in rows]
        is_instant = field.type == _INSTANT
        values[field.name] = (
            pa.array(cells, pa.string()).cast(_INSTANT) if is_instant else pa.array(cells, field.type)
        )
    return Table.of(columns, values)


def _cell(row: Any, path: Sequence[str]) -> Any:
    for name in path:
        row = None if row is None else row.get(name)
    return msgspec.json.encode(row).decode() if isinstance(row, list | dict) else row


def audit_export(run: Run) -> JsonObject:
    """Write the records up to `through` into a file (the function of the kind)."""
    records = AuditRecord.objects.filter(sequence__lte=run.parameters["through"])
    return table_export(run, RecordDocument, document_pieces(records))


AUDIT_EXPORT = JobKind(
    name="audit_export",
    function=audit_export,
    serializer=TableExportSerializer,
    unit="rows",
    access=Access("audit:read", sensitivity="confidential", group="access", kind=WRITE),
    most_unfinished=100,
    is_export=True,
)


class AuditExportsViewSet(ExportSubmissionViewSet):
    """Exports of the audit log."""

    tag = "audit"
    access: ClassVar = {"create": AUDIT_EXPORT.access}
    bodies: ClassVar = {"create": TableExportSerializer}
    kind = AUDIT_EXPORT.name

    def create(self, request: Request) -> Response:
        """Export the audit log.

        Queue a job that writes all records that there are now into a file, in the order of the chain.

        Lines of `ndjson` are as those of `GET /audit`.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, and the number of the last record."""
        newest = AuditRecord.objects.order_by("-sequence").values_list("sequence", flat=True).first()
        as_of = format_instant(timezone.now())
        return {"table": "audit", **self.body(), "as_of": as_of, "through": newest or 0}
