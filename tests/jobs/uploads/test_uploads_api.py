"""Uploads over HTTP: begun, sent in pieces, imported by a job."""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import time_machine
from django.db.models.functions import Now
from django.utils import timezone

from jobs.models import Job
from jobs.uploads.services import UploadWriter, uploads_delete_old
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem, trade
from tests.installation import caches_clear
from tests.jobs.uploads.sending import (
    ROWS,
    UPLOADS,
    append,
    begin,
    begun,
    csv_of,
    file_in,
    imported,
    run,
    sent,
)
from tests.trades.imports.command import stored
from trades.imports import blocks

pytestmark = pytest.mark.django_db
CONTENT = csv_of(ROWS)
AAPL = [("2025-01-02T14:30:00Z", 190.5), ("2025-01-03T14:30:00Z", 191.5)]


def of_symbols(job: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    return {each["symbol"]: each for each in job["result"]["symbols"]}


@pytest.mark.parametrize("file_format", ["csv", "ndjson", "arrow", "parquet"])
def test_a_file_of_each_format_is_imported(api: Api, uploads: Path, file_format: str) -> None:
    job = imported(api, file_in(file_format, ROWS), format=file_format, dataset="trades")
    assert (job["kind"], job["state"], job["error"]) == ("upload", "succeeded", None)
    result = job["result"]
    assert [result[name] for name in ("rows", "stored", "duplicates", "bad")] == [3, 3, 0, 0]
    found = of_symbols(job)["AAPL"]
    assert (found["dataset"], found["rows"], found["stored"]) == ("trades", 2, 2)
    assert found["commit"].startswith("1-")
    assert stored("trades", "price") == {"AAPL": AAPL, "MSFT": [("2025-01-02T14:30:01Z", 420.0)]}
    uploads_delete_old(now=timezone.now())
    assert list(uploads.iterdir()) == []


def test_an_import_into_a_log_that_is_ahead_of_the_clock_waits_and_stores_all(api: Api) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        api.ingest(trade())
    path = sent(api, CONTENT, format="csv", dataset="trades")
    run(path)
    row = Job.objects.get()
    assert (row.state, (row.error or {})["code"]) == ("queued", "log_ahead_of_clock")
    Job.objects.update(not_before=Now())
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        run(path)
    job = answer(api.get(path))
    assert (job["state"], job["result"]["stored"]) == ("succeeded", 3)


def test_pieces_go_on_at_the_offset(api: Api) -> None:
    first = begin(api, CONTENT)
    assert (first.status_code, answer(first)["state"]) == (202, "queued")
    job, path = first["Location"], f"{UPLOADS}/{answer(first)['id']}"
    assert answer(api.get(path)) == {
        "id": path.rpartition("/")[2],
        "offset": 0,
        "size": len(CONTENT),
        "complete": False,
        "job": job,
    }
    assert append(api, path, 0, CONTENT[:10])["Upload-Offset"] == "10"
    shown = api.get(path)
    assert (shown["Upload-Offset"], shown["Upload-Complete"], answer(shown)["offset"]) == ("10", "?0", 10)
    for wrong in (0, 9, 11):
        refused = append(api, path, wrong, CONTENT[wrong:])
        assert problem(refused) == (409, "upload_offset_mismatch")
        assert refused["Upload-Offset"] == "10"
    run(job)
    assert answer(api.get(job))["state"] == "queued"
    last = append(api, path, 10, CONTENT[10:])
    assert (last.status_code, last["Upload-Complete"]) == (200, "?1")
    # A client that did not get the last answer asks, or sends again.
    for _ in range(2):
        assert answer(api.get(path)) == answer(last)
        for offset in (0, len(CONTENT)):
            refused = append(api, path, offset, CONTENT[offset:])
            assert problem(refused) == (409, "upload_offset_mismatch")
            assert refused["Upload-Offset"] == str(len(CONTENT))
        run(job)
        assert answer(api.get(job))["state"] == "succeeded"


def test_all_bytes_without_the_last_answer_are_not_complete(api: Api) -> None:
    """The server died between the last byte and the start of the job. An empty piece starts it."""
    path = begun(api, CONTENT)
    with closing(UploadWriter(Job.objects.get(), 0)) as writer:
        writer.write(CONTENT)
    shown = answer(api.get(path))
    assert (shown["offset"], shown["complete"]) == (len(CONTENT), False)
    assert answer(append(api, path, len(CONTENT), b""))["complete"]
    run(shown["job"])
    assert Job.objects.get().state == "succeeded"


def test_a_repeated_begin_with_its_key_is_one_upload(api: Api) -> None:
    body = orjson.dumps({"format": "csv", "size": 10})
    first, second = (api.call("POST", UPLOADS, body, Idempotency_Key="k") for _ in range(2))
    assert answer(first) == answer(second)
    assert second["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "9" * 30])
def test_an_offset_is_a_number(api: Api, offset: str) -> None:
    path = begun(api, CONTENT)
    assert problem(append(api, path, offset, b"x")) == (400, "invalid_parameter")


def test_more_bytes_than_were_declared_are_refused(api: Api) -> None:
    path = begun(api, CONTENT)
    refused = append(api, path, 0, CONTENT + b"x")
    assert problem(refused) == (413, "body_too_large")
    assert f"at most {len(CONTENT)} bytes are taken here" in answer(refused)["message"]
    assert answer(api.get(path))["offset"] == 0


def test_the_hash_is_of_the_whole_file(api: Api) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert imported(api, CONTENT, sha256=digest)["result"]["stored"] == 3
    wrong = imported(api, CONTENT, sha256="0" * 64)
    assert (wrong["state"], wrong["error"]["code"]) == ("failed", "upload_digest_mismatch")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "xlsx"},
        {"size": 0},
        {"size": 2**40},
        {"sha256": "x"},
        {"dataset": "no"},
        {"dataset_column": "kind"},
        {"options": []},
        {"options": {"symbol": "A"}},
        {"options": {"timezone": 1}},
        {"options": {"timezone": True}},
        {"options": {"yes": "x"}},
        {"options": {"skip_ba": True}},
        {"options": {"conditions": "nobody"}},
        {"callback": ""},
    ],
    ids=str,
)
def test_wrong_terms_are_refused(api: Api, changes: dict[str, Any]) -> None:
    status, code = problem(begin(api, CONTENT, **changes))
    assert (status, code) == (422, "validation_failed")


def test_options_are_those_of_the_command(api: Api) -> None:
    content = b"ts,px,volume\n2025-01-02 09:30:00,190.5,100\n"
    options = {"timezone": "America/New_York", "columns": "timestamp=ts,price=px", "yes": True}
    job = imported(api, content, symbol="AAPL", dataset="trades", options=options)
    assert job["result"]["stored"] == 1
    assert stored("trades", "price") == {"AAPL": AAPL[:1]}


def test_what_was_read_before_a_bad_row_stays_stored(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    good = [(f"2025-01-02T14:30:{second:02}Z", "AAPL", 1.0 + second, 7.0) for second in range(50)]
    content = csv_of([*good, ("2025-01-04T14:30:00Z", "AAPL", -1.0, 7.0)])
    job = imported(api, content)
    assert (job["state"], job["error"]["code"]) == ("failed", "upload_refused")
    message, kept = job["error"]["message"], len(stored("trades")["AAPL"])
    assert "line 52, price: " in message
    assert message.startswith(f"{kept} new rows are stored; ")
    assert 0 < kept < 50
    found = imported(api, content, options={"yes": True, "skip-bad": True})["result"]
    assert [found[name] for name in ("rows", "stored", "duplicates", "bad")] == [51, 50 - kept, kept, 1]
    assert "line 52, price: " in found["bad_rows"][0]
    assert len(stored("trades")["AAPL"]) == 50


def test_nothing_is_stored_twice(api: Api) -> None:
    assert imported(api, CONTENT)["result"]["stored"] == 3
    again = imported(api, CONTENT)["result"]
    assert (again["stored"], again["duplicates"]) == (0, 3)
    assert len(stored("trades")["AAPL"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01",
        b"timestamp,symbol,price,volume\n",
        b"a,b\n1,2\n",
        b"timestamp,price,volume\n2025-01-02,1,1\n",
    ],
    ids=["no text", "no rows", "other columns", "no symbol"],
)
def test_a_file_that_cannot_be_read_is_a_failed_job(api: Api, content: bytes) -> None:
    job = imported(api, content)
    assert (job["state"], job["error"]["code"], job["attempts"]) == ("failed", "upload_refused", 1)
    assert "/uploads/" not in job["error"]["message"]


def test_anothers_upload_is_404(api: Api) -> None:
    path, other = begun(api, CONTENT), Api(make_key())
    for refused in (
        other.get(path),
        append(other, path, 0, CONTENT),
        api.get(f"{UPLOADS}/x"),
        api.get(f"{UPLOADS}/5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11"),
    ):
        assert problem(refused) == (404, "not_found")
    assert answer(api.get(path))["offset"] == 0


def test_the_caller_must_be_allowed_to_store_when_the_job_runs(api: Api) -> None:
    reader = Api(make_key(scopes=("market:read",)))
    assert problem(begin(reader, CONTENT)) == (403, "missing_scope")
    job = sent(api, CONTENT)
    ApiKey.objects.update(scopes=["market:read"])
    caches_clear()
    run(job)
    error: Any = Job.objects.get().error
    assert error["code"] == "missing_scope"
    assert stored("trades") == {}


def test_uploads_of_a_caller_are_bounded(api: Api, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000
    assert begin(api, CONTENT, size=1_000).status_code == 202
    assert begin(api, CONTENT, size=999).status_code == 202
    assert problem(begin(api, CONTENT, size=2)) == (409, "too_many_uploads")
    assert problem(begin(api, CONTENT, size=1_001)) == (422, "validation_failed")
    other = Api(make_key())
    assert begin(other, CONTENT, size=1).status_code == 202


def test_a_cancelled_upload_takes_no_more(api: Api, uploads: Path) -> None:
    path = begun(api, CONTENT)
    append(api, path, 0, CONTENT[:10])
    assert answer(api.call("POST", f"{answer(api.get(path))['job']}/cancel"))["state"] == "cancelled"
    uploads_delete_old(now=timezone.now())
    assert problem(append(api, path, 10, CONTENT[10:])) == (409, "upload_offset_mismatch")
    assert list(uploads.iterdir()) == []


def test_an_upload_that_is_not_complete_in_time_fails(api: Api, settings: Any) -> None:
    settings.UPLOAD_RETENTION_HOURS = 1
    path = begun(api, CONTENT)
    append(api, path, 0, CONTENT[:10])
    job = Job.objects.get()
    assert job.not_before == job.created_at + timedelta(hours=1)
    Job.objects.update(not_before=Now())
    run(answer(api.get(path))["job"])
    error: Any = Job.objects.get().error
    assert (error["code"], error["message"][:3]) == ("upload_refused", "10 ")


def test_files_are_kept_until_their_jobs_have_ended(api: Api, uploads: Path) -> None:
    new, failed, queued = begun(api, CONTENT), sent(api, CONTENT, sha256="0" * 64), sent(api, CONTENT)
    append(api, new, 0, CONTENT[:10])
    run(failed)
    uploads_delete_old(now=timezone.now())
    assert {each.name for each in uploads.iterdir()} == {each.rpartition("/")[2] for each in (new, queued)}


def test_a_full_disk_is_507_and_what_has_arrived_stays(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begun(api, CONTENT)
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(data) > 10:
            return write(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert problem(append(api, path, 0, CONTENT[:15])) == (507, "store_full")
        patched.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
        assert problem(begin(api, CONTENT)) == (507, "store_full")
    assert answer(api.get(path))["offset"] == 10
    assert answer(append(api, path, 10, CONTENT[10:]))["complete"]


@pytest.mark.parametrize("call", ["mkdir", "fsync"])
def test_a_disk_that_is_full_at_another_call_is_507_too(
    api: Api, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = begun(api, CONTENT)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((Path, "mkdir", full) if call == "mkdir" else (os, "fsync", full)))
        refused = begin(api, CONTENT) if call == "mkdir" else append(api, path, 0, CONTENT)
        assert problem(refused) == (507, "store_full")
    offset = answer(api.get(path))["offset"]
    assert answer(append(api, path, offset, CONTENT[offset:]))["complete"]


def test_one_request_at_a_time_sends_to_an_upload(api: Api) -> None:
    path = begun(api, CONTENT)
    with closing(UploadWriter(Job.objects.get(), 0)):
        assert problem(append(api, path, 0, CONTENT)) == (409, "upload_busy")
    assert answer(append(api, path, 0, CONTENT))["complete"]


def test_the_end_of_the_job_is_told(api: Api) -> None:
    url = "https://93.184.216.34/told"
    assert answer(begin(api, CONTENT, callback_url=url))["callback_secret"].startswith("whsec_")
    assert Job.objects.get().callback_url == url


def test_web_processes_do_not_load_the_readers_of_files() -> None:
    code = "import django; django.setup(); import sys, jobs.uploads.views; print('trades.imports.services' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"
