"""The market store: datasets declared as data, the protocol of a backend, bars, and the reader `open_store`.

It can be installed without the server; it imports none of the apps.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.reading.bar_logs import RegularSessions
    from store.reading.reader import Reader

__all__ = ["open_store"]


def open_store(path: Path | str, *, sessions: "RegularSessions | None" = None) -> "Reader":
    """A reader of the store in a folder (a server's DATA_DIR); other processes may write to it meanwhile.

    sessions: gives the regular sessions of an instrument, `regular_days` of
    `stats.market_data.intervals.regular_days`; only `session_bars`, and stored days that begin at another
    time than midnight UTC, need it. Raises `NoSuchStore` unless the path is a folder.
    """
    # Only a program that reads in process pays for the reader's modules.
    from store.reading.reader import Reader  # noqa: PLC0415

    return Reader(path, sessions=sessions)
