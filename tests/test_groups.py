"""Tests of one xdist group run in one process: what they share is started once, and nobody is disturbed."""

import subprocess
import sys
from pathlib import Path

from tests.patience import PROGRAM_SECONDS

GROUPED = """
import os
from pathlib import Path
import pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(6))
def test_where(number):
    Path(__file__).with_name(f"{os.environ['PYTEST_XDIST_WORKER']}-{number}").touch()
"""


def test_a_group_runs_in_one_process(tmp_path: Path):
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:django"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=PROGRAM_SECONDS,
    )
    assert {path.name[:3] for path in tmp_path.glob("gw*-*")} in ({"gw0"}, {"gw1"})
    assert len(list(tmp_path.glob("gw*-*"))) == 6
