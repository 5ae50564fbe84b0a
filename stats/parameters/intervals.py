"""The lengths of bars of `/stats/ohlc`."""

from enum import Enum

from store.resolutions import Resolution


class Interval(Enum):
    """A bar's length, by its name in requests. Days are UTC days."""

    MINUTE = "1min"
    FIVE_MINUTES = "5min"
    HOUR = "1h"
    DAY = "1d"

    @property
    def resolution(self) -> Resolution:
        """The resolution of that length."""
        return Resolution.spelled(self.value)

    @classmethod
    def names(cls) -> list[str]:
        """All names, the shortest interval first."""
        return [interval.value for interval in cls]
