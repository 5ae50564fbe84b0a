"""What tests of jobs share: a table with one kind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import current_thread, main_thread
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteWrapper
from django.utils import timezone

from jobs.kinds import JOB_KINDS, JobKind, Run
from jobs.models import Job
from jobs.services import job_submit
from tests.jobs.kinds import count, kind


@pytest.fixture(autouse=True)
def threads_close_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django never closes a database in memory. The threads of a test must, as they do with files."""
    usual = SqliteWrapper.close

    def close(wrapper: SqliteWrapper) -> None:
        if current_thread() is main_thread():
            usual(wrapper)
        else:
            BaseDatabaseWrapper.close(wrapper)

    monkeypatch.setattr(SqliteWrapper, "close", close)


@pytest.fixture
def use_kinds() -> Iterator[Callable[..., None]]:
    """Make the table of kinds have only these kinds during the test."""
    with ExitStack() as stack:

        def use(*kinds: JobKind) -> None:
            stack.enter_context(JOB_KINDS.replaced({each.name: each for each in kinds}))

        yield use


@pytest.fixture
def submit(use_kinds) -> Callable[..., Job]:
    """Submit a job of the one kind, whose function and options may be given."""

    def submitted(function: Callable[[Run], dict[str, Any]] = count, **options: Any) -> Job:
        of_job: dict[str, Any] = {
            name: options.pop(name)
            for name in ("owner", "once_key", "urgency", "now", "parameters", "callback_url")
            if name in options
        }
        use_kinds(kind(function, **options))
        usual: dict[str, Any] = {
            "kind": "count",
            "parameters": {},
            "owner": "key:1",
            "created_by": "key:1",
            "now": timezone.now(),
        }
        usual.update(of_job)
        return job_submit(**usual)

    return submitted
