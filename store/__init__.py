"""The market store: datasets declared as data, the protocol of a backend, bars, and the reader `open_store`.

The package can be installed without the server, because it imports none of the Django apps.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.reading.reader import Reader

__all__ = ["open_store"]


def open_store(where: Path | str) -> "Reader":
    """Return a reader of a store, such as the one in a server's DATA_DIR.

    where: a path, or a URL such as `csv:///srv/data` or `clickhouse://host:9000,host:9000/database`. Other processes may
    write to the store meanwhile. Raises `NoSuchStore` unless there is a folder, or the URL is one of servers.
    """
    # Only programs that open a store import the reader's modules.
    from store.reading.reader import Reader  # noqa: PLC0415

    return Reader(where)
