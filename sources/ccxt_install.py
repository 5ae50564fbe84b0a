"""ccxt is installed by the first fetch from an exchange: with it `make setup` would take over 20 s more."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from django.conf import settings

from sources.protocol import SourceRefused

REQUIREMENTS = "requirements-exchanges.txt"


def require_ccxt(say: Callable[[str], None]) -> None:
    """Install ccxt if it is missing, in the version that was tested, and say so. Raises SourceRefused."""
    if find_spec("ccxt") is not None:
        return
    say("Installing ccxt, which knows the exchanges: once, 40 MB, about 20 s")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes"]
    done = subprocess.run(  # noqa: S603 our own arguments
        [*pip, "-r", str(settings.BASE_DIR / REQUIREMENTS)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        raise SourceRefused(f"ccxt could not be installed: {lines[-1]}; run pip install -r {REQUIREMENTS}")
