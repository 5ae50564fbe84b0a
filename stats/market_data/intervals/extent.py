"""From where to where a log has rows at all: nothing needs to be looked for beyond."""

from collections.abc import Iterable
from functools import lru_cache

from store.log_views.log_view import LogView, newest_date, oldest_date
from store.protocol import Window
from store.timestamps import DAY_NS


def extent_of(logs: Iterable[LogView]) -> Window | None:
    """The event dates, from the first to the last one of any log, in whole UTC days; None without any row."""
    found = [extent for log in logs if (extent := _extent(log)) is not None]
    if not found:
        return None
    return Window(min(each.start_ns for each in found), max(each.end_ns for each in found))


@lru_cache(maxsize=4096)
def _extent(log: LogView) -> Window | None:
    first, last = oldest_date(log), newest_date(log)
    if first is None or last is None:
        return None
    return Window(first * DAY_NS, (last + 1) * DAY_NS)
