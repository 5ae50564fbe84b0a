"""`python -m benchmarks [--quick] [--only NAME]`: measures, and prints a table of ratios.

NAME is one of `SUBJECTS`; `--help` says what each of them measures. The folder of the plain peer is in the
environment variable PEERS; without it, or without the packages of requirements-bench.txt in .venv-bench, the
ratios that need them are left out.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.access import measure_access
from benchmarks.cached import measure_cached
from benchmarks.cold import measure_cold
from benchmarks.commit_index import measure_commit_index
from benchmarks.derived import measure_derived
from benchmarks.formats import measure_formats
from benchmarks.greeks import measure_greeks
from benchmarks.groups import measure_in_store, measure_over_http
from benchmarks.import_csv import measure_import
from benchmarks.in_process import measure_in_process
from benchmarks.ingest import measure_one_feed, measure_several_feeds
from benchmarks.ingest_formats import measure_ingest_formats
from benchmarks.late_rows import measure_late_rows
from benchmarks.long_stream import measure_long_stream
from benchmarks.many_symbols import measure_many_symbols
from benchmarks.market_data import measure_market_data
from benchmarks.pinning import LOAD_CORE, is_possible, pinned
from benchmarks.posting import UnexpectedAnswer
from benchmarks.processes import StartFailed
from benchmarks.report import Report
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.strict_calls import measure_strict_calls
from benchmarks.windows import measure_windows

Measure = Callable[[Report, Sizes], None]


def _peers() -> Path | None:
    folder = os.environ.get("PEERS", "")
    return Path(folder).resolve() if folder else None


# What each subject is, and how it is measured.
SUBJECTS: dict[str, tuple[str, Measure]] = {
    "ingest": ("ingest by one feed", partial(measure_one_feed, peers=_peers())),
    "feeds": ("ingest by four feeds", measure_several_feeds),
    "groups": ("group commit over HTTP", measure_over_http),
    "threads": ("group commit in the store", measure_in_store),
    "cached": ("cached bars", partial(measure_cached, peers=_peers())),
    "access": ("authentication, throttle and audit of a request", measure_access),
    "strict": ("calls that are recorded before they are answered", measure_strict_calls),
    "in_process": ("reads in process", measure_in_process),
    "index": ("the commit index", measure_commit_index),
    "late": ("late rows: whether they are stored", measure_late_rows),
    "import": ("import of a file", measure_import),
    "cold": ("bars of a day from a cold process, against pandas, DuckDB and polars", measure_cold),
    "windows": ("a window out of a long history", measure_windows),
    "derived": ("derived data: ingest beside it, its space, building it", measure_derived),
    "many_symbols": ("a store of many symbols", measure_many_symbols),
    "ingest_formats": ("ingest in every format", measure_ingest_formats),
    "formats": ("answers in every format: sizes, times, streams", measure_formats),
    "market_data": ("the tree: pages made and kept, walks, streams", measure_market_data),
    "long_stream": ("ten million trades in one answer: memory, rows, the first one", measure_long_stream),
    "greeks": ("implied volatility and greeks, against a loop over QuantLib", measure_greeks),
}


def main(arguments: list[str]) -> int:
    """Measure all subjects, or some; returns 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    sizes, report = QUICK if options.quick else FULL, Report()
    if options.import_rows:
        sizes = replace(sizes, import_rows=options.import_rows)
    if not is_possible():
        report.notes.append("servers and load could not be kept on different cores")
    failed = False
    with pinned(LOAD_CORE):
        for name in options.only or SUBJECTS:
            subject, measure = SUBJECTS[name]
            print(f"Measuring {subject}", flush=True)
            try:
                measure(report, sizes)
            except (StartFailed, UnexpectedAnswer, OSError) as error:
                report.left_out.append(f"{subject}, all or the rest: {type(error).__name__}: {error}")
                failed = True
    print(f"\n{report}")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Ratios measured in one run.",
        epilog="\n".join(
            ["subjects:", *(f"  {name:14}{subject}" for name, (subject, _) in SUBJECTS.items())]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="small counts: shows that it works, not how fast"
    )
    parser.add_argument(
        "--only", choices=SUBJECTS, action="append", help="one subject; repeatable", metavar="NAME"
    )
    parser.add_argument("--import-rows", type=int, help="of the file that is imported (default 2,000,000)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
