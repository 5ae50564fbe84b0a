"""`python -m benchmarks [--quick] [--only NAME]` measures ratios in one run and prints them.

The environment variable PEERS names the folder of the peers, simple servers to compare with. Without PEERS, or without
.venv-bench, the ratios against them are left out, and the notes say so.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.backtests import measure_backtests
from benchmarks.cold import measure_cold
from benchmarks.exports import measure_exports
from benchmarks.feed import measure_feed
from benchmarks.gaps import measure_gaps
from benchmarks.held import measure_held
from benchmarks.import_csv import measure_import
from benchmarks.in_process import measure_in_process
from benchmarks.ingest import measure_one_feed, measure_several_feeds
from benchmarks.live import measure_live, measure_quiet
from benchmarks.machine import described
from benchmarks.market_data import measure_market_data
from benchmarks.mixed import measure_mixed
from benchmarks.peers import PeersMissing, peers_missing
from benchmarks.processes import CORES, LOAD_CORE, StartFailed, interrupted_by_sigterm, on_cores
from benchmarks.report import FULL, QUICK, Measure, Note, Row, Sizes, UnexpectedAnswer, table
from benchmarks.small_batches import measure_small_batches
from benchmarks.trading import measure_trading


class Benchmark(NamedTuple):
    """A benchmark with the title that a run prints."""

    title: str
    measure: Measure


BENCHMARKS = {
    "held": Benchmark("held answers over HTTP, against FastAPI and nginx", measure_held),
    "market_data": Benchmark("pages that are not held, and pages far into a walk", measure_market_data),
    "mixed": Benchmark("readers and feeds at once", measure_mixed),
    "ingest": Benchmark("ingest by one feed", measure_one_feed),
    "feeds": Benchmark("ingest by four feeds", measure_several_feeds),
    "small_batches": Benchmark("small batches of many symbols", measure_small_batches),
    "import": Benchmark("import of a CSV file", measure_import),
    "exports": Benchmark("an export of ten million trades to Parquet, against pyarrow", measure_exports),
    "live": Benchmark("the live feed, against bare websockets", measure_live),
    "quiet": Benchmark("1,000 quiet connections of the live feed", measure_quiet),
    "feed": Benchmark("a feed of 50 symbols from an exchange", measure_feed),
    "trading": Benchmark("previews, executes, fills and stops", measure_trading),
    "cold": Benchmark("bars of a day by a new process, against pandas, DuckDB and polars", measure_cold),
    "in_process": Benchmark("reads in process", measure_in_process),
    "backtests": Benchmark("crossovers, against backtesting.py and nautilus_trader", measure_backtests),
    "gaps": Benchmark("gaps of ten years of minutes, against pandas", measure_gaps),
}


def main(arguments: list[str]) -> int:
    """Run the chosen benchmarks, by default all; return 1 if one of them failed, 2 if PEERS has no peers, else 0.

    The table goes to the standard output, everything else to the standard error.
    """
    options = _parser().parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    if options.live_seconds:
        sizes = replace(sizes, live_seconds=options.live_seconds)
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
        failed = _run_all(options.only or list(BENCHMARKS), sizes, rows)
    print(f"{described()}\n\n{table(rows)}")
    return int(failed)


def _run_all(names: Sequence[str], sizes: Sizes, rows: list[Row]) -> bool:
    """Add the rows of each benchmark; return whether one failed."""
    failed = False
    for name in names:
        title, measure = BENCHMARKS[name]
        print(f"Measuring {title}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            for row in measure(sizes):
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
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
        "--only", choices=BENCHMARKS, action="append", help="one benchmark; repeatable", metavar="NAME"
    )
    parser.add_argument(
        "--live-seconds", type=int, help="how long the live feed is loaded in a round", metavar="N"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
