"""One file read by pyarrow, or imported, in a process of its own on all cores.

Run as `python -m benchmarks.import_rates HOW FILE CORE…`, in DATA_DIR: prints rows, seconds and the peak of
resident bytes as JSON. HOW: stream, table, import.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as pacsv


def by_stream(file: Path) -> int:
    """Rows that pyarrow's streaming reader reads."""
    return sum(batch.num_rows for batch in pacsv.open_csv(file))


def by_table(file: Path) -> int:
    """Rows that pyarrow reads at once, into memory."""
    return int(pacsv.read_csv(file).num_rows)


def by_import(file: Path) -> int:
    """Rows that were stored. Raises `SystemExit` unless all were."""
    from django.conf import settings  # noqa: PLC0415 only after the set-up, and not for pyarrow

    from store.datasets import TRADES  # noqa: PLC0415
    from trades.imports.reading import Reading  # noqa: PLC0415
    from trades.imports.services import csv_import  # noqa: PLC0415

    done = csv_import(path=file, reading=Reading(TRADES), notes=settings.DATA_DIR / "imports")
    if done.stored != done.rows:
        sys.exit(f"{done.rows - done.stored} rows were not stored")
    return done.rows


def main(how: str, file: str, cores: list[str]) -> None:
    """Measure one way."""
    if cores:
        os.sched_setaffinity(0, map(int, cores))
    ways: dict[str, Callable[[Path], int]] = {"stream": by_stream, "table": by_table, "import": by_import}
    if how == "import":
        import django  # noqa: PLC0415

        django.setup()
    started = time.perf_counter()
    rows = ways[how](Path(file))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
