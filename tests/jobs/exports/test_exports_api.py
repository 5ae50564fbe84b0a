"""The endpoints of exports: submission, the export, and its files."""

import hashlib
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.utils import timezone

from jobs.exceptions import JobCancelled
from jobs.exports.services import exports_delete_old
from jobs.models import Job
from jobs.run import LeasedRun
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem, trade
from tests.chance import SOAK
from tests.installation import caches_clear
from tests.jobs.running import run_job

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
    assert shown["progress"] == {"done": 2, "total": 2, "unit": "rows"}
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


@pytest.mark.parametrize("end", ["trades", "trades/stream", "ohlcv"])
def test_parquet_of_a_page_says_where_it_is_made(api: Api, exported: str, end: str) -> None:
    path = f"/api/v1/market-data/equities/AAPL/{end}?start=2025-01-02"
    suffix = path.replace("?", ".parquet?")
    accept = {"Accept": "application/vnd.apache.parquet"}
    for response in (api.get(f"{path}&format=parquet"), api.get(suffix), api.get(path, **accept)):
        assert problem(response) == (406, "not_acceptable")
        assert "POST /api/v1/exports" in answer(response)["message"]


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
    assert whole["Content-Disposition"] == 'attachment; filename="trades_AAPL.csv"'
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


def test_a_file_that_was_expected_to_be_another_is_412(api: Api, exported: str) -> None:
    path = f"{exported}/files/trades/AAPL.csv"
    etag = api.get(path)["ETag"]
    assert problem(api.get(path, **{"If-Match": '"x"'})) == (412, "file_changed")
    for expected in (etag, "*", f'"x", {etag}'):
        assert api.get(path, **{"If-Match": expected}).status_code == 200


def test_a_file_that_is_lost_is_410(api: Api, exported: str, folder: Path) -> None:
    next(folder.rglob("AAPL.csv")).unlink()
    for method in ("GET", "HEAD"):
        assert api.call(method, f"{exported}/files/trades/AAPL.csv").status_code == 410
    link = api.call("POST", f"{exported}/links", orjson.dumps({"path": "trades/AAPL.csv"}))
    assert problem(link) == (410, "export_expired")


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


def test_what_is_not_there_is_named(api: Api, exported: str) -> None:
    for path, what in (
        (f"{EXPORTS}/{uuid4()}", "export"),
        (f"{exported}/files/x", "file"),
        (f"/api/v1/datasets/{'0' * 64}", "data set"),
    ):
        assert answer(api.get(path))["message"] == f"there is no such {what}"


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
        ({"fields": ["x"]}, 400, "unknown_column"),
        ({"start": "2025-01-04"}, 400, "invalid_range"),
        ({"limit": 5}, 422, "validation_failed"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    api: Api, exported: str, changes: dict[str, Any], status: int, code: str
) -> None:
    assert problem(submit(api, **changes)) == (status, code)
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("symbols", "code"), [([], "empty"), (["A"] * 1_001, "too_many"), ([""], "invalid_text"), ("A", "invalid_type")]
)  # fmt: skip
def test_a_list_of_symbols_has_the_codes_of_lists(api: Api, symbols: Any, code: str) -> None:
    [error] = answer(submit(api, symbols=symbols))["errors"]
    assert (error["path"].partition("[")[0], error["code"]) == ("symbols", code)


def test_a_thousand_options_fit_the_body(api: Api) -> None:
    symbols = [f"ABCDEF251219C{strike:08}" for strike in range(1_000)]
    body = {"dataset": "greeks", "class": "options", "symbols": symbols, "format": "csv"}
    response = api.call("POST", EXPORTS, orjson.dumps(body))
    assert problem(response) == (404, "unknown_symbol"), response.content


def test_a_dataset_may_need_more_than_the_endpoint(api: Api, exported: str) -> None:
    ApiKey.objects.update(sensitivity="public")
    caches_clear()
    assert problem(submit(api, dataset="revisions")) == (403, "insufficient_sensitivity")
    assert submit(api).status_code == 202


def test_an_idempotency_key_makes_one_job(api: Api, exported: str) -> None:
    body = orjson.dumps(BODY)
    first, second = (api.call("POST", EXPORTS, body, **{"Idempotency-Key": "a"}) for _ in range(2))
    assert answer(first)["id"] == answer(second)["id"]


def test_a_quota_holds_at_the_submission_and_while_files_are_written(
    api: Api, exported: str, settings: Any, folder: Path
) -> None:
    size = answer(api.get(exported))["result"]["bytes"]
    settings.EXPORT_MAX_BYTES = size + 100
    job = answer(submit(api))["id"]
    run_job(job)
    shown = answer(api.get(f"{EXPORTS}/{job}"))
    assert (shown["state"], shown["error"]["code"]) == ("failed", "export_quota")
    assert not (folder / job).exists()
    settings.EXPORT_MAX_BYTES = size
    assert problem(submit(api)) == (409, "export_quota")
    assert api.call("DELETE", exported).status_code == 204
    assert submit(api).status_code == 202


def test_an_export_that_has_not_ended_is_cancelled_not_deleted(
    api: Api, exported: str, folder: Path, monkeypatch: Any
) -> None:
    job = answer(submit(api))["id"]
    for state in ("queued", "running"):
        Job.objects.filter(uuid=job).update(state=state)
        assert problem(api.call("DELETE", f"{EXPORTS}/{job}")) == (409, "export_unfinished")
    Job.objects.filter(uuid=job).update(state="queued")

    def cancelled(self: LeasedRun, *_: Any) -> None:
        assert (folder / job).exists()
        raise JobCancelled

    monkeypatch.setattr(LeasedRun, "progress", cancelled)
    run_job(job)
    assert answer(api.get(f"{EXPORTS}/{job}"))["state"] == "cancelled"
    assert not (folder / job).exists()
    assert api.call("DELETE", f"{EXPORTS}/{job}").status_code == 204


def test_a_deleted_export_says_so(api: Api, exported: str) -> None:
    assert api.call("DELETE", exported).status_code == 204
    shown = answer(api.get(exported))
    assert (shown["state"], shown["files"], shown["result"]["deleted"]) == ("succeeded", [], True)
    assert problem(api.get(f"{exported}/files/manifest.json")) == (410, "export_expired")
    assert problem(Api(make_key()).call("DELETE", exported)) == (404, "not_found")


def test_old_files_are_deleted_and_those_without_a_job(
    api: Api, exported: str, settings: Any, folder: Path
) -> None:
    now = timezone.now()
    for state in ("failed", "cancelled", "running"):
        job = answer(submit(api))["id"]
        (folder / job).mkdir()
        Job.objects.filter(uuid=job).update(state=state, finished_at=None if state == "running" else now)
    (folder / str(uuid4())).mkdir()
    (folder / "other").mkdir()
    exports_delete_old(now=now)
    kept = {exported.rpartition("/")[2], job, "other", "datasets"}
    assert {each.name for each in folder.iterdir()} == kept
    settings.EXPORT_RETENTION_DAYS = 7
    exports_delete_old(now=now + timedelta(days=6, hours=23))
    assert {each.name for each in folder.iterdir()} == kept
    exports_delete_old(now=now + timedelta(days=7, minutes=1))
    assert {each.name for each in folder.iterdir()} == {job, "other", "datasets"}
    assert answer(api.get(exported))["result"]["deleted"]
    assert problem(api.get(f"{exported}/files/manifest.json")) == (410, "export_expired")


def test_a_data_set_says_what_it_is_and_how_to_make_it_again(api: Api, exported: str, folder: Path) -> None:
    identity = answer(api.get(exported))["result"]["dataset"]
    found = answer(api.get(f"/api/v1/datasets/{identity}"))
    assert (found["id"], found["rows"], found["files"]) == (identity, 2, 1)
    assert found["commits"]["AAPL"].startswith("trades=1-")
    assert answer(api.ingest(trade(timestamp="2025-01-02T14:30:00.5Z")))["stored"] == 1
    assert api.call("DELETE", exported).status_code == 204
    again = answer(api.call("POST", EXPORTS, orjson.dumps(found["again"])))
    run_job(again["id"])
    assert answer(api.get(f"{EXPORTS}/{again['id']}"))["result"]["dataset"] == identity
    exports_delete_old(now=timezone.now() + timedelta(days=100))
    assert answer(api.get(f"/api/v1/datasets/{identity}")) == found


def test_an_owners_newest_data_sets_are_remembered(
    api: Api, exported: str, folder: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("jobs.exports.services.MOST_DATASETS", 2)
    other = Api(make_key())
    found = [answer(api.get(exported))["result"]["dataset"]]
    for second in range(2, 5):
        assert answer(api.ingest(trade(timestamp=f"2025-01-02T14:30:0{second}Z")))["stored"] == 1
        for caller in (api, other) if second == 2 else (api,):
            job = answer(submit(caller))["id"]
            run_job(job)
        found.append(answer(caller.get(f"{EXPORTS}/{job}"))["result"]["dataset"])
    exports_delete_old(now=timezone.now())
    # The second one is remembered for the other owner.
    assert [api.get(f"/api/v1/datasets/{each}").status_code for each in found] == [404, 200, 200, 200]


@pytest.mark.parametrize("identity", ["0" * 64, "x", "..%2f", "0" * 63 + "G"])
def test_an_unknown_data_set_is_404(api: Api, identity: str) -> None:
    assert problem(api.get(f"/api/v1/datasets/{identity}")) == (404, "not_found")


def test_a_data_set_needs_what_its_rows_need(api: Api, exported: str) -> None:
    job = answer(submit(api, dataset="revisions", resolution="1d"))["id"]
    run_job(job)
    path = f"/api/v1/datasets/{answer(api.get(f'{EXPORTS}/{job}'))['result']['dataset']}"
    assert api.get(path).status_code == 200
    ApiKey.objects.update(sensitivity="public")
    caches_clear()
    assert problem(api.get(path)) == (404, "not_found")


@pytest.fixture
def link(api: Api, exported: str) -> str:
    """A link to a file."""
    response = api.call("POST", f"{exported}/links", orjson.dumps({"path": "trades/AAPL.csv"}))
    assert response.status_code == 200
    url: str = answer(response)["url"]
    return url.removeprefix("http://testserver")


def test_a_link_is_for_anybody_until_it_expires(api: Api, exported: str, link: str, monkeypatch: Any) -> None:
    content = api.get(f"{exported}/files/trades/AAPL.csv").getvalue()
    anybody = Api(None)
    response = anybody.get(link)
    assert (response.status_code, response.getvalue()) == (200, content)
    assert anybody.get(link, Range="bytes=0-3").getvalue() == content[:4]
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr("jobs.exports.views.timezone.now", lambda: later)
    assert problem(anybody.get(link)) == (410, "link_expired")


def test_a_link_with_any_byte_altered_is_refused(link: str) -> None:
    anybody = Api(None)
    path, _, token = link.partition("token=")
    for position in range(len(token)) if SOAK else range(0, len(token), 7):
        for letter in {"A", "b", "0", "."} - {token[position]}:
            altered = f"{path}token={token[:position]}{letter}{token[position + 1 :]}"
            assert problem(anybody.get(altered)) == (403, "invalid_link")
    for text in (token[:-1], f"{token}A", f"={token}", "x", "x.y", "."):
        assert problem(anybody.get(f"{path}token={text}")) == (403, "invalid_link")
    assert problem(anybody.get("/api/v1/downloads")) == (400, "missing_parameter")


def test_a_strangers_link_is_refused(exported: str, link: str, api: Api, settings: Any) -> None:
    body = orjson.dumps({"path": "trades/AAPL.csv"})
    assert problem(Api(make_key()).call("POST", f"{exported}/links", body)) == (404, "not_found")
    for wrong in ({"path": "x"}, {"path": "../work/files.jsonl"}):
        assert problem(api.call("POST", f"{exported}/links", orjson.dumps(wrong))) == (404, "not_found")
    too_long = orjson.dumps({"path": "manifest.json", "expires_in": 604_801})
    assert problem(api.call("POST", f"{exported}/links", too_long)) == (422, "validation_failed")
    # Of another installation.
    settings.SECRET_KEY = "x" * 50
    settings.SECRET_KEY_FALLBACKS = []
    assert problem(Api(None).get(link)) == (403, "invalid_link")


def test_a_link_ends_with_the_key_that_made_it(link: str) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())
    caches_clear()
    assert problem(Api(None).get(link)) == (403, "invalid_link")


def test_a_link_ends_with_the_export(api: Api, exported: str, link: str) -> None:
    assert api.call("DELETE", exported).status_code == 204
    assert problem(Api(None).get(link)) == (410, "export_expired")
