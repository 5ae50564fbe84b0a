"""Which folder holds a symbol, and which file takes the next rows of an event date."""

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import numpy as np

from store.csv.files.commit_records import PartKind
from store.declarations import Partition

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


def file_for(
    day: int,
    partition: Partition,
    end_of: Callable[[str], int],
    kind: PartKind = PartKind.ROWS,
    *,
    holds: Callable[[str], bool] = lambda _: True,
) -> str:
    """The file that takes the next lines of a date: its partition's first that can hold them, or a new one.

    It has not grown to 256 MiB. `end_of` gives the end of a file, 0 where there is none; `holds` tells
    whether the header of one that is there has the lines' columns.
    """
    name = str(np.datetime64(day, "D"))
    if partition is Partition.YEAR:
        name = name[: -len("-01-01")]
    stem = f"{name}{_OF_KIND[kind]}"
    file, number = f"{stem}.csv", 0
    while (end := end_of(file)) >= FILE_LIMIT_BYTES or (end and not holds(file)):
        number += 1
        file = f"{stem}.{number}.csv"
    return file
