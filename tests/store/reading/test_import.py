"""The reader is light to import, and pandas comes only with a frame."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

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

READ = """
import json, sys
from store import open_store
reader = open_store(sys.argv[1])
symbol = reader.symbols()[0]
reader.latest(symbol), reader.version(symbol), reader.coverage(symbol), reader.bars(symbol), len(reader.trades(symbol))
list(reader.scan([symbol], interval="1h"))
{then}
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


def loaded(folder: Path, then: str = "") -> list[str]:
    """Which of the heavy modules a fresh interpreter has after reading."""
    code = READ.format(heavy=HEAVY, then=then)
    environment = {"PYTHONPATH": str(settings.BASE_DIR), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def test_reading_loads_neither_django_nor_pandas_nor_redis(sample_folder: Path):
    assert loaded(sample_folder) == []


@pytest.mark.parametrize(
    "asked", ["reader.bars(symbol, frame=True)", "reader.trades(symbol).frame()"], ids=["bars", "rows"]
)
def test_a_frame_loads_pandas_and_still_not_django(sample_folder: Path, asked: str):
    assert loaded(sample_folder, asked) == ["pandas"]


def test_session_bars_load_the_calendars_and_still_not_django(sample_folder: Path):
    asked = """
from stats.market_data.intervals.regular_days import regular_days
from store.instruments import Instrument

regular_days(Instrument(symbol, exchange="XNYS")).date_start(0)
"""
    assert loaded(sample_folder, asked) == ["pandas", "pandas_market_calendars"]
