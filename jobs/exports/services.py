"""Exports as jobs: the function, and where the files are."""

import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson
from django.conf import settings

from jobs.documents import job_of
from jobs.exceptions import UnknownJob
from jobs.exports.exceptions import UnfinishedExport
from jobs.exports.query import ExportQuery
from jobs.exports.writing import MANIFEST, ExportWriter
from jobs.kinds import Run
from jobs.models import SUCCEEDED, Job
from ratelimit.callers import Caller
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

KIND = "export"
# The call that submits an export.
SUBMISSION = Access("market:read", kind=WRITE)
_REPORT_SECONDS = 0.2


def export_folder(uuid: UUID) -> Path:
    """Return the folder of an export's files."""
    return Path(settings.EXPORTS_DIR) / str(uuid) / "files"


def export(run: Run) -> JsonObject:
    """Write an export's files (the function of the kind). The result is the data set's id, with the totals."""
    next_report = 0.0

    def report(rows: int, _size: int, most_rows: int) -> None:
        nonlocal next_report
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + _REPORT_SECONDS
            run.progress(rows, most_rows)

    out = export_folder(run.uuid)
    writer = ExportWriter(ExportQuery.of(run.parameters), out=out, work=out.parent / "work", report=report)
    result = writer.write()
    run.progress(result["rows"], result["rows"])
    return result


def export_of(caller: Caller, text: str) -> Job:
    """Return an export's job by its id, given as text. Raises UnknownJob, also if the caller may not see it."""
    job = job_of(caller, text)
    if job.kind != KIND:
        raise UnknownJob
    return job


def finished_export(caller: Caller, text: str) -> Job:
    """Return an export that has files. Raises UnknownJob and UnfinishedExport."""
    job = export_of(caller, text)
    if job.state != SUCCEEDED:
        raise UnfinishedExport(job.state)
    return job


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export on the disk."""

    path: Path
    size: int
    sha256: str


def exported_files(job: Job) -> list[JsonObject]:
    """Return the files of an export that has succeeded: their paths, rows, bytes, SHA-256."""
    manifest: JsonObject = orjson.loads((export_folder(job.uuid) / MANIFEST).read_bytes())
    files: list[JsonObject] = manifest["files"]
    return files


def export_file(job: Job, path: str) -> ExportedFile:
    """Return a file of an export that has succeeded. Raises UnknownJob if the manifest names none of this path."""
    folder = export_folder(job.uuid)
    if path == MANIFEST and job.result is not None:
        return ExportedFile(folder / MANIFEST, (folder / MANIFEST).stat().st_size, job.result["dataset"])
    for each in exported_files(job):
        if each["path"] == path:
            return ExportedFile(folder / path, each["bytes"], each["sha256"])
    raise UnknownJob
