"""The intervals of bars."""

from enum import Enum

from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS


class Interval(Enum):
    """A bar's length, by its name in requests. Days are UTC days."""

    MINUTE = "1min"
    FIVE_MINUTES = "5min"
    HOUR = "1h"
    DAY = "1d"

    @property
    def length_ns(self) -> int:
        """Nanoseconds."""
        return _LENGTHS_NS[self]

    @property
    def is_coarse(self) -> bool:
        """A day or longer."""
        return self.length_ns >= DAY_NS

    def whole(self, start_ns: int | None, end_ns: int | None) -> Window:
        """The window of whole bars that a range `[start_ns, end_ns)` touches; None leaves a side open."""
        length = self.length_ns
        return Window(
            ALL_TIME.start_ns if start_ns is None else start_ns // length * length,
            ALL_TIME.end_ns if end_ns is None else -(-end_ns // length) * length,
        )

    @classmethod
    def names(cls) -> list[str]:
        """All names, the shortest interval first."""
        return [interval.value for interval in cls]


_LENGTHS_NS = {interval: Resolution.spelled(interval.value).length_ns for interval in Interval}
