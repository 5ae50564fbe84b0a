"""Errors that are found in a write before the store is called.

RequestError
├── InvalidValue          a well-formed parameter names something that does not exist; correct it
├── BatchRefused          a value of a well-formed batch is wrong; correct it
│   └── ConditionsRefused conditions have no known meaning, and the instrument refuses them
└── DecoderEnded          the process that decoded the body was ended; send it again
ImportsError
├── ImportRefused         the arguments, or the file as a whole, are wrong; correct them
├── BadRow                a row of the file is wrong; correct it, or skip bad rows
└── NotInOrder            the file is not in order of time and must be sorted (never leaves `imports`)

Errors in a request's syntax are in `web.requests.exceptions`, the store's errors in `store.exceptions`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from web.requests.exceptions import RequestError


class InvalidValue(RequestError):
    """A well-formed query parameter names something that does not exist. Correct it."""


class BatchRefused(RequestError):
    """At least one value of a well-formed batch is wrong. Nothing was stored. Correct it.

    rows: the numbers of all wrong rows, or corrections, if they are known.
    """

    rows: Sequence[int] = ()


class ConditionsRefused(BatchRefused):
    """Conditions have no known meaning, and the instrument refuses such rows."""


class DecoderEnded(RequestError):
    """The process that decoded the body was ended, or took too long. Nothing was stored. Send it again."""

    def __init__(self) -> None:
        super().__init__("server_busy", "the process that decoded the body was ended; nothing was stored")


class ImportsError(Exception):
    """The base of import errors. stored: how many rows the import stored before."""

    stored = 0


class ImportRefused(ImportsError):
    """The arguments, or the file as a whole, cannot be imported. Correct them."""


class BadRow(ImportsError):
    """A row cannot be stored. Correct the file, or skip bad rows. `line` counts from 1, which is the header.

    symbol: the row's symbol; None if it has none that is valid.
    """

    symbol: str | None = None

    def __init__(self, path: Path, line: int, field: str | None, message: str) -> None:
        where = f"{path}, line {line}" + (f", {field}" if field else "")
        super().__init__(f"{where}: {message}")
        self.line = line
        self.field = field


def without_path(text: str, path: Path) -> str:
    """Return what an error or a report says of a file, without the file's folder."""
    return re.sub(f"{re.escape(f'{path}')}(: |, )", "", text).replace(f"{path}", path.name)


class NotInOrder(ImportsError):
    """Rows go back in time or have several symbols: they must be sorted before they are stored."""
