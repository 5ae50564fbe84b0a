"""The file at the root of a store's folder that has the number of the folder's format."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from store.csv.files.disk import Disk
from store.datasets import STORED_DATASETS
from store.exceptions import OtherVersion

FORMAT = 1
"""The format of this version. A change of the files that this version could not read needs the next number."""
FORMAT_FILE = "format.json"


class _FolderFormat(msgspec.Struct, frozen=True):
    format: int


def check_format(folder: Path) -> None:
    """Raise `OtherVersion` if the folder has another format, or data and no format file.

    A folder that is missing, empty or cannot be read passes.
    """
    with suppress(OSError):
        _has_format(folder)


def write_format(folder: Path, disk: Disk) -> None:
    """Write the format file durably if the folder has none. Raises `OtherVersion` as `check_format`, and `OSError`.

    Before the folder gets its first log, so that a folder with data has a format after a power cut, too.
    """
    if _has_format(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FORMAT_FILE
    # Other processes may write the file at the same time.
    new = path.with_suffix(f".{os.getpid()}.{threading.get_native_id()}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        disk.append(descriptor, msgspec.json.encode(_FolderFormat(FORMAT)) + b"\n")
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    disk.sync_folder(folder)


def _has_format(folder: Path) -> bool:
    """Return whether the folder has a format file. Raises `OtherVersion` and `OSError`."""
    try:
        found = msgspec.json.decode((folder / FORMAT_FILE).read_bytes(), type=_FolderFormat).format
    except FileNotFoundError:
        if not any(_has_log(folder / name) for name in STORED_DATASETS):
            return False
        # Another process may have begun the folder since: it writes the format before its first log.
        if not (folder / FORMAT_FILE).exists():
            raise OtherVersion(str(folder), f"it has data and no {FORMAT_FILE}") from None
        return _has_format(folder)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise OtherVersion(str(folder), f"its {FORMAT_FILE} has no number") from None
    if found != FORMAT:
        raise OtherVersion(str(folder), f"its format is {found}, and this version reads {FORMAT}")
    return True


def _has_log(folder: Path) -> bool:
    return next(folder.glob("*/commits.jsonl"), None) is not None
