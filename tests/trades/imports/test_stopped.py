"""Ctrl-C during an import: it says what is stored, and the same command stores the rest."""

import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.front.front_server import eventually
from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS
from tests.trades.imports.command import imported
from tests.trades.imports.files import line_of, stored_rows, written
from tests.trades.imports.test_counts import generated
from trades.imports import blocks, sort
from trades.imports.run import FileImport, ImportStage
from trades.management import import_command

ROWS = 3_000


@pytest.fixture(autouse=True)
def _not_ignored() -> Iterator[None]:
    """Shells let programs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch, settings, tmp_path: Path, store_path: Path):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 10_000)
    for name, value in (("RUN_ROWS", 500), ("PIECE_ROWS", 100), ("ROWS_AT_ONCE", 250)):
        monkeypatch.setattr(sort, name, value)


def press_after(monkeypatch: pytest.MonkeyPatch, steps: int, *, sorts: bool = False) -> None:
    """Have Ctrl-C pressed when an import has stored or, with `sorts`, sorted so many blocks and one more."""
    usual, count = FileImport._report, iter(range(steps))

    def report(run: FileImport, stage: ImportStage, done: int, total: int) -> None:
        is_counted = (stage is ImportStage.SORTING) is sorts
        if is_counted and next(count, None) is None:
            signal.raise_signal(signal.SIGINT)
        usual(run, stage, done, total)

    monkeypatch.setattr(FileImport, "_report", report)


@pytest.mark.parametrize("is_sorted", [True, False], ids=["in order", "not in order"])
def test_it_says_how_many_rows_are_stored_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_sorted: bool
):
    rows = generated(ROWS, seed=11)
    if not is_sorted:
        random.Random(3).shuffle(rows)
    file = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    with monkeypatch.context() as patch:
        press_after(patch, 4)
        with pytest.raises(CommandError) as stopped:
            imported(file)
    assert stopped.value.returncode == 130
    found = re.search(
        r"The first ([\d,]+) (?:of 3,000 rows, in order of time,|rows) are stored\. ", str(stopped.value)
    )
    assert found, stopped.value
    said, rows_stored = int(found[1].replace(",", "")), stored_rows("A").total()
    # One block more is stored that was not told yet.
    assert 0 < said < rows_stored < ROWS
    assert str(stopped.value).startswith(f"{file}: stopped. ")
    assert str(stopped.value).endswith(" Run the same command again: it stores no row twice.")
    imported(file)
    assert stored_rows("A") == Counter(rows)


def test_it_says_that_rows_are_sorted_or_that_it_had_just_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = generated(ROWS, seed=11)
    file = written(tmp_path / "A.csv", [line_of(*row) for row in reversed(rows)])
    with monkeypatch.context() as patch:
        press_after(patch, 0)
        with pytest.raises(
            CommandError, match=r"stopped\. Its rows were being sorted, and are stored after that"
        ):
            imported(file)
    file = written(tmp_path / "B.csv", [line_of(*row) for row in rows])
    with monkeypatch.context() as patch:
        press_after(patch, 0)
        with pytest.raises(CommandError, match=r"stopped\. It had just begun\. Run the same command again"):
            imported(file)


def test_before_a_file_is_begun_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = written(tmp_path / "A.csv", [line_of(*row) for row in generated(10)])

    def press(**_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(import_command, "file_preview", press)
    with pytest.raises(CommandError, match=r"^stopped: nothing was stored$") as stopped:
        imported(file, yes=False)
    assert stopped.value.returncode == 130


def test_what_a_killed_import_left_is_deleted_and_what_another_one_has_is_not(tmp_path: Path):
    file = written(tmp_path / "A.csv", [line_of(*row) for row in generated(10)])
    imports = tmp_path / "imports"
    (imports / "killed" / "sorted").mkdir(parents=True)
    with import_command._spool(imports) as running:
        assert [*imports.iterdir()] == [running]
        imported(file)
        assert [*imports.iterdir()] == [running]
    assert not [*imports.iterdir()]


def test_the_first_time_is_that_of_the_sorted_rows(tmp_path: Path):
    rows = [f"2025-01-02T15:{at // 60:02}:{at % 60:02}Z,1,1" for at in range(1_000)]
    file = written(tmp_path / "A.csv", [*rows, "2025-01-02T09:00:00Z,1,1"])
    assert "2025-01-02T09:00:00Z to" in imported(file, symbol="A")


@pytest.mark.system
def test_the_program_ends_with_status_130_and_one_line(tmp_path: Path, settings):
    place_database(tmp_path)
    seconds = (f"2025-01-02T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z,1,1" for at in range(80_000))
    file = written(tmp_path / "A.csv", (line for line in seconds for _ in range(5)))
    environment = {
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    program = subprocess.Popen(
        [sys.executable, "manage.py", "import", str(file), "--yes"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert eventually(lambda: list(tmp_path.rglob("commits.jsonl")), seconds=PROGRAM_SECONDS)
    program.send_signal(signal.SIGINT)
    said = program.communicate(timeout=PROGRAM_SECONDS)[1].strip()
    assert program.returncode == 130, said
    assert re.fullmatch(
        r"CommandError: \S+/A\.csv: stopped\. (The first [\d,]+ rows are stored|It had just begun)\. Run .* twice\.",
        said,
    )
