"""The storage abstraction with its backends, and the door for programs on the same machine: `open_store`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trades.storage.reading.bar_logs import Sessions
    from trades.storage.reading.reader import Reader

__all__ = ["open_store"]


def open_store(path: Path | str, *, sessions: "Sessions | None" = None) -> "Reader":
    """A reader of the store in a folder (a server's DATA_DIR); other processes may write to it meanwhile.

    sessions: gives the regular sessions of an instrument, `regular_days` of
    `stats.market_data.intervals.regular_days`; only `session_bars`, and stored days that begin at another
    time than midnight UTC, need it. Raises `NoSuchStore` unless the path is a folder.
    """
    # Only a program that reads in process pays for the reader's modules.
    from trades.storage.reading.reader import Reader  # noqa: PLC0415

    return Reader(path, sessions=sessions)
