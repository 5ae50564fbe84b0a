"""pyarrow's slow modules and pandas, imported at their first use.

`pyarrow.compute` and `pyarrow.csv` would take a third of the import time of a program that reads rows from
derived files, and such a program needs neither.
"""

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from threading import get_ident
from types import ModuleType
from typing import Any


def imported(module: str) -> ModuleType:
    """Import pyarrow or one of its modules, without pandas."""
    _postpone_pandas()
    return import_module(module)


class _Later:
    """A placeholder for a module, which is imported when one of its names is first used."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(imported(self._module), name)
        setattr(self, name, value)  # later uses do not call this method
        return value


compute: Any = _Later("pyarrow.compute")
csv: Any = _Later("pyarrow.csv")
pandas: Any = _Later("pandas")


class _NoPandas:
    """An import finder that reports pandas as not installed, to the thread that made it.

    It has no base class: `importlib.abc` takes 6 ms to import.
    """

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas" and get_ident() == self._thread:
            raise ModuleNotFoundError(fullname, name=fullname)


@cache
def _postpone_pandas() -> None:
    """Import pyarrow and keep it from importing pandas until a caller needs it.

    At its first conversion from or to numpy pyarrow tries to import pandas, which takes 0.4 s and 60 MB. This
    function makes that one attempt fail; `to_pandas` and `from_pandas` try again. Until then `pyarrow.array`
    treats a pandas Series as a plain sequence. So pandas is not postponed if it is already imported.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import_module("pyarrow").array([0])
    finally:
        sys.meta_path.remove(finder)
