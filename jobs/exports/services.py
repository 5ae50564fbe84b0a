"""Exports as jobs: the function, the files, for how long and how many of them are kept, and links to them."""

import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
from django.conf import settings
from django.core import signing

from jobs.documents import job_of
from jobs.exceptions import JobCancelled, JobError, UnknownJob
from jobs.exports.files import new_file
from jobs.exports.query import ExportQuery
from jobs.exports.writing import MANIFEST, ExportWriter
from jobs.kinds import JOB_KINDS, Run
from jobs.models import SUCCEEDED, Job
from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_stored
from ratelimit.exceptions import CredentialError
from stats.market_data.datasets import MARKET_DATASETS
from store.timestamps import SECOND_NS
from web.requests.json_fields import JsonObject

_LINK, _INVALID_LINK = "jobs.exports.link", "the link is not valid"
_NOTE_SECONDS = 2.0
# Of an owner's data sets, so many of the newest are remembered.
MOST_DATASETS = 10_000


def export_folder(uuid: UUID) -> Path:
    """Return the folder of an export: its files are in `files`, and what attempts leave to each other in `work`."""
    return Path(settings.EXPORTS_DIR) / str(uuid)


def export(run: Run) -> JsonObject:
    """Write an export's files (the function of the kind), and remember the data set."""
    query = ExportQuery.of(run.parameters)
    result = export_write(run, lambda **places: ExportWriter(query, **places).write())
    owner = Job.objects.only("owner").get(uuid=run.uuid).owner
    _dataset_remember(export_folder(run.uuid), result["dataset"], run.parameters, owner)
    return result


def export_write(run: Run, write: Callable[..., JsonObject]) -> JsonObject:
    """Write the files of a job, and return the data set's id, with the totals.

    Beyond the quota, and when the job is cancelled, nothing is left.

    write: returns the result; takes `out`, the folder of the files, `work`, one for what attempts leave to each other,
    and `report`.
    """
    folder, job = export_folder(run.uuid), Job.objects.get(uuid=run.uuid)
    report = _quota_report(run, others=exported_bytes(job.owner, but=run.uuid))
    try:
        result = write(out=folder / "files", work=folder / "work", report=report)
    except (JobError, JobCancelled):
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder / "work")
    run.progress(result["rows"], result["rows"])
    return result


def _dataset_remember(folder: Path, identity: str, parameters: JsonObject, owner: str) -> None:
    """Keep what a data set is, beyond its files. The owner's first export of it says how to make it again."""
    path = _datasets() / sha256(owner.encode()).hexdigest() / f"{identity}.json"
    if path.exists():
        return
    manifest = msgspec.json.decode((folder / "files" / MANIFEST).read_bytes())
    manifest["files"] = len(manifest["files"])
    with new_file(path, folder) as file:
        file.write(msgspec.json.encode({"id": identity, **manifest, "again": parameters}))


def dataset_document(caller: Caller, identity: str) -> JsonObject:
    """Return what a data set is. Raises UnknownJob, also if the caller may not read such rows."""
    found = re.fullmatch("[0-9a-f]{64}", identity) and next(_datasets().glob(f"*/{identity}.json"), None)
    if not found:
        raise UnknownJob("data set")
    document: JsonObject = msgspec.json.decode(found.read_bytes())
    if denial_of(caller, MARKET_DATASETS[document["dataset"]].access) is not None:
        raise UnknownJob("data set")
    return document


def _datasets() -> Path:
    """Return the folder with a folder of data sets for each owner."""
    return Path(settings.EXPORTS_DIR) / "datasets"


def _quota_report(run: Run, *, others: int) -> Callable[[int, int, int | None], None]:
    """Return what tells a run how far it is. It raises JobError beyond the quota. others: the bytes of the owner's other exports."""
    noted = 0.0

    def report(rows: int, size: int, most_rows: int | None) -> None:
        nonlocal noted
        require_bytes(others + size)
        run.progress(rows, most_rows)
        if time.monotonic() - noted > _NOTE_SECONDS:
            noted = time.monotonic()
            run.leave({"bytes": size})

    return report


def exported_bytes(owner: str, *, but: UUID | None = None) -> int:
    """Return how many bytes the files of an owner's exports have, those that are being written included."""
    jobs = Job.objects.filter(kind__in=_kinds(), owner=owner).only("uuid", "result", "note")
    kept = [job for job in jobs if job.uuid != but and export_folder(job.uuid).exists()]
    return sum((job.result or job.note).get("bytes", 0) for job in kept)


def _kinds() -> list[str]:
    return [kind.name for kind in JOB_KINDS.get().values() if kind.is_export]


def require_bytes(size: int) -> None:
    """Raise JobError if an owner's exports may not have so many bytes."""
    if size > settings.EXPORT_MAX_BYTES:
        message = f"the caller's exports have at most {settings.EXPORT_MAX_BYTES:,} bytes; delete one (DELETE /api/v1/exports/{{id}})"
        raise JobError("export_quota", message)


def export_delete(job: Job) -> None:
    """Delete an export's files. Raises JobError: while a worker writes them they cannot be deleted."""
    if not job.is_finished:
        message = f"the export is {job.state}: cancel its job, and its files are deleted"
        raise JobError("export_unfinished", message)
    shutil.rmtree(export_folder(job.uuid), ignore_errors=True)
    if job.result:
        Job.objects.filter(pk=job.pk).update(result={**job.result, "deleted": True})


def exports_delete_old(*, now: datetime) -> None:
    """Delete the files of exports that did not succeed, or ended EXPORT_RETENTION_DAYS ago, or have no job any more.

    Also forget each owner's oldest data sets beyond MOST_DATASETS.
    """
    root = Path(settings.EXPORTS_DIR)
    oldest = now - timedelta(days=settings.EXPORT_RETENTION_DAYS)
    for folder in root.iterdir() if root.exists() else ():
        with suppress(ValueError):
            job = Job.objects.filter(uuid=UUID(folder.name)).first()
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)
            elif job.finished_at is not None and (job.state != SUCCEEDED or job.finished_at <= oldest):
                export_delete(job)
    for owned in _datasets().glob("*"):
        for path in sorted(owned.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-MOST_DATASETS]:
            path.unlink()


def export_of(caller: Caller, text: str) -> Job:
    """Return an export's job by its id, given as text. Raises UnknownJob, also if the caller may not see it."""
    with suppress(UnknownJob):
        if (job := job_of(caller, text)).kind in _kinds():
            return job
    raise UnknownJob("export")


@dataclass(frozen=True, slots=True)
class FileOnDisk:
    """A file of an export on the disk. name: for who downloads it."""

    path: Path
    name: str
    size: int
    sha256: str


def exported_files(job: Job) -> list[JsonObject]:
    """Return the files of an export: their paths, rows, bytes, SHA-256. Raises JobError if they are not there."""
    files: list[JsonObject] = msgspec.json.decode(_manifest(job).read_bytes())["files"]
    return files


def export_file(job: Job, path: str) -> FileOnDisk:
    """Return a file of an export. Raises UnknownJob if it has none of this path, and what `exported_files` raises."""
    files = {each["path"]: each["sha256"] for each in exported_files(job)}
    files[MANIFEST] = (job.result or {})["dataset"]
    if path not in files:
        raise UnknownJob("file")
    found = _manifest(job).parent / path
    if not found.exists():
        message = "the file is not on the server's disk any more; submit the export's parameters again"
        raise JobError("export_expired", message)
    return FileOnDisk(found, path.replace("/", "_"), found.stat().st_size, files[path])


def _manifest(job: Job) -> Path:
    if job.state != SUCCEEDED:
        message = f"the export is {job.state}: its files are there when its job has succeeded"
        raise JobError("not_found", message)
    path = export_folder(job.uuid) / "files" / MANIFEST
    if not path.exists():
        message = "the files of the export were deleted; submit its parameters again"
        raise JobError("export_expired", message)
    return path


def link_token(job: Job, path: str, *, maker: str, expires_ns: int) -> str:
    """Return a token that stands for a file until an instant, with the maker's grants. maker: `Caller.identity`."""
    return signing.dumps([str(job.uuid), path, maker, expires_ns], salt=_LINK)


def linked_file(token: str, *, now: datetime) -> FileOnDisk:
    """Return the file for which a token stands. Raises JobError, and what `export_file` raises."""
    try:
        uuid, path, maker, expires_ns = signing.loads(token, salt=_LINK)
    except signing.BadSignature:
        raise JobError("invalid_link", _INVALID_LINK) from None
    if now.timestamp() * SECOND_NS >= expires_ns:
        raise JobError("link_expired", "the link has expired")
    try:
        return export_file(export_of(caller_stored(maker, now=now), uuid), path)
    except (CredentialError, UnknownJob):
        raise JobError("invalid_link", _INVALID_LINK) from None
