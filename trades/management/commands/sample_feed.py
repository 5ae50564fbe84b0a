"""`manage.py sample_feed`: a process that keeps the sample alive. `serve` starts it with SAMPLE_FEED."""

import os
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from ops.serve.child import end_when_parent_has_ended
from trades.sample.feeder import run_feed

_NICENESS = 10


class Command(BaseCommand):
    help = "Post trades and quotes of the sample to the running server, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="the server, such as http://127.0.0.1:8000")
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, url: str, parent: int | None, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if parent is not None:
            end_when_parent_has_ended(parent)
        os.nice(_NICENESS)
        run_feed(url=url, run_dir=settings.RUN_DIR)
