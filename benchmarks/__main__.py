"""`python -m benchmarks [--quick] [--only NAME]` measures ratios in one run and prints them as a table.

The environment variable PEERS names the folder of the plain peer, a simple server to compare with. Without PEERS, or
without .venv-bench, the ratios against the peers are left out.
"""

import argparse
import sys
from dataclasses import replace

from benchmarks.access import measure_access
from benchmarks.cached import measure_cached
from benchmarks.cold import measure_cold
from benchmarks.formats import measure_formats
from benchmarks.greeks import measure_greeks
from benchmarks.import_csv import measure_import
from benchmarks.in_process import measure_in_process
from benchmarks.ingest import measure_one_feed, measure_several_feeds
from benchmarks.long_stream import measure_long_stream
from benchmarks.many_symbols import measure_many_symbols
from benchmarks.market_data import measure_market_data
from benchmarks.processes import LOAD_CORE, StartFailed, pinned
from benchmarks.report import FULL, QUICK, Measure, Note, Row, table
from benchmarks.servers import UnexpectedAnswer
from benchmarks.windows import measure_windows

BENCHMARKS: dict[str, tuple[str, Measure]] = {
    "ingest": ("ingest by one feed", measure_one_feed),
    "feeds": ("ingest by four feeds", measure_several_feeds),
    "cached": ("cached bars over HTTP", measure_cached),
    "access": ("authentication, limits and audit of one request", measure_access),
    "in_process": ("reads in process", measure_in_process),
    "import": ("import of a CSV file", measure_import),
    "cold": ("bars of a day by a new process, against pandas, DuckDB and polars", measure_cold),
    "windows": ("a window of a long history", measure_windows),
    "many_symbols": ("a store of many symbols", measure_many_symbols),
    "formats": ("answers in every format: size and time", measure_formats),
    "market_data": ("pages of the market-data tree: computed, cached, far into a walk", measure_market_data),
    "long_stream": ("ten million trades in one answer", measure_long_stream),
    "greeks": ("implied volatility and greeks of 10,000 quotes", measure_greeks),
}


def main(arguments: list[str]) -> int:
    """Run the chosen benchmarks, by default all; return 1 if one of them failed, else 0."""
    options = _parser().parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    if options.import_rows:
        sizes = replace(sizes, import_rows=options.import_rows)
    rows: list[Row] = []
    failed = False
    if LOAD_CORE is None:
        rows.append(Note("Servers and load shared a core."))
    with pinned(LOAD_CORE):
        for name in options.only or BENCHMARKS:
            title, measure = BENCHMARKS[name]
            print(f"Measuring {title}", flush=True)
            try:
                for row in measure(sizes):
                    print(row, flush=True)
                    rows.append(row)
            except (StartFailed, UnexpectedAnswer, OSError) as error:
                rows.append(Note(f"FAILED: {title}: {type(error).__name__}: {error}"))
                failed = True
    print(f"\n{table(rows)}")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Ratios measured in one run.",
        epilog="\n".join(
            ["benchmarks:", *(f"  {name:14}{title}" for name, (title, _) in BENCHMARKS.items())]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small counts: show that it works, not how fast")
    parser.add_argument(
        "--only", choices=BENCHMARKS, action="append", help="one benchmark; repeatable", metavar="NAME"
    )
    parser.add_argument("--import-rows", type=int, help="of the file that is imported (default 2,000,000)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
