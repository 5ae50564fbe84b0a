"""What is known of an import that was begun: a small file that is written anew after each commit."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trades.imports.blocks import Position
from trades.imports.exceptions import ImportRunning


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file's import is.

    position: behind the last row that was committed, while the file is in order. partitions: how many of the
    sorted ones are committed; None while it is in order. The counts are of the file's rows; `stored` of those
    that were new. commit: symbol, number and hash of the newest commit that this import made or met.
    """

    position: Position | None = None
    partitions: int | None = None
    rows: int = 0
    stored: int = 0
    bad: int = 0
    commit: tuple[str, int, str] | None = None
    is_finished: bool = False

    @classmethod
    def of(cls, content: Any) -> "Progress":
        """What `asdict` made. Raises `TypeError`, `KeyError`, `ValueError` for what it did not make."""
        position, commit = content.pop("position"), content.pop("commit")
        return replace(
            cls(**content),
            position=None if position is None else Position(**position),
            commit=None if commit is None else (str(commit[0]), int(commit[1]), str(commit[2])),
        )


class Note:
    """The note of one file as it is now, under these options: a changed file has another note."""

    def __init__(self, folder: Path, path: Path, options: str) -> None:
        found = path.stat()
        identity = f"{path.resolve()}\0{found.st_size}\0{found.st_mtime_ns}\0{options}"
        name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = folder / f"{name}.json"
        self.spool = folder / f"{name}.spool"
        self._lock = folder / f"{name}.lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from importing the file. Raises `ImportRunning`; ends with the process."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ImportRunning("another process is importing this file") from error
            yield
        finally:
            os.close(descriptor)

    def load(self) -> Progress | None:
        """What was written last; None if nothing was, or nothing that can be read."""
        try:
            return Progress.of(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, progress: Progress) -> None:
        """Write how far the import is.

        After a power cut it may be an older one: the store knows the rows between.
        """
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(asdict(progress)))
        written.replace(self._path)
