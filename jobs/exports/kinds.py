"""The kind of jobs that make exports."""

from jobs.exports.serializers import ExportRequestSerializer
from jobs.exports.services import KIND, SUBMISSION, export
from jobs.kinds import JobKind

EXPORT = JobKind(
    name=KIND,
    function=export,
    serializer=ExportRequestSerializer,
    unit="rows",
    access=SUBMISSION,
    most_unfinished=100,
    is_export=True,
)
