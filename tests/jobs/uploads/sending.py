"""Begins uploads, sends them in pieces, runs their jobs."""

import io
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tests.api_client import Api, answer
from tests.jobs.running import run_job

UPLOADS = "/api/v1/ingest/batch"
ROWS = [
    ("2025-01-02T14:30:00Z", "AAPL", 190.5, 100.0),
    ("2025-01-02T14:30:01Z", "MSFT", 420.0, 5.0),
    ("2025-01-03T14:30:00Z", "AAPL", 191.5, 7.0),
]
NAMES = ("timestamp", "symbol", "price", "volume")


def csv_of(rows: list[Any]) -> bytes:
    return "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in rows), ""]).encode()


def file_in(file_format: str, rows: list[Any]) -> bytes:
    """Return rows as a file."""
    if file_format == "csv":
        return csv_of(rows)
    if file_format == "ndjson":
        return b"".join(orjson.dumps(dict(zip(NAMES, row, strict=True))) + b"\n" for row in rows)
    table, target = pa.table(dict(zip(NAMES, zip(*rows, strict=True), strict=True))), io.BytesIO()
    if file_format == "parquet":
        pq.write_table(table, target)
    else:
        with pa.ipc.new_stream(target, table.schema) as stream:
            stream.write_table(table)
    return target.getvalue()


def begin(api: Api, content: bytes, **changes: Any) -> Any:
    """Begin an upload that is confirmed from the start. changes: fields of its body; None leaves one out."""
    body = {"format": "csv", "size": len(content), "options": {"yes": True}, **changes}
    return api.call(
        "POST", UPLOADS, orjson.dumps({name: each for name, each in body.items() if each is not None})
    )


def append(api: Api, path: str, offset: object, content: bytes) -> Any:
    return api.call(
        "PATCH", path, content, content_type="application/octet-stream", Upload_Offset=str(offset)
    )


def begun(api: Api, content: bytes, **changes: Any) -> str:
    """Begin an upload; return its path."""
    return f"{UPLOADS}/{answer(begin(api, content, **changes))['id']}"


def sent(api: Api, content: bytes, **changes: Any) -> str:
    """Send a whole file; return the path of its job."""
    response = append(api, begun(api, content, **changes), 0, content)
    assert response.status_code == 200, response.content
    return str(answer(response)["job"])


def imported(api: Api, content: bytes, **changes: Any) -> dict[str, Any]:
    """Send a whole file, run its job, return the job."""
    job = sent(api, content, **changes)
    run(job)
    found: dict[str, Any] = answer(api.get(job))
    return found


def run(job: str) -> None:
    """Run the job at a path."""
    run_job(UUID(job.rpartition("/")[2]))
