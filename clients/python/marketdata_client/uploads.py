"""Uploads: files of rows, sent in pieces to the job that imports them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketdata_client.errors import BadAnswer
from marketdata_client.requests import Request, post_once, segment

_UPLOADS = "/api/v1/ingest/batch"
PIECE_BYTES = 8 * 2**20
_FORMATS = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".parquet": "parquet",
}


def upload_request(path: Path, params: Mapping[str, Any]) -> Request:
    """Return the request that begins an upload. Without `format` in the parameters, the file's name tells it. Raises ValueError."""
    kind = params.get("format") or _FORMATS.get(
        Path(path.name.removesuffix(".gz").removesuffix(".zst")).suffix
    )
    if kind is None:
        raise ValueError("the name does not tell the format: give format=")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return post_once(_UPLOADS, {**params, "format": kind, "size": path.stat().st_size, "sha256": sha256})


def state_request(upload_id: str) -> Request:
    return Request("GET", f"{_UPLOADS}/{segment(upload_id)}")


def piece_request(upload_id: str, path: Path, offset: int) -> Request:
    """Return the request of the piece at an offset."""
    with path.open("rb") as file:
        file.seek(offset)
        piece = file.read(PIECE_BYTES)
    headers = {"Content-Type": "application/octet-stream", "Upload-Offset": str(offset)}
    return Request("PATCH", f"{_UPLOADS}/{segment(upload_id)}", headers=headers, body=piece)


def offset_in(answer: Mapping[str, Any]) -> int | None:
    """Return how much has arrived; None if the upload is complete. Raises `BadAnswer`."""
    if answer.get("complete") is True:
        return None
    offset = answer.get("offset")
    if not isinstance(offset, int) or offset < 0:
        raise BadAnswer("the upload has no offset")
    return offset


def uploading(upload_id: str, done: int, total: int) -> dict[str, Any]:
    """Return what is told while the file is sent: like a job's document."""
    return {
        "id": upload_id,
        "state": "uploading",
        "progress": {"done": done, "total": total, "unit": "bytes"},
    }
