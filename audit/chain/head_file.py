"""The head file: number and hash of the newest record, outside the database. It reveals if the chain's end was cut off.

It is replaced after each commit that appends records. The hash is keyed, so without the key nobody can make one up.
"""

import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from django.conf import settings

from audit.chain.links import Head

logger = logging.getLogger(__name__)

HEAD_FILE = "the head file"
"""The file's name in findings."""


class _Content(msgspec.Struct):
    sequence: int
    hash: str


_DECODER = msgspec.json.Decoder(_Content)


@dataclass(frozen=True, slots=True)
class HeadFile:
    """Reads and replaces the head file at `path`."""

    path: Path

    def read(self) -> Head | None:
        """Return the newest head; None if there is no file, or if it cannot be read, which is logged."""
        try:
            content = _DECODER.decode(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            logger.exception("the audit log's head cannot be read from %s", self.path)
            return None
        return Head(content.sequence, content.hash)

    def advance(self, head: Head, *, is_contradicted: bool = False) -> bool:
        """Write a committed head, unless the file has a later one that the database does not contradict.

        Return whether that went well. Errors are logged: the records themselves are in the database.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
                if is_contradicted or self._is_behind(head):
                    self._replace(head)
        except OSError:
            logger.exception("the audit log's head cannot be written to %s", self.path)
            return False
        return True

    def _is_behind(self, head: Head) -> bool:
        before = self.read()
        return before is None or before.sequence < head.sequence

    def _replace(self, head: Head) -> None:
        new = self.path.with_suffix(".new")
        with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(msgspec.json.encode(head._asdict()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def head_file() -> HeadFile:
    """Return the head file of this installation, in AUDIT_DIR."""
    return HeadFile(Path(settings.AUDIT_DIR) / "head")
