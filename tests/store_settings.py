"""The market store of tests that go through the API: files, or with `STORE=memory` what a backend must do alone."""

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from tests.memory_store import MemoryStore

_BACKENDS = {"csv": "store.csv.CsvStore", "memory": f"{__name__}.memory_store"}
_BACKEND = _BACKENDS[os.environ.get("STORE", "csv")]
IS_OF_FILES = _BACKENDS["csv"] == _BACKEND


def stores_at(path: Path) -> dict[str, Any]:
    """The setting `MARKET_STORES` for the store of a folder. Its clock is not watched: tests travel in time."""
    options = {"path": path, "clock": time.time_ns} if IS_OF_FILES else {"path": path}
    return {"default": {"BACKEND": _BACKEND, "OPTIONS": options}}


@cache
def memory_store(path: Path) -> MemoryStore:
    """The store in memory that goes by a path: the same one when settings come back to it."""
    return MemoryStore()
