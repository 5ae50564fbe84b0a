"""The market store: datasets declared as data, the protocol of a backend, bars, and the reader `open_store`.

The package can be installed without the server, because it imports none of the Django apps.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.reading.exchange_grids import GridOf
    from store.reading.quote_reader import VenueHoursOf
    from store.reading.reader import Reader

__all__ = ["open_store"]


def open_store(
    path: Path | str,
    *,
    sessions: "GridOf | None" = None,
    venue_hours: "VenueHoursOf | None" = None,
) -> "Reader":
    """Return a reader of the store in a folder, such as a server's DATA_DIR.

    Other processes may write to the store meanwhile. sessions: a function from an instrument to the grid of
    its sessions, such as `store.log_views.instrument_grid.regular_days`. It is needed only for days of
    instruments with an exchange, for weeks, months, hours, anchors and adjusted bars, and for stored daily bars that do
    not begin at midnight UTC. venue_hours: a function from an instrument to the hours of its venues, such as
    `store.log_views.venue_hours.venue_hours_of`. It is needed only for best bids and offers. Raises `NoSuchStore` unless
    the path is a folder.
    """
    # Only programs that open a store import the reader's modules.
    from store.reading.reader import Reader  # noqa: PLC0415

    return Reader(path, sessions=sessions, venue_hours=venue_hours)
