"""What a long log costs: versions of a ten-year window, and opening it from its index against reading it."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.report import Report
from benchmarks.sizes import Sizes
from store.csv.files.commit_records import Commit, Part, block_checksums, encode_commit
from store.csv.files.disk import Disk
from store.csv.log.commit_log import COMMITS_FILE, CommitLog
from store.csv.log.index_files import DERIVED_FOLDER
from store.protocol import NO_COMMIT, Window
from store.timestamps import DAY_NS, SECOND_NS

_DATES = 3_650
_FIRST_DATE = 16_000
_TEN_YEARS = Window(_FIRST_DATE * DAY_NS, (_FIRST_DATE + _DATES) * DAY_NS)
_SHORT_LOG = 1_000
_CALLS = 2_000
_ROW_BYTES = 60


def measure_commit_index(report: Report, sizes: Sizes) -> None:
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
    report.add(
        f"version of ten years, {sizes.commits:,} commits against {_SHORT_LOG:,}",
        here=median(here for here, _ in versions) * 1e6,
        peer=median(peer for _, peer in versions) * 1e6,
        unit="us",
        wanted="at most 10; below 50 us",
    )
    report.add(
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
