"""`manage.py trading_engine`: the process that fills orders. `serve` starts one; another one waits until the first is gone."""

import signal
from argparse import ArgumentParser
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.migrations import pending_migrations
from store.timestamps import InvalidTimestamp, parse_timestamp

if TYPE_CHECKING:
    from trading.engine.clock import EngineClock


class Command(BaseCommand):
    help = "Fill orders until SIGTERM. One process of the installation does; others wait."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--parent", type=int, help="end when this process has ended")
        parser.add_argument(
            "--data-clock",
            metavar="INSTANT",
            help="for replays: rows are known at their own times, from this instant on, as fast as they are taken",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because calendars and columns take a second to load.
        from ops.serve.status import start_publishing_metrics  # noqa: PLC0415
        from trading.engine.engine import Engine  # noqa: PLC0415
        from trading.strategies.live import LiveStrategies  # noqa: PLC0415

        clock = _clock(options["data_clock"])
        if options["parent"] is None:
            _check_migrated()
        else:
            end_when_parent_has_ended(options["parent"])
        tune_malloc()
        ending = Event()
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        publisher = start_publishing_metrics("engine")
        try:
            Engine(LiveStrategies, clock).run(ending)
        finally:
            publisher.stop()


def _clock(begins: str | None) -> "EngineClock":
    """Return the clock that the option means. Raises CommandError."""
    from trading.engine.clock import DataClock, WallClock  # noqa: PLC0415

    if begins is None:
        return WallClock()
    try:
        begins_ns = parse_timestamp(begins)
    except InvalidTimestamp as error:
        raise CommandError(f"--data-clock: {error}") from error
    return DataClock(begins_ns)


def _check_migrated() -> None:
    # `serve` migrates before it starts an engine. One without its database waits for it.
    with suppress(Error):
        if pending_migrations():
            raise CommandError("the database is not migrated: run manage.py migrate, or serve")
