"""A file of trades imported, against pyarrow reading the same file: durable rows against parsed ones."""

import json
import os
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.pinning import CORES
from benchmarks.processes import run_python
from benchmarks.report import Report
from benchmarks.sizes import Sizes
from benchmarks.tape import CSV_HEADER, csv_text

_PIECE = 500_000
_WANTED = "at least 0.5"


def measure_import(report: Report, sizes: Sizes) -> None:
    """Rows a second of an import into an empty store, and of pyarrow's two readers; peak memory as a note."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "BENCH.csv"
        _write(file, sizes.import_rows)
        seconds: dict[str, list[float]] = {"stream": [], "table": [], "import": []}
        peaks: list[int] = []
        for turn in range(sizes.rounds):
            for how, taken in seconds.items():
                found = _measured(how, file, Path(folder) / f"{how}-{turn}")
                taken.append(found["seconds"])
                peaks += [found["peak"]] if how == "import" else []
    rates = {how: sizes.import_rows / median(taken) for how, taken in seconds.items()}
    for name, how in (("streaming", "stream"), ("reading it into memory", "table")):
        report.add(
            f"import of {sizes.import_rows:,} trades against pyarrow {name}",
            here=rates["import"],
            peer=rates[how],
            unit="rows/s",
            wanted=_WANTED,
        )
    report.notes.append(f"the import had at most {max(peaks) / 2**20:.0f} MiB in memory")


def _measured(how: str, file: Path, data_dir: Path) -> dict[str, float]:
    data_dir.mkdir()
    settings = {
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    log = data_dir / "errors.log"
    cores = [str(core) for core in CORES]
    printed = run_python(
        "benchmarks.import_rates", how, str(file), *cores, environment={**os.environ, **settings}, log=log
    )
    found: dict[str, float] = json.loads(printed)
    return found


def _write(file: Path, rows: int) -> None:
    with file.open("wb") as target:
        target.write(CSV_HEADER)
        for first in range(0, rows, _PIECE):
            target.write(csv_text(np.arange(first, min(rows, first + _PIECE))))
