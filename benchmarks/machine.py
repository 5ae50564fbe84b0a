"""What a run was measured on: the date, the machine, and the versions of the programs."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import NGINX, PEER_VENV

_OURS = (
    "Django",
    "djangorestframework",
    "uvicorn",
    "uvloop",
    "redis",
    "hiredis",
    "orjson",
    "numpy",
    "pyarrow",
)
_PEERS = ("fastapi", "uvicorn", "pandas", "duckdb", "polars")
_VERSIONS = "from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in %r))"
_GIB = 2**30


def described() -> str:
    """Return two paragraphs: the date and the machine, then the versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} cores of {_processor()}, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    ours = ", ".join(f"{name} {version(name)}" for name in _OURS)
    return f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine}.\n\n{python}, {ours}. Peers: {_peers()}."


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _peers() -> str:
    python = PEER_VENV / "bin" / "python"
    commands = [[str(python), "-c", _VERSIONS % (_PEERS,)]] if python.exists() else []
    commands += [[program, "-v"] for program in (NGINX, shutil.which("wrk")) if program]
    return ", ".join(map(_first_line, commands)) or "none"


def _first_line(command: list[str]) -> str:
    """Return the first line that a command prints, without a copyright."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].removeprefix("nginx version: ").partition(" [")[0] if lines else ""
