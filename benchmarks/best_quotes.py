"""The best bid and offer of twelve venues' quotes, against the same in polars. Columns are in memory; processor time.

Both sides have size and venue with the priority of price, size, time; rows without a change are dropped. polars
fills each venue's quotes forward and compares the venues' columns.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers import PEER_VENV
from benchmarks.processes import BASE_DIR
from benchmarks.report import Note, Ratio, Row, Sizes, UnexpectedAnswer
from store.bars.best_quotes import VenueQuotes, best_quotes_of
from store.timestamps import SECOND_NS

VENUES = 12
_DAY_NS = 23_400 * SECOND_NS
_TRIES = 3
# As in an answer, which is made window by window.
_WINDOW_ROWS = 1 << 16


def measure_best_quotes(sizes: Sizes) -> Iterator[Row]:
    """Yield the processor seconds for all quotes of a day."""
    quotes = _quotes(sizes.large_rows)
    seconds, changes = min(_measured(quotes) for _ in range(_TRIES))
    beside = None
    if (PEER_VENV / ".installed").exists():
        beside, found = _of_polars(quotes)
        if found != changes:
            raise UnexpectedAnswer(f"polars has {found} changes of the best, best_quotes_of {changes}")
    else:
        yield Note(
            "Left out: the best quotes in polars: requirements-bench.txt is not installed in .venv-bench."
        )
    yield Ratio(
        f"best bid and offer of {sizes.large_rows / 1e6:g} million quotes of {VENUES} venues: processor time, against polars",
        here=seconds,
        beside=beside,
        unit="s",
        rival=True,
    )


def _measured(quotes: VenueQuotes) -> tuple[float, int]:
    """Return the processor seconds, and the number of changes."""
    started, changes = time.process_time(), 0
    book = np.empty(0, np.int64)
    for start in range(0, len(quotes), _WINDOW_ROWS):
        rows = np.append(book, np.arange(start, min(start + _WINDOW_ROWS, len(quotes))))
        part = VenueQuotes(*(getattr(quotes, name)[rows] for name in VenueQuotes.__slots__))
        end = start + _WINDOW_ROWS
        end_ns = int(quotes.time_ns[end]) if end < len(quotes) else 2**62
        changes += len(best_quotes_of(part, int(quotes.time_ns[start]), end_ns))
        last = len(rows) - 1 - np.unique(part.venue[::-1], return_index=True)[1]
        book = rows[np.sort(last)]
    return time.process_time() - started, changes


def _quotes(count: int) -> VenueQuotes:
    """Return quotes of a day at distinct instants: prices in cents on a random walk, sizes in hundreds."""
    random = np.random.default_rng(1)
    time_ns = np.sort(random.choice(_DAY_NS // 1_000, count, replace=False)) * 1_000
    # One step in 50 quotes, and a spread of a few cents around it.
    middle = 20_000 + np.cumsum(random.choice([-1, 0, 1], count, p=[0.01, 0.98, 0.01]))
    prices = (middle - random.integers(1, 4, count)) / 100, (middle + random.integers(1, 4, count)) / 100
    sizes = (random.integers(1, 20, (2, count)) * 100).astype(np.float64)
    venue = random.integers(0, VENUES, count).astype(np.int32)
    until_ns = np.full(count, 2**62)
    return VenueQuotes(time_ns, venue, until_ns, prices[0], sizes[0], prices[1], sizes[1])


def _of_polars(quotes: VenueQuotes) -> tuple[float, int]:
    """Return polars' processor seconds, without reading the file, and the number of changes."""
    names = ["time_ns", "venue", "bid", "bid_size", "ask", "ask_size"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "quotes.parquet"
        pq.write_table(pa.table({name: getattr(quotes, name) for name in names}), path)
        command = [
            str(PEER_VENV / "bin" / "python"),
            "-m",
            "benchmarks.best_quotes_peer",
            str(path),
            str(_TRIES),
        ]
        process = subprocess.run(command, cwd=BASE_DIR, env={**os.environ}, capture_output=True, check=False)
    if process.returncode:
        raise UnexpectedAnswer(f"{command}: {process.stderr.decode()[-500:]}")
    seconds, changes = json.loads(process.stdout)
    return float(seconds), int(changes)
