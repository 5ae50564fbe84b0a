"""Which folder holds a symbol, and which file takes the next rows of an event date."""

import re
from urllib.parse import quote, unquote

import numpy as np

from trades.storage.commit import PartKind

FILE_LIMIT_BYTES = 256 * 2**20

_OF_KIND = {PartKind.ROWS: "", PartKind.CORRECTIONS: ".corrections"}

_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\.|\Z)")


def folder_name(symbol: str) -> str:
    """A symbol as a folder's name that every file system can hold; `symbol_of` reads it back."""
    name = quote(symbol, safe="-_.=")
    if _RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return f"{name[:-1]}%2E" if name.endswith(".") else name


def symbol_of(folder: str) -> str:
    """The symbol that a folder holds."""
    return unquote(folder)


def file_for(day: int, newest_file: str | None, end: int, kind: PartKind = PartKind.ROWS) -> str:
    """The file that takes the next lines of a date: the newest one, or another once that has grown to 256 MiB."""
    stem = f"{np.datetime64(day, 'D')}{_OF_KIND[kind]}"
    if newest_file is None:
        return f"{stem}.csv"
    if end < FILE_LIMIT_BYTES:
        return newest_file
    number = int(newest_file.removeprefix(stem).removesuffix(".csv").lstrip(".") or 0)
    return f"{stem}.{number + 1}.csv"
