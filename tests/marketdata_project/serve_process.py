"""A real `manage.py serve` on a free port and a data folder of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import orjson

from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
SETTINGS = "marketdata_project.settings.development"
# In the command line of the embedded Redis, whichever program it is: its socket.
REDIS = "redis.sock"
SMALL = {"WORKERS": "1", "LOAD_SAMPLE": "0"}


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    data_dir: Path
    output: Path

    def says(self, pattern: str, *, seconds: float = PROGRAM_SECONDS) -> re.Match[str]:
        """Wait for a line of its output."""
        found = eventually(
            lambda: re.search(pattern, self.output.read_text()) or self.process.poll() is not None,
            seconds=seconds,
        )
        match = re.search(pattern, self.output.read_text())
        assert found, self.output.read_text()
        assert match, self.output.read_text()
        return match

    @property
    def port(self) -> int:
        return int(self.says(r"Ready on http://127\.0\.0\.1:(\d+)")[1])

    def get(self, path: str) -> tuple[int, dict[str, object]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    def members(self) -> dict[int, str]:
        """Return the living processes of this installation, with their command lines."""
        return {pid: command for pid in pids() if (command := command_in(pid, self.data_dir))}

    def member(self, part: str) -> int:
        """Return a process whose command line contains `part`."""
        return next(pid for pid, command in self.members().items() if part in command)

    def webs(self) -> list[int]:
        """Return the web processes. A decoder has the title of its web process for a moment, but not its parent."""
        found = [pid for pid, command in self.members().items() if "marketdata web" in command]
        return [pid for pid in found if parent_of(pid) == self.process.pid]

    def manage(self, *arguments: str, **environment: str) -> str:
        """What a command says, run beside it as an operator runs it.

        Raises CalledProcessError where it fails.
        """
        return subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": SETTINGS,
                "DATA_DIR": str(self.data_dir),
                "REDIS_URL": "",
                **environment,
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=PROGRAM_SECONDS,
        ).stdout

    def add_superuser(self, name: str, password: str, **environment: str) -> None:
        """Somebody of the staff."""
        options = ("--noinput", "--username", name, "--email", "")
        self.manage("createsuperuser", *options, DJANGO_SUPERUSER_PASSWORD=password, **environment)

    def ended(self) -> bool:
        """Whether every process of it comes to its end."""
        return eventually(lambda: self.process.poll() is not None and not self.members())

    def kill(self) -> None:
        for pid in [self.process.pid, *self.members()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def command_in(pid: int, data_dir: Path) -> str:
    """Return the command line of a process that was started for `data_dir`, else ''.

    Redis writes its title over its environment; it is known by its working folder.
    """
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        folder = Path(f"/proc/{pid}/cwd").readlink()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    ours = f"DATA_DIR={data_dir}".encode() in environment or folder == data_dir / "run"
    return command if ours else ""


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open."""
    targets = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            targets.append(str(entry.readlink()))
    return {target[8:-1] for target in targets if target.startswith("socket:[")}


def start(data_dir: Path, output: Path, *options: str, **environment: str) -> Served:
    """Start it, in a process group of its own as a shell would."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "serve", *options],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": SETTINGS,
                "DATA_DIR": str(data_dir),
                "PORT": "0",
                **SMALL,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Served(process, data_dir, output)


@contextlib.contextmanager
def serving(folder: Path, *, data_dir: Path | None = None, **environment: str) -> Iterator[Served]:
    """Start it and leave nothing of it behind."""
    served = start(data_dir or folder / "data", folder / "output.txt", **environment)
    try:
        yield served
    finally:
        served.kill()
