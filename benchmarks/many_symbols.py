"""A store of many symbols and dates with derived files: opening it, reading one symbol, reading all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from benchmarks.generated_trades import FIRST_DAY_NS, MINUTE_NS, Unsynced
from benchmarks.processes import BASE_DIR, memory_of_process
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.reading import Reader as _  # noqa: F401 imported before anything is timed
from store.timestamps import DAY_NS

_ROWS_A_DATE = 20
_MIB = 2**20


def measure_many_symbols(sizes: Sizes) -> Iterator[Row]:
    """Yield the costs against those of a store of one symbol. The two alternate, each in a new process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        wide, single = Path(folder) / "wide", Path(folder) / "single"
        for store, symbols in ((single, 1), (wide, sizes.logs)):
            _write(store, symbols, sizes.dates)
        pairs = [(_cost(wide, sizes.dates), _cost(single, sizes.dates)) for _ in range(sizes.rounds)]
    many, one = (
        {name: median(cost[name] for cost in costs) for name in costs[0]}
        for costs in zip(*pairs, strict=True)
    )
    label = f"a store of {sizes.logs:,} symbols x {sizes.dates} dates, against one symbol: "
    for name, what, goal in (
        ("opening", "opening", Goal(most=50, unit="ms")),
        ("listing", "listing the symbols", None),
        ("first", "first read of one", Goal(most=5, unit="ms")),
        ("others", "first reads of the others, median", Goal(most=5, unit="ms")),
    ):
        yield Ratio(label + what, many[name] * 1e3, one[name] * 1e3, "ms", goal)
    for measure, what in (("VmRSS", "resident, mapped files and all"), ("RssAnon", "its own memory")):
        yield Ratio(
            f"{label}{what}, once every symbol is read",
            here=many[measure] / _MIB,
            beside=one[measure] / _MIB,
            unit="MiB",
        )
    yield Note(
        f"With {sizes.logs:,} symbols read, {many['handles']:.0f} handles are open ({one['handles']:.0f} with one),"
        f" {many['maps']:.0f} derived files are mapped."
    )


def _cost(store: Path, dates: int) -> dict[str, float]:
    start = FIRST_DAY_NS + dates // 2 * DAY_NS
    command = [sys.executable, "-m", "benchmarks.many_symbols", str(store), str(start), str(start + DAY_NS)]
    process = subprocess.run(command, cwd=BASE_DIR, capture_output=True, check=False)
    if process.returncode:
        raise UnexpectedAnswer(process.stderr.decode()[-500:])
    cost: Mapping[str, float] = json.loads(process.stdout)
    if not cost["bars"]:
        raise UnexpectedAnswer("there are no bars")
    return dict(cost)


def _write(folder: Path, symbols: int, dates: int) -> None:
    """Store one symbol. The other symbols get hard links to its CSV files and copies of its other files."""
    store = CsvStore(folder, disk=Unsynced())
    store.append(Append(TRADES, "S0000", _rows(dates), "bench", Dedupe.NONE))
    store.derive(TRADES, "S0000", rebuild=True)
    first = folder / TRADES.name / "S0000"
    for number in range(1, symbols):
        shutil.copytree(first, first.with_name(f"S{number:04}"), copy_function=_linked_or_copied)


def _linked_or_copied(source: str, target: str) -> None:
    if source.endswith(".csv"):
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def _rows(dates: int) -> pa.RecordBatch:
    days, minutes = np.divmod(np.arange(dates * _ROWS_A_DATE), _ROWS_A_DATE)
    values = {
        "timestamp": FIRST_DAY_NS + days * DAY_NS + (14 * 60 + minutes) * MINUTE_NS,
        "price": 100 + minutes / 100,
        "volume": minutes + 1.0,
    }
    columns = [
        pa.array(values[f.name]) if f.name in values else pa.nulls(len(days), f.type) for f in TRADES.schema
    ]
    return pa.record_batch(columns, schema=TRADES.schema)


_MEASURES = ("VmRSS", "RssAnon")


def main(store: str, start: int, end: int) -> None:
    """Open the store, read the middle symbol, then all others. Print the seconds, bytes and counts as JSON."""
    before = {measure: memory_of_process(measure) for measure in _MEASURES}
    began = time.perf_counter()
    reader = open_store(store)
    opened = time.perf_counter()
    symbols = reader.symbols()
    listed = time.perf_counter()
    seconds, bars = [], 0
    for symbol in sorted(symbols, key=lambda name: name != symbols[len(symbols) // 2]):
        started = time.perf_counter()
        bars += len(reader.bars(symbol, start, end))
        seconds.append(time.perf_counter() - started)
    cost = {
        "opening": opened - began,
        "listing": listed - opened,
        "first": seconds[0],
        "others": float(np.median(seconds[1:])) if seconds[1:] else seconds[0],
        **{measure: memory_of_process(measure) - before[measure] for measure in _MEASURES},
        "handles": len(list(Path("/proc/self/fd").iterdir())) - 1,
        "maps": Path("/proc/self/maps").read_text().count(f" {store}/"),
        "bars": bars,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
