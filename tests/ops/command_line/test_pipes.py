"""Commands that are interrupted, or whose output nobody reads to its end, leave no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.patience import PROGRAM_SECONDS

pytestmark = pytest.mark.system


def run(*command: str, data_dir: Path, **environment: str) -> tuple[int, str]:
    """Status and errors of a program before whose output the reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATA_DIR": str(data_dir), **environment},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    finally:
        os.close(writer)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [(["version"], ""), (["diffsettings", "--all"], "1")],
    ids=["short and buffered", "long and unbuffered"],
)
def test_a_command_ends_quietly_once_nobody_reads_it(
    tmp_path: Path, command: list[str], unbuffered: str
) -> None:
    ended = run("manage.py", *command, data_dir=tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert ended == (141, "")


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


def test_another_broken_pipe_is_told(tmp_path: Path) -> None:
    program = """
import os, sys
from ops.command_line import quiet_without_a_reader
sys.stdout = sys.stderr
reader, writer = os.pipe()
os.close(reader)
with quiet_without_a_reader():
    os.write(writer, b"lost")
"""
    status, errors = run("-c", program, data_dir=tmp_path)
    assert status == 1
    assert "BrokenPipeError" in errors


def test_output_that_is_read_is_whole() -> None:
    program = """
from ops.command_line import quiet_without_a_reader
with quiet_without_a_reader():
    print("x" * 1_000_000)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=True,
    )
    assert told.stdout == "x" * 1_000_000 + "\n"
