"""The endpoints of exports: submission, the export, and its files."""

import hashlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.models import Job
from jobs.run import run_job
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem, trade
from tests.installation import caches_clear

pytestmark = pytest.mark.django_db
EXPORTS = "/api/v1/exports"
BODY: dict[str, Any] = {
    "dataset": "trades",
    "symbols": ["AAPL"],
    "start": "2025-01-02",
    "end": "2025-01-03",
    "format": "csv",
}


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """The folder of exports."""
    settings.EXPORTS_DIR = tmp_path / "exports"
    return tmp_path / "exports"


def submit(api: Api, **changes: Any) -> Any:
    return api.call("POST", EXPORTS, orjson.dumps({**BODY, **changes}))


@pytest.fixture
def exported(api: Api) -> str:
    """The path of an export with two rows, which has succeeded."""
    rows = [trade(timestamp=f"2025-01-02T14:30:0{second}Z") for second in range(2)]
    assert answer(api.ingest(*rows))["stored"] == 2
    response = submit(api)
    assert response.status_code == 202
    run_job(answer(response)["id"])
    return f"{EXPORTS}/{answer(response)['id']}"


def test_an_export_is_a_job_with_files(api: Api, exported: str) -> None:
    shown = answer(api.get(exported))
    assert (shown["kind"], shown["state"], shown["error"]) == ("export", "succeeded", None)
    assert shown["progress"] == {"done": 2, "total": 2, "unit": "rows", "estimated_end": None}
    assert shown["parameters"] | BODY == shown["parameters"]
    [file] = shown["files"]
    assert (file["path"], file["rows"]) == ("trades/AAPL.csv", 2)
    assert file["link"] == f"{exported}/files/trades/AAPL.csv"
    content = api.get(file["link"]).getvalue()
    assert content.startswith(b"timestamp,price,")
    assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    manifest = api.get(f"{exported}/files/manifest.json").getvalue()
    assert hashlib.sha256(manifest).hexdigest() == shown["result"]["dataset"]
    assert orjson.loads(manifest)["files"] == [
        {name: file[name] for name in ("path", "rows", "bytes", "sha256")}
    ]


def test_before_its_end_an_export_has_no_files(api: Api) -> None:
    assert answer(api.ingest(trade()))["stored"] == 1
    path = f"{EXPORTS}/{answer(submit(api))['id']}"
    assert answer(api.get(path))["files"] == []
    assert problem(api.get(f"{path}/files/manifest.json")) == (404, "not_found")
    assert answer(api.call("POST", f"{path.replace('exports', 'jobs')}/cancel"))["state"] == "cancelled"


def test_a_file_has_a_tag_and_a_digest(api: Api, exported: str) -> None:
    path = f"{exported}/files/trades/AAPL.csv"
    whole = api.get(path)
    content = whole.getvalue()
    digest = hashlib.sha256(content)
    assert whole["ETag"] == f'"{digest.hexdigest()}"'
    assert b64decode(whole["Content-Digest"].removeprefix("sha-256=:").rstrip(":")) == digest.digest()
    assert whole["Content-Length"] == str(len(content))
    assert whole["Content-Disposition"] == 'attachment; filename="AAPL.csv"'
    assert whole["Content-Type"] == "text/csv"
    assert api.get(path, **{"If-None-Match": whole["ETag"]}).status_code == 304
    assert api.call("HEAD", path)["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=5-", (5, None)),
        ("bytes=-7", (-7, None)),
        ("bytes=3-999999", (3, None)),
    ],
)
def test_a_part_of_a_file(api: Api, exported: str, asked: str, part: tuple[int, int | None]) -> None:
    path = f"{exported}/files/trades/AAPL.csv"
    content = api.get(path).getvalue()
    response = api.get(path, Range=asked)
    expected = content[slice(*part)]
    start = len(content) - len(expected) if part[1] is None else part[0]
    assert (response.status_code, response.getvalue()) == (206, expected)
    assert response["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(content)}"
    assert response["Content-Length"] == str(len(expected))
    assert "Content-Digest" not in response


@pytest.mark.parametrize("asked", ["bytes=9-3", "lines=0-1", "bytes=0-1,3-4", "bytes=", "bytes=-", "x"])
def test_a_range_that_means_nothing_is_ignored(api: Api, exported: str, asked: str) -> None:
    assert api.get(f"{exported}/files/trades/AAPL.csv", Range=asked).status_code == 200


def test_a_range_behind_the_end_is_416(api: Api, exported: str) -> None:
    path = f"{exported}/files/trades/AAPL.csv"
    size = len(api.get(path).getvalue())
    for asked in (f"bytes={size}-", "bytes=-0"):
        response = api.get(path, Range=asked)
        assert problem(response) == (416, "range_not_satisfiable")
        assert response["Content-Range"] == f"bytes */{size}"


def test_a_range_of_another_version_is_the_whole(api: Api, exported: str) -> None:
    path = f"{exported}/files/trades/AAPL.csv"
    etag = api.get(path)["ETag"]
    assert api.get(path, Range="bytes=0-1", **{"If-Range": etag}).status_code == 206
    assert api.get(path, Range="bytes=0-1", **{"If-Range": '"x"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["AAPL.csv", "../work/files.jsonl", "..%2fwork%2ffiles.jsonl", "%00", "/etc/passwd", "trades/../manifest.json"]
)  # fmt: skip
def test_only_files_of_the_manifest_are_there(api: Api, exported: str, path: str) -> None:
    assert api.get(f"{exported}/files/{path}").status_code == 404


def test_a_stranger_sees_nothing(exported: str) -> None:
    stranger = Api(make_key())
    for path in (exported, f"{exported}/files/manifest.json"):
        assert problem(stranger.get(path)) == (404, "not_found")
        assert Api(None).get(path).status_code == 401


def test_another_job_is_no_export(api: Api, exported: str) -> None:
    Job.objects.update(kind="backfill")
    assert problem(api.get(exported)) == (404, "not_found")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"symbols": ["NOWHERE"]}, 404, "unknown_symbol"),
        ({"format": "xlsx"}, 422, "validation_failed"),
        ({"fields": ["x"]}, 400, "unknown_column"),
        ({"start": "2025-01-04"}, 400, "invalid_range"),
        ({"callback": "x"}, 422, "validation_failed"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    api: Api, exported: str, changes: dict[str, Any], status: int, code: str
) -> None:
    assert problem(submit(api, **changes)) == (status, code)
    assert Job.objects.count() == 1


def test_a_dataset_may_need_more_than_the_endpoint(api: Api, exported: str) -> None:
    ApiKey.objects.update(sensitivity="public")
    caches_clear()
    assert problem(submit(api, dataset="revisions")) == (403, "insufficient_sensitivity")
    assert submit(api).status_code == 202


def test_an_idempotency_key_makes_one_job(api: Api, exported: str) -> None:
    body = orjson.dumps(BODY)
    first, second = (api.call("POST", EXPORTS, body, **{"Idempotency-Key": "a"}) for _ in range(2))
    assert answer(first)["id"] == answer(second)["id"]
