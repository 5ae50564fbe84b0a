"""What one installation owns alone: its data folder and its port.

InstallationError
├── AlreadyRunning    stop the other server or choose another DATA_DIR
└── PortUnavailable   stop what listens there or choose another HOST or PORT
"""

import fcntl
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BACKLOG = 2048
_OPEN_FILES = 65_536
_STALLED_MILLISECONDS = 30_000


class InstallationError(Exception):
    """The server cannot be started here."""


class AlreadyRunning(InstallationError):
    """Another server uses this data folder; stop it or choose another DATA_DIR."""


class PortUnavailable(InstallationError):
    """The address cannot be listened on; stop what does or choose another HOST or PORT."""


def allow_many_files() -> None:
    """Raise the limit on open files, which child processes inherit: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def sole_user(run_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process; raises AlreadyRunning. A killed holder holds it no longer."""
    path = run_dir / "serve.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text().strip()
            message = f"Another server (process {holder}) already uses the data folder {run_dir.parent}."
            raise AlreadyRunning(message) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def open_listener(*, host: str, port: int) -> socket.socket:
    """Listen on `host`:`port` (0: any free port), for child processes to accept on; raises PortUnavailable."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        raise PortUnavailable(f"Cannot listen on {host}:{port}: {reason}.") from exc
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # accepted connections inherit it: who stops reading is cut
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MILLISECONDS)
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port at which a client on this machine reaches a listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 compared, not bound


def url_of(listener: socket.socket) -> str:
    """Return the base URL for a client on this machine, without a slash at the end."""
    host, port = address_of(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
