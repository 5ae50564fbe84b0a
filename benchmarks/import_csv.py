"""The import of a file of trades, against pyarrow parsing the same file.

A plain script does only what no import can leave out: it parses the file, and writes, hashes and syncs its rows.
"""

import hashlib
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.generated_trades import CSV_HEADER, csv_text
from benchmarks.processes import CORES, run_python
from benchmarks.report import Goal, Ratio, Row, Sizes

_PIECE = 500_000


def measure_import(sizes: Sizes) -> Iterator[Row]:
    """Yield rows per second of imports into empty stores, and their peak memory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "BENCH.csv"
        _write(file, sizes.import_rows)
        seconds: dict[str, list[float]] = {"stream": [], "import": [], "script": []}
        peaks: dict[str, list[float]] = {method: [] for method in seconds}
        for turn in range(sizes.rounds):
            for method, per_round in seconds.items():
                result = _measured(method, file, Path(folder) / f"{method}-{turn}")
                per_round.append(result["seconds"])
                peaks[method].append(result["peak"])
    rates = {method: sizes.import_rows / median(per_round) for method, per_round in seconds.items()}
    yield Ratio(
        f"import of {sizes.import_rows:,} trades against pyarrow streaming the file",
        here=rates["import"],
        beside=rates["stream"],
        unit="rows/s",
        goal=Goal(least=0.6),
        rival=True,
    )
    yield Ratio(
        f"import of {sizes.import_rows:,} trades against the bare work in a plain script",
        here=rates["import"],
        beside=rates["script"],
        unit="rows/s",
    )
    peak = max(peaks["import"]) / 2**20
    yield Ratio(f"import of {sizes.import_rows:,} trades: peak memory", peak, None, "MiB")


def _measured(method: str, file: Path, data_dir: Path) -> dict[str, float]:
    data_dir.mkdir()
    settings = {
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    log = data_dir / "errors.log"
    cores = [str(core) for core in CORES]
    printed = run_python(
        "benchmarks.import_csv", method, str(file), *cores, environment={**os.environ, **settings}, log=log
    )
    result: dict[str, float] = json.loads(printed)
    return result


def _write(file: Path, rows: int) -> None:
    with file.open("wb") as target:
        target.write(CSV_HEADER)
        for first in range(0, rows, _PIECE):
            target.write(csv_text(np.arange(first, min(rows, first + _PIECE))))


def by_stream(file: Path) -> int:
    """Read the file by pyarrow's streaming reader; return the number of rows."""
    return sum(batch.num_rows for batch in pacsv.open_csv(file))


def by_script(file: Path) -> int:
    """Read the file, write its rows beside it, hash and sync them; return the number of rows."""
    digest, stored = hashlib.sha256(), 0
    with file.with_suffix(".bare").open("wb") as target:
        for batch in pacsv.open_csv(file):
            # Without a time zone: a column with one is written ten times as slowly.
            times = batch.column("timestamp").cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns"))
            text = io.BytesIO()
            table = pa.table(
                {**dict(zip(batch.schema.names, batch.columns, strict=True)), "timestamp": times}
            )
            pacsv.write_csv(table, text, pacsv.WriteOptions(include_header=False, quoting_style="none"))
            digest.update(text.getbuffer())
            target.write(text.getbuffer())
            stored += batch.num_rows
        target.flush()
        os.fdatasync(target.fileno())
    return stored


def by_import(file: Path) -> int:
    """Import the file; return the number of rows. Raises SystemExit unless all are stored."""
    from django.conf import settings  # noqa: PLC0415 only after the set-up, and not for pyarrow

    from store.datasets import TRADES  # noqa: PLC0415
    from trades.imports.formats import opened_file  # noqa: PLC0415
    from trades.imports.layout import ReadOptions  # noqa: PLC0415
    from trades.imports.services import file_import  # noqa: PLC0415

    opened, spool = opened_file(file), settings.DATA_DIR / "sorted"
    imported = file_import(file=opened, options=ReadOptions(TRADES), spool=spool).counts
    if imported.stored != imported.rows:
        sys.exit(f"{imported.rows - imported.stored} rows were not stored")
    return imported.rows


def main(method: str, file: str, cores: list[str]) -> None:
    """Run one method on `cores`; print the rows, the seconds and the peak memory in bytes as JSON."""
    if cores:
        os.sched_setaffinity(0, map(int, cores))
    methods: dict[str, Callable[[Path], int]] = {
        "stream": by_stream,
        "script": by_script,
        "import": by_import,
    }
    if method not in {"stream", "script"}:
        import django  # noqa: PLC0415

        django.setup()
        # Their imports do not count, as those of pyarrow.
        import trades.imports.services  # noqa: F401, PLC0415
        from trades.stores import market_store  # noqa: PLC0415

        market_store()
    started = time.perf_counter()
    rows = methods[method](Path(file))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
