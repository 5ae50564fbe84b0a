"""What an import can refuse.

ImportsError
├── ImportRefused        the arguments, or the file as a whole; correct them
├── BadRow               a row of the file; correct it, or import with bad rows skipped
├── NotInOrder           the file is not in order of time and is sorted first (never leaves this package)
└── ImportRunning        another process imports the same file; wait for it
"""

from pathlib import Path


class ImportsError(Exception):
    """Anything that an import refuses."""


class ImportRefused(ImportsError):
    """The arguments, or the file as a whole, cannot be imported. Correct them."""


class BadRow(ImportsError):
    """A row cannot be stored. Correct the file, or skip bad rows. `line` is counted from 1, the header's."""

    def __init__(self, path: Path, line: int, field: str | None, message: str) -> None:
        where = f"{path}, line {line}" + (f", {field}" if field else "")
        super().__init__(f"{where}: {message}")
        self.line = line
        self.field = field


class NotInOrder(ImportsError):
    """Rows go back in time, or are of several symbols: they must be sorted before they are stored."""


class ImportRunning(ImportsError):
    """Another process is importing this file. Wait until it has ended."""
