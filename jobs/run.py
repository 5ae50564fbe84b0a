"""Runs a claimed job: calls its kind's function under the lease, and ends it."""

import logging
import time
from datetime import timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from django.db import Error, close_old_connections, connections
from django.db.models import Case, When
from django.db.models.functions import Now
from django.utils import timezone

from jobs.claims import LEASE, job_ask, job_end, job_release, lease_renew, leased
from jobs.exceptions import ConfirmationNeeded, JobCancelled, JobError, JobStopped, LeaseLost, WorkerEnding
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import CANCELLED, FAILED, SUCCEEDED, Job
from web.correlation import correlated
from web.problem_body import PROBLEM_OF
from web.requests.json_fields import JsonObject

logger = logging.getLogger(__name__)

WORKER_IS_ENDING = Event()
"""Set it to end the process's running jobs at their next check. They are queued again."""

# How often a running job's row is looked at, and after how long its lease is renewed.
_BEAT_SECONDS = 0.5
_RENEWAL_SECONDS = LEASE.total_seconds() / 4
# The delay before another attempt doubles from the first to the second of these.
_FIRST_DELAY, _LONGEST_DELAY = timedelta(seconds=1), timedelta(seconds=30)
# An error's `retry_after`, what another host asks to wait, counts up to a day.
_LONGEST_WAIT_SECONDS = 86_400.0
_SERVER_ERROR = 500


def running_give_back() -> None:
    """Queue the jobs again that still run in this process, which is about to end."""
    for run in list(_running):
        try:
            run.give_back()
        except Error as error:
            logger.warning("job %s starts again after its lease: %s", run.uuid, error)


_running: "set[LeasedRun]" = set()


class LeasedRun:
    """A `Run` under a lease, which a thread renews while the context is entered. For its members see `Run`."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.uuid, self.created_by = job.uuid, job.created_by
        self.parameters: JsonObject = dict(job.parameters)
        self.note: JsonObject = dict(job.note)
        self.is_confirmed = job.confirmed_at is not None
        self._progress: tuple[int, int | None] = (job.done, job.total)
        self._stop: type[JobStopped] | None = None
        self._ended = Event()
        self._thread = Thread(target=self._keep, name=f"lease-{job.uuid}", daemon=True)

    def __enter__(self) -> Self:
        _running.add(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _running.discard(self)
        self._ended.set()
        self._thread.join()

    def give_back(self) -> None:
        """Queue the job again, although its function still runs. What the function does later is not recorded."""
        job_release(self._job, attempts=self._job.attempts - 1, **self.columns)

    @property
    def columns(self) -> JsonObject:
        """The columns of the progress."""
        done, total = self._progress
        return {"done": done, "total": total}

    def progress(self, done: int, total: int | None = None) -> None:
        self._progress = (done, total)
        self.check()

    def leave(self, note: JsonObject) -> None:
        if not lease_renew(self._job, note=note, **self.columns):
            raise LeaseLost
        self.note = note
        self.check()

    def check(self) -> None:
        if WORKER_IS_ENDING.is_set():
            raise WorkerEnding
        if self._stop is not None:
            raise self._stop

    def _keep(self) -> None:
        """Renew the lease, write the progress, and learn of a cancel, until the run has ended."""
        renewed_at, written = time.monotonic(), self._progress
        while not self._ended.wait(_BEAT_SECONDS) and self._stop is None:
            now = time.monotonic()
            try:
                if self._progress != written or now - renewed_at >= _RENEWAL_SECONDS:
                    written = self._progress
                    self._stop = None if lease_renew(self._job, **self.columns) else LeaseLost
                    renewed_at = now
                if self._stop is None and leased(self._job).filter(cancel_requested=True).exists():
                    self._stop = JobCancelled
            except Error as error:
                # The lease outlasts a short outage of the database.
                logger.warning("the lease of job %s could not be renewed: %s", self._job.uuid, error)
                close_old_connections()
        connections.close_all()


def run_claimed(job: Job) -> None:
    """Run a job that was just claimed, with its request's correlation id in the log.

    Raises the database's errors; then the job starts again after its lease.
    """
    with correlated(job.correlation_id):
        kind = JOB_KINDS.get()[job.kind]
        if job.cancel_requested:
            job_end(job, state=CANCELLED, now=timezone.now())
        elif job.attempts > kind.attempts:
            message = f"the job was started {kind.attempts} times, and the worker of the last attempt ended; see the server's log"
            _fail(job, JobError("worker_lost", message))
        else:
            logger.info("job %s (%s) starts, attempt %d", job.uuid, job.kind, job.attempts)
            with LeasedRun(job) as run:
                _end(job, kind, run, _outcome_of(kind, run))


def _outcome_of(kind: JobKind, run: LeasedRun) -> JsonObject | Exception | JobStopped:
    """Return the function's result, or what it raised."""
    try:
        run.check()
        assert kind.function is not None  # noqa: S101 jobs of kinds without one end as they are stored
        return kind.function(run)
    except (Exception, JobStopped) as error:  # noqa: BLE001 a job ends with any error
        return error


def _end(job: Job, kind: JobKind, run: LeasedRun, outcome: JsonObject | Exception | JobStopped) -> None:
    now = timezone.now()
    if isinstance(outcome, LeaseLost):
        logger.warning("job %s lost its lease; another worker may have it", job.uuid)
    elif isinstance(outcome, WorkerEnding):
        job_release(job, attempts=job.attempts - 1, **run.columns)
    elif isinstance(outcome, ConfirmationNeeded) and job_ask(
        job, preview=outcome.preview, now=now, **run.columns
    ):
        logger.info("job %s (%s) needs confirmation", job.uuid, job.kind)
    elif isinstance(outcome, JobCancelled | ConfirmationNeeded):
        # A job that could not ask was cancelled meanwhile, or its lease is lost, and then this ends nothing.
        job_end(job, state=CANCELLED, now=now, **run.columns)
    elif isinstance(outcome, Exception):
        _retry_or_fail(job, kind, outcome)
    elif job_end(job, state=SUCCEEDED, result=outcome, now=now, **run.columns):
        logger.info("job %s (%s) succeeded", job.uuid, job.kind)


def _retry_or_fail(job: Job, kind: JobKind, error: Exception) -> None:
    problem = PROBLEM_OF.get()(error).body()
    if problem["status"] < _SERVER_ERROR or job.attempts >= kind.attempts:
        _fail(job, error, problem)
        return
    asked = timedelta(seconds=min(getattr(error, "retry_after", None) or 0.0, _LONGEST_WAIT_SECONDS))
    delay = max(asked, min(_FIRST_DELAY * 2 ** (job.attempts - 1), _LONGEST_DELAY))
    logger.warning("job %s failed (%s) and is tried again in %s", job.uuid, problem["code"], delay)
    # A job that was cancelled meanwhile does not wait: the next worker ends it.
    not_before = Case(When(cancel_requested=True, then=Now()), default=Now() + delay)
    job_release(job, not_before=not_before, error=problem)


def _fail(job: Job, error: Exception, problem: Any = None) -> None:
    body = problem or PROBLEM_OF.get()(error).body()
    if job_end(job, state=FAILED, error=body, now=timezone.now()):
        # What its parameters ask for cannot be done: that is no error of the server.
        level = logging.INFO if body["status"] < _SERVER_ERROR else logging.ERROR
        logger.log(level, "job %s (%s) failed: %s: %s", job.uuid, job.kind, body["code"], body["message"])
