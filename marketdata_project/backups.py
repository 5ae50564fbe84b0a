"""Copies an installation of files into a folder while it runs, and back into an empty one.

What is copied first never refers to what is copied later: the database, the log files, the rows.
A row that no copied commit record names does not exist, so files may grow meanwhile.

BackupError
├── BackupRefused    choose another folder; nothing was written
└── BackupStopped    a file could not be read or written: remove what was written, and begin again
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.conf import settings

from audit.spooling.collector import exclusive
from store.backends import store_at
from store.datasets import STORED_DATASETS

MANIFEST = "backup.json"
"""Written last: a folder without it is no backup."""
DATABASE = "marketdata.sqlite3"
COMMITS_FILE = "commits.jsonl"

_AUDIT = "audit"
# Processes make these anew: derived files of each log, and two folders in DATA_DIR.
_DERIVED, MADE_ANEW = ".derived", ("run", "imports")
_NOT_COPIED = (".lock", ".sqlite3-wal", ".sqlite3-shm", ".sqlite3-journal")
# The settings of development write it before a command begins.
_OF_SETTINGS = "secret_key"
_COLLECTOR_SECONDS, _POLL_SECONDS = 30.0, 0.05
_MANIFEST_BYTES = 2**16


class BackupError(Exception):
    """An installation is not copied."""


class BackupRefused(BackupError):
    """The folder cannot be used: choose another one. Nothing was written."""


class BackupStopped(BackupError):
    """A file could not be read or written: remove what was written, and begin again."""


class BackupManifest(msgspec.Struct, frozen=True):
    """A complete backup. files, bytes: of all files but the manifest."""

    made_at: datetime
    files: int
    bytes: int


def folders_of_settings() -> dict[str, Path]:
    """Return the folders that settings may put outside of DATA_DIR, by their names in it."""
    names = ("strategies", "rotated_keys", "uploads", "exports")
    return {name: Path(getattr(settings, f"{name.upper()}_DIR")) for name in names}


@dataclass(frozen=True, slots=True)
class Places:
    """Where an installation has its files. folders: those that a setting names, by their names in DATA_DIR."""

    data: Path
    database: Path
    folders: Mapping[str, Path]

    @classmethod
    def of_settings(cls) -> "Places":
        """Return the places of this installation, whose database is SQLite."""
        database = Path(settings.DATABASES["default"]["NAME"])
        return cls(Path(settings.DATA_DIR), database, folders_of_settings())

    def path(self, name: str) -> Path:
        """Return the path of the file that a backup has under a name."""
        folder, _, rest = name.partition("/")
        if name == DATABASE:
            return self.database
        return self.folders[folder] / rest if folder in self.folders else self.data / name

    def names(self, top: str = "") -> Iterator[str]:
        """Yield the names of all files that belong into a backup. top: a folder, for its files only."""
        for name in _names(self.data, top, but=MADE_ANEW):
            is_elsewhere = name.partition("/")[0] in self.folders or name == DATABASE
            if not is_elsewhere and self.data / name != self.database:
                yield name
        if not top:
            for folder, path in self.folders.items():
                yield from (f"{folder}/{name}" for name in _names(path))


def backup_make(places: Places, target: Path) -> BackupManifest:
    """Copy an installation into `target`, which is new or empty. Raises BackupError, OtherVersion."""
    if not places.database.is_file():
        raise BackupRefused(
            f"{places.data} has no {places.database.name}: there is no installation to back up."
        )
    store_at(places.data)  # refuses another format
    target = target.resolve()
    if any(target.is_relative_to(each.resolve()) for each in (places.data, *places.folders.values())):
        raise BackupRefused(
            f"{target} is in a folder that would be copied: choose one outside of {places.data}."
        )
    if _has_entries(target):
        is_complete = (target / MANIFEST).exists()
        raise BackupRefused(
            f"{target} {'has a backup already' if is_complete else 'is not empty'}: choose a new folder."
        )
    with _stopped_on_error(target):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        # While the collector waits, each audit record is in the database or in a file of the spool.
        with _collector_held(places.data / _AUDIT):
            _copy_database(places.database, target / DATABASE)
            _copy_new(places, target, _AUDIT)
        for name in _log_files(places.data):
            _copy(places.data / name, target / name)
        _copy_new(places, target)
        # At once for all files.
        os.sync()
        sizes = _sizes(target)
        manifest = BackupManifest(datetime.now(UTC), len(sizes), sum(sizes.values()))
        (target / MANIFEST).write_bytes(msgspec.json.encode(manifest) + b"\n")
        os.sync()
    return manifest


def backup_restore(origin: Path, places: Places) -> BackupManifest:
    """Copy a backup into the places of an installation, which are empty. Raises BackupError, OtherVersion."""
    manifest = _manifest_of(origin)
    _refuse_links(origin)
    sizes = _sizes(origin)
    if (len(sizes), sum(sizes.values())) != (manifest.files, manifest.bytes):
        raise BackupRefused(
            f"{origin} has {len(sizes):,} files of {sum(sizes.values()):,} bytes, but the backup had {manifest.files:,} of"
            f" {manifest.bytes:,}: copy it again from where it was made."
        )
    _check_database(origin)
    store_at(origin)  # refuses another format
    for folder in (places.data, *places.folders.values()):
        if _has_entries(folder, but=_OF_SETTINGS if folder == places.data else ""):
            raise BackupRefused(f"{folder} is not empty: restore into an empty folder.")
    if places.database.exists():
        raise BackupRefused(f"There is a database already, {places.database}: remove it.")
    with _stopped_on_error(places.data):
        for name in sizes:
            _copy(origin / name, places.path(name))
        os.sync()
    return manifest


def _manifest_of(origin: Path) -> BackupManifest:
    """Return a backup's manifest. Raises BackupRefused."""
    try:
        if not (origin / MANIFEST).is_file():  # a named pipe would be read for ever
            raise FileNotFoundError
        with (origin / MANIFEST).open("rb") as file:
            return msgspec.json.decode(file.read(_MANIFEST_BYTES), type=BackupManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupRefused(
            f"{origin} has no {MANIFEST} that can be read: it is not a complete backup."
        ) from error


def _refuse_links(origin: Path) -> None:
    """Raise BackupRefused for a symbolic link in a backup: it could lead to any file of this machine."""
    for folder, folders, files in os.walk(origin):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                raise BackupRefused(f"{path} is a symbolic link, and a backup has none: remove it.")


def _check_database(origin: Path) -> None:
    """Raise BackupRefused unless a backup has a whole SQLite database of an installation."""
    path = origin / DATABASE
    if not path.is_file():
        raise BackupRefused(f"{origin} has no {DATABASE}: it is not a complete backup.")
    try:
        # Immutable: nothing is written beside it.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as database:
            [fault] = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupRefused(
            f"{path} cannot be read: {error}. Copy it again from where it was made."
        ) from error
    if fault != "ok":
        raise BackupRefused(f"{path} is damaged: {fault}. Copy it again from where it was made.")


def _log_files(data_dir: Path) -> list[str]:
    """Return the names of the log files: kept bars after trades, whose expiry names them, and declarations last."""
    found = [path.relative_to(data_dir) for path in data_dir.glob(f"*/*/{COMMITS_FILE}")]
    places = {name: place for place, name in enumerate(STORED_DATASETS)}
    return [path.as_posix() for path in sorted(found, key=lambda path: (places.get(path.parts[0], 0), path))]


def _copy_new(places: Places, target: Path, top: str = "") -> None:
    """Copy the files that `target` does not have yet."""
    for name in places.names(top):
        if not (target / name).exists():
            _copy(places.path(name), target / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times and permissions. A file that its process has removed is left out."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # First, so that no copy of a file is left that has no status any more.
        status = source.stat()
        shutil.copyfile(source, target)
    except FileNotFoundError:
        if source.exists():
            raise
        return
    # Not `copy2`: in a forged backup a file may have the bits with which it runs as its owner.
    target.chmod(status.st_mode & 0o777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database at one instant, while others write to it."""
    with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as database:
        with closing(sqlite3.connect(target)) as copy:
            database.backup(copy)
    shutil.copymode(source, target)


@contextmanager
def _collector_held(audit_dir: Path) -> Iterator[None]:
    """Let no process move audit records from the spool into the database."""
    deadline = time.monotonic() + _COLLECTOR_SECONDS
    while time.monotonic() < deadline:
        with exclusive(audit_dir / "collector.lock") as is_locked:
            if is_locked:
                yield
                return
        time.sleep(_POLL_SECONDS)
    raise BackupStopped(f"Audit records were collected for {_COLLECTOR_SECONDS:g} s: try again.")


@contextmanager
def _stopped_on_error(folder: Path) -> Iterator[None]:
    """Raise BackupStopped for an error of the operating system or of SQLite."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or folder
        raise BackupStopped(f"{where}: {error.strerror}. {folder} is not complete: remove it.") from error
    except sqlite3.Error as error:
        raise BackupStopped(f"{DATABASE}: {error}. {folder} is not complete: remove it.") from error


def _names(root: Path, top: str = "", *, but: Collection[str] = ()) -> Iterator[str]:
    """Yield the names of the files below `root` that are copied, relative to it, in order. but: folders in `root` to leave out."""
    for folder, folders, files in os.walk(root / top, followlinks=True):
        left_out = {_DERIVED, *(but if Path(folder) == root else ())}
        folders[:] = sorted(set(folders) - left_out)
        for file in sorted(files):
            path = Path(folder, file)
            if not file.endswith(_NOT_COPIED) and path.is_file():
                yield path.relative_to(root).as_posix()


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of a backup's files, by their names."""
    return {
        name: (folder / name).stat().st_size for name in _names(folder, but=MADE_ANEW) if name != MANIFEST
    }


def _has_entries(folder: Path, *, but: str = "") -> bool:
    """Return whether a path is a folder that is not empty, or a file."""
    if not folder.is_dir():
        return folder.exists()
    return any(each.name != but for each in folder.iterdir())
