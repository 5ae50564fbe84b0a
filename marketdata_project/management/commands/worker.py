"""`manage.py worker`: the background process that runs the duties."""

import os
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from marketdata_project.duties import DUTIES, DutyThreads, store_duties
from ops.log_masking import log_uncaught
from ops.serve.child import parent_is
from ops.serve.database_lock import DutyLock
from ops.serve.memory import tune_malloc
from ops.serve.status import Heartbeat, start_publishing_metrics

PERIOD_SECONDS = 1.0
# How long the worker waits at its end for running duties. After `END_SECONDS` the supervisor kills the worker.
PATIENCE_SECONDS = 3.0
# The worker's niceness. With normal priority it would delay the slowest requests at full load.
_NICENESS = 10


class Command(BaseCommand):
    help = "Do the background work until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")
        parser.add_argument("--of-host", action="store_true", help="run only the duties that each host has")

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()

        def stop(_signal: int, _frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        if options["parent"] is not None:
            log_uncaught()
        os.nice(_NICENESS)
        tune_malloc()
        heartbeat = Heartbeat(settings.RUN_DIR)
        publisher = start_publishing_metrics("worker")
        duties = [*DUTIES, *store_duties()]
        if options["of_host"]:
            duties = [duty for duty in duties if duty.of_each_host]
        lock = DutyLock(is_candidate=not options["of_host"])
        lock.look()
        threads = DutyThreads(duties, lock)
        while not stopping.is_set() and parent_is(options["parent"]):
            heartbeat.beat()
            stopping.wait(PERIOD_SECONDS)
            lock.look()
        heartbeat.stop()
        threads.stop(patience=PATIENCE_SECONDS)
        publisher.stop()
