"""`manage.py job_worker`: claims jobs from the database, and runs them in threads. `serve` starts one; more may run on other hosts."""

import logging
import os
import signal
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections

from jobs.claims import job_claim
from jobs.kinds import JOB_KINDS
from jobs.models import FAILED, Job
from jobs.run import WORKER_IS_ENDING, run_claimed, running_give_back
from ops.metrics.declarations import JOBS_ENDED
from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.status import start_publishing_metrics

logger = logging.getLogger(__name__)

# How often a worker with a free thread looks for a job. It also looks when one of its jobs has ended.
_POLL_SECONDS = 0.2
_AFTER_ERROR_SECONDS = 1.0
# How long running jobs have to end at the stop of the worker. After it they are queued again.
_PATIENCE_SECONDS = 5.0
# As for the other background process: with normal priority jobs would delay requests at full load.
_NICENESS = 10


class Worker:
    """Runs up to `threads` jobs at once. Of several threads the last free one takes only jobs that somebody awaits.

    So a gap or a person does not wait behind exports of years.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._busy = 0
        self._lock, self._wake = Lock(), Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="job")

    def run(self) -> None:
        """Run jobs until WORKER_IS_ENDING is set. Then jobs that do not end in time are queued again."""
        while not WORKER_IS_ENDING.is_set():
            self._wake.clear()
            if not self._starts_one():
                self._wake.wait(_POLL_SECONDS)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._busy and time.monotonic() < deadline:
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()
        running_give_back()

    def _starts_one(self) -> bool:
        """Start the next job; return False if none may start now."""
        free = self._threads - self._busy
        if not free:
            return False
        try:
            job = job_claim(only_awaited=free == 1 < self._threads)
        except Error as error:
            logger.warning("jobs wait: %s", error)
            self._wake.wait(_AFTER_ERROR_SECONDS)
            return False
        finally:
            close_old_connections()
        if job is None:
            return False
        self._count(1)
        self._pool.submit(self._run, job)
        return True

    def _run(self, job: Job) -> None:
        try:
            run_claimed(job)
        except Error as error:
            logger.warning("job %s is started again after its lease: %s", job.uuid, error)
        except Exception:
            logger.exception("job %s is started again after its lease", job.uuid)
        finally:
            close_old_connections()
            self._count(-1)
            self._wake.set()

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change


class Command(BaseCommand):
    help = "Run jobs until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--threads", type=int, default=settings.JOB_THREADS, help="how many jobs at once")
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["parent"] is not None:
            end_when_parent_has_ended(options["parent"])
        os.nice(_NICENESS)
        tune_malloc()
        publisher, code = start_publishing_metrics("jobs"), 0
        try:
            # Each counter is exported as 0 before the first failure, so that monitoring sees the first one as an increase.
            for kind in JOB_KINDS.get():
                JOBS_ENDED.labels(kind, FAILED)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: WORKER_IS_ENDING.set())
            Worker(threads=options["threads"]).run()
        except Exception:
            logger.exception("the job worker ends because of an error")
            code = 1
        finally:
            publisher.stop()
        # The usual exit would wait for running jobs. Another worker is to take these at once.
        os._exit(code)
