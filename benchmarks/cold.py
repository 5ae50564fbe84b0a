"""One-minute bars of one day out of a year of trades, made by new processes.

The store and its peers read the same trades. The store has derived files. pandas reads one CSV file with all of the
store's rows. DuckDB and polars read one Parquet file, in order of time, in row groups of 122,880 rows. All of these
files are in the system's file cache.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.generated_trades import SYMBOL, Stream, stored
from benchmarks.peers import PEER_VENV
from benchmarks.processes import BASE_DIR, CORES, on_cores
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store.datasets import TRADES
from store.timestamps import DAY_NS, SECOND_NS

Environment = Mapping[str, str]

_STREAM = Stream(a_minute=20)
_ROWS_A_DAY = 20 * 24 * 60
_ROW_GROUP = 122_880
_PANDAS_ROUNDS = 1  # one round of pandas takes as long as all other programs together
_OF_PARQUET = ("duckdb", "polars")
_MODULES = {
    "store": "store.reading",
    "pandas": "pandas",
    "duckdb": "duckdb",
    "polars": "polars",
}
_NAMES = {
    "pandas": "pandas' read_csv and resample",
    "duckdb": "DuckDB over Parquet",
    "polars": "polars over Parquet",
}


_WHATS = {"process": "cold process", "answer": "without imports"}


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds of the process and of the answer without imports. total: the sum of the bars' volumes and closes."""

    process: float
    answer: float
    bars: int
    total: float


def measure_cold(sizes: Sizes) -> Iterator[Row]:
    """Yield the store's time against each peer's: of the whole process, and of the answer without imports."""
    pythons = {"store": sys.executable, "pandas": sys.executable}
    if (PEER_VENV / ".installed").exists():
        pythons |= dict.fromkeys(_OF_PARQUET, str(PEER_VENV / "bin" / "python"))
    else:
        yield Note("Left out: DuckDB and polars: requirements-bench.txt is not installed in .venv-bench.")
    runs: dict[str, list[_Run]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on_cores(CORES):
        paths = _written(Path(folder), sizes.trades)
        # All programs find their bytecode compiled, as installed programs do.
        environment = {
            **os.environ,
            "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
            "PYTHONDONTWRITEBYTECODE": "",
        }
        run = partial(_run, paths=paths, environment=environment)
        for name, python in pythons.items():
            _output([python, "-c", f"import benchmarks.cold_peers, {_MODULES[name]}"], environment)
        for turn in range(sizes.rounds):
            day = sizes.trades // _ROWS_A_DAY * (turn + 1) // (sizes.rounds + 1)
            for name, python in pythons.items():
                if name != "pandas" or turn < _PANDAS_ROUNDS:
                    runs[name].append(run(python, name, day))
                    _check(name, runs[name][-1], runs["store"][-1])
    yield from _add(sizes, runs)


def _add(sizes: Sizes, runs: Mapping[str, list[_Run]]) -> Iterator[Row]:
    for name, label in _NAMES.items():
        for what in _WHATS if name in runs else ():
            ours, theirs = (
                median(getattr(run, what) for run in runs[program]) for program in ("store", name)
            )
            yield Ratio(
                f"bars of a day of {sizes.trades / 1e6:g} million trades, {_WHATS[what]}, against {label}",
                here=ours * 1e3,
                beside=theirs * 1e3,
                unit="ms",
                goal=Goal(most=0.05) if name == "pandas" else None,
                rival=True,
            )


def _run(python: str, name: str, day: int, *, paths: Mapping[str, Path], environment: Environment) -> _Run:
    start = _STREAM.start_ns + day * DAY_NS
    bounds = [str(bound // SECOND_NS) for bound in (start, start + DAY_NS)]
    began = time.perf_counter()
    output = _output([python, "-m", "benchmarks.cold_peers", name, str(paths[name]), *bounds], environment)
    return _Run(time.perf_counter() - began, *json.loads(output))


def _output(command: Sequence[str], environment: Environment) -> bytes:
    process = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, check=False)
    if process.returncode:
        raise UnexpectedAnswer(f"{command}: {process.stderr.decode()[-500:]}")
    return process.stdout


def _check(name: str, run: _Run, expected: _Run) -> None:
    if run.bars != expected.bars or not math.isclose(run.total, expected.total):
        raise UnexpectedAnswer(f"{name} has {run.bars} bars of {run.total}, the store {expected}")


def _written(folder: Path, rows: int) -> dict[str, Path]:
    """Write the input of each program; return the paths by program."""
    paths = {"store": folder / "store", "pandas": folder / "trades.csv"}
    paths |= dict.fromkeys(_OF_PARQUET, folder / "trades.parquet")
    stored(paths["store"], _STREAM, rows)
    with paths["pandas"].open("wb") as target:
        for number, part in enumerate(sorted((paths["store"] / TRADES.name / SYMBOL).glob("*.csv"))):
            with part.open("rb") as file:
                header = file.readline()
                target.write(header if number == 0 else b"")
                shutil.copyfileobj(file, target, 2**20)
    _write_parquet(paths["duckdb"], rows)
    return paths


def _write_parquet(path: Path, rows: int) -> None:
    fields = [("timestamp", pa.timestamp("us")), ("price", pa.float64()), ("volume", pa.float64())]
    batches = [
        batch.select([name for name, _ in fields])
        .set_column(0, "timestamp", pc.divide(batch.column("timestamp"), 1000).cast(pa.timestamp("us")))
        for batch in _STREAM.batches(rows)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_batches(batches), path, row_group_size=_ROW_GROUP)
