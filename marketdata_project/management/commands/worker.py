"""The background process."""

import logging
import os
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from marketdata_project.log_masking import log_uncaught
from marketdata_project.serve.duties import Rota
from marketdata_project.serve.heartbeat import Heartbeat
from marketdata_project.serve.measures import follow_fold, metrics_published
from marketdata_project.serve.parent import parent_is
from store.maintained import Upkeep
from trades.maintenance import derived_keeper

PERIOD_SECONDS = 1.0
# How long a fold that is under way may hold up the end; one that takes longer leaves nothing but litter.
_PATIENCE_SECONDS = 3.0
# Requests go first: at full load the worker would otherwise take time from the slowest of them.
_NICENESS = 10

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Do the background work, once a second, until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()

        def stop(_signal: int, _frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        # Under a supervisor Ctrl-C is its own: a second signal amid the first would never get its lock.
        if options["parent"] is None:
            signal.signal(signal.SIGINT, stop)
        else:
            log_uncaught()
        os.nice(_NICENESS)
        heartbeat = Heartbeat(settings.RUN_DIR)
        publisher = metrics_published("worker")
        # Made here: a thread that still imports when the process ends would hold it up.
        keeper = derived_keeper()
        follow_fold(keeper)
        keeping = threading.Thread(target=_keep_derived, args=(keeper, stopping), daemon=True)
        keeping.start()
        rota = Rota()
        while not stopping.is_set() and parent_is(options["parent"]):
            rota.round()
            heartbeat.beat()
            stopping.wait(PERIOD_SECONDS)
        heartbeat.stop()
        keeping.join(_PATIENCE_SECONDS)
        publisher.stop()


def _keep_derived(keeper: Upkeep | None, stopping: threading.Event) -> None:
    """Keep derived files current, in a thread of its own: a first build of millions of rows takes seconds."""
    while keeper is not None and not stopping.wait(PERIOD_SECONDS):
        try:
            keeper.round(seconds=PERIOD_SECONDS)
        except Exception:
            logger.exception("The derived files could not be kept; the next round tries again")
