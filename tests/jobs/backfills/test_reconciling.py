"""A window is compared with a source, and its differences are stored only when that is asked for."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from jobs.backfills import reconciling
from jobs.exceptions import WorkerEnding
from jobs.models import Job
from jobs.run import run_job
from store.datasets import TRADES
from store.protocol import ALL_TIME, Fill, Window
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from tests.api_client import Api, answer, make_key, problem
from tests.jobs.backfills.answers import QUICK, START_NS, source_served, streams, trades
from tests.ops.outbound.hostile_server import says
from trades.services import fill_store, rows_correct
from trades.stores import market_store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]

PATH = "/api/v1/reconciliations"
BASE: list[dict[str, Any]] = [{"trade_id": str(number), "exchange": "XNAS"} for number in range(6)]


def rows_of(rows: list[dict[str, Any]], day: int = 0) -> pa.Table:
    """Trades, one a second."""
    start = START_NS + day * DAY_NS
    given = [
        {"timestamp": start + number * SECOND_NS, "price": 10.0, "volume": 1.0, **row}
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(given, schema=TRADES.schema)


@pytest.fixture
def archive(tmp_path: Path, settings) -> Callable[..., None]:
    """Configure a folder as source, with the rows of the first date."""
    options = {"path": str(tmp_path), "pattern": "{symbol}-{date}.parquet"}
    settings.BACKFILL_SOURCES = {
        "archive": {"BACKEND": "jobs.backfills.sources.folder.Folder", "OPTIONS": options}
    }

    def write(rows: pa.Table, day: int = 0) -> None:
        pq.write_table(rows, tmp_path / f"AAPL-{format_timestamp(START_NS + day * DAY_NS)[:10]}.parquet")

    return write


def store(rows: pa.Table) -> None:
    window = Window(START_NS, START_NS + DAY_NS)
    batch = rows.combine_chunks().to_batches()[0]
    fill_store(
        dataset=TRADES, symbol="AAPL", rows=batch, fill=Fill(window, "desk"), caller="test", request_key="0"
    )


def submitted(api: Api, **body: Any) -> Job:
    usual = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-04", "source": "archive"}
    response = api.call("POST", PATH, orjson.dumps({**usual, **body}))
    assert response.status_code == 202, response.content
    return Job.objects.get(uuid=answer(response)["id"])


def ran(job: Job) -> dict[str, Any]:
    run_job(job.uuid)
    job.refresh_from_db()
    assert job.state == "succeeded", (job.error or {}).get("message")
    result: dict[str, Any] = job.result or {}
    return result


def stored() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = market_store().log(TRADES, "AAPL").at().rows(ALL_TIME).to_pylist()
    return rows


@pytest.fixture
def differing(archive) -> pa.Table:
    """Row 1 is missing here, row 2 is extra, row 3 has another price here; returns the source's rows."""
    table = rows_of(BASE).to_pylist()
    store(
        pa.Table.from_pylist([table[0], *table[2:3], {**table[3], "price": 11.0}, *table[4:]], TRADES.schema)
    )
    theirs = pa.Table.from_pylist([*table[:2], *table[3:]], TRADES.schema)
    archive(theirs)
    return theirs


def test_differences_are_reported_and_nothing_is_stored(api: Api, differing) -> None:
    before = market_store().log(TRADES, "AAPL").head
    result = ran(submitted(api))
    assert {name: result[name] for name in ("rows_here", "rows_there", "missing", "extra", "different")} == {
        "rows_here": 5, "rows_there": 5, "missing": 1, "extra": 1, "different": 1,
    }  # fmt: skip
    different, missing, extra = result["differences"]
    assert different == {
        "kind": "different", "timestamp": "2025-01-02T14:30:03Z", "exchange": "XNAS", "trade_id": "3",
        "here": {"price": 11.0}, "there": {"price": 10.0},
    }  # fmt: skip
    assert (missing["kind"], missing["trade_id"], missing["here"]) == ("missing", "1", None)
    assert (extra["kind"], extra["trade_id"], extra["there"]) == ("extra", "2", None)
    assert [each["start"] for each in result["not_compared"]] == ["2025-01-03T00:00:00Z"]
    assert market_store().log(TRADES, "AAPL").head == before


def test_differences_are_stored_when_that_is_asked_for(api: Api, differing) -> None:
    result = ran(submitted(api, store=True))
    assert (result["appended"], result["cancelled"], result["corrected"], result["not_stored"]) == (
        1,
        1,
        1,
        0,
    )
    assert stored() == differing.to_pylist()
    again = ran(submitted(api, store=True))
    assert (again["differences"], again["appended"]) == ([], 0)


def test_a_missing_row_leaves_the_rows_of_fills_beside_it(api: Api, archive) -> None:
    rows = rows_of([{}] * 8)
    store(rows.take([0, 2, 3, 4, 6, 7]))
    archive(rows)
    assert ran(submitted(api, store=True))["appended"] == 2
    assert stored() == rows.to_pylist()


def test_equal_rows_without_an_id_are_counted(api: Api, archive) -> None:
    same, later = {"timestamp": START_NS}, {"timestamp": START_NS + SECOND_NS}
    store(rows_of([same, same, later]))
    archive(rows_of([*[same] * 4, later]))
    assert ran(submitted(api, store=True))["appended"] == 2
    assert len(stored()) == 5
    archive(rows_of([same, later]))
    assert ran(submitted(api, store=True))["cancelled"] == 3
    assert len(stored()) == 2


def test_what_a_correction_cannot_say_is_not_stored(api: Api, archive) -> None:
    same = {"timestamp": START_NS}
    store(rows_of([{**same, "conditions": "cross"}, same, {**BASE[1], "timestamp": START_NS + 5}, BASE[3]]))
    archive(rows_of([same, {**BASE[1], "timestamp": START_NS + 6}]))
    result = ran(submitted(api, store=True))
    assert (result["cancelled"], result["not_stored"]) == (1, 2)
    reasons = sorted(each["reason"] for each in result["refusals"])
    assert reasons[0] == "an event time cannot be corrected"
    assert reasons[1].startswith("several different stored rows match")
    assert len(stored()) == 3


def test_a_cancelled_row_stays_cancelled(api: Api, differing, archive) -> None:
    ran(submitted(api, store=True))
    archive(rows_of(BASE))
    result = ran(submitted(api, store=True))
    assert (result["missing"], result["appended"], result["not_stored"]) == (1, 0, 1)
    assert len(stored()) == 5


def test_a_second_attempt_counts_and_stores_once(api: Api, archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (0, 1):
        archive(rows_of(BASE, day), day)
    store(rows_of(BASE[:5]))
    job = submitted(api, store=True)
    append, stops = fill_store, [WorkerEnding()]

    def interrupted(**terms: Any) -> Any:
        receipt = append(**terms)
        if stops:
            raise stops.pop()
        return receipt

    monkeypatch.setattr(reconciling, "fill_store", interrupted)
    run_job(job.uuid)
    result = ran(job)
    assert (result["missing"], result["rows_here"], result["rows_there"]) == (7, 5, 12)
    assert len(stored()) == 12


def test_the_installation_is_asked_date_by_date(api: Api, settings) -> None:
    rows = trades(50)
    store(rows.slice(0, 49))
    with source_served(streams(rows), gaps=b'{"gaps":[]}') as server:
        options = {"url": server.url, "key": "md_abcdef_secret", "limits": QUICK}
        backend = "jobs.backfills.sources.installation.Installation"
        settings.BACKFILL_SOURCES = {"desk": {"BACKEND": backend, "OPTIONS": options}}
        result = ran(submitted(api, source="desk", start="2025-01-02T14:00:00Z", end="2025-01-02T16:00:00Z"))
    assert (result["source"], result["missing"], result["extra"]) == ("desk", 1, 0)


def test_a_source_that_fails_is_asked_again(api: Api, settings) -> None:
    with source_served(says(b"", status=500)) as server:
        options = {"url": server.url, "limits": QUICK}
        backend = "jobs.backfills.sources.installation.Installation"
        settings.BACKFILL_SOURCES = {"desk": {"BACKEND": backend, "OPTIONS": options}}
        job = submitted(api, source="desk")
        run_job(job.uuid)
    job.refresh_from_db()
    assert (job.state, (job.error or {})["code"]) == ("queued", "source_failed")
    assert (job.error or {})["message"].startswith("desk: answered 500")


def test_without_a_source_the_job_fails(api: Api, settings) -> None:
    response = api.call(
        "POST", PATH, orjson.dumps({"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-03"})
    )
    job = Job.objects.get(uuid=answer(response)["id"])
    run_job(job.uuid)
    job.refresh_from_db()
    assert (job.state, (job.error or {})["code"]) == ("failed", "source_not_offered")


def test_storing_needs_the_scope_of_writes(api: Api, archive) -> None:
    api = Api(make_key(scopes=("backfill:write",)))
    assert submitted(api).state == "queued"
    body = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-03", "store": True}
    assert problem(api.call("POST", PATH, orjson.dumps(body))) == (403, "missing_scope")


def test_an_unknown_source_is_refused(api: Api, archive) -> None:
    body = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-03", "source": "nobody"}
    response = api.call("POST", PATH, orjson.dumps(body))
    assert problem(response) == (422, "validation_failed")
    assert [(each["path"], each["code"]) for each in answer(response)["errors"]] == [
        ("source", "invalid_choice")
    ]


def test_the_command_runs_the_job_here_and_prints_a_table(differing, capsys) -> None:
    call_command("reconcile", "aapl", start="2025-01-02", end="2025-01-03", store=True, stdout=sys.stdout)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("missing", "extra", "different", "price 11.0"))
    assert (
        "5 rows here, 5 in archive: 1 missing, 1 extra, 1 different, 1 appended, 1 cancelled, 1 corrected"
        in shown
    )
    call_command("reconcile", "AAPL", "--json", start="2025-01-02", end="2025-01-03", stdout=sys.stdout)
    assert orjson.loads(capsys.readouterr().out)["differences"] == []


def test_the_command_refuses_wrong_arguments(archive) -> None:
    with pytest.raises(CommandError, match="source: is not a source: archive"):
        call_command("reconcile", "AAPL", source="nobody", start="2025-01-02", end="2025-01-03")
    with pytest.raises(CommandError, match="end: must be later than start"):
        call_command("reconcile", "AAPL", start="2025-01-02", end="2025-01-02")


def test_storing_goes_on_after_a_part_was_stored(api: Api, differing, monkeypatch) -> None:
    """The second attempt finds other differences than the first, which ended after its first correction."""
    monkeypatch.setattr(reconciling, "_CORRECTIONS_AT_ONCE", 1)
    calls: list[str] = []

    def interrupted(**arguments: Any) -> Any:
        calls.append(arguments["request_key"])
        if len(calls) == 2:
            raise WorkerEnding
        return rows_correct(**arguments)

    monkeypatch.setattr(reconciling, "rows_correct", interrupted)
    job = submitted(api, store=True)
    run_job(job.uuid)
    ran(job)
    assert len(set(calls)) == 2
    assert [row["trade_id"] for row in stored()] == differing.column("trade_id").to_pylist()
    assert [row["price"] for row in stored()] == differing.column("price").to_pylist()
