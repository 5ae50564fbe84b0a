"""pyarrow, imported at its first use: `from store import lazy_pyarrow as pa`.

A program that only reads bars needs no pyarrow, whose import takes a fifth of its time. A module that uses this
one begins with `from __future__ import annotations`: else `pa.Table` in a signature would be a use.
"""

from typing import Any

from store.lazy_imports import imported


def __getattr__(name: str) -> Any:
    value = getattr(imported("pyarrow"), name)
    globals()[name] = value  # later uses do not call this function
    return value
