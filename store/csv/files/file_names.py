"""File names: the folder of a symbol, and the file for new rows of an event date."""

from collections.abc import Callable
from urllib.parse import unquote

import numpy as np

from store.csv.files.commit_records import PartKind
from store.declarations import Partition

FILE_LIMIT_BYTES = 256 * 2**20

_OF_KIND = {PartKind.ROWS: "", PartKind.CORRECTIONS: ".corrections"}


def symbol_of(folder: str) -> str:
    """Return the symbol of a folder name; the inverse of `folder_name`."""
    return unquote(folder)


def file_for(
    day: int,
    partition: Partition,
    end_of: Callable[[str], int],
    kind: PartKind = PartKind.ROWS,
    *,
    holds: Callable[[str], bool] = lambda _: True,
) -> str:
    """Return the file for new lines of a date: the partition's first file that can take them, or a new one.

    A file can take them if it is smaller than 256 MiB and `holds` accepts it. end_of: returns the length of a
    file, or 0 if it does not exist. holds: returns whether an existing file's header has the lines' columns.
    """
    stem = _stem(day, partition, kind)
    file, number = f"{stem}.csv", 0
    while (end := end_of(file)) >= FILE_LIMIT_BYTES or (end and not holds(file)):
        number += 1
        file = f"{stem}.{number}.csv"
    return file


def _stem(day: int, partition: Partition, kind: PartKind) -> str:
    name = str(np.datetime64(day, "D"))
    if partition is Partition.YEAR:
        name = name[: -len("-01-01")]
    return f"{name}{_OF_KIND[kind]}"
