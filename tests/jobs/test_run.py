"""A job is run once, resumed from its note, and ends in the right state, whatever its worker does."""

import time
from collections.abc import Iterator
from itertools import count
from threading import Event
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from jobs import run as running
from jobs.claims import job_claim, job_end, job_release, lease_renew
from jobs.exceptions import WorkerEnding
from jobs.kinds import Run
from jobs.models import CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED, Job
from jobs.run import WORKER_IS_ENDING, running_give_back
from jobs.services import job_cancel
from store.exceptions import StoreUnavailable, UnknownSymbol
from tests.jobs.running import run_job

pytestmark = pytest.mark.django_db(transaction=True)


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def problem_of(job: Job) -> dict[str, Any]:
    error: dict[str, Any] = fresh(job).error or {}
    return error


def claim(job: Job) -> Job | None:
    claimed = job_claim()
    assert claimed is None or claimed.uuid == job.uuid
    return claimed


def lose() -> None:
    """End the leases, as a worker that is gone does."""
    Job.objects.update(leased_until=Now())


@pytest.fixture
def quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running job's row is looked at often."""
    monkeypatch.setattr(running, "_BEAT_SECONDS", 0.01)


@pytest.fixture
def ending() -> Iterator[Event]:
    yield WORKER_IS_ENDING
    WORKER_IS_ENDING.clear()


def test_a_job_runs_and_tells_its_result(submit) -> None:
    job = submit(parameters={"upto": 4})
    run_job(job.uuid)
    ended = fresh(job)
    assert (ended.state, ended.result, ended.attempts) == (SUCCEEDED, {"counted": 4}, 1)
    assert (ended.done, ended.total) == (4, 4)
    assert ended.finished_at is not None
    assert ended.lease is None


def test_a_lost_worker_is_followed_by_another_that_resumes(submit) -> None:
    seen: list[dict[str, Any]] = []

    def remember(run: Run) -> dict[str, Any]:
        seen.append(run.note)
        return {}

    job = submit(remember)
    lost = claim(job)
    assert lost is not None
    assert lease_renew(lost, note={"piece": 7}, done=7)
    assert claim(job) is None, "the lease still holds"
    lose()
    run_job(job.uuid)
    assert seen == [{"piece": 7}]
    assert (fresh(job).state, fresh(job).attempts) == (SUCCEEDED, 2)


def test_a_worker_that_slept_past_its_lease_ends_nothing(submit) -> None:
    job = submit()
    sleeper = claim(job)
    lose()
    successor = claim(job)
    assert sleeper is not None
    assert successor is not None
    now = timezone.now()
    assert not job_end(sleeper, state=FAILED, now=now)
    assert not lease_renew(sleeper)
    assert job_end(successor, state=SUCCEEDED, now=now, result={})
    assert fresh(job).state == SUCCEEDED


def test_a_function_learns_that_its_lease_is_lost(submit, quick_beat) -> None:
    stopped: list[type] = []

    def work(run: Run) -> dict[str, Any]:
        Job.objects.update(lease=None)
        try:
            run.leave({"piece": 1})
        except BaseException as error:
            stopped.append(type(error))
            raise
        return {}

    job = submit(work)
    run_job(job.uuid)
    assert [each.__name__ for each in stopped] == ["LeaseLost"]
    assert (fresh(job).state, fresh(job).note) == (RUNNING, {})


def test_a_long_job_keeps_its_lease(submit, quick_beat, monkeypatch) -> None:
    monkeypatch.setattr(running, "_RENEWAL_SECONDS", 0)
    before: list[Any] = []

    def work(run: Run) -> dict[str, Any]:
        job = Job.objects.get()
        before.append(job.leased_until)
        while Job.objects.get().leased_until <= before[0]:
            time.sleep(0.01)
            run.check()
        return {}

    run_job(submit(work).uuid)
    assert Job.objects.get().state == SUCCEEDED


def test_a_queued_job_is_cancelled_at_once(submit) -> None:
    job = submit()
    job_cancel(uuid=job.uuid, now=timezone.now())
    assert fresh(job).state == CANCELLED
    run_job(job.uuid)
    assert fresh(job).attempts == 0


def test_a_running_job_ends_at_its_next_check_after_a_cancel(submit, quick_beat) -> None:
    def work(run: Run) -> dict[str, Any]:
        job_cancel(uuid=Job.objects.get().uuid, now=timezone.now())
        run.progress(5, 9)
        while True:
            time.sleep(0.01)
            run.check()

    job = submit(work)
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).done) == (CANCELLED, 5)


def test_a_cancel_outlasts_the_worker(submit) -> None:
    job = submit()
    assert claim(job) is not None
    job_cancel(uuid=job.uuid, now=timezone.now())
    lose()
    run_job(job.uuid)
    assert fresh(job).state == CANCELLED


def test_a_lost_job_is_cancelled_at_once(submit) -> None:
    job = submit()
    assert claim(job) is not None
    lose()
    job_cancel(uuid=job.uuid, now=timezone.now())
    assert (fresh(job).state, fresh(job).lease) == (CANCELLED, None)


def test_a_job_that_always_makes_progress_is_cancelled(submit, quick_beat) -> None:
    def work(run: Run) -> dict[str, Any]:
        job_cancel(uuid=Job.objects.get().uuid, now=timezone.now())
        for number in count():
            run.progress(number)
            time.sleep(0.001)
        return {}

    job = submit(work)
    run_job(job.uuid)
    assert fresh(job).state == CANCELLED


def test_what_still_runs_at_the_end_of_the_process_is_given_back(submit) -> None:
    def work(run: Run) -> dict[str, Any]:
        run.leave({"piece": 1})
        running_give_back()
        return {}

    job = submit(work)
    run_job(job.uuid)
    queued = fresh(job)
    assert (queued.state, queued.note, queued.attempts, queued.result) == (QUEUED, {"piece": 1}, 0, None)


def test_jobs_are_given_back_although_one_cannot_be(submit, monkeypatch) -> None:
    """Otherwise the worker's process would wait for the job's function."""
    release = job_release

    def refuse(job: Job, **columns: Any) -> bool:
        monkeypatch.setattr(running, "job_release", release)
        raise OperationalError("the database is away")

    def work(run: Run) -> dict[str, Any]:
        monkeypatch.setattr(running, "job_release", refuse)
        running_give_back()
        assert fresh(job).state == RUNNING
        running_give_back()
        return {}

    job = submit(work)
    run_job(job.uuid)
    assert (fresh(job).state, fresh(job).attempts) == (QUEUED, 0)


def test_a_job_that_has_ended_stays_as_it_is(submit) -> None:
    job = submit()
    run_job(job.uuid)
    job_cancel(uuid=job.uuid, now=timezone.now())
    assert fresh(job).state == SUCCEEDED


def test_a_worker_that_ends_gives_its_job_back(submit, ending) -> None:
    def work(run: Run) -> dict[str, Any]:
        run.leave({"piece": 3})
        ending.set()
        with pytest.raises(WorkerEnding):
            run.check()
        raise WorkerEnding

    job = submit(work)
    run_job(job.uuid)
    queued = fresh(job)
    assert (queued.state, queued.note, queued.attempts, queued.lease) == (QUEUED, {"piece": 3}, 0, None)


def test_an_error_of_the_caller_ends_the_job_with_a_problem_and_is_none_of_the_servers(
    submit, caplog
) -> None:
    def work(_: Run) -> dict[str, Any]:
        raise UnknownSymbol("XYZ")

    job = submit(work)
    run_job(job.uuid)
    ended = fresh(job)
    assert ended.state == FAILED
    assert (problem_of(job)["status"], problem_of(job)["code"]) == (404, "unknown_symbol")
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


def test_an_error_of_the_server_is_tried_again(submit) -> None:
    def work(_: Run) -> dict[str, Any]:
        raise StoreUnavailable("the disk is away")

    job = submit(work, attempts=2)
    run_job(job.uuid)
    assert fresh(job).state == QUEUED
    assert fresh(job).not_before > timezone.now()
    Job.objects.update(not_before=Now())
    run_job(job.uuid)
    ended = fresh(job)
    assert (ended.state, ended.attempts) == (FAILED, 2)
    assert problem_of(job)["status"] == 503


def test_a_job_that_was_cancelled_does_not_wait_for_another_attempt(submit) -> None:
    class Later(StoreUnavailable):
        retry_after = 3_600.0

    def work(run: Run) -> dict[str, Any]:
        job_cancel(uuid=run.uuid, now=timezone.now())
        raise Later("the disk is away")

    job = submit(work)
    run_job(job.uuid)
    run_job(job.uuid)
    assert fresh(job).state == CANCELLED


def test_an_unknown_error_tells_nothing_internal(submit, caplog) -> None:
    def work(_: Run) -> dict[str, Any]:
        raise ZeroDivisionError("a secret")

    job = submit(work, attempts=1)
    run_job(job.uuid)
    assert problem_of(job)["code"] == "internal_error"
    assert "ERROR" in {record.levelname for record in caplog.records}
    assert "secret" not in str(fresh(job).error)


def test_a_job_that_ends_its_workers_is_given_up(submit) -> None:
    job = submit(attempts=2)
    for _ in range(2):
        assert claim(job) is not None
        lose()
    run_job(job.uuid)
    assert fresh(job).state == FAILED
    assert problem_of(job)["code"] == "worker_lost"


def test_a_cancelled_job_whose_worker_ended_is_cancelled(submit) -> None:
    job = submit(attempts=1)
    assert claim(job) is not None
    job_cancel(uuid=job.uuid, now=timezone.now())
    lose()
    run_job(job.uuid)
    assert fresh(job).state == CANCELLED
