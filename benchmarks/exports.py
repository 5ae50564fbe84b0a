"""An export of trades to Parquet, against pyarrow writing the same columns from memory.

Memory is the process's own: the kernel takes pages of mapped files back when it needs them.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.generated_trades import SYMBOL, Stream, stored
from benchmarks.processes import CORES, memory_of_process, run_python
from benchmarks.report import Goal, Ratio, Row, Sizes

_STREAM = Stream(a_minute=1_000, with_ids=True)


def measure_exports(sizes: Sizes) -> Iterator[Row]:
    """Yield rows per second of exports, against pyarrow, and the peak memory of the process that exports."""
    count = sizes.trades // _STREAM.a_minute * _STREAM.a_minute
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stored(Path(folder), _STREAM, count)
        seconds: dict[str, list[float]] = {"export": [], "pyarrow": []}
        peaks: list[int] = []
        for turn in range(sizes.rounds):
            for method, per_round in seconds.items():
                result = _measured(method, Path(folder), turn)
                per_round.append(result["seconds"])
                peaks += [int(result["peak"])] if method == "export" else []
    what = f"export of {count:,} trades to Parquet"
    rates = {method: count / median(per_round) for method, per_round in seconds.items()}
    yield Ratio(
        f"{what} against pyarrow writing the same columns from memory",
        here=rates["export"],
        beside=rates["pyarrow"],
        unit="rows/s",
        goal=Goal(least=0.5),
        rival=True,
    )
    yield Ratio(f"{what}: peak memory", max(peaks) / 2**20, None, "MiB", Goal(most=300, unit="MiB"))


def _measured(method: str, data_dir: Path, turn: int) -> dict[str, float]:
    settings = {
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    out, cores = data_dir / "exports" / str(turn), [str(core) for core in CORES]
    printed = run_python(
        "benchmarks.exports",
        method,
        str(out),
        *cores,
        environment={**os.environ, **settings},
        log=data_dir / "log",
    )
    result: dict[str, float] = json.loads(printed)
    return result


def by_export(out: Path) -> tuple[float, int]:
    """Export all rows; return the seconds and the peak memory in bytes."""
    import django  # noqa: PLC0415 only this method needs it

    django.setup()
    from jobs.exports.query import ExportQuery, export_parameters  # noqa: PLC0415
    from jobs.exports.writing import ExportWriter  # noqa: PLC0415

    peak = 0

    def report(*_: int) -> None:
        nonlocal peak
        peak = max(peak, memory_of_process("RssAnon"))

    began = time.perf_counter()
    document = {"dataset": "trades", "class": "equities", "symbols": [SYMBOL], "format": "parquet"}
    query = ExportQuery.of(export_parameters(document, now_ns=time.time_ns()))
    ExportWriter(query, out=out, work=out.with_name(f"{out.name}-work"), report=report).write()
    return time.perf_counter() - began, peak


def by_pyarrow(out: Path) -> tuple[float, int]:
    """Write the columns of an export from memory; return the seconds, and 0."""
    import pyarrow.parquet as pq  # noqa: PLC0415 an export chooses Arrow's allocator before

    paths = sorted((out / "trades").rglob("*.parquet"))
    tables = [pq.ParquetFile(path).read() for path in paths]
    began = time.perf_counter()
    for number, table in enumerate(tables):
        pq.write_table(table, out / f"{number}.parquet", compression="zstd", row_group_size=1 << 17)
    return time.perf_counter() - began, 0


def main(method: str, out: str, cores: list[str]) -> None:
    """Run one method on `cores`; print its seconds and the peak memory in bytes as JSON."""
    if cores:
        os.sched_setaffinity(0, map(int, cores))
    seconds, peak = (by_export if method == "export" else by_pyarrow)(Path(out))
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
