"""Jobs are submitted at the times of the setting, once, whatever Redis and the processes do."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.schedules import crontab
from django.db import OperationalError
from django.utils import timezone

from jobs import beat
from jobs.beat import RowScheduler, beat_service
from jobs.gap_reports import GAP_REPORT
from jobs.models import SUCCEEDED, Job
from jobs.schedules import JobSchedule, ScheduleRefused, last_due, scheduled_submit, schedules
from marketdata_project.checks import check_schedules
from tests.jobs.kinds import kind

NIGHTLY: dict[str, Any] = {"kind": "count", "crontab": "30 2 * * *", "parameters": {"upto": 5}}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "now", "due"),
    [
        ("30 2 * * *", "2025-01-02 02:30:00", "2025-01-02 02:30"),
        ("30 2 * * *", "2025-01-02 02:29:59", "2025-01-01 02:30"),
        ("*/15 9-17 * * mon-fri", "2025-01-06 08:00:00", "2025-01-03 17:45"),
        ("0 0 29 2 *", "2027-01-01 00:00:00", "2024-02-29 00:00"),
        ("5 * * * *", "2025-01-02 00:04:00", "2025-01-01 23:05"),
        ("* * * * 0", "2025-01-06 12:00:00", "2025-01-05 23:59"),
    ],
)
def test_the_last_due_time_of_a_crontab(line: str, now: str, due: str) -> None:
    assert last_due(crontab.from_string(line), at(now)) == at(due)


@pytest.fixture
def nightly(settings, use_kinds) -> JobSchedule:
    use_kinds(kind(), GAP_REPORT)
    settings.JOB_SCHEDULES = {"nightly": NIGHTLY}
    return schedules()["nightly"]


@pytest.mark.django_db
def test_a_due_job_is_submitted_once(nightly: JobSchedule) -> None:
    due, now = at("2025-01-02 02:30"), timezone.now()
    first = scheduled_submit(schedule=nightly, due=due, now=now)
    assert first is not None
    assert (first.kind, first.parameters, first.owner, first.created_by) == (
        "count", {"upto": 5}, "service", "schedule:nightly",
    )  # fmt: skip
    Job.objects.update(state=SUCCEEDED)
    assert scheduled_submit(schedule=nightly, due=due, now=now) is None, "also when it has ended"
    assert scheduled_submit(schedule=nightly, due=due + timedelta(days=1), now=now) is not None


@pytest.mark.django_db
def test_due_jobs_are_submitted_however_many_are_unfinished(nightly: JobSchedule, use_kinds) -> None:
    use_kinds(kind(most_unfinished=1))
    for day in range(1, 4):
        due = at(f"2025-01-0{day} 02:30")
        assert scheduled_submit(schedule=nightly, due=due, now=timezone.now()) is not None
    assert Job.objects.count() == 3


def test_the_last_days_end_before_the_date_that_is_due(use_kinds) -> None:
    use_kinds(GAP_REPORT)
    schedule = JobSchedule.of(
        "gaps", {"kind": "gap_report", "crontab": "0 3 * * *", "parameters": {"last_days": 3}}
    )
    assert schedule.parameters_at(at("2025-03-01 03:00")) == {
        "start": "2025-02-26T00:00:00Z",
        "end": "2025-03-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "dance"}, "no kind 'dance'"),
        ({"crontab": "61 2 * * *"}, "crontab is five fields"),
        ({"crontab": 5}, "crontab is five fields"),
        ({"parameters": {"upto": "x"}}, "upto"),
        ({"parameters": {"last_days": 0}}, "last_days is a whole number"),
        ({"every": "day"}, "it has kind, crontab"),
    ],
)
def test_a_wrong_schedule_is_found_by_the_check(
    nightly, settings, wrong: dict[str, Any], message: str
) -> None:
    assert check_schedules() == []
    settings.JOB_SCHEDULES = {"nightly": {**NIGHTLY, **wrong}}
    (found,) = check_schedules()
    assert found.id == "marketdata.E009"
    assert message in found.msg
    with pytest.raises(ScheduleRefused):
        beat_service()


REBALANCE = {"account": "main", "model": "core", "drift_band": 0.5}


@pytest.mark.parametrize(
    ("kind_name", "parameters"),
    [
        ("backfill", {"symbol": "AAPL", "last_days": 1}),
        ("gap_report", {"last_days": 1}),
        ("rebalance", REBALANCE),
    ],
)
def test_these_kinds_can_be_scheduled(settings, kind_name: str, parameters: dict[str, Any]) -> None:
    settings.JOB_SCHEDULES = {"one": {"kind": kind_name, "crontab": "0 7 * * *", "parameters": parameters}}
    assert check_schedules() == []


@pytest.mark.parametrize(
    ("kind_name", "parameters", "message"),
    [
        ("backtest", {"strategy": "crossover", "symbols": ["DEMOA"]}, "no kind 'backtest' that can be"),
        ("transfer", {"account": "main", "amount": 5}, "no kind 'transfer' that can be"),
        # It would trade.
        ("rebalance", {**REBALANCE, "preview": True}, "preview"),
        ("rebalance", {"account": "main"}, "model"),
    ],
)
def test_these_schedules_are_refused(
    settings, kind_name: str, parameters: dict[str, Any], message: str
) -> None:
    settings.JOB_SCHEDULES = {"one": {"kind": kind_name, "crontab": "0 7 * * *", "parameters": parameters}}
    (found,) = check_schedules()
    assert found.id == "marketdata.E009"
    assert message in found.msg


@pytest.fixture
def scheduler(nightly, settings, tmp_path: Path) -> Iterator[Callable[[], RowScheduler]]:
    """Make schedulers with their state in a folder; no Redis is there."""
    settings.RUN_DIR = tmp_path
    made: list[RowScheduler] = []

    def make(state: str = "one") -> RowScheduler:
        for each in made:
            each.close()
        made.clear()
        settings.RUN_DIR = tmp_path / state
        made.append(beat_service().get_scheduler())
        return made[0]

    yield make
    made[0].close()


def missed(scheduler: RowScheduler) -> None:
    """Make the entry think that it ran two days ago."""
    (entry,) = scheduler.schedule.values()
    entry.last_run_at -= timedelta(days=2)


@pytest.mark.django_db
def test_beat_writes_the_row_without_redis(scheduler) -> None:
    running = scheduler()
    assert running.tick() > 0
    assert not Job.objects.exists(), "a new schedule makes up for nothing"
    missed(running)
    running._heap = None
    running.tick()
    (job,) = Job.objects.all()
    assert (
        job.once_key
        == f"schedule:nightly:{last_due(crontab.from_string('30 2 * * *'), timezone.now()).isoformat()}"
    )
    assert running.tick() > 0


@pytest.mark.django_db
def test_two_beats_submit_one_job_and_a_restart_none(scheduler) -> None:
    for state in ("one", "two"):
        running = scheduler(state)
        missed(running)
        running.tick()
    assert Job.objects.count() == 1
    Job.objects.all().delete()
    assert scheduler("two").tick() > 0
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_beat_waits_for_the_database(scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    errors, submit = [OperationalError("away")], scheduled_submit

    def fail_once(**terms: Any) -> Any:
        if errors:
            raise errors.pop()
        return submit(**terms)

    monkeypatch.setattr(beat, "scheduled_submit", fail_once)
    monkeypatch.setattr(beat, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(beat, "close_old_connections", lambda: None)
    running = scheduler()
    missed(running)
    running.tick()
    assert Job.objects.count() == 1
