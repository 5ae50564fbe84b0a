"""The kind of jobs that import uploads."""

from jobs.kinds import JobKind
from jobs.uploads.serializers import UploadRequestSerializer
from jobs.uploads.services import KIND, SUBMISSION, upload_import

UPLOAD = JobKind(
    name=KIND,
    function=upload_import,
    serializer=UploadRequestSerializer,
    unit="bytes",
    access=SUBMISSION,
    is_result_large=True,
)
