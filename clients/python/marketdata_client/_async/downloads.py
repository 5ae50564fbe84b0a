"""Downloads the files of an export. A transfer that breaks goes on where it broke."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from marketdata_client._async.session import AsyncSession
from marketdata_client.errors import Unreachable
from marketdata_client.exports import (
    MANIFEST,
    ExportedFile,
    bytes_told,
    downloading,
    file_request,
    files_in,
    manifest_in,
)
from marketdata_client.jobs import Job


async def download(
    session: AsyncSession, job: Job, folder: Path, tell: Callable[[Job], object]
) -> dict[str, Any]:
    """Download what is missing of an export that has succeeded, the manifest last. Return the manifest, with the data set's `id`."""
    result, job_id = job.get("result") or {}, str(job.get("id"))
    body = (await session.answer(file_request(job_id, MANIFEST))).body
    manifest = manifest_in(body, result.get("dataset"))
    files = files_in(manifest, folder)
    total, done = sum(file.size for file in files), 0
    for file in files:
        if not file.is_complete:
            await _fetch(session, job_id, file, bytes_told(tell, done, total))
        done += file.size
        tell(downloading(done, total))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(body)
    tell(downloading(total, total, state="downloaded"))
    return {"id": result.get("dataset"), **manifest}


async def _fetch(
    session: AsyncSession, job_id: str, file: ExportedFile, tell: Callable[[int], object]
) -> None:
    attempt = 0
    while file.arrived < file.size or not file.size:
        before = file.arrived
        try:
            async with session.open(file.request(job_id)) as opened:
                with file.opened(opened.headers) as part:
                    async for piece in opened.pieces(limit=file.size):
                        part.write(piece)
                        tell(part.tell())
            break
        except Unreachable as error:
            # An attempt that brought something is the first of those that may fail.
            attempt = 1 if file.arrived > before else attempt + 1
            pause = session.config.retries.pause(attempt, error)
            if pause is None:
                raise
            session.config.retries.on_pause(error, pause)
        await session.sleep(pause)
    file.finish()
