"""`manage.py feed`: keeps symbols current. `serve` starts one; another one waits until the first is gone."""

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ops.serve.child import end_when_parent_has_ended
from ops.serve.memory import tune_malloc
from ops.serve.migrations import check_migrated
from ops.serve.status import start_publishing_metrics

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Keep symbols current until Ctrl-C: those that are named, or FEEDS, and those that are marked in the dashboard."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", nargs="?", help="an exchange, a vendor, or a name in SOURCES: binance")
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="symbols, as the source writes them: BTC/USDT"
        )
        parser.add_argument(
            "--timeframe", default="", help="store closed bars of this length instead of trades: 1m"
        )
        parser.add_argument("--parent", type=int, help="end when this process has ended")

    def handle(self, *_: Any, source: str | None, names: list[str], timeframe: str, **options: Any) -> None:
        """Raises CommandError without a symbol, or without tables."""
        if source is not None and not names:
            raise CommandError(f"name symbols: manage.py feed {source} BTC/USDT")
        if options["parent"] is None:
            check_migrated()
        else:
            end_when_parent_has_ended(options["parent"])
            os.nice(5)
        tune_malloc()
        configured = (
            settings.FEEDS if source is None else [(source, name, timeframe) for name in dict.fromkeys(names)]
        )
        if options["parent"] is None:
            asyncio.run(self._feed(configured, self.stdout.write))
        else:
            publisher = start_publishing_metrics("feed")
            try:
                asyncio.run(self._feed(configured, logger.info))
            finally:
                publisher.stop()
        sys.stdout.flush()
        # Python would wait for a source that does not answer. What the store was given is stored: `FeedProcess` waits for it.
        os._exit(0)

    async def _feed(self, configured: Any, say: Any) -> None:
        from sources.feed.process import FeedProcess  # noqa: PLC0415 pandas takes a second

        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        await FeedProcess(configured, say).run(ending)
