"""The first line of a data file: which columns its lines have. It never changes once it is written."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from store.declarations import Dataset
from store.exceptions import DataDamaged

# The names in a file's header, in its order: the event time, the symbol, then the other columns.
Header: TypeAlias = tuple[str, ...]

HEADER_LIMIT_BYTES = 4096
_LATER_NAME = re.compile(r"[a-z][a-z0-9_]*")


def header_of(dataset: Dataset, later: Collection[str] = ()) -> Header:
    """The header of a new file: the dataset's first form, then those of its later columns that are named."""
    first, *others = dataset.first_form.schema.names
    return (first, "symbol", *others, *(name for name in dataset.later_names if name in later))


def header_line(header: Header) -> bytes:
    """A header as the first line of a file."""
    return (",".join(header) + "\n").encode()


def parse_header(dataset: Dataset, text: bytes) -> Header:
    """The header that a file begins with; its later columns may be ones that this version does not know.

    Raises `DataDamaged` if it does not begin with the dataset's first form.
    """
    line, end, _ = text.partition(b"\n")
    names = tuple(line.decode("ascii", "replace").split(","))
    first = header_of(dataset)
    later = names[len(first) :]
    is_whole = bool(end) and names[: len(first)] == first and len(set(names)) == len(names)
    if not is_whole or not all(map(_LATER_NAME.fullmatch, later)):
        raise DataDamaged(f"the first line is not a header of {dataset.name}")
    return names


def read_header(dataset: Dataset, path: Path, descriptor: int) -> Header:
    """The header of an open file. Raises `DataDamaged`, naming the file, and `OSError`."""
    try:
        return parse_header(dataset, os.pread(descriptor, HEADER_LIMIT_BYTES, 0))
    except DataDamaged as error:
        raise DataDamaged(f"{path.parent.name}/{path.name}: {error}") from error


def header_in(dataset: Dataset, path: Path) -> Header:
    """The header of a file; no columns if it is damaged. Raises `DataDamaged` without the file, `OSError`."""
    descriptor = opened(path)
    try:
        return read_header(dataset, path, descriptor)
    except DataDamaged:
        return ()
    finally:
        os.close(descriptor)


def opened(path: Path) -> int:
    """A data file's descriptor, for reading. Raises `DataDamaged` if it is missing, and `OSError`."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DataDamaged(f"{path.parent.name}/{path.name} is missing") from error


def unknown_names(dataset: Dataset, header: Header) -> list[str]:
    """The columns of a header that this version does not know."""
    known = {"symbol", *dataset.schema.names}
    return [name for name in header if name not in known]
