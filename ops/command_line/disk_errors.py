"""The line that a command prints, instead of a traceback, for a data folder or a database that cannot be used."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import Error

from store.exceptions import OtherVersion

_OF_DISKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
_OF_PATHS = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, *_OF_DISKS})
# SQLite's texts; an error that comes from a fork has no code any more.
_OF_SQLITE = (
    "attempt to write a readonly database",
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
)


@contextmanager
def one_line_for_disk_errors() -> Iterator[None]:
    """Exit with status 1 and one line for an error of the system or of SQLite about DATA_DIR, and for data of another version.

    Other errors are raised.
    """
    try:
        yield
    except OtherVersion as error:
        sys.exit(str(error))
    except (OSError, Error) as error:
        sentence = disk_problem(error)
        if sentence is None:
            raise
        sys.exit(sentence)


def disk_problem(error: Exception) -> str | None:
    """Return what is wrong with DATA_DIR and what to do; None for an error about something else."""
    found = _problem(error, settings.DATA_DIR)
    if found is None:
        return None
    return f"{found}. DATA_DIR is {settings.DATA_DIR}: it must be a folder with free space that this user can write."


def _problem(error: Exception, data_dir: Path) -> str | None:
    if isinstance(error, Error):
        return f"Database: {error}" if str(error) in _OF_SQLITE else None
    if not isinstance(error, OSError) or error.errno not in _OF_PATHS:
        return None
    if error.filename is None:
        return os.strerror(error.errno) if error.errno in _OF_DISKS else None
    path = Path(os.fsdecode(error.filename))
    is_ours = path.is_relative_to(data_dir) or data_dir.is_relative_to(path)
    return f"{path}: {_reason(error.errno)}" if is_ours else None


def _reason(number: int) -> str:
    # A folder cannot be made where a file is.
    return os.strerror(errno.ENOTDIR if number == errno.EEXIST else number)
