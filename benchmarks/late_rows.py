"""Late rows: what it costs to tell that they are stored, by how many rows are stored."""

import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.posting import UnexpectedAnswer
from benchmarks.report import Report
from benchmarks.sizes import Sizes
from benchmarks.stream import FIRST_DAY_NS, Unsynced
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.timestamps import DAY_NS

_DATES = 60
_FEW_ROWS = 100_000
_BATCH_ROWS = 100
_BATCHES = 20
_NS_BETWEEN_ROWS = 1_000_000


def measure_late_rows(report: Report, sizes: Sizes) -> None:
    """Batches of 100 rows over 60 dates, by one process, in files that are not synced."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        many, first = _measured(Path(folder) / "many", sizes.large_rows, sizes.rounds)
        few, _ = _measured(Path(folder) / "few", _FEW_ROWS, sizes.rounds)
    label = (
        f"{_BATCH_ROWS} late rows over {_DATES} dates, {sizes.large_rows:,} rows stored against {_FEW_ROWS:,}"
    )
    for dedupe, what, wanted in (
        (Dedupe.ROWS, "the batch", "at most 1.3"),
        (None, "the look-up (less dedupe=none)", "at most 2; below 15 ms"),
    ):
        report.add(f"{label}: {what}", here=many[dedupe], peer=few[dedupe], unit="ms", wanted=wanted)
    report.notes.append(
        f"the first late rows of {_DATES} dates, whose hashes were in no file: {first:,.0f} ms"
    )


def _measured(folder: Path, rows: int, rounds: int) -> tuple[dict[Dedupe | None, float], float]:
    """Milliseconds of a batch in either mode, and by how much they differ (None); those of the first batch."""
    _fill(folder, rows)
    store, numbers, seconds = CsvStore(folder, disk=Unsynced()), count(), dict[Dedupe, float]()
    first = _seconds(store, next(numbers), Dedupe.ROWS)
    for dedupe in (Dedupe.NONE, Dedupe.ROWS):
        times = [_seconds(store, next(numbers), dedupe) for _ in range(rounds * _BATCHES)]
        seconds[dedupe] = median(times)
    lookup = seconds[Dedupe.ROWS] - seconds[Dedupe.NONE]
    milliseconds: dict[Dedupe | None, float] = {dedupe: each * 1e3 for dedupe, each in seconds.items()}
    return milliseconds | {None: lookup * 1e3}, first * 1e3


def _fill(folder: Path, rows: int) -> None:
    """Each date's rows by a batch of their own, in order of time."""
    store, a_date = CsvStore(folder, disk=Unsynced()), rows // _DATES
    for date in range(_DATES):
        times = FIRST_DAY_NS + date * DAY_NS + np.arange(a_date) * _NS_BETWEEN_ROWS
        store.append(_append(times, Dedupe.NONE))


def _seconds(store: CsvStore, number: int, dedupe: Dedupe) -> float:
    """Seconds that a batch takes of which no row is stored, and every one could be."""
    dates = np.arange(_BATCH_ROWS) % _DATES
    within = (np.arange(_BATCH_ROWS) + number) * _NS_BETWEEN_ROWS + 1 + number
    batch = _append(FIRST_DAY_NS + dates * DAY_NS + within, dedupe)
    started = time.perf_counter()
    receipt = store.append(batch)
    seconds = time.perf_counter() - started
    if receipt.stored != _BATCH_ROWS:
        raise UnexpectedAnswer(f"{receipt.duplicates} of {_BATCH_ROWS} new rows are said to be stored")
    return seconds


def _append(times: npt.NDArray[np.int64], dedupe: Dedupe) -> Append:
    given = {"timestamp": times, "price": 100 + times % 97 / 100, "volume": 1.0 + times % 89}
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(len(times), field.type)
        for field in TRADES.schema
    ]
    return Append(TRADES, "LATE", pa.RecordBatch.from_arrays(columns, schema=TRADES.schema), "bench", dedupe)
