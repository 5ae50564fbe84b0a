"""A DATA_DIR that is a file, read-only or full: commands that write say so in one line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chance import SOAK
from tests.marketdata_project.serve_process import MANAGE, SETTINGS
from tests.migrated_database import place_database
from tests.patience import PROGRAM_SECONDS

CERTAIN = "--dataset trades --columns timestamp=timestamp,price=price,volume=volume --timezone UTC"
COMMANDS = {
    "serve": ["serve"],
    "import": ["import", "{rows}", *CERTAIN.split()],
    "apikey": ["apikey", "create", "desk", "--scope", "all"],
    "account": ["account", "create", "DESK"],
    "sample": ["sample", "--days", "1"],
    "login_link": ["login_link"],
}
SOME = [*COMMANDS][:: 1 if SOAK else 3]


def said(data_dir: Path, rows: Path, command: str) -> list[str]:
    """What a command prints, which must end with status 1."""
    arguments = [each.format(rows=rows) for each in COMMANDS[command]]
    own = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATA_DIR": str(data_dir), "PORT": "0", "LOAD_SAMPLE": "0"}
    ended = subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env={**os.environ, **own, "REDIS_URL": ""},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert ended.returncode == 1, ended
    return [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "AAPL.csv"
    path.write_text("timestamp,price,volume\n2025-01-02T12:00:00Z,1,1\n")
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)(
            "a file system can be mounted by root only"
        )
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("command", ["serve", "import"])
def test_a_file_is_no_data_folder(tmp_path: Path, rows: Path, command: str):
    (tmp_path / "data").write_text("")
    (line,) = said(tmp_path / "data", rows, command)
    assert line.startswith(f"DATA_DIR is {tmp_path}/data, and cannot be used: it is a file.")


@pytest.mark.parametrize("command", SOME)
def test_a_read_only_folder_is_said_in_one_line(disk: Path, rows: Path, command: str):
    place_database(disk / "data")
    (disk / "data" / "secret_key").write_text("x" * 50)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    (line,) = said(disk / "data", rows, command)
    assert "Read-only file system" in line or "unable to open database file" in line


@pytest.mark.parametrize("command", SOME)
def test_a_full_disk_is_said_in_one_line(disk: Path, rows: Path, command: str):
    place_database(disk / "data")
    (disk / "data" / "secret_key").write_text("x" * 50)
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(512))
    (line,) = said(disk / "data", rows, command)
    # SQLite cannot make a file that it maps into memory.
    assert any(each in line for each in ("No space left on device", "disk is full", "disk I/O error"))
