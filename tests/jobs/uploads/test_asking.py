"""An upload whose file is not certain shows what it would store, and stores it when that is confirmed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.services import confirmations_expire
from jobs.uploads.services import uploads_delete_old
from tests.api_client import Api, answer, problem
from tests.jobs.uploads.sending import NAMES, ROWS, begin, csv_of, imported, run
from tests.trades.imports.command import stored

pytestmark = pytest.mark.django_db
CONTENT = csv_of(ROWS)
GERMAN = (
    b"Datum;Kurs;Menge;Handelsplatz\n02.01.2024 09:31:00;10,5;100;XETRA\n15.01.2024 09:31:00;9,25;7;XETRA\n"
)


def confirmed(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    """Confirm a job, run it, return it."""
    response = api.call("POST", job["links"]["confirm"])
    assert response.status_code == 200, response.content
    run(job["links"]["self"])
    found: dict[str, Any] = answer(api.get(job["links"]["self"]))
    return found


def test_what_is_not_certain_is_shown_and_stored_when_it_is_confirmed(api: Api, uploads: Path) -> None:
    job = imported(api, GERMAN, symbol="OWN", options={"timezone": "Europe/Berlin"})
    assert (job["state"], job["result"], job["error"]) == ("needs_confirmation", None, None)
    shown = job["preview"]
    assert (shown["dataset"], shown["symbol"], shown["timezone"]) == ("trades", "OWN", "Europe/Berlin")
    assert shown["columns"]["price"] == "Kurs"
    assert [(row["timestamp"], row["price"]) for row in shown["first_rows"]] == [
        ("2024-01-02T08:31:00Z", 10.5),
        ("2024-01-15T08:31:00Z", 9.25),
    ]
    [unread] = shown["unread_columns"]
    assert (unread["name"], unread["samples"]) == ("Handelsplatz", ["XETRA"])
    assert str(uploads) not in str(job["preview"])
    assert stored("trades") == {}
    uploads_delete_old(now=timezone.now())
    ended = confirmed(api, job)
    assert (ended["state"], ended["result"]["stored"], ended["attempts"]) == ("succeeded", 2, 1)
    assert stored("trades", "price") == {
        "OWN": [("2024-01-02T08:31:00Z", 10.5), ("2024-01-15T08:31:00Z", 9.25)]
    }
    uploads_delete_old(now=timezone.now())
    assert list(uploads.iterdir()) == []


def test_yes_confirms_from_the_start(api: Api) -> None:
    job = imported(api, GERMAN, symbol="OWN", options={"timezone": "Europe/Berlin", "yes": True})
    assert (job["state"], job["preview"], job["result"]["stored"]) == ("succeeded", None, 2)


@pytest.mark.parametrize("options", [{"preview": True}, {"preview": True, "yes": True}], ids=str)
def test_a_preview_is_always_shown_first(api: Api, options: dict[str, Any]) -> None:
    columns = ",".join(f"{name}={name}" for name in NAMES)
    certain: dict[str, Any] = {"dataset": "trades", "options": {"timezone": "UTC", "columns": columns}}
    assert imported(api, CONTENT, **certain)["state"] == "succeeded"
    others = CONTENT.replace(b"AAPL", b"ABC").replace(b"MSFT", b"DEF")
    job = imported(api, others, **{**certain, "options": {**certain["options"], **options}})
    assert (job["state"], "ABC" in stored("trades")) == ("needs_confirmation", False)
    assert confirmed(api, job)["result"]["stored"] == 3


def test_the_file_of_a_job_without_an_answer_is_deleted(api: Api, uploads: Path) -> None:
    job = imported(api, CONTENT, options={"preview": True})
    day = timedelta(days=1)
    confirmations_expire(now=timezone.now() + day)
    uploads_delete_old(now=timezone.now())
    assert list(uploads.iterdir()) == []
    assert problem(api.call("POST", job["links"]["confirm"])) == (409, "confirmation_not_needed")
    assert stored("trades") == {}


def test_uploads_that_ask_count_for_the_limits(api: Api, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = len(CONTENT)
    for _ in range(2):
        assert imported(api, CONTENT, options={"preview": True})["state"] == "needs_confirmation"
    assert problem(begin(api, CONTENT)) == (409, "too_many_uploads")


def test_a_files_name_tells_its_format_and_its_symbol(api: Api) -> None:
    content = b"timestamp,price,volume\n2025-01-02T14:30:00Z,5.5,1\n"
    options = {"yes": True}
    job = imported(api, content, format=None, name="BRK.B.txt", options=options)
    assert job["error"] is None
    assert [*stored("trades")] == ["BRK.B"]
    assert "no column has the symbol" in imported(api, content, options=options)["error"]["message"]


@pytest.mark.parametrize(
    "name", ["../X.csv", "a/X.csv", "X.exe", ".csv", "X\u202e.csv", "X\n.csv", "é" * 100 + ".csv", "..", ""]
)
def test_a_files_name_leads_nowhere(api: Api, name: str) -> None:
    assert problem(begin(api, CONTENT, format=None, name=name)) == (422, "validation_failed")
    assert not Job.objects.exists()


def test_one_of_format_and_name_is_given(api: Api) -> None:
    assert problem(begin(api, CONTENT, format=None)) == (422, "validation_failed")
    assert problem(begin(api, CONTENT, name="X.csv")) == (422, "validation_failed")
