"""Short waits of feeds and vendors, and faults that a file in the data folder begins: `full` and `clock`."""

import time
from typing import Any

from django.apps import AppConfig
from django.conf import settings


class ShortFeed(AppConfig):
    name = "tests.system.short_feed"

    def ready(self) -> None:
        from sources import ccxt_live, us_shares  # noqa: PLC0415 they need the apps
        from sources.alpaca import Alpaca  # noqa: PLC0415
        from sources.feed import log_feed, process, rows  # noqa: PLC0415
        from store.exceptions import StoreFull  # noqa: PLC0415
        from store.timestamps import SECOND_NS  # noqa: PLC0415

        ccxt_live._PING_MS = 1_500
        us_shares._LATE_NS, Alpaca.settled_seconds = 2 * SECOND_NS, 4.0
        process._SILENT_SECONDS = 5.0
        log_feed._REFUSED_PAUSE = log_feed._LONGEST_REFUSED = 3.0
        log_feed._QUIET_SECONDS, log_feed._DECLARE_SECONDS = 4.0, 2.0
        module: Any = rows
        ingest = module.rows_ingest

        def refusing(**arguments: Any) -> Any:
            if (settings.DATA_DIR / "full").exists():
                raise StoreFull
            return ingest(**arguments)

        module.rows_ingest = refusing
        _step_clock()


def _step_clock() -> None:
    """Let the wall clock of this process be ahead by the seconds in the file `clock`."""
    real, real_ns, file = time.time, time.time_ns, settings.DATA_DIR / "clock"

    def ahead() -> float:
        try:
            return float(file.read_text() or 0)
        except OSError:
            return 0.0

    time.time = lambda: real() + ahead()
    time.time_ns = lambda: real_ns() + int(ahead() * 1e9)
