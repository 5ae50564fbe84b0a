"""Reads in process, against slices of memory-mapped arrays, one `stat` of a file, and pandas."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.report import Goal, Ratio, Row, Sizes
from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.reading import Reader
from store.timestamps import DAY_NS, SECOND_NS

_FIRST_DAY_NS = 1_736_121_600 * SECOND_NS  # a Monday
_MINUTE_NS = 60 * SECOND_NS
_DAYS = 5
_BARS = 1000
_COLUMNS = ("time_ns", "open", "high", "low", "close", "volume", "trade_count", "notional")
_PRINTS_A_MINUTE = 10
_ROUNDS = 9
_ROUND_SECONDS = 0.05
_CALLS_TIMED = 50

Column = npt.NDArray[Any]


def measure_in_process(sizes: Sizes) -> Iterator[Row]:
    """Yield the times of repeated calls of `bars` and `latest`, with current derived files."""
    with _universe(sizes.symbols) as folder:
        reader = open_store(folder)
        symbol = reader.symbols()[0]
        yield from _measure_bars(reader, symbol, folder)
        file = str(folder / TRADES.name / symbol / "commits.jsonl")
        here, peer = _microseconds(lambda: reader.latest(symbol), lambda: os.stat(file))  # noqa: PTH116
        yield Ratio(
            "latest(), against one stat of its log",
            here=here,
            beside=peer,
            unit="µs",
            goal=Goal(most=5, unit="µs"),
        )


def _measure_bars(reader: Reader, symbol: str, folder: Path) -> Iterator[Row]:
    bars = reader.bars(symbol)
    first = len(bars) // 2 - _BARS // 2
    start, end = int(bars.time_ns[first]), int(bars.time_ns[first + _BARS])
    maps = [_mapped(folder / f"{name}.npy", getattr(bars, name)) for name in _COLUMNS]
    assert len(reader.bars(symbol, start, end)) == len(_sliced(maps, start, end)[0]) == _BARS
    for name, columns in (("maps", maps), ("maps as plain arrays", [np.asarray(column) for column in maps])):
        here, peer = _microseconds(
            lambda: reader.bars(symbol, start, end), lambda columns=columns: _sliced(columns, start, end)
        )
        yield Ratio(
            f"bars() of {_BARS} minutes, against slices of {name}", here=here, beside=peer, unit="µs", goal=Goal(most=3)
        )  # fmt: skip


def _microseconds(here: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Return the microseconds of a call of `here` and of `peer`: the medians of alternating rounds."""
    per_call: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for work, seconds in zip((here, peer), per_call, strict=True):
            began, calls, spent = time.perf_counter(), 0, 0.0
            while spent < _ROUND_SECONDS:
                for _ in range(_CALLS_TIMED):
                    work()
                calls, spent = calls + _CALLS_TIMED, time.perf_counter() - began
            seconds.append(spent / calls)
    return median(per_call[0]) * 1e6, median(per_call[1]) * 1e6


def _mapped(path: Path, column: Column) -> Column:
    np.save(path, column)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _sliced(columns: list[Column], start: int, end: int) -> list[Column]:
    first, last = np.searchsorted(columns[0], (start, end))
    return [column[first:last] for column in columns]


@contextmanager
def _universe(symbols: int) -> Iterator[Path]:
    """Yield the folder of a store with derived files. Each symbol trades in all regular minutes of five days."""
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = CsvStore(folder)
        for number in range(symbols):
            symbol = f"S{number:04}"
            store.append(Append(TRADES, symbol, _trades(rng), "bench", Dedupe.NONE))
            store.derive(TRADES, symbol)
        yield Path(folder)


def _trades(rng: np.random.Generator) -> pa.RecordBatch:
    minutes = (np.arange(_DAYS)[:, None] * DAY_NS + np.arange(870, 1260) * _MINUTE_NS).ravel()
    time_ns = _FIRST_DAY_NS + (minutes[:, None] + np.arange(_PRINTS_A_MINUTE) * 5 * SECOND_NS).ravel()
    values = {
        "timestamp": time_ns,
        "price": 100 + np.cumsum(rng.integers(-5, 6, len(time_ns))) / 100,
        "volume": rng.integers(1, 500, len(time_ns)).astype(np.float64),
    }
    columns = [
        pa.array(values[f.name]) if f.name in values else pa.nulls(len(time_ns), f.type)
        for f in TRADES.schema
    ]
    return pa.record_batch(columns, schema=TRADES.schema)
