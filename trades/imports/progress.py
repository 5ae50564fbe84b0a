"""The saved progress of an import: a small file, rewritten after each commit."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from trades.exceptions import ImportRunning


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """The progress of a file's import.

    position: the number of committed rows, None before the first commit. is_sorted: whether they are counted in the
    order of the sorted file. rows, stored, bad: the numbers of the file's rows so
    far, of those newly stored, and of the bad ones. commit: symbol, number and hash of the newest commit that
    the import made or found. unknown_conditions: the numbers of rows with each condition of unknown meaning.
    symbols: rows, first and last time of each of the first symbols; symbol_count: the number of all. translated: the
    first symbols by the vendor's spelling that its rule translated; translated_count: the number of all.
    """

    position: int | None = None
    is_sorted: bool = False
    rows: int = 0
    stored: int = 0
    bad: int = 0
    commit: tuple[str, int, str] | None = None
    is_finished: bool = False
    unknown_conditions: Mapping[str, int] = field(default_factory=dict)
    symbols: Mapping[str, Sequence[int]] = field(default_factory=dict)
    symbol_count: int = 0
    translated: Mapping[str, str] = field(default_factory=dict)
    translated_count: int = 0

    @classmethod
    def of(cls, content: Any) -> "ImportProgress":
        """Return the progress whose `asdict` is `content`. Raises `TypeError`, `KeyError`, `ValueError`."""
        commit = content.pop("commit")
        return replace(cls(**content), commit=commit and (str(commit[0]), int(commit[1]), str(commit[2])))


class ProgressNote:
    """The saved progress of importing one file with some options. If either changes, the import starts anew."""

    def __init__(self, folder: Path, path: Path, options: str) -> None:
        state = path.stat()
        identity = f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\0{options}"
        name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = folder / f"{name}.json"
        self.spool = folder / f"{name}.spool"
        self._lock = folder / f"{name}.lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file against imports of other processes. Raises `ImportRunning`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ImportRunning(
                    "another process is importing this file: wait until it has ended"
                ) from error
            yield
        finally:
            os.close(descriptor)

    def load(self) -> ImportProgress | None:
        """Return the last saved progress; None if it is missing or cannot be read."""
        try:
            return ImportProgress.of(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, progress: ImportProgress) -> None:
        """Save the progress without fsync.

        After a power cut an older progress may be loaded. Rows that are then read again are recognised as
        duplicates.
        """
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(asdict(progress)))
        new.replace(self._path)
