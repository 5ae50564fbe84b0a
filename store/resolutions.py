"""The resolutions of bars, in storage and in queries."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, TypeAlias

from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

_UNITS_NS = {
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": 60 * MINUTE_NS,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
    "M": 31 * DAY_NS,
}


class Resolution(Enum):
    """A resolution by its name in requests. `TICK` means single rows; a week begins on Monday."""

    TICK = "tick"
    SECOND = "1s"
    MINUTE = "1m"
    TWO_MINUTES = "2m"
    THREE_MINUTES = "3m"
    FIVE_MINUTES = "5m"
    TEN_MINUTES = "10m"
    QUARTER_HOUR = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    TWO_HOURS = "2h"
    FOUR_HOURS = "4h"
    SIX_HOURS = "6h"
    TWELVE_HOURS = "12h"
    DAY = "1d"
    WEEK = "1w"
    MONTH = "1M"

    def __init__(self, name: str) -> None:
        self.is_tick = name == "tick"  # it means rows, not bars
        # For weeks and months the longest possible.
        self.length_ns = 1 if self.is_tick else int(name[:-1]) * _UNITS_NS[name[-1]]
        # Days, weeks and months follow trading dates if there is a calendar.
        self.is_period = self.length_ns >= DAY_NS
        self.rank = len(type(self).__members__)  # the shortest is first

    @classmethod
    def names(cls) -> list[str]:
        """Return all names, the shortest resolution first."""
        return [resolution.value for resolution in cls]

    @classmethod
    def bar_names(cls) -> tuple[str, ...]:
        """Return the names of the resolutions that bars can have, the shortest first."""
        return tuple(resolution.value for resolution in cls if not resolution.is_tick)

    @classmethod
    def spelled(cls, name: str) -> "Resolution":
        """Return the resolution of a name or an alias. Raises `ValueError`."""
        return cls(dict(RESOLUTION_ALIASES).get(name, name))


RESOLUTION_ALIASES = (("1min", "1m"), ("5min", "5m"), ("1mo", "1M"))


@dataclass(frozen=True, slots=True)
class Length:
    """The length of bars that no resolution has. Bars of whole days are periods, too."""

    length_ns: int
    is_tick: ClassVar[bool] = False
    rank: ClassVar[int] = -1

    @property
    def is_period(self) -> bool:
        return self.length_ns % DAY_NS == 0

    @property
    def value(self) -> str:
        return f"{self.length_ns}ns"


BarLength: TypeAlias = Resolution | Length

_OF_LENGTH = {each.length_ns: each for each in Resolution if not each.is_tick and each.length_ns <= DAY_NS}


def resolution_of_length(length_ns: int) -> Resolution | None:
    """Return the resolution whose intervals all have this length; None if there is none."""
    return _OF_LENGTH.get(length_ns)
