"""Uploads over HTTP: begun, sent in pieces, imported by a job, of each symbol all rows or none."""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.uploads import files
from jobs.uploads.services import uploads_delete_old
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.installation import caches_clear
from tests.jobs.uploads.sending import ROWS, UPLOADS, append, begin, csv_of, file_in, imported, run, sent
from tests.trades.imports.command import stored

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
    assert [result[name] for name in ("rows", "stored", "duplicates", "refused")] == [3, 3, 0, 0]
    found = of_symbols(job)["AAPL"]
    assert (found["dataset"], found["rows"], found["stored"], found["error"]) == ("trades", 2, 2, "")
    assert found["commit"].startswith("1-")
    assert stored("trades", "price") == {"AAPL": AAPL, "MSFT": [("2025-01-02T14:30:01Z", 420.0)]}
    assert list(uploads.iterdir()) == []


def test_pieces_go_on_at_the_offset(api: Api) -> None:
    begun = begin(api, CONTENT)
    assert begun.status_code == 201
    path = begun["Location"]
    assert answer(begun) == {
        "id": path.rpartition("/")[2],
        "offset": 0,
        "size": len(CONTENT),
        "complete": False,
        "job": None,
    }
    assert append(api, path, 0, CONTENT[:10])["Upload-Offset"] == "10"
    shown = api.get(path)
    assert (shown["Upload-Offset"], shown["Upload-Complete"], answer(shown)["offset"]) == ("10", "?0", 10)
    for wrong in (0, 9, 11):
        refused = append(api, path, wrong, CONTENT[wrong:])
        assert problem(refused) == (409, "upload_offset_mismatch")
        assert refused["Upload-Offset"] == "10"
    last = append(api, path, 10, CONTENT[10:])
    assert (last.status_code, last["Upload-Complete"]) == (202, "?1")
    # A client that did not get the last answer asks, or sends again.
    assert answer(api.get(path))["job"] == last["Location"]
    assert append(api, path, len(CONTENT), b"")["Location"] == last["Location"]
    run(last["Location"])
    assert answer(append(api, path, len(CONTENT), b""))["state"] == "succeeded"
    assert problem(append(api, path, 0, CONTENT)) == (409, "upload_offset_mismatch")
    assert Job.objects.count() == 1


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "9" * 30])
def test_an_offset_is_a_number(api: Api, offset: str) -> None:
    path = begin(api, CONTENT)["Location"]
    assert problem(append(api, path, offset, b"x")) == (400, "invalid_parameter")


def test_more_bytes_than_were_declared_are_refused(api: Api) -> None:
    path = begin(api, CONTENT)["Location"]
    assert problem(append(api, path, 0, CONTENT + b"x")) == (413, "body_too_large")
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
        {"dataset": "trades", "dataset_column": "kind"},
        {"options": []},
        {"options": {"skip_bad": True}},
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


def test_a_symbol_with_a_bad_row_stores_nothing(api: Api) -> None:
    rows = [*ROWS, ("2025-01-04T14:30:00Z", "AAPL", -1.0, 7.0), ("2025-01-04T14:30:00Z", "??", 1.0, 7.0)]
    job = imported(api, csv_of(rows))
    found = of_symbols(job)
    assert (found["AAPL"]["rows"], found["AAPL"]["stored"], found["AAPL"]["bad"]) == (3, 0, 1)
    assert found["AAPL"]["line"] == 5
    assert "price" in found["AAPL"]["error"]
    assert (found[None]["rows"], found[None]["line"]) == (1, 6)
    assert found["MSFT"]["stored"] == 1
    assert job["result"]["refused"] == 2
    assert [*stored("trades")] == ["MSFT"]


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_a_file_may_mix_datasets(api: Api, file_format: str) -> None:
    names = ("kind", "timestamp", "symbol", "price", "volume", "bid", "ask")
    rows: list[tuple[Any, ...]] = [
        ("trades", "2025-01-02T14:30:00Z", "AAPL", 190.5, 100, None, None),
        ("quotes", "2025-01-02T14:30:00Z", "AAPL", None, None, 190.4, 190.6),
        ("quotes", "2025-01-02T14:30:01Z", "MSFT", None, None, -1, 420.6),
        ("trades", "2025-01-03T14:30:00Z", "AAPL", 191.5, 7, None, None),
    ]
    if file_format == "csv":
        lines = (",".join("" if cell is None else str(cell) for cell in row) for row in (names, *rows))
        content = "\n".join(lines).encode()
    else:
        content = b"\n".join(orjson.dumps(dict(zip(names, row, strict=True))) for row in rows)
    job = imported(api, content, format=file_format, dataset_column="kind")
    assert job["error"] is None
    found = {(each["dataset"], each["symbol"]): each["stored"] for each in job["result"]["symbols"]}
    assert found == {("trades", "AAPL"): 2, ("quotes", "AAPL"): 1, ("quotes", "MSFT"): 0}
    assert job["result"]["symbols"][-1]["line"] == (4 if file_format == "csv" else 3)
    assert job["result"]["unread_columns"] == []
    assert stored("trades", "price") == {"AAPL": AAPL}
    assert stored("quotes", "bid") == {"AAPL": [("2025-01-02T14:30:00Z", 190.4)]}


@pytest.mark.parametrize("kind", ["nothing", ""])
def test_a_row_of_no_dataset_refuses_the_file(api: Api, kind: str) -> None:
    content = CONTENT.replace(b"volume\n", b"volume,kind\n").replace(b".0\n", b".0,trades\n", 2)
    content = content.replace(b"7.0\n", f"7.0,{kind}\n".encode())
    job = imported(api, content, dataset_column="kind")
    assert (job["state"], job["error"]["code"]) == ("failed", "upload_refused")
    assert "line 4, kind" in job["error"]["message"]
    assert stored("trades") == {}


def test_a_dataset_that_cannot_be_read_refuses_the_file(api: Api) -> None:
    """Trades come first, and are not stored: the bars have no open."""
    content = CONTENT.replace(b"volume\n", b"volume,kind\n").replace(b".0\n", b".0,trades\n", 2)
    job = imported(api, content.replace(b"7.0\n", b"7.0,bars\n"), dataset_column="kind")
    assert (job["state"], job["error"]["code"]) == ("failed", "upload_refused")
    assert stored("trades") == {}


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
    path, other = begin(api, CONTENT)["Location"], Api(make_key())
    for refused in (
        other.get(path),
        append(other, path, 0, CONTENT),
        other.call("DELETE", path),
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


def test_uploads_of_a_caller_are_bounded(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000
    assert begin(api, CONTENT, size=1_000).status_code == 201
    assert begin(api, CONTENT, size=999).status_code == 201
    assert problem(begin(api, CONTENT, size=2)) == (409, "too_many_uploads")
    assert problem(begin(api, CONTENT, size=1_001)) == (422, "validation_failed")
    monkeypatch.setattr(files, "MOST_UPLOADS", 2)
    assert problem(begin(api, CONTENT, size=1)) == (409, "too_many_uploads")
    other = Api(make_key())
    assert begin(other, CONTENT, size=1).status_code == 201


def test_an_upload_can_be_deleted(api: Api, uploads: Path) -> None:
    path = begin(api, CONTENT)["Location"]
    assert api.call("DELETE", path).status_code == 204
    assert problem(api.get(path)) == (404, "not_found")
    assert list(uploads.iterdir()) == []
    complete = sent(api, CONTENT)
    assert problem(api.call("DELETE", f"{UPLOADS}/{complete.rpartition('/')[2]}")) == (404, "not_found")


def test_unfinished_uploads_expire_and_those_of_ended_jobs_are_deleted(
    api: Api, settings: Any, uploads: Path
) -> None:
    settings.UPLOAD_RETENTION_HOURS = 1
    old, new = begin(api, CONTENT)["Location"], begin(api, CONTENT)["Location"]
    queued, failed = sent(api, CONTENT), sent(api, CONTENT, sha256="0" * 64)
    run(failed)
    now = timezone.now()
    for each in (old, queued):
        [file] = (uploads / each.rpartition("/")[2]).glob("(upload)*")
        at = (now - timedelta(hours=2)).timestamp()
        os.utime(file, (at, at))
    uploads_delete_old(now=now)
    kept = {each.rpartition("/")[2] for each in (new, queued)}
    assert {each.name for each in uploads.iterdir()} == kept
    assert problem(api.get(old)) == (404, "not_found")


def test_a_full_disk_is_507_and_what_has_arrived_stays(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begin(api, CONTENT)["Location"]
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
    assert append(api, path, 10, CONTENT[10:]).status_code == 202


def test_one_request_at_a_time_sends_to_an_upload(api: Api) -> None:
    path = begin(api, CONTENT)["Location"]
    upload = files.upload_find(path.rpartition("/")[2])
    with files.UploadWriter(upload, 0):
        assert problem(append(api, path, 0, CONTENT)) == (409, "upload_busy")
    assert append(api, path, 0, CONTENT).status_code == 202


def test_the_callback_s_secret_is_in_the_last_answer(api: Api) -> None:
    url = "https://93.184.216.34/told"
    path = begin(api, CONTENT, callback_url=url)["Location"]
    last = answer(append(api, path, 0, CONTENT))
    assert last["callback_secret"].startswith("whsec_")
    assert answer(append(api, path, len(CONTENT), b""))["callback_secret"] == last["callback_secret"]
    assert Job.objects.get().callback_url == url


def test_web_processes_do_not_load_the_readers_of_files() -> None:
    code = "import django; django.setup(); import sys, jobs.uploads.views; print('trades.imports.services' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"
