"""What a command says of errors about DATA_DIR and of Ctrl-C, and who runs it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as project
from django.db import OperationalError

from ops.command_line import command_actor
from ops.command_line.disk_errors import disk_problem, one_line_for_disk_errors
from tests.patience import PROGRAM_SECONDS

WHAT = "DATA_DIR is /srv/data: it must be a folder with free space that this user can write."


def of_system(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (of_system(errno.EROFS, "/srv/data/run"), "/srv/data/run: Read-only file system"),
        (of_system(errno.EEXIST, "/srv/data"), "/srv/data: Not a directory"),
        (of_system(errno.ENOTDIR, "/srv"), "/srv: Not a directory"),
        (of_system(errno.EACCES, "/srv/data/x"), "/srv/data/x: Permission denied"),
        (of_system(errno.ENOSPC), "No space left on device"),
        (OperationalError("database or disk is full"), "Database: database or disk is full"),
        (OperationalError("unable to open database file"), "Database: unable to open database file"),
    ],
    ids=str,
)
def test_an_error_of_the_data_folder_is_one_line(settings, error: Exception, said: str):
    settings.DATA_DIR = Path("/srv/data")
    assert disk_problem(error) == f"{said}. {WHAT}"
    with pytest.raises(SystemExit) as ended, one_line_for_disk_errors():
        raise error
    assert ended.value.code == f"{said}. {WHAT}"


@pytest.mark.parametrize(
    "error",
    [
        of_system(errno.EACCES, "/etc/shadow"),
        of_system(errno.ENOENT, "/srv/data/x"),
        of_system(errno.EACCES),
        OperationalError("no such table: x"),
    ],
    ids=str,
)
def test_another_error_is_raised(settings, error: Exception):
    settings.DATA_DIR = Path("/srv/data")
    with pytest.raises(type(error)) as raised, one_line_for_disk_errors():
        raise error
    assert raised.value is error


def test_whoever_runs_a_command_is_called_by_name(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    assert command_actor() == "command:alice"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set")])
def test_whoever_has_no_name_is_called_by_number(monkeypatch, error):
    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    assert command_actor() == f"command:{os.getuid()}"


@pytest.mark.system
def test_a_command_ends_quietly_at_ctrl_c(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "raise KeyboardInterrupt"],
        cwd=project.BASE_DIR,
        env={**os.environ, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")
