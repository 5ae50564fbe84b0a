"""Measures how far the database is behind the spool files."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from audit.models import SpoolFile
from audit.records.call import LINE_BYTES
from audit.spooling.spool import ANY_SUFFIX


@dataclass(frozen=True, slots=True)
class SpoolLag:
    """Bytes of records that are not in the database yet, and the age of the oldest in seconds (0 without any)."""

    spooled_bytes: int
    seconds: float


class _Begun(msgspec.Struct):
    at: datetime


_DECODER = msgspec.json.Decoder(_Begun)


def spool_lag(folder: Path, *, now: datetime) -> SpoolLag:
    """The lag of the spool files in `folder`. Raises django.db.Error."""
    left = list(_left(folder))
    begun = [at for path, offset, _ in left if (at := _begun(path, offset)) is not None]
    age = (now - min(begun)).total_seconds() if begun else 0.0
    return SpoolLag(sum(count for _, _, count in left), max(0.0, age))


def _left(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """The files with uncollected bytes: path, offset of the first, and their count."""
    sizes = {path: size for path in folder.glob(f"*{ANY_SUFFIX}") if (size := _size(path))}
    known = SpoolFile.objects.filter(name__in=[path.name for path in sizes])
    offsets = dict(known.values_list("name", "offset"))
    for path, size in sizes.items():
        offset = offsets.get(path.name, 0)
        if size > offset:
            yield path, offset, size - offset


def _size(path: Path) -> int:
    """The size of a regular file; 0 if it was removed meanwhile or is none."""
    try:
        state = path.lstat()
    except OSError:
        return 0
    return state.st_size if stat.S_ISREG(state.st_mode) else 0


def _begun(path: Path, offset: int) -> datetime | None:
    """When the first call after `offset` began; None if its line cannot be read (yet)."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _DECODER.decode(file.readline(LINE_BYTES)).at
    except (OSError, msgspec.MsgspecError):
        return None
