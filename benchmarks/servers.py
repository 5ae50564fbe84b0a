"""This project's `serve` as the benchmarks run it: an empty data folder, and real keys in rotation."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from benchmarks.processes import CORES, SERVER_CORE, descendants, line_with, run_python, running

KEYS = 128
WEB = "web"
# Variables that are removed from the environment, because they may name or change an installation that others use.
_OF_OTHERS = frozenset({"REDIS_URL", "DATABASE_URL", "WORKERS"})
_NEW_KEYS = """
import json
from django.utils import timezone
from ratelimit.keys.services import key_create
terms = {"actor": "bench", "tier": "internal", "scopes": ["market:read", "market:write", "backfill:write"]}
print(json.dumps([key_create(name=f"bench{n}", now=timezone.now(), **terms).key for n in range(%d)]))
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server: its address, the API keys that its clients use by turns, its folder, and the ids of its first processes.

    pinned: whether it keeps to the servers' core, and its clients to the core of the load. scheme: of its address.
    """

    host: str
    port: int
    keys: Sequence[str]
    folder: Path
    roots: tuple[int, ...]
    pinned: bool = True
    scheme: str = "http"
    _turns: Iterator[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", cycle(self.keys))

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def next_key(self) -> str:
        return next(self._turns)

    def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> bytes:
        """Return the bytes of an HTTP request with the next key. An underscore in a header's name stands for `-`."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"X-API-Key: {self.next_key()}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def by_all_keys(self, target: str, **headers: str) -> list[bytes]:
        """Return a GET request with each key."""
        return [self.request("GET", target, **headers) for _ in self.keys]

    def processes(self) -> dict[int, str]:
        """Return the ids of its processes, each with its title (web, worker), or the last module or program in its command line."""
        return {pid: _program(pid) for pid in descendants(self.roots)}


def _program(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    if words[0].startswith("marketdata "):
        return words[0].split()[1]
    if "-m" in words:
        return words[words.index("-m") + 1]
    return "serve" if "serve" in words else Path(words[0].split()[0]).name


@contextmanager
def our_server(
    *,
    workers: int | None = 1,
    pinned: bool = True,
    data: Path | None = None,
    keys: Sequence[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run `manage.py serve` without the sample.

    workers: the number of web processes; None is the server's default. data: its data folder; None is an empty one.
    keys: keys that the folder has; None creates them. settings: other settings, by the names of their variables.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        data, log = data or Path(temporary) / "data", Path(temporary) / "serve.log"
        environment = installation_environment(data) | ({"WORKERS": str(workers)} if workers else {})
        environment |= settings or {}
        command, cores = [sys.executable, "manage.py", "serve"], SERVER_CORE if pinned else CORES
        with running(command, environment=environment, log=log, cores=cores) as process:
            host, port = line_with(process, "Ready on", log=log).rsplit("/", 1)[-1].strip().split(":")
            yield Server(host, int(port), keys or _new_keys(environment, log), data, (process.pid,), pinned)


def installation_environment(data: Path) -> dict[str, str]:
    """Return the environment of a server's processes, and of programs beside it."""
    return {
        **{name: value for name, value in os.environ.items() if name not in _OF_OTHERS},
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "DATA_DIR": str(data),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "LOAD_SAMPLE": "0",
    }


def _new_keys(environment: dict[str, str], log: Path) -> list[str]:
    created = run_python(
        "django", "shell", "--no-imports", "-c", _NEW_KEYS % KEYS, environment=environment, log=log
    )
    keys: list[str] = json.loads(created)
    return keys
