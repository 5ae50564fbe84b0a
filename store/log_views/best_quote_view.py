"""The best bid and offer as the rows of a log, for as-of joins."""

from __future__ import annotations

from dataclasses import dataclass

from store import lazy_pyarrow as pa
from store.declarations import Dataset
from store.log_views.best_quotes import BEST_QUOTES, best_quote_rows
from store.log_views.log_view import LogView
from store.log_views.venue_hours import VenueHours
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class BestQuoteView:
    """The changes of the best of a log of quotes, read as the rows of a log. max_age_ns: see `best_quote_rows`."""

    log: LogView
    max_age_ns: int
    venue_hours: VenueHours

    @property
    def dataset(self) -> Dataset:
        """The declaration of the rows."""
        return BEST_QUOTES

    @property
    def is_empty(self) -> bool:
        """Whether there are no quotes."""
        return self.log.is_empty

    def rows(self, window: Window) -> pa.Table:
        """Return the changes in a window."""
        if window.start_ns >= window.end_ns:
            return BEST_QUOTES.schema.empty_table()
        return best_quote_rows(self.log, window, self.max_age_ns, self.venue_hours)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """Return a part of the window with about so many quotes, at its start or its end."""
        return self.log.take_window(window, rows, from_end=from_end)

    def row_bound(self, window: Window) -> int:
        """Return an upper bound of the number of quotes in a window."""
        return self.log.row_bound(window)
