"""What a program has sent, kept in a file, so that it can be killed and started again."""

import hashlib
import json
import secrets
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from marketdata_client.errors import JournalConflict

_TABLES = """
CREATE TABLE IF NOT EXISTS journal (id TEXT NOT NULL, purpose TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, digest TEXT NOT NULL, answer TEXT);
"""


class Journal:
    """The batches of one ingest: which were sent, and what was answered. Use it in `with`.

    path: the file; None for a journal in memory, which does not survive the process. purpose: the server and what is
    sent to it; another ingest may not use the file. Raises `JournalConflict`, also if another process uses it.
    """

    def __init__(self, path: str | Path | None, purpose: str) -> None:
        try:
            self._database = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=0.2,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise JournalConflict(f"the journal {path} cannot be opened: {error}") from error
        try:
            # The lock is held until the journal is closed, or the process ends.
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("BEGIN EXCLUSIVE")
            self._begin(purpose)
        except sqlite3.Error as error:
            self._database.close()
            raise JournalConflict(
                f"the journal cannot be used, or another process uses it: {error}"
            ) from error
        except BaseException:
            self._database.close()
            raise

    def _begin(self, purpose: str) -> None:
        for statement in _TABLES.split(";"):
            self._database.execute(statement)
        stored = self._database.execute("SELECT id, purpose FROM journal").fetchone()
        if stored is None:
            stored = (secrets.token_hex(16), purpose)
            self._database.execute("INSERT INTO journal VALUES (?, ?)", stored)
        self._database.execute("COMMIT")
        self._id, known = stored
        if known != purpose:
            raise JournalConflict(f"the journal is of another ingest: {known}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def key(self, number: int) -> str:
        """Return the idempotency key of a batch: the same after a restart."""
        return f"{self._id}-{number}"

    def begin(self, number: int, body: bytes) -> dict[str, Any] | None:
        """Return the answer of a batch that was stored; else note that it is sent, and return None.

        Raises `JournalConflict` if the batch of that number had other rows.
        """
        digest = hashlib.sha256(body).hexdigest()
        stored = self._database.execute(
            "SELECT digest, answer FROM batches WHERE number = ?", (number,)
        ).fetchone()
        if stored is None:
            self._database.execute("INSERT INTO batches VALUES (?, ?, NULL)", (number, digest))
            return None
        if stored[0] != digest:
            raise JournalConflict(f"batch {number} has other rows than when the journal was written")
        return None if stored[1] is None else dict(json.loads(stored[1]))

    def end(self, number: int, answer: dict[str, Any]) -> None:
        """Note the answer of a batch."""
        self._database.execute("UPDATE batches SET answer = ? WHERE number = ?", (json.dumps(answer), number))
