"""A key is made with its record or not at all: over a database file that is locked, read-only, full, and under kill -9."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("audit_first_faults")]

ROOT = Path(__file__).resolve().parents[3]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data_dir = tmp_path_factory.mktemp("audit_first")
    data_dir.chmod(0o700)
    place_database(data_dir)
    done = subprocess.run(  # the interpreter and a file of ours
        [sys.executable, "tests/audit/recording/audit_first_process.py", str(data_dir)],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT), "AUDIT_KEY": "of this test",
             "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development"},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("fault", "ended", "answer", "left"),
    [
        ("sound", 0, [201, None], [1, 1]),
        ("locked", 0, [503, "audit_unavailable"], [0, 0]),
        ("read-only", 0, [503, "audit_unavailable"], [0, 0]),
        ("full", 0, [503, "audit_unavailable"], [0, 0]),
        # It is the commit that fails: whoever sent it cannot know.
        ("full-file", 0, [503, "outcome_unknown"], [0, 0]),
        ("killed-before-the-record", KILLED, None, [0, 0]),
        ("killed-before-the-commit", KILLED, None, [0, 0]),
        ("killed-after-the-commit", KILLED, None, [1, 1]),
    ],
)
def test_a_key_is_made_and_recorded_or_neither(outcomes, fault, ended, answer, left):
    """`left` are the keys that the call made, and the records of it."""
    assert outcomes[fault] == {"ended": ended, "answer": answer, "left": left, "is_whole": True}
