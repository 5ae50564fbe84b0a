"""A command runs a job in its own process and shows it until it has ended."""

import io
import time
from typing import Any

import pytest
from django.utils import timezone
from rich.console import Console

from jobs import follow
from jobs.claims import job_claim, job_end
from jobs.follow import run_shown
from jobs.kinds import JOB_KINDS, Run
from jobs.models import CANCELLED, FAILED, SUCCEEDED
from store.exceptions import StoreUnavailable, UnknownSymbol
from tests.jobs.kinds import count

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]


@pytest.fixture(autouse=True)
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_LOOK_SECONDS", 0.01)


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_a_job_runs_here_to_its_end(submit) -> None:
    ended = run_shown(submit(count), terminal())
    assert (ended.state, ended.result, ended.done, ended.total) == (SUCCEEDED, {"counted": 3}, 3, 3)


def test_its_progress_is_shown(submit) -> None:
    def slow(run: Run) -> dict[str, Any]:
        run.leave({})
        run.progress(2, 5)
        run.leave({})
        time.sleep(0.15)
        return {}

    console = terminal()
    run_shown(submit(slow), console)
    assert "2 of 5 steps" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_failed_job_is_returned_with_its_problem(submit) -> None:
    def unknown(_: Run) -> dict[str, Any]:
        raise UnknownSymbol("NOPE")

    ended = run_shown(submit(unknown), terminal())
    assert ended.state == FAILED
    assert (ended.error or {})["code"] == "unknown_symbol"


def test_an_error_of_the_server_is_followed_by_another_attempt(submit) -> None:
    attempts: list[int] = []

    def fail_once(_: Run) -> dict[str, Any]:
        attempts.append(1)
        if len(attempts) == 1:
            raise StoreUnavailable("the disk is full")
        return {"attempts": len(attempts)}

    ended = run_shown(submit(fail_once), terminal())
    assert (ended.state, ended.result) == (SUCCEEDED, {"attempts": 2})


def test_a_job_that_a_worker_has_is_only_shown(submit, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit()
    taken = job_claim(job.uuid, kinds=JOB_KINDS.get().values(), now=timezone.now())
    assert taken is not None
    looks: list[int] = []

    def look(*_: object) -> None:
        looks.append(1)
        if len(looks) == 3:
            job_end(taken, state=SUCCEEDED, result={"by": "the worker"}, now=timezone.now())

    monkeypatch.setattr(follow, "_show", look)
    assert run_shown(job, terminal()).result == {"by": "the worker"}


def test_ctrl_c_cancels_the_job(submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(run: Run) -> dict[str, Any]:
        while True:
            run.check()
            time.sleep(0.005)

    looks: list[int] = []

    def interrupt_once(*_: object) -> None:
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(follow, "_show", interrupt_once)
    assert run_shown(submit(endless), terminal()).state == CANCELLED
