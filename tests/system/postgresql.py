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
_CLUSTER = ("-A", "trust", "-E", "UTF8", "--no-sync", "--locale-provider=icu", "--icu-locale=en-US")


def postgresql_folder() -> Path:
    """Where the programs are; without them the test is skipped."""
    if all(map(shutil.which, ("initdb", "postgres"))):
        return Path(str(shutil.which("initdb"))).parent
    found = sorted(_DEBIAN.glob("*/bin/initdb"))
    if not found:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no PostgreSQL")
    return found[-1].parent


class PostgresServer:
    """A server in an empty folder. options: NAME=VALUE. address: of other hosts' connections; '' if there are none."""

    def __init__(self, folder: Path, options: Sequence[str], address: str) -> None:
        self._folder, self._address, self._options = folder, address, options
        self._programs, self._user = postgresql_folder(), _user_of(folder)
        self._process: subprocess.Popen[bytes] | None = None
        command: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            *_CLUSTER,
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, cwd=folder, check=True, **self._user)
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")

    @property
    def url(self) -> str:
        return f"postgres://postgres@{self._address}/postgres" + (
            "" if self._address else f"?host={self._folder}"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [*self._options]
        if self._address:
            # What was acknowledged to another host survives a kill.
            options += [f"listen_addresses={self._address}", "synchronous_commit=on"]
        folders: list[str | Path] = ["-D", self._folder / "data", "-k", self._folder]
        command = [self._programs / "postgres", *folders, *(f"--{each}" for each in options)]
        with (self._folder / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stderr=log, **self._user
            )
        self._process = process
        _wait(process, self._folder)

    def pids(self) -> list[int]:
        """Its processes, the first one first."""
        if self._process is None or self._process.poll() is not None:
            return []
        return _family(self._process.pid)

    def kill(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """End it without waiting for those who are still connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def postgres_server(options: Sequence[str] = _OPTIONS, address: str = "") -> Iterator[PostgresServer]:
    """A server with an empty database."""
    # A socket's path is short, and another user's server does not reach a test's own folder.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        server = PostgresServer(folder, options, address)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgresql(options: Sequence[str] = _OPTIONS) -> Iterator[str]:
    """The DATABASE_URL of a server with an empty database."""
    with postgres_server(options) as server:
        yield server.url


@contextlib.contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Processes are stopped (SIGSTOP) meanwhile. One that ends by itself does not matter."""
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen_postgresql(url: str) -> Iterator[None]:
    """All processes of a server of `postgresql` are stopped meanwhile."""
    first = int((Path(url.partition("host=")[2]) / "data" / "postmaster.pid").read_text().split()[0])
    with stopped(_family(first)):
        yield


def _family(first: int) -> list[int]:
    return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]


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
