"""`python -m benchmarks [--quick] [--only NAME]`: measures, and prints a table of ratios.

NAME is one of `SUBJECTS`; `--help` says what each of them measures. The folder of the plain peer is in the environment
variable PEERS; without it, or without the packages of requirements-bench.txt in .venv-bench, the ratios that need them are
left out.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.cached import measure_cached
from benchmarks.cold import measure_cold
from benchmarks.commit_index import measure_commit_index
from benchmarks.derived import measure_derived
from benchmarks.formats import measure_formats
from benchmarks.groups import measure_in_store, measure_over_http
from benchmarks.import_csv import measure_import
from benchmarks.in_process import measure_in_process
from benchmarks.ingest import measure_one_feed, measure_several_feeds
from benchmarks.many_symbols import measure_many_symbols
from benchmarks.pinning import LOAD_CORE, is_possible, pinned
from benchmarks.posting import UnexpectedAnswer
from benchmarks.processes import StartFailed
from benchmarks.report import Report
from benchmarks.sizes import FULL, QUICK
from benchmarks.windows import measure_windows

SUBJECTS: dict[str, str] = {
    "ingest": "ingest by one feed",
    "feeds": "ingest by four feeds",
    "groups": "group commit over HTTP",
    "threads": "group commit in the store",
    "cached": "cached bars",
    "in_process": "reads in process",
    "index": "the commit index",
    "import": "import of a file",
    "cold": "bars of a day from a cold process, against pandas, DuckDB and polars",
    "windows": "a window out of a long history",
    "derived": "derived data: ingest beside it, its space, building it",
    "many_symbols": "a store of many symbols",
    "formats": "ingest in every format",
}


def main(arguments: list[str]) -> int:
    """Measure all subjects, or one; returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Ratios measured in one run.",
        epilog="\n".join(["subjects:", *(f"  {name:14}{subject}" for name, subject in SUBJECTS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="small counts: shows that it works, not how fast"
    )
    parser.add_argument(
        "--only", choices=SUBJECTS, action="append", help="one subject; repeatable", metavar="NAME"
    )
    parser.add_argument("--import-rows", type=int, help="of the file that is imported (default 2,000,000)")
    options = parser.parse_args(arguments)
    sizes, peers, report = QUICK if options.quick else FULL, _peers(), Report()
    if options.import_rows:
        sizes = replace(sizes, import_rows=options.import_rows)
    if not is_possible():
        report.notes.append("servers and load could not be kept on different cores")
    measures: dict[str, Callable[[], None]] = {
        "ingest": partial(measure_one_feed, report, sizes, peers),
        "feeds": partial(measure_several_feeds, report, sizes),
        "groups": partial(measure_over_http, report, sizes),
        "threads": partial(measure_in_store, report, sizes),
        "cached": partial(measure_cached, report, sizes, peers),
        "in_process": partial(measure_in_process, report, sizes),
        "index": partial(measure_commit_index, report, sizes),
        "import": partial(measure_import, report, sizes),
        "cold": partial(measure_cold, report, sizes),
        "windows": partial(measure_windows, report, sizes),
        "derived": partial(measure_derived, report, sizes),
        "many_symbols": partial(measure_many_symbols, report, sizes),
        "formats": partial(measure_formats, report, sizes),
    }
    failed = False
    with pinned(LOAD_CORE):
        for name in options.only or measures:
            print(f"Measuring {SUBJECTS[name]}", flush=True)
            try:
                measures[name]()
            except (StartFailed, UnexpectedAnswer, OSError) as error:
                report.left_out.append(f"{SUBJECTS[name]}, all or the rest: {type(error).__name__}: {error}")
                failed = True
    print(f"\n{report}")
    return int(failed)


def _peers() -> Path | None:
    folder = os.environ.get("PEERS", "")
    return Path(folder).resolve() if folder else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
