"""A backfill finds what is missing, fetches it once, stores it, and says what came of it."""

from typing import Any

import orjson
import pytest
from django.db.models.functions import Now
from django.utils import timezone

from jobs.backfills.models import Backfill
from jobs.backfills.services import OWNER, exhausted_retry
from jobs.models import Job
from store.timestamps import DAY_NS, format_timestamp
from tests.api_client import Api, answer
from tests.front.front_server import eventually
from tests.jobs.backfills.gap_market import (
    DAY,
    GEN,
    LOST,
    NO_GAP,
    OPEN,
    PATH,
    SCHEDULE,
    TIMES,
    found_gaps,
    ran,
    stored_times,
    submitted,
    without,
)
from tests.jobs.running import run_job
from tests.stats.market_data.absence.quiet_market import store_trades
from webhooks.models import Webhook, WebhookEvent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]


def test_lost_minutes_and_a_lost_date_are_filled_exactly(api: Api, archive) -> None:
    date = (int(SCHEDULE.open_ns[25]), int(SCHEDULE.close_ns[25]))
    store_trades(without(LOST, date))
    archive()
    result = ran(submitted(api))
    assert (result["filled"], result["rows"]) == (2, 4 * (30 + 390))
    assert stored_times() == TIMES.tolist()
    assert ran(submitted(api)) == NO_GAP
    rows = answer(api.get(PATH, {"symbol": "gen", "sort": "asc"}))["backfills"]
    assert [(row["state"], row["source"], row["rows"]) for row in rows] == [
        ("filled", "archive", 4 * 390),
        ("filled", "archive", 4 * 30),
    ]


def test_a_source_that_has_nothing_either_is_evidence_that_nobody_traded(api: Api, archive) -> None:
    store_trades(without(LOST))
    archive(without(LOST))
    assert len(found_gaps(api)) == 1
    assert ran(submitted(api))["empty"] == 1
    assert found_gaps(api) == []
    assert ran(submitted(api)) == NO_GAP
    assert ran(submitted(api, rule="calendar")) == NO_GAP, "nothing is asked for twice"


def test_a_gap_that_no_source_can_fill_is_exhausted_and_asked_for_again_later(
    api: Api, archive, caplog
) -> None:
    store_trades(without(LOST))
    archive(without((0, OPEN + DAY_NS)))
    assert ran(submitted(api))["exhausted"] == 1
    assert "no source could fill the gap of trades GEN" in caplog.text
    row = Backfill.objects.get()
    assert (row.state, row.attempts) == ("exhausted", 1)
    assert row.retry_at is not None
    assert round((row.retry_at - row.asked_at).total_seconds()) == 3600
    exhausted_retry(now=timezone.now())
    assert not Job.objects.filter(owner=OWNER).exists()
    exhausted_retry(now=row.retry_at)
    exhausted_retry(now=row.retry_at)
    (again,) = Job.objects.filter(owner=OWNER)
    Backfill.objects.update(retry_at=timezone.now())
    Job.objects.update(not_before=Now())
    ran(again)
    row = Backfill.objects.get()
    assert row.attempts == 2
    assert row.retry_at is not None
    assert round((row.retry_at - row.asked_at).total_seconds()) == 7200


def test_an_exhausted_gap_that_is_none_any_more_is_not_asked_for_again(api: Api, archive) -> None:
    store_trades(without(LOST))
    archive(without((0, OPEN + DAY_NS)))
    ran(submitted(api))
    store_trades(TIMES[(LOST[0] <= TIMES) & (LOST[1] > TIMES)])
    Backfill.objects.update(retry_at=timezone.now())
    exhausted_retry(now=timezone.now())
    ran(Job.objects.get(owner=OWNER))
    assert Backfill.objects.get().retry_at is None


def test_a_far_price_is_stored_with_a_warning(api: Api, archive) -> None:
    store_trades(without(LOST))
    archive(price=20.0)
    result = ran(submitted(api))
    text = "differs by more than 20 % from the prices beside the gap"
    warning = f"row 0, {format_timestamp(LOST[0])}, {text}"
    assert (result["filled"], result["warnings"]) == (1, [f"archive: {warning}"])
    assert Backfill.objects.get().message == warning
    assert stored_times() == TIMES.tolist()


def test_an_answer_that_meets_a_gap_asks_for_it_by_itself(api: Api, archive, settings) -> None:
    store_trades(without(LOST))
    archive()
    settings.BACKFILL_AUTOMATIC = False
    api.get(f"{GEN}/ohlcv", {**DAY, "fields": "open"})
    assert not Job.objects.exists()
    settings.BACKFILL_AUTOMATIC = True
    Webhook.objects.create(
        owner="key:1", url="https://x.example", kinds=["gap.found"], created_at=timezone.now()
    )
    for _ in range(3):
        api.get(f"{GEN}/ohlcv", {**DAY, "coverage": "1"})
        found_gaps(api)
    (job,) = Job.objects.all()
    assert (job.owner, job.urgency) == (OWNER, 1)
    assert WebhookEvent.objects.get().data["job"] == str(job.uuid)
    assert job.parameters["start"] == format_timestamp(LOST[0])
    assert job.parameters["end"] == format_timestamp(LOST[1])

    def reasons(**params: str) -> list[str]:
        return [gap["reason"] for gap in found_gaps(api, **params)]

    assert eventually(lambda: reasons() == ["pending"])

    def pending() -> list[str]:
        found = answer(api.get(f"{GEN}/ohlcv", {**DAY, "coverage": "1"}))["absences"]
        return [each["start"] for each in found if each["reason"] == "pending"]

    # An answer that was computed before the job was queued is kept for a second.
    assert eventually(lambda: pending() == [format_timestamp(LOST[0])])
    now = format_timestamp(int(timezone.now().timestamp()) * 10**9)
    assert reasons(as_of=now) == ["gap"]
    ran(job)
    assert reasons() == []
    assert stored_times() == TIMES.tolist()


def test_an_exhausted_gap_is_not_asked_for_by_every_answer(api: Api, archive) -> None:
    store_trades(without(LOST))
    archive(without((0, OPEN + DAY_NS)))
    ran(submitted(api))
    jobs = Job.objects.count()
    found_gaps(api)
    assert Job.objects.count() == jobs


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"start": "2025-01-03", "end": "2025-01-02"}, "invalid_range"),
        ({"start": "yesterday"}, "invalid_timestamp"),
        ({"symbol": "../x"}, None),
        ({"callback_url": "file:///etc/passwd"}, "invalid_format"),
        ({"rule": "none"}, "invalid_choice"),
        ({"symbol": 7}, "invalid_type"),
        ({"start": "2000-01-01", "end": "2025-01-01"}, "invalid_range"),
    ],
)
def test_what_cannot_be_filled_is_refused(api: Api, body: dict[str, Any], code: str | None) -> None:
    usual = {"symbol": "GEN", "start": "2025-01-02", "end": "2025-01-03"}
    response = api.call("POST", PATH, orjson.dumps({**usual, **body}))
    assert response.status_code == 422
    assert code is None or answer(response)["errors"][0]["code"] == code
    assert not Job.objects.exists()


def test_an_unknown_symbol_fails_the_job(api: Api, archive) -> None:
    archive()
    job = submitted(api, symbol="NONE")
    run_job(job.uuid)
    job.refresh_from_db()
    assert job.error is not None
    assert (job.state, job.error["code"]) == ("failed", "unknown_symbol")
