"""Costs that must not grow with what is stored: versions of a window, opening a log, late rows, reading a window."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.generated_trades import FIRST_DAY_NS, MINUTE_NS, SYMBOL, Stream, Unsynced, stored
from benchmarks.report import Note, Ratio, Row, Sizes
from benchmarks.servers import UnexpectedAnswer
from store import open_store
from store.bars.bars import Bars
from store.csv import CsvStore
from store.csv.files.commit_records import Commit, Part, block_checksums, encode_commit
from store.csv.files.disk import Disk
from store.csv.log.commit_log import COMMITS_FILE, CommitLog
from store.csv.log.index_files import DERIVED_FOLDER
from store.datasets import TRADES
from store.protocol import NO_COMMIT, Append, Dedupe, Window
from store.reading import Reader
from store.timestamps import DAY_NS, SECOND_NS

_DATES = 3_650
_FIRST_DATE = 16_000
_TEN_YEARS = Window(_FIRST_DATE * DAY_NS, (_FIRST_DATE + _DATES) * DAY_NS)
_SHORT_LOG = 1_000
_CALLS = 2_000
_ROW_BYTES = 60


def measure_commit_index(sizes: Sizes) -> Iterator[Row]:
    """One-row commits, spread evenly over ten years."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        long, short = Path(folder) / "long", Path(folder) / "short"
        for log, count in ((long, sizes.commits), (short, _SHORT_LOG)):
            _write_log(log, count)
            CommitLog(log, Disk()).write_index()
        opening = [_opened(long) for _ in range(sizes.rounds)]
        versions = [(_version_seconds(long), _version_seconds(short)) for _ in range(sizes.rounds)]
        shutil.rmtree(long / DERIVED_FOLDER)
        reading = _opened(long)
    yield Ratio(
        f"version of ten years, {sizes.commits:,} commits against {_SHORT_LOG:,}",
        here=median(here for here, _ in versions) * 1e6,
        peer=median(peer for _, peer in versions) * 1e6,
        unit="us",
        wanted="at most 10; below 50 us",
    )
    yield Ratio(
        f"reading a log of {sizes.commits:,} commits against opening it from its index",
        here=reading * 1e3,
        peer=median(opening) * 1e3,
        unit="ms",
        wanted="at least 20",
    )


def _write_log(folder: Path, count: int) -> None:
    folder.mkdir()
    previous, checksums = NO_COMMIT.hash, block_checksums(bytes(_ROW_BYTES))
    ends: dict[str, int] = {}
    with (folder / COMMITS_FILE).open("wb") as file:
        for number in range(1, count + 1):
            date = _FIRST_DATE + number * _DATES // (count + 1)
            name, first_ns = f"{date}.csv", date * DAY_NS + number % 86_400 * SECOND_NS
            start = ends.get(name, _ROW_BYTES)
            ends[name] = start + _ROW_BYTES
            part = Part(name, start, _ROW_BYTES, 1, first_ns, first_ns, checksums)
            key = f"key {number}" if number % 2 else None
            commit = Commit(number, number, "bench", f"{number:064x}", 1, (part,), (), key)
            line, previous = encode_commit(commit, previous)
            file.write(line)


def _opened(folder: Path) -> float:
    return _seconds(lambda: CommitLog(folder, Disk()).history())


def _version_seconds(folder: Path) -> float:
    history = CommitLog(folder, Disk()).history()
    history.version(_TEN_YEARS)

    def ask() -> None:
        for _ in range(_CALLS):
            history.version(_TEN_YEARS)

    return _seconds(ask) / _CALLS


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


_LATE_DATES = 60
_FEW_ROWS = 100_000
_LATE_ROWS = 100
_LATE_BATCHES = 20
_NS_BETWEEN_ROWS = 1_000_000


def measure_late_rows(sizes: Sizes) -> Iterator[Row]:
    """Batches of 100 rows over 60 dates, by one process, without syncs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        many, first = _late_milliseconds(Path(folder) / "many", sizes.large_rows, sizes.rounds)
        few, _ = _late_milliseconds(Path(folder) / "few", _FEW_ROWS, sizes.rounds)
    label = f"{_LATE_ROWS} late rows over {_LATE_DATES} dates, {sizes.large_rows:,} rows stored against {_FEW_ROWS:,}"
    for dedupe, what, wanted in (
        (Dedupe.ROWS, "the batch", "at most 1.3"),
        (None, "the look-up (less dedupe=none)", "at most 2; below 15 ms"),
    ):
        yield Ratio(f"{label}: {what}", here=many[dedupe], peer=few[dedupe], unit="ms", wanted=wanted)
    yield Note(f"the first late rows of {_LATE_DATES} dates, whose hashes were in no file: {first:,.0f} ms")


def _late_milliseconds(folder: Path, rows: int, rounds: int) -> tuple[dict[Dedupe | None, float], float]:
    """Milliseconds of a batch by mode, their difference under None, and those of the first batch."""
    _fill_dates(folder, rows)
    store, numbers, seconds = CsvStore(folder, disk=Unsynced()), count(), dict[Dedupe, float]()
    first = _late_seconds(store, next(numbers), Dedupe.ROWS)
    for dedupe in (Dedupe.NONE, Dedupe.ROWS):
        times = [_late_seconds(store, next(numbers), dedupe) for _ in range(rounds * _LATE_BATCHES)]
        seconds[dedupe] = median(times)
    lookup = seconds[Dedupe.ROWS] - seconds[Dedupe.NONE]
    milliseconds: dict[Dedupe | None, float] = {dedupe: each * 1e3 for dedupe, each in seconds.items()}
    return milliseconds | {None: lookup * 1e3}, first * 1e3


def _fill_dates(folder: Path, rows: int) -> None:
    """One batch per date, in order of time."""
    store, a_date = CsvStore(folder, disk=Unsynced()), rows // _LATE_DATES
    for date in range(_LATE_DATES):
        times = FIRST_DAY_NS + date * DAY_NS + np.arange(a_date) * _NS_BETWEEN_ROWS
        store.append(_late_append(times, Dedupe.NONE))


def _late_seconds(store: CsvStore, number: int, dedupe: Dedupe) -> float:
    """Seconds of a batch of new rows within the stored times of their dates."""
    dates = np.arange(_LATE_ROWS) % _LATE_DATES
    within = (np.arange(_LATE_ROWS) + number) * _NS_BETWEEN_ROWS + 1 + number
    batch = _late_append(FIRST_DAY_NS + dates * DAY_NS + within, dedupe)
    started = time.perf_counter()
    receipt = store.append(batch)
    seconds = time.perf_counter() - started
    if receipt.stored != _LATE_ROWS:
        raise UnexpectedAnswer(f"{receipt.duplicates} of {_LATE_ROWS} new rows are said to be stored")
    return seconds


def _late_append(times: npt.NDArray[np.int64], dedupe: Dedupe) -> Append:
    given = {"timestamp": times, "price": 100 + times % 97 / 100, "volume": 1.0 + times % 89}
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(len(times), field.type)
        for field in TRADES.schema
    ]
    return Append(TRADES, "LATE", pa.RecordBatch.from_arrays(columns, schema=TRADES.schema), "bench", dedupe)


_DAYS = 30
_MINUTES = _DAYS * 24 * 60
# 30 days of the sparse stream are 86,400 trades, of the dense one 864,000.
_STREAMS = {"2 a minute": Stream(a_minute=2), "20 a minute": Stream(a_minute=20)}
_PLACES = (0.1, 0.23, 0.37, 0.5, 0.63, 0.77, 0.9)
_ROUNDS = 7
_READS = 20


def measure_windows(sizes: Sizes) -> Iterator[Row]:
    """A sparse and a dense symbol, read first by a new reader, then again."""
    for name, stream in _STREAMS.items():
        yield from _measure_window(name, stream, sizes.trades)


def _measure_window(name: str, stream: Stream, trades: int) -> Iterator[Row]:
    count = min(_MINUTES * stream.a_minute, trades // 4)
    firsts = [int((trades - count) * place) // stream.a_minute * stream.a_minute for place in _PLACES]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        whole = Path(folder) / "whole"
        stored(whole, stream, trades)
        pairs: dict[str, list[tuple[float, float]]] = {"first read": [], "again": []}
        for place, first in enumerate(firsts):
            alone = Path(folder) / str(place)
            stored(alone, stream, count, first=first)
            window = stream.window(first, count)
            for what, seconds in _read_seconds([whole, alone], window).items():
                pairs[what].append((seconds[0], seconds[1]))
    for what, taken in pairs.items():
        yield Ratio(
            f"{_DAYS if count == _MINUTES * stream.a_minute else count // stream.a_minute // 1440} days of minute bars"
            f" ({name}), {what}: out of {trades / 1e6:g} million trades against {count / 1e6:g} million",
            here=1e3 * median(here for here, _ in taken),
            peer=1e3 * median(peer for _, peer in taken),
            unit="ms",
            wanted="0.8 to 1.2",
        )


def _read_seconds(folders: Sequence[Path], window: Window) -> dict[str, list[float]]:
    """Seconds of a read of each store in turn, by new readers and by readers that read the window before."""
    answers = [_read(open_store(folder), window) for folder in folders]
    if not all(np.array_equal(answers[0].close, answer.close) for answer in answers):
        raise UnexpectedAnswer("the stores have different bars")
    first: list[list[float]] = [[] for _ in folders]
    again: list[list[float]] = [[] for _ in folders]
    for _ in range(_ROUNDS):
        for folder, new, old in zip(folders, first, again, strict=True):
            reader = open_store(folder)
            new.append(_timed(lambda reader=reader: _read(reader, window), 1))
            old.append(_timed(lambda reader=reader: _read(reader, window), _READS))
    return {
        "first read": [median(seconds) for seconds in first],
        "again": [median(seconds) for seconds in again],
    }


def _read(reader: Reader, window: Window) -> Bars:
    bars: Bars = reader.bars(SYMBOL, window.start_ns, window.end_ns, MINUTE_NS)
    return bars


def _timed(work: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls
