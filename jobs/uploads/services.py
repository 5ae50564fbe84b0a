"""Uploads as jobs: the function, and what begins and ends an upload."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from jobs.documents import job_of
from jobs.exceptions import UnknownJob
from jobs.kinds import Run
from jobs.models import Job
from jobs.services import job_submit
from jobs.uploads.exceptions import UnknownUpload, UploadDigestMismatch, UploadRefused
from jobs.uploads.files import Upload, UploadWriter, unavailable, upload_find, uploads_all
from jobs.uploads.options import opened_upload
from ratelimit.authorize import check_access
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_stored
from trades.exceptions import ImportsError, without_path
from trades.imports.blocks import SourceFile
from trades.imports.layout import ReadOptions
from trades.imports.services import symbols_import
from trades.imports.symbol_runs import SymbolOutcome
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

KIND = "upload"
# The call that begins an upload. Its job needs the same.
SUBMISSION = Access("market:write", kind=WRITE)
_HASHED_AT_ONCE = 2**20
_REPORT_SECONDS = 0.2


def upload_of(caller: Caller, text: str) -> Upload | Job:
    """Return a caller's upload, or the job that it has become. Raises UnknownUpload."""
    with suppress(UnknownUpload):
        upload = upload_find(text)
        if upload.owner != caller.principal:
            raise UnknownUpload
        if upload.offset < upload.size:
            return upload
        with suppress(UnknownJob):
            return job_of(caller, text)
        return upload
    try:
        job = job_of(caller, text)
    except UnknownJob as error:
        raise UnknownUpload from error
    if job.kind != KIND:
        raise UnknownUpload
    return job


def upload_finish(upload: Upload, *, now: datetime, correlation_id: str) -> Job:
    """Queue the job of an upload whose bytes have all arrived, once, and return it. Raises UploadBusy."""
    with UploadWriter(upload, upload.size) as writer:
        writer.sync()
        job = Job.objects.filter(uuid=upload.uuid).first()
        return job or job_submit(
            kind=KIND,
            uuid=upload.uuid,
            parameters=upload.parameters,
            owner=upload.owner,
            created_by=upload.created_by,
            now=now,
            correlation_id=correlation_id,
            callback_url=upload.callback_url,
        )


def upload_import(run: Run) -> JsonObject:
    """Import an upload's file (the function of the kind), and delete it.

    An attempt after another one reads the file again; what was stored is answered again by the request keys.
    """
    if "result" in run.note:
        return _removed(run.uuid, run.note["result"])
    check_access(caller_stored(run.created_by, now=timezone.now()), SUBMISSION)
    upload = upload_find(run.uuid)
    _check_digest(upload, run)
    result = _imported(upload, run)
    run.leave({"result": result})
    return _removed(run.uuid, result)


def _removed(uuid: UUID, result: JsonObject) -> JsonObject:
    with suppress(UnknownUpload):
        upload_find(uuid).remove()
    return result


def _check_digest(upload: Upload, run: Run) -> None:
    expected = upload.parameters.get("sha256")
    if not expected:
        return
    digest = hashlib.sha256()
    with upload.path.open("rb") as file:
        while data := file.read(_HASHED_AT_ONCE):
            digest.update(data)
            run.check()
    if digest.hexdigest() != expected:
        raise UploadDigestMismatch(digest.hexdigest())


def _imported(upload: Upload, run: Run) -> JsonObject:
    next_report = 0.0

    def report(before: int, done: int) -> None:
        nonlocal next_report
        run.check()
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + _REPORT_SECONDS
            run.progress((before * upload.size + done) // len(files), upload.size)

    items: list[JsonObject] = []
    totals, unread = Counter(rows=0, stored=0, duplicates=0, refused=0), set[str]()
    try:
        files = opened_upload(upload.path, run.parameters)
        for before, source in enumerate(files):
            outcomes, columns = _outcomes(upload, run, source, before, partial(report, before))
            # A column that one dataset lacks may be another's.
            unread = unread & {*columns} if before else {*columns}
            for each in outcomes:
                values = {**asdict(each), "error": without_path(each.error, upload.path)}
                items.append({"dataset": source[1].dataset.name, **values})
                totals.update(
                    rows=each.rows, stored=each.stored, duplicates=each.duplicates, refused=bool(each.error)
                )
    except ImportsError as error:
        raise UploadRefused(without_path(str(error), upload.path)) from error
    except OSError as error:
        raise unavailable(error) from error
    run.progress(upload.size, upload.size)
    return {**totals, "unread_columns": sorted(unread), "symbols": items}


def _outcomes(
    upload: Upload,
    run: Run,
    source: tuple[SourceFile, ReadOptions],
    before: int,
    progress: Callable[[int], None],
) -> tuple[list[SymbolOutcome], tuple[str, ...]]:
    """Import the rows of a dataset, after so many other datasets. Raises `ImportsError`s for the first one only."""
    file, options = source
    try:
        return symbols_import(
            file=file,
            options=options,
            spool=upload.folder / "sorted",
            caller=run.created_by,
            request_key=run.request_key,
            confirmed=bool(run.parameters["options"].get("yes")),
            progress=progress,
        )
    except ImportsError as error:
        if not before:
            raise
        return [SymbolOutcome(None, 0, error=str(error))], ()


def uploads_delete_old(*, now: datetime) -> None:
    """Delete uploads to which nothing was sent for UPLOAD_RETENTION_HOURS, and those whose jobs have ended."""
    oldest = now - timedelta(hours=settings.UPLOAD_RETENTION_HOURS)
    for upload in list(uploads_all()):
        job = Job.objects.filter(uuid=upload.uuid).first()
        with suppress(FileNotFoundError):
            if job.is_finished if job is not None else upload.changed_at <= oldest.timestamp():
                upload.remove()
