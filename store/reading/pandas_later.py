"""Keeps pyarrow from loading pandas before anybody asks for a frame."""

import sys
from collections.abc import Sequence
from types import ModuleType

import pyarrow as pa


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
