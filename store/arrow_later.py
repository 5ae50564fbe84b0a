"""pyarrow's functions and its CSV reader, imported when they are first used.

They take as long to import as a third of all else that a program needs to read from derived files, which
needs neither.
"""

from importlib import import_module
from typing import Any


class _Later:
    """A module that is imported when the first of its names is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._module), name)
        setattr(self, name, found)  # from now on it is found without this method
        return found


compute: Any = _Later("pyarrow.compute")
csv: Any = _Later("pyarrow.csv")
