"""A job asks before it goes on: it waits without a worker, and is confirmed once, cancelled, or ends after a day."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from jobs import services
from jobs.claims import job_claim, job_end
from jobs.exceptions import ConfirmationNeeded, JobError
from jobs.kinds import JOB_KINDS, Run
from jobs.models import CANCELLED, FAILED, NEEDS_CONFIRMATION, QUEUED, SUCCEEDED, Job
from jobs.services import confirmations_expire, job_cancel, job_confirm, require_room
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, problem
from tests.jobs.running import run_job

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = "/api/v1/jobs"
PREVIEW = {"rows": [["AAPL", 1.5]]}
DAY = timedelta(days=1)


def ask(run: Run) -> dict[str, Any]:
    """Ask once, then say whether it was confirmed."""
    if not run.is_confirmed:
        raise ConfirmationNeeded({"rows": [["AAPL", 1.5]], "cell": "a\0b"})
    return {"is_confirmed": run.is_confirmed}


@pytest.fixture
def asking(api: Api, submit) -> Any:
    """Submit a job of the caller's that asks, and run it."""
    owner = f"key:{ApiKey.objects.get().pk}"

    def asked(**options: Any) -> Job:
        job = submit(ask, **{"owner": owner, **options})
        run_job(job.uuid)
        return fresh(job)

    return asked


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def confirm(api: Api, job: Job) -> Any:
    return api.call("POST", f"{JOBS}/{job.uuid}/confirm")


def test_a_job_that_asks_shows_its_preview_and_goes_on_when_it_is_confirmed(api: Api, asking) -> None:
    job = asking()
    assert (job.lease, job.leased_until, job.finished_at) == (None, None, None)
    response = api.get(f"{JOBS}/{job.uuid}")
    shown = answer(response)
    assert (shown["state"], shown["preview"]) == ("needs_confirmation", {**PREVIEW, "cell": "a\ufffdb"})
    assert (shown["attempts"], shown["result"], shown["error"], shown["finished_at"]) == (0, None, None, None)
    assert shown["links"]["confirm"] == f"{JOBS}/{job.uuid}/confirm"
    assert shown["links"]["cancel"] == f"{JOBS}/{job.uuid}/cancel"
    assert shown["confirm_before"][:19] == (job.asked_at + DAY).isoformat()[:19]
    assert "Retry-After" not in response
    assert job_claim() is None
    assert fresh(job).state == NEEDS_CONFIRMATION
    confirmed = confirm(api, job)
    shown = answer(confirmed)
    assert (confirmed.status_code, shown["state"], shown["confirm_before"]) == (200, "queued", None)
    assert (confirmed["Retry-After"], "confirm" in shown["links"]) == ("1", False)
    run_job(job.uuid)
    shown = answer(api.get(f"{JOBS}/{job.uuid}"))
    assert (shown["state"], shown["result"], shown["attempts"]) == ("succeeded", {"is_confirmed": True}, 1)
    assert shown["preview"] == {**PREVIEW, "cell": "a\ufffdb"}


def test_lists_have_the_state_without_the_preview(api: Api, asking) -> None:
    job = asking()
    [listed] = answer(api.get(JOBS, {"state": "needs_confirmation"}))["jobs"]
    assert (listed["id"], listed["preview"], "confirm" in listed["links"]) == (str(job.uuid), None, True)
    assert answer(api.get(JOBS, {"state": "queued"}))["jobs"] == []


def test_a_second_confirmation_changes_nothing(api: Api, asking) -> None:
    job = asking()
    assert [confirm(api, job).status_code for _ in range(2)] == [200, 200]
    run_job(job.uuid)
    again = confirm(api, job)
    assert (again.status_code, answer(again)["state"], fresh(job).attempts) == (200, SUCCEEDED, 1)


def test_only_a_job_that_asked_is_confirmed(api: Api, asking, submit) -> None:
    job = asking()
    for state in ("queued", "running", "failed", "cancelled", "succeeded"):
        Job.objects.filter(pk=job.pk).update(state=state)
        refused = confirm(api, job)
        assert problem(refused) == (409, "confirmation_not_needed")
        assert f"the job is {state}" in answer(refused)["message"]
    strange = submit(owner="key:999")
    assert problem(confirm(api, strange)) == (404, "not_found")
    assert problem(api.call("POST", f"{JOBS}/x/confirm")) == (404, "not_found")


def test_a_job_without_an_answer_ends_after_a_day(asking) -> None:
    job = asking()
    for later, state in ((DAY - timedelta(minutes=1), NEEDS_CONFIRMATION), (DAY, FAILED)):
        confirmations_expire(now=job.asked_at + later)
        assert fresh(job).state == state
    error: Any = fresh(job).error
    assert error["code"] == "confirmation_expired"


def test_a_day_later_it_is_too_late(asking) -> None:
    job = asking()
    with pytest.raises(JobError, match="the job is failed: only"):
        job_confirm(uuid=job.uuid, now=job.asked_at + DAY)
    assert fresh(job).state == NEEDS_CONFIRMATION


def test_a_cancel_that_comes_while_it_runs_is_not_lost(submit) -> None:
    def cancelled_meanwhile(run: Run) -> dict[str, Any]:
        job_cancel(uuid=run.uuid, now=timezone.now())
        return ask(run)

    job = submit(cancelled_meanwhile)
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).preview) == (CANCELLED, None)


def test_a_worker_that_lost_its_lease_does_not_ask(submit) -> None:
    def lost(run: Run) -> dict[str, Any]:
        Job.objects.update(leased_until=Now())
        assert job_claim() is not None
        return ask(run)

    job = submit(lost)
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).preview) == ("running", None)


def test_a_worker_that_dies_after_the_confirmation_is_followed_by_another(asking) -> None:
    job = asking()
    job_confirm(uuid=job.uuid, now=timezone.now())
    assert job_claim() is not None
    Job.objects.update(leased_until=Now())
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).result) == (SUCCEEDED, {"is_confirmed": True})


def test_a_job_that_asks_takes_no_slot_and_no_turn_of_others_but_counts(api: Api, asking) -> None:
    options = {"at_once": 1, "turn": lambda _: "one", "once_key": "k", "most_unfinished": 1}
    job = asking(**options)
    other = asking(**{**options, "once_key": "l"})
    assert [fresh(each).state for each in (job, other)] == [NEEDS_CONFIRMATION] * 2
    assert asking(**options).pk == job.pk
    with pytest.raises(JobError, match="the most"):
        require_room(kind=JOB_KINDS.get()["count"], owner=job.owner)


@pytest.mark.parametrize("is_confirmed_first", [True, False])
def test_a_cancel_wins_before_and_after_a_confirmation(api: Api, asking, is_confirmed_first: bool) -> None:
    job = asking()
    if is_confirmed_first:
        assert confirm(api, job).status_code == 200
    job_cancel(uuid=job.uuid, now=timezone.now())
    # Who confirmed before is answered as before.
    assert confirm(api, job).status_code == (200 if is_confirmed_first else 409)
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).result) == (CANCELLED, None)


def test_a_queued_job_is_not_expired(asking) -> None:
    job = asking()
    job_confirm(uuid=job.uuid, now=timezone.now())
    confirmations_expire(now=timezone.now() + 2 * DAY)
    assert fresh(job).state == QUEUED


def test_a_job_that_is_confirmed_while_the_day_ends_goes_on(asking, monkeypatch: pytest.MonkeyPatch) -> None:
    job = asking()

    def confirmed_first(asked: Job, **columns: Any) -> bool:
        job_confirm(uuid=asked.uuid, now=job.asked_at + DAY - timedelta(seconds=1))
        return job_end(asked, **columns)

    monkeypatch.setattr(services, "job_end", confirmed_first)
    confirmations_expire(now=job.asked_at + DAY)
    assert (fresh(job).state, fresh(job).error) == (QUEUED, None)
