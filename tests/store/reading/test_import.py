"""The reader is light to import: pyarrow comes only with rows, and pandas only with a frame."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.conf import settings

from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from tests.store.builders import MINUTE, SYMBOL, batch, trade

pytestmark = pytest.mark.system

HEAVY = [
    "django",
    "pandas",
    "redis",
    "rest_framework",
    "pandas_market_calendars",
    "uvicorn",
    "msgpack",
    "scipy",
]

OPENED = """
import json, sys
from store import open_store
reader = open_store(sys.argv[1])
symbol = reader.symbols()[0]
{then}
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""
READ = """
reader.latest(symbol), reader.version(symbol), reader.coverage(symbol), reader.bars(symbol), len(reader.trades(symbol))
reader.panel([symbol], interval="1h")
"""
BARS = """
assert len(reader.bars(symbol)) == len(reader.bars(symbol, interval="2min")) * 2 == 40
assert len(reader.panel([symbol]).time_ns) == 40
"""


def loaded(folder: Path, then: str, heavy: Sequence[str] = HEAVY) -> list[str]:
    """Return which of the heavy modules a new interpreter has after opening a store and `then`."""
    code = OPENED.format(heavy=heavy, then=then)
    environment = {"PYTHONPATH": str(settings.BASE_DIR), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def test_bars_of_derived_files_load_no_pyarrow_and_rows_do(tmp_path: Path):
    store = CsvStore(tmp_path)
    store.append(batch(*(trade(n * MINUTE // 4, volume=1.0) for n in range(160))))
    store.derive(TRADES, SYMBOL)
    # importlib.metadata takes a seventh of the time in which the reader is imported.
    assert loaded(tmp_path, BARS, ["pyarrow", "pandas", "importlib.metadata"]) == []
    assert loaded(tmp_path, BARS + "reader.trades(symbol)", ["pyarrow", "pandas"]) == ["pyarrow"]


def test_reading_loads_neither_django_nor_pandas_nor_redis(sample_folder: Path):
    assert loaded(sample_folder, READ) == []


@pytest.mark.parametrize(
    "asked", ["reader.bars(symbol, frame=True)", "reader.trades(symbol).frame()"], ids=["bars", "rows"]
)
def test_a_frame_loads_pandas_and_still_not_django(sample_folder: Path, asked: str):
    assert loaded(sample_folder, READ + asked) == ["pandas"]


@pytest.mark.parametrize("interval", ["1min", "1d", "1w"])
def test_bars_of_a_coin_do_not_load_the_calendars(tmp_path: Path, interval: str):
    store = CsvStore(tmp_path)
    store.append(batch(*(trade(n * MINUTE, volume=1.0) for n in range(8))))
    store.set_instrument(Instrument(SYMBOL, instrument_class="crypto", exchange="BINA"))
    assert loaded(tmp_path, f"assert len(reader.bars(symbol, interval='{interval}'))") == []


def test_days_of_a_listed_stock_need_nothing_but_the_store(tmp_path: Path):
    store = CsvStore(tmp_path)
    store.append(batch(*(trade(n * 60 * MINUTE, price=n + 1.0, volume=1.0) for n in range(12))))
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    read = """
days = reader.bars(symbol, interval="1d")  # an hour's trade each from 12:00 to 23:00 UTC; the session has six
assert (days.open.tolist(), days.close.tolist(), days.trade_count.tolist()) == ([4.0], [9.0], [6]), days
assert len(reader.bars(symbol, interval="1d", session="utc")) == 1
"""
    assert loaded(tmp_path, read) == ["pandas", "pandas_market_calendars"]
