"""The Makefile's `.venv`: no old Python makes one, and one of another Python is made anew."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.patience import PROGRAM_SECONDS

OLD = """#!/bin/sh
case "$1" in
--version) echo Python 3.10.13 ;;
-c) echo ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and a Python that is too old."""
    shutil.copy(settings.BASE_DIR / "Makefile", tmp_path)
    (tmp_path / "old").write_text(OLD)
    (tmp_path / "old").chmod(0o755)
    return tmp_path


def make(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *options, ".venv/bin/python"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )


@pytest.mark.parametrize("has_venv", [False, True])
def test_an_old_python_is_refused_before_a_venv_is_made_or_removed(folder: Path, has_venv: bool):
    if has_venv:
        (folder / ".venv").mkdir()
    made = make(folder, f"PYTHON={folder}/old")
    assert made.returncode == 2
    line = f"Python 3.11 or newer is needed. {folder}/old is not: Python 3.10.13. Name another: make PYTHON=python3.12 run"
    assert made.stderr.splitlines()[0] == line
    assert made.stdout == ""
    assert (folder / ".venv").exists() == has_venv


@pytest.mark.parametrize("before", [pytest.param("older", marks=pytest.mark.soak), "gone"])
def test_a_venv_of_another_python_is_made_anew_and_then_kept(folder: Path, before: str):
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(folder / ("old" if before == "older" else "nothing"))
    (folder / ".venv" / ".installed").touch()
    made = make(folder, f"PYTHON={sys.executable}")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("Making .venv with Python 3.")
    assert not (folder / ".venv" / ".installed").exists()
    subprocess.run([python, "-c", "import pip"], check=True)
    for options in ((), (f"PYTHON={sys.executable}",)):
        assert "is up to date" in make(folder, *options).stdout
