"""Exports of the audit log: the kind of jobs, and its endpoint."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from audit.models import AuditRecord
from audit.reading.documents import RecordDocument
from audit.reading.export import record_pieces
from jobs.exports.tables import TableExportSerializer, table_export
from jobs.exports.views import ExportSubmissionViewSet
from jobs.kinds import JobKind, Run
from store.instant_text import format_instant
from web.documents import AnswerDocument
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject


def audit_export(run: Run) -> JsonObject:
    """Write the records up to `through` into a file (the function of the kind)."""
    return table_export(run, RecordDocument, _pages(run.parameters["through"]))


def _pages(through: int) -> Iterator[Sequence[AnswerDocument]]:
    for piece in record_pieces(AuditRecord.objects.filter(sequence__lte=through)):
        yield [RecordDocument.of(record) for record in piece]


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

    access: ClassVar = {"create": AUDIT_EXPORT.access}
    bodies: ClassVar = {"create": TableExportSerializer}
    kind = AUDIT_EXPORT.name

    def create(self, request: Request) -> Response:
        """Export the audit log.

        Queue a job that writes all records that there are now into a file, in the order of the chain.

        Lines of `ndjson` are as those of `GET /audit`, which `manage.py audit verify --file` verifies.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, and the number of the last record."""
        newest = AuditRecord.objects.order_by("-sequence").values_list("sequence", flat=True).first()
        as_of = format_instant(timezone.now())
        return {"table": "audit", **self.body(), "as_of": as_of, "through": newest or 0}
