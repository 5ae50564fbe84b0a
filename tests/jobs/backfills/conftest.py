"""What all tests of backfills need: folders of trades and of bars, and servers of this machine that may be asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.backfills.fetched import SYMBOLS
from store.arrays import Integers
from store.timestamps import DAY_NS, format_timestamp
from tests.jobs.backfills.gap_market import TIMES, bars_of, table_of
from tests.ops.outbound.test_addresses import LOOPBACK

WriteFolder = Callable[..., None]


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK
    SYMBOLS.clear()


@pytest.fixture
def folder(tmp_path: Path, settings) -> Callable[[str, pa.Table], None]:
    """Configure a source that is a folder with a file of each UTC date of rows."""

    def write(name: str, rows: pa.Table) -> None:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        days = rows.column("timestamp").to_numpy() // DAY_NS
        for day in np.unique(days).tolist():
            of_day = rows.filter(pa.array(days == day))
            pq.write_table(of_day, path / f"GEN-{format_timestamp(day * DAY_NS)[:10]}.parquet")
        declared = {"kind": "folder", "path": str(path), "pattern": "{symbol}-{date}.parquet"}
        settings.SOURCES = {**settings.SOURCES, name: declared}

    return write


@pytest.fixture
def archive(folder) -> WriteFolder:
    """Configure a folder of trades."""

    def write(times: Integers = TIMES, *, name: str = "archive", price: float = 10.0) -> None:
        folder(name, table_of(times, price))

    return write


@pytest.fixture
def minutes(folder) -> WriteFolder:
    """Configure a folder of one-minute bars."""

    def write(starts: Integers, *, name: str, price: float = 10.0) -> None:
        folder(name, bars_of(starts, price))

    return write
