"""A command that is interrupted leaves no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.system


def test_a_command_ends_quietly_at_ctrl_c(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "raise KeyboardInterrupt"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")
