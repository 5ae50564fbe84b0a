"""`manage.py trading_engine`: the process that fills orders. `serve` starts one; another one waits until the first is gone."""

import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.migrations import check_migrated


class Command(BaseCommand):
    help = "Fill orders until SIGTERM. One process of the installation does; others wait."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because calendars and columns take a second to load.
        from ops.serve.status import start_publishing_metrics  # noqa: PLC0415
        from trading.engine.engine import Engine  # noqa: PLC0415
        from trading.engine.logs import WallClock  # noqa: PLC0415

        if options["parent"] is None:
            # `serve` migrates before it starts an engine. One without its database waits for it.
            check_migrated()
        else:
            end_when_parent_has_ended(options["parent"])
        tune_malloc()
        ending = Event()
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        publisher = start_publishing_metrics("engine")
        try:
            Engine(WallClock()).run(ending)
        finally:
            publisher.stop()
