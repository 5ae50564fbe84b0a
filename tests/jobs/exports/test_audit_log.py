"""Exports of the audit log: the records of the submission's instant, for who may read them."""

import io
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.models import AuditRecord
from audit.reading.documents import RecordDocument
from tests.api_client import Api, answer, make_key, problem
from tests.audit.builders import chain_of, record
from tests.jobs.running import run_job
from web.documents import arrow_schema

pytestmark = pytest.mark.django_db
EXPORTS = "/api/v1/audit/exports"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> None:
    """The folder of exports."""
    settings.EXPORTS_DIR = tmp_path / "exports"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.reading.export.PIECE_RECORDS", 7)


def exported(api: Api, form: str) -> tuple[int, bytes]:
    """Return how many records there were at the submission, and the bytes of the file. Records come in between."""
    count = AuditRecord.objects.count()
    response = api.call("POST", EXPORTS, orjson.dumps({"format": form}))
    assert response.status_code == 202, response.content
    record(50)
    run_job(answer(response)["id"])
    shown = answer(api.get(f"/api/v1/exports/{answer(response)['id']}"))
    assert shown["state"] == "succeeded", shown["error"]
    [file] = shown["files"]
    assert (file["path"], file["rows"]) == (f"audit.{form}", count)
    return count, api.get(file["link"]).getvalue()


def test_lines_are_those_of_the_list(api: Api) -> None:
    chain_of(20)
    record(20, detail='{"body": {"a":1.50,"b":"\\ud83d\\ude00"}}')
    count, content = exported(api, "ndjson")
    listed = api.get("/api/v1/audit", {"format": "ndjson"}).getvalue()
    assert content.splitlines() == listed.splitlines()[:count]


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_each_format_has_the_records(api: Api, form: str) -> None:
    chain_of(20)
    record(20, path="=HYPERLINK(1)", detail='{"body":{"a":1}}')
    count, content = exported(api, form)
    schema = arrow_schema(RecordDocument)
    match form:
        case "csv":
            table = pd.read_csv(io.BytesIO(content), keep_default_na=False)
            paths = ["'=HYPERLINK(1)"]
        case "parquet":
            table, paths = pq.read_table(io.BytesIO(content)).to_pandas(), ["=HYPERLINK(1)"]
        case _:
            table, paths = pa.ipc.open_stream(content).read_all().to_pandas(), ["=HYPERLINK(1)"]
    assert [*table.columns] == schema.names
    assert [*table["sequence"]] == [
        *AuditRecord.objects.order_by("sequence").values_list("sequence", flat=True)
    ][:count]
    last = table.iloc[count - 1]
    assert ([last["path"]], last["detail"], last["status"]) == (paths, '{"body":{"a":1}}', 200)
    assert pd.Timestamp(last["at"]) == pd.Timestamp("2025-01-02T03:20:00Z")


def test_it_needs_what_the_list_needs(api: Api) -> None:
    for terms, code in (
        ({"scopes": ("market:read", "trading:read")}, "missing_scope"),
        ({"scopes": ("audit:read",), "sensitivity": "internal"}, "insufficient_sensitivity"),
    ):
        other = Api(make_key(**terms))
        assert problem(other.get("/api/v1/audit")) == (403, code)
        assert problem(other.call("POST", EXPORTS, b"{}")) == (403, code)
    assert exported(Api(make_key(scopes=("audit:read",), accounts=[])), "csv")[1]
