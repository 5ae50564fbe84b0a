"""A backfill from another installation, against that installation's own ingest of the same trades."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.generated_trades import BATCH_ROWS
from benchmarks.ingest import Feeder
from benchmarks.processes import run_python
from benchmarks.report import Goal, Ratio, Row, Sizes
from benchmarks.servers import Server, our_server

SYMBOL = "BENCH"


def measure_backfill(sizes: Sizes) -> Iterator[Row]:
    """Yield the trades a second that one process fetches, verifies, checks and stores as one append."""
    batches = sizes.small_rows // BATCH_ROWS
    with our_server() as server:
        feeder = Feeder(server)
        feeder.warm_up()
        ingest = batches * BATCH_ROWS / sum(feeder.seconds_each(batches))
        seconds = _seconds(server, sizes.rounds)
    yield Ratio(
        f"backfill of {batches * BATCH_ROWS:,} trades from another installation, against its own ingest",
        here=batches * BATCH_ROWS / median(seconds),
        beside=ingest,
        unit="rows/s",
        goal=Goal(least=0.5),
    )


def _seconds(server: Server, rounds: int) -> list[float]:
    """Return the seconds of each round, in a process of its own, as a worker is."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {
            **os.environ,
            "DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
            "OUTBOUND_SCHEMES": "http",
            "OUTBOUND_NETWORKS": server.host,
            "BACKFILL_KEY_OTHER": server.next_key(),
            "BACKFILL_SOURCES": json.dumps(
                {
                    "other": {
                        "BACKEND": "jobs.backfills.sources.installation.Installation",
                        "OPTIONS": {"url": server.url},
                    }
                }
            ),
        }
        log = Path(folder) / "errors.log"
        printed = run_python("benchmarks.backfill", str(rounds), environment=environment, log=log)
    found: list[float] = json.loads(printed)
    return found


def main(rounds: int) -> None:
    """Fetch and store all trades of the symbol `rounds` times; print the seconds of each as JSON."""
    import django  # noqa: PLC0415 this process needs it, that of the benchmarks does not

    django.setup()
    from jobs.backfills.checks import Surroundings  # noqa: PLC0415
    from jobs.backfills.sources.order import fetch_first  # noqa: PLC0415
    from jobs.backfills.sources.protocol import SourceRequest  # noqa: PLC0415
    from jobs.backfills.sources.registry import sources_in_order  # noqa: PLC0415
    from store.datasets import TRADES  # noqa: PLC0415
    from store.instruments import Instrument  # noqa: PLC0415
    from store.protocol import Append, Window  # noqa: PLC0415
    from store.timestamps import parse_timestamp  # noqa: PLC0415
    from trades.stores import market_store  # noqa: PLC0415

    window = Window(parse_timestamp("2025-01-06"), parse_timestamp("2025-01-11"))  # of the generated trades
    request, seconds = SourceRequest(TRADES, Instrument(SYMBOL), window), []
    for number in range(rounds):
        began = time.perf_counter()
        first = fetch_first(sources_in_order(None), request, Surroundings())
        if first.checked is None or first.checked.rows is None:
            sys.exit(f"no rows came: {first.told}")
        market_store().append(Append(TRADES, f"{SYMBOL}{number}", first.checked.rows, "backfill:other"))
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]))
