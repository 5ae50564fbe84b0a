"""`manage.py job_beat`: a process that submits the jobs of JOB_SCHEDULES. `serve` starts one if there are any."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc

_NICENESS = 10


class Command(BaseCommand):
    help = "Submit the jobs of JOB_SCHEDULES when they are due, until SIGTERM. Several may run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because loading Celery takes a tenth of a second.
        from jobs.beat import run_beat  # noqa: PLC0415

        if options["parent"] is not None:
            end_when_parent_has_ended(options["parent"])
        os.nice(_NICENESS)
        tune_malloc()
        run_beat()
