"""Keys of an installation as its database has them at this moment."""

import contextlib
import sqlite3
import time
from pathlib import Path

from tests.patience import PATIENCE_SECONDS

_LOOK_SECONDS = 0.001


def key_id(data_dir: Path, key: str) -> int:
    """The id of a key that is given whole."""
    prefix = key.removeprefix("md_").partition("_")[0]
    with _read(data_dir) as database:
        found: int = database.execute(
            "SELECT id FROM ratelimit_apikey WHERE prefix = ?", [prefix]
        ).fetchone()[0]
    return found


def committed_revocation(data_dir: Path, number: int) -> float:
    """The moment of the monotonic clock at which a revocation was seen to be committed; waits for it."""
    with _read(data_dir) as database:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            row = database.execute(
                "SELECT revoked_at FROM ratelimit_apikey WHERE id = ?", [number]
            ).fetchone()
            if row[0] is not None:
                return time.monotonic()
            time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"key {number} was not revoked")


@contextlib.contextmanager
def _read(data_dir: Path):
    connection = sqlite3.connect(
        f"file:{data_dir / 'marketdata.sqlite3'}?mode=ro", uri=True, timeout=PATIENCE_SECONDS
    )
    try:
        yield connection
    finally:
        connection.close()
