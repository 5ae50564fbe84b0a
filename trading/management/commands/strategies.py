"""`manage.py strategies`: runs the strategies of accounts, each in a process of its own. `serve` starts one."""

import signal
from argparse import SUPPRESS, ArgumentParser
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from ops.log_masking import log_uncaught
from ops.metrics.process_files import Publisher
from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.migrations import check_migrated


class Command(BaseCommand):
    help = "Run the strategies of accounts until SIGTERM. One process of the installation does; others wait."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")
        # Of a strategy's process, where that is not a fork.
        parser.add_argument("--account", help=SUPPRESS)
        parser.add_argument("--watched-by", type=int, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because calendars and columns take a second to load.
        from trading.strategies.live import WatchedCalls  # noqa: PLC0415
        from trading.strategies.processes import StrategyProcesses, prepare_forks, run_strategy  # noqa: PLC0415

        log_uncaught()
        tune_malloc()
        if options["account"] is not None:
            if options["parent"] is not None:
                end_when_parent_has_ended(options["parent"])
            run_strategy(options["account"], WatchedCalls(options["watched_by"]))
            return
        if options["parent"] is None:
            # `serve` migrates before it starts this process.
            check_migrated()
        ending = Event()
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        prepare_forks()
        publisher = Publisher(settings.METRICS_DIR, "strategies")
        publisher.begin()
        StrategyProcesses().run(ending, parent=options["parent"], publisher=publisher)
