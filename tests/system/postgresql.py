"""A real PostgreSQL of a test's own, on a Unix socket in a folder of its own."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.patience import PATIENCE_SECONDS

# Where Debian has it, which is in nobody's PATH.
_DEBIAN = Path("/usr/lib/postgresql")
# It is not to outlive anything, and tests are not to wait for disks.
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=")
# It orders texts otherwise than SQLite does, as the databases of most servers do.
_CLUSTER = [
    "-U",
    "postgres",
    "-A",
    "trust",
    "-E",
    "UTF8",
    "--no-sync",
    "--locale-provider=icu",
    "--icu-locale=en-US",
]


def postgresql_folder() -> Path:
    """Where the programs are; without them the test is skipped."""
    if all(map(shutil.which, ("initdb", "postgres"))):
        return Path(str(shutil.which("initdb"))).parent
    found = sorted(_DEBIAN.glob("*/bin/initdb"))
    if not found:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no PostgreSQL")
    return found[-1].parent


@contextlib.contextmanager
def postgresql(options: Sequence[str] = _OPTIONS) -> Iterator[str]:
    """The DATABASE_URL of a server with an empty database. options: of the server, as NAME=VALUE."""
    programs = postgresql_folder()
    # A socket's path is short, and another user's server does not reach a test's own folder.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        user = _user_of(folder)
        data = folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, *_CLUSTER],
            stdout=subprocess.DEVNULL,
            cwd=folder,
            check=True,
            **user,
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", folder, *(f"--{option}" for option in options)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stderr=log,
                **user,
            )
        try:
            _wait(server, folder)
            yield f"postgres://postgres@/postgres?host={folder}"
        finally:
            # Without waiting for those who are still connected.
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def frozen_postgresql(url: str) -> Iterator[None]:
    """All processes of a server of `postgresql` are stopped (SIGSTOP) meanwhile."""
    folder = Path(url.partition("host=")[2])
    first = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _user_of(folder: Path) -> dict[str, Any]:
    """As whom it runs: not as root, which it refuses; the folder is made that user's."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _wait(server: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            is_running = server.poll() is None and time.monotonic() < end
            assert is_running, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return
