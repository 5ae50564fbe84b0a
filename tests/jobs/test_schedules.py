"""Jobs are submitted at the times of the setting, once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.backfills.filling import BACKFILL
from jobs.models import Job
from jobs.schedules import JobSchedule, ScheduleRefused, schedules_submit
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
        ("0 0 1 * sat", "2025-01-05 12:00:00", "2025-01-04 00:00"),
    ],
)
def test_the_last_due_time_of_a_crontab(line: str, now: str, due: str) -> None:
    assert JobSchedule("one", "count", line, {}).last_due(at(now)) == at(due)


@pytest.fixture
def nightly(settings, use_kinds) -> None:
    use_kinds(kind(), BACKFILL)
    settings.JOB_SCHEDULES = {"nightly": NIGHTLY}


def test_the_last_days_end_before_the_date_that_is_due(use_kinds) -> None:
    use_kinds(BACKFILL)
    days = {"symbol": "AAPL", "last_days": 3}
    schedule = JobSchedule.of("gaps", {"kind": "backfill", "crontab": "0 3 * * *", "parameters": days})
    assert schedule.parameters_at(at("2025-03-01 03:00")) == {
        "symbol": "AAPL",
        "start": "2025-02-26T00:00:00Z",
        "end": "2025-03-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "dance"}, "no kind 'dance'"),
        ({"crontab": "61 2 * * *"}, "crontab is five fields"),
        ({"crontab": 5}, "crontab is five fields"),
        ({"crontab": "0 30 2 * * *"}, "crontab is five fields"),
        ({"crontab": "0 0 30 2 *"}, "crontab is five fields"),
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


REBALANCE = {"account": "main", "model": "core", "cash_buffer": 0.5}


@pytest.mark.parametrize(
    ("kind_name", "parameters"),
    [
        ("backfill", {"symbol": "AAPL", "last_days": 1}),
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


def submitted(now: str) -> int:
    """Do the duty at an instant; return the number of jobs so far."""
    schedules_submit(now=at(now))
    return Job.objects.count()


@pytest.mark.django_db
def test_a_due_job_is_submitted_once(nightly) -> None:
    assert submitted("2025-01-02 09:00") == 0, "a new schedule makes up for nothing"
    assert submitted("2025-01-03 02:29:59") == 0
    assert submitted("2025-01-03 02:30:00") == 1
    (job,) = Job.objects.all()
    assert (job.kind, job.parameters, job.owner, job.created_by) == (
        "count", {"upto": 5}, "service", "schedule:nightly",
    )  # fmt: skip
    Job.objects.all().delete()
    assert submitted("2025-01-03 02:30:01") == 0, "also when its job was deleted"
    assert submitted("2025-01-04 02:30:00") == 1


@pytest.mark.django_db
def test_missed_times_are_made_up_for_once(nightly) -> None:
    submitted("2025-01-02 09:00")
    assert submitted("2025-01-09 09:00") == 1
    assert submitted("2025-01-09 09:01") == 1


@pytest.mark.django_db
def test_a_schedule_that_was_away_is_a_new_one(nightly, settings) -> None:
    submitted("2025-01-02 09:00")
    settings.JOB_SCHEDULES = {}
    submitted("2025-01-03 09:00")
    settings.JOB_SCHEDULES = {"nightly": NIGHTLY}
    assert submitted("2025-01-04 09:00") == 0


@pytest.mark.django_db
def test_due_jobs_are_submitted_however_many_are_unfinished(nightly, use_kinds) -> None:
    use_kinds(kind(most_unfinished=1))
    assert [submitted(f"2025-01-0{day} 02:30") for day in range(1, 5)] == [0, 1, 2, 3]


@pytest.mark.django_db
def test_a_refused_schedule_does_not_stop_the_others(nightly, settings) -> None:
    submitted("2025-01-02 09:00")
    settings.JOB_SCHEDULES = {"broken": {**NIGHTLY, "crontab": "61 2 * * *"}, "nightly": NIGHTLY}
    with pytest.raises(ScheduleRefused, match="broken: crontab"):
        submitted("2025-01-03 09:00")
    assert Job.objects.get().created_by == "schedule:nightly"
