"""`manage.py job_worker`: a process that runs jobs. `serve` starts one; more may run on other hosts."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from jobs.worker import run_worker
from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.status import start_publishing_metrics

# As for the other background process: with normal priority jobs would delay requests at full load.
_NICENESS = 10


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
        publisher = start_publishing_metrics("jobs")
        try:
            run_worker(threads=options["threads"])
        finally:
            publisher.stop()
        # A job's function that waits for another host would hold the usual exit.
        os._exit(0)
