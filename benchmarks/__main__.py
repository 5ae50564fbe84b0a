"""`python -m benchmarks [--quick] [--only NAME]` measures ratios in one run and prints them.

A run without --quick also keeps them in measured.json.

The environment variable PEERS names the folder of the peers, simple servers to compare with. Without PEERS, or without
.venv-bench, the ratios against them are left out, and the notes say so.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.accounts import measure_accounts
from benchmarks.backfill import measure_backfill
from benchmarks.backtests import measure_backtests
from benchmarks.best_quotes import measure_best_quotes
from benchmarks.cluster import measure_cluster
from benchmarks.cold import measure_cold
from benchmarks.exports import measure_exports
from benchmarks.formats import measure_formats
from benchmarks.gaps import measure_gaps
from benchmarks.greeks import measure_greeks
from benchmarks.held import measure_held
from benchmarks.import_csv import measure_import
from benchmarks.in_process import measure_in_process
from benchmarks.ingest import measure_one_feed, measure_several_feeds
from benchmarks.joins import measure_joins
from benchmarks.live import measure_live, measure_quiet
from benchmarks.long_stream import measure_long_stream
from benchmarks.machine import described
from benchmarks.many_symbols import measure_many_symbols
from benchmarks.market_data import measure_market_data
from benchmarks.mixed import measure_mixed
from benchmarks.peers import PeersMissing, peers_missing
from benchmarks.processes import CORES, LOAD_CORE, StartFailed, interrupted_by_sigterm, on_cores
from benchmarks.record import keep, write_page
from benchmarks.replay import measure_replay
from benchmarks.report import FULL, QUICK, Measure, Note, Row, Sizes, UnexpectedAnswer, table
from benchmarks.small_batches import measure_small_batches
from benchmarks.trading import measure_trading
from benchmarks.waiting import measure_waiting
from benchmarks.webhooks import measure_webhooks
from benchmarks.windows import measure_windows


class Benchmark(NamedTuple):
    """A benchmark, and the folders whose changes make its rows old."""

    title: str
    measure: Measure
    code: str


_WEB = "front web ratelimit audit"
_ANSWERS = f"{_WEB} stats store"
_WRITES = f"{_WEB} trades store"

BENCHMARKS = {
    "held": Benchmark(
        "held answers over HTTP, against FastAPI and nginx", measure_held, f"{_WEB} stats/caching"
    ),
    "market_data": Benchmark(
        "pages that are not held, and pages far into a walk", measure_market_data, _ANSWERS
    ),
    "mixed": Benchmark("readers and feeds at once", measure_mixed, f"{_ANSWERS} trades"),
    "ingest": Benchmark("ingest by one feed", measure_one_feed, _WRITES),
    "feeds": Benchmark("ingest by four feeds", measure_several_feeds, _WRITES),
    "small_batches": Benchmark("small batches of many symbols", measure_small_batches, _WRITES),
    "formats": Benchmark(
        "answers in every format: size and time", measure_formats, f"{_WEB} stats/rendering"
    ),
    "long_stream": Benchmark("ten million trades in one answer", measure_long_stream, _ANSWERS),
    "windows": Benchmark("a window of a long history", measure_windows, _ANSWERS),
    "import": Benchmark(
        "import of a CSV file, by the command and as an upload", measure_import, "jobs trades store"
    ),
    "exports": Benchmark(
        "an export of ten million trades to Parquet, against pyarrow", measure_exports, "jobs store"
    ),
    "backfill": Benchmark("a backfill from another installation", measure_backfill, "jobs trades store"),
    "waiting": Benchmark("200 callers that wait for jobs", measure_waiting, f"{_WEB} jobs"),
    "webhooks": Benchmark(
        "deliveries of webhooks, against bare httpx", measure_webhooks, "jobs ops/outbound"
    ),
    "live": Benchmark(
        "the live feed, against bare websockets", measure_live, "stats/live front trades store"
    ),
    "quiet": Benchmark("1,000 quiet connections of the live feed", measure_quiet, "stats/live front"),
    "trading": Benchmark("previews, executes, fills and stops", measure_trading, f"{_WEB} trading"),
    "accounts": Benchmark("many accounts with open orders", measure_accounts, "trading"),
    "cluster": Benchmark(
        "ClickHouse and PostgreSQL in two shards, against bare ClickHouse", measure_cluster, "store"
    ),
    "cold": Benchmark(
        "bars of a day by a new process, against pandas, DuckDB and polars", measure_cold, "store"
    ),
    "in_process": Benchmark("reads in process", measure_in_process, "store"),
    "replay": Benchmark("a replay, against a bare read of its columns", measure_replay, "store"),
    "backtests": Benchmark(
        "crossovers, against backtesting.py and others", measure_backtests, "trading store"
    ),
    "joins": Benchmark("as-of joins, and panels of many symbols", measure_joins, "store"),
    "many_symbols": Benchmark("a store of many symbols", measure_many_symbols, "store"),
    "best_quotes": Benchmark(
        "best bid and offer of five million quotes, against polars", measure_best_quotes, "store"
    ),
    "gaps": Benchmark("gaps of ten years of minutes, against pandas", measure_gaps, "store"),
    "greeks": Benchmark("implied volatility and greeks of 10,000 quotes", measure_greeks, "stats/options"),
}


def main(arguments: list[str]) -> int:
    """Run the chosen benchmarks, by default all; return 1 if one of them failed, 2 if PEERS has no peers, else 0.

    The page goes to the standard output, everything else to the standard error.
    """
    options = _parser().parse_args(arguments)
    if options.page:
        write_page({name: each.code.split() for name, each in BENCHMARKS.items()})
        return 0
    sizes = QUICK if options.quick else FULL
    if options.live_seconds:
        sizes = replace(sizes, live_seconds=options.live_seconds)
    if options.cluster_trades:
        sizes = replace(sizes, cluster_trades=options.cluster_trades)
    try:
        peers_missing()
    except PeersMissing as error:
        print(error, file=sys.stderr)
        return 2
    rows: list[Row] = []
    if options.quick:
        rows.append(Note("A quick run: its counts are too small to show how fast anything is."))
    if len(CORES) == 1:
        rows.append(Note("Servers and load shared a core."))
    with interrupted_by_sigterm(), on_cores(LOAD_CORE):
        failed = _run_all(options.only or list(BENCHMARKS), sizes, rows, is_kept=not options.quick)
    print(f"{described()}\n\n{table(rows)}")
    return int(failed)


def _run_all(names: Sequence[str], sizes: Sizes, rows: list[Row], *, is_kept: bool) -> bool:
    """Add the rows of each benchmark; return whether one failed. is_kept: whether they go to the record."""
    failed = False
    for name in names:
        title, measure, _ = BENCHMARKS[name]
        print(f"Measuring {title}", file=sys.stderr, flush=True)
        began, count = time.monotonic(), len(rows)
        try:
            for row in measure(sizes):
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
            if is_kept:
                keep(name, rows[count:])
        except (StartFailed, UnexpectedAnswer, OSError) as error:
            rows.append(Note(f"FAILED: {title}: {type(error).__name__}: {error}"))
            print(rows[-1], file=sys.stderr, flush=True)
            failed = True
        print(f"({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Ratios measured in one run.",
        epilog="\n".join(["benchmarks:", *(f"  {name:14}{each.title}" for name, each in BENCHMARKS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small counts: show that it works, not how fast")
    parser.add_argument(
        "--page",
        action="store_true",
        help="measure nothing: write docs/performance.md from benchmarks/measured.json",
    )
    parser.add_argument(
        "--only", choices=BENCHMARKS, action="append", help="one benchmark; repeatable", metavar="NAME"
    )
    parser.add_argument(
        "--live-seconds", type=int, help="how long the live feed is loaded in a round", metavar="N"
    )
    parser.add_argument(
        "--cluster-trades", type=int, help="how many trades are in the shards of ClickHouse", metavar="N"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
