"""Runs a job in a command's process, and shows its progress in the terminal."""

import logging
import time
from contextlib import suppress
from threading import Thread
from uuid import UUID

from django.db import Error, close_old_connections, connections
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from jobs.kinds import JOB_KINDS
from jobs.models import Job
from jobs.run import run_job
from jobs.services import job_cancel

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


def run_shown(job: Job, console: Console) -> Job:
    """Run a job in this process, show its progress until it has ended, and return it as it is then.

    Needs neither Redis nor a worker. A job that a worker took first is only shown. Ctrl-C cancels the job and waits for
    its end.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(job.kind, total=None, counts="")
        try:
            _run_to_end(job, bar, task)
        except KeyboardInterrupt:
            job_cancel(uuid=job.uuid, now=timezone.now())
            _run_to_end(job, bar, task)
    return job


def _run_to_end(job: Job, bar: Progress, task: TaskID) -> None:
    """Try to run the job, in a thread, until it has ended; show its row meanwhile."""
    attempt: Thread | None = None
    while job.is_active:
        if attempt is None or not attempt.is_alive():
            # The first attempt, or the one after an error. It does nothing if another process runs the job.
            attempt = Thread(target=_attempt, args=(job.uuid,), name=f"job-{job.uuid}", daemon=True)
            attempt.start()
        time.sleep(_LOOK_SECONDS)
        with suppress(Error):  # a job outlasts a short outage of the database
            close_old_connections()
            job.refresh_from_db()
        _show(job, bar, task)
    if attempt is not None:
        attempt.join()


def _attempt(uuid: UUID) -> None:
    try:
        run_job(uuid)
    except Error as error:
        logger.warning("job %s could not be run: %s", uuid, error)
    finally:
        connections.close_all()


def _show(job: Job, bar: Progress, task: TaskID) -> None:
    unit = JOB_KINDS.get()[job.kind].unit
    counts = f"{job.done:,} {unit}" if job.total is None else f"{job.done:,} of {job.total:,} {unit}"
    retry = f", next attempt after: {job.error['message']}" if job.error and not job.is_finished else ""
    bar.update(
        task,
        description=escape(f"{job.kind} {job.state}{retry}"),
        completed=job.done,
        total=job.total,
        counts=escape(counts),
    )
