"""An import killed at any moment goes on where it was, and stores nothing twice: real processes, kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

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


def noted(data_dir: Path) -> dict[str, Any]:
    notes = list((data_dir / "imports").glob("*.json"))
    found: dict[str, Any] = json.loads(notes[0].read_bytes()) if notes else {}
    return found


@pytest.mark.system
@pytest.mark.parametrize("is_sorted", [True, False], ids=["in order", "not in order"])
def test_an_import_killed_again_and_again_stores_every_row_once(settings, tmp_path: Path, is_sorted: bool):
    rows = generated(ROWS, seed=11)
    if not is_sorted:
        random.Random(3).shuffle(rows)
    file = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    chance, kills, output = random.Random(7), 0, ""
    positions = []
    while kills < KILLS_AT_MOST:
        end = f"{chance.uniform(0.001, 0.05):.6f}", "stored" if kills % 2 else "ready"
        process = started(tmp_path, file, *end)
        output, errors = process.communicate()
        assert process.returncode in {0, -signal.SIGPROF}, errors
        kills += process.returncode != 0
        positions.append(noted(tmp_path).get("stored", 0))
        if process.returncode == 0:
            break
    else:
        output, _ = started(tmp_path, file).communicate()
    assert kills >= 2
    assert any(0 < position < ROWS for position in positions), positions
    assert positions == sorted(positions)
    assert f"{ROWS:,} rows" in output
    settings.MARKET_STORES = {"default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": tmp_path}}}
    assert stored_rows("A") == Counter(rows)
    assert noted(tmp_path)["is_finished"]
    assert not list((tmp_path / "imports").glob("*.spool"))


def test_an_import_by_symbols_killed_again_and_again_answers_as_if_it_was_not(settings, tmp_path: Path):
    lines = [f"{line_of(*row)},{symbol}" for symbol in "AB" for row in generated(ROWS // 2, seed=13)]
    file = written(tmp_path / "(file).csv", lines, "timestamp,price,volume,symbol")
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test",
    }
    command = [sys.executable, "-m", "tests.trades.imports.symbols_process", str(file)]
    chance, results = random.Random(5), []
    for kill in range(KILLS_AT_MOST + 1):
        end = [f"{chance.uniform(0.05, 0.6):.6f}"] if kill < KILLS_AT_MOST else []
        process = subprocess.run(
            [*command, *end], env=environment, capture_output=True, text=True, check=False
        )
        assert process.returncode in {0, -signal.SIGPROF}, process.stderr
        results += [json.loads(process.stdout)] if process.returncode == 0 else []
    settings.MARKET_STORES = {
        "default": {"BACKEND": "store.csv.store.CsvStore", "OPTIONS": {"path": tmp_path}}
    }
    for result in results:
        assert [(each["symbol"], each["rows"], each["stored"], each["duplicates"]) for each in result] == [
            ("A", ROWS // 2, ROWS // 2, 0),
            ("B", ROWS // 2, ROWS // 2, 0),
        ]
    assert sum(stored_rows("A").values()) == sum(stored_rows("B").values()) == ROWS // 2
