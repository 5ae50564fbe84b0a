"""The resolutions of bars, in storage and in queries."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, TypeAlias

from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

_HOUR_NS = 60 * MINUTE_NS


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

    @property
    def is_tick(self) -> bool:
        """Whether it means rows, not bars."""
        return self is Resolution.TICK

    @property
    def is_period(self) -> bool:
        """Whether it is a day, a week or a month. These follow trading dates if there is a calendar."""
        return self in _PERIODS

    @property
    def length_ns(self) -> int:
        """The length in nanoseconds; for weeks and months the longest possible."""
        return _LENGTHS_NS[self]

    @property
    def rank(self) -> int:
        """The index among all resolutions, the shortest first."""
        return _RANKS[self]

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

_PERIODS = frozenset({Resolution.DAY, Resolution.WEEK, Resolution.MONTH})
_RANKS = {resolution: index for index, resolution in enumerate(Resolution)}
_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": _HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS, "M": 31 * DAY_NS}
_LENGTHS_NS = {Resolution.TICK: 1} | {
    resolution: int(resolution.value[:-1]) * _UNITS_NS[resolution.value[-1]]
    for resolution in Resolution
    if resolution is not Resolution.TICK
}


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
