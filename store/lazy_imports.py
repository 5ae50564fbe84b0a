"""pyarrow's functions and its CSV reader, imported when they are first used.

They take as long to import as a third of all else that a program needs to read from derived files, which
needs neither.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import pyarrow as pa


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


class _NoPandas:
    """Answers for a moment that pandas is not installed. Its proper base class takes 6 ms to import."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


def postpone_pandas() -> None:
    """Let pyarrow do its one look for pandas, at which it would load it, while there is none to be found.

    pyarrow looks at its first conversion from or to numpy, which takes 0.4 s and 60 MB; where it needs pandas
    (`to_pandas`, `from_pandas`) it looks again. Until then `pyarrow.array` takes a pandas Series for a plain
    sequence; so nothing is done where pandas is loaded already.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
