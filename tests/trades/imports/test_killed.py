"""An import killed at any moment and run again stores nothing twice: real processes, kill -9."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from store.exceptions import UnknownSymbol
from tests.chance import SOAK
from tests.trades.imports.files import line_of, stored_rows, written
from tests.trades.imports.test_counts import generated

pytestmark = pytest.mark.system

ROWS = 20_000
BLOCK_BYTES = 20_000
KILLS_AT_MOST = 100 if SOAK else 3


def started(data_dir: Path, file: Path, *end: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test",
    }
    command = [sys.executable, "-m", "tests.trades.imports.process", str(BLOCK_BYTES), str(file), *end]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read() if process.stderr else ""
    return process


@pytest.mark.parametrize(
    "is_sorted", [pytest.param(True, marks=pytest.mark.soak), False], ids=["in order", "not in order"]
)
def test_an_import_killed_again_and_again_stores_every_row_once(settings, tmp_path: Path, is_sorted: bool):
    rows = generated(ROWS, seed=11)
    if not is_sorted:
        random.Random(3).shuffle(rows)
    file = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    chance, kills, output, counts = random.Random(7), 0, "", [0]
    settings.MARKET_STORES = {"default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": tmp_path}}}
    while kills < KILLS_AT_MOST:
        end = f"{chance.uniform(0.001, 0.05):.6f}", "stored" if kills % 2 else "ready"
        process = started(tmp_path, file, *end)
        output, errors = process.communicate()
        assert process.returncode in {0, -signal.SIGPROF}, errors
        kills += process.returncode != 0
        with contextlib.suppress(UnknownSymbol):
            counts.append(stored_rows("A").total())
        if process.returncode == 0:
            break
    else:
        output, _ = started(tmp_path, file).communicate()
    assert kills >= 2
    assert any(0 < count < ROWS for count in counts), counts
    assert counts == sorted(counts)
    assert f"{ROWS:,} rows" in output
    assert stored_rows("A") == Counter(rows)
