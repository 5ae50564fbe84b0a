"""How far one page's query may reach at each resolution."""

from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS

_HOUR_NS = 3_600 * SECOND_NS
_MAXIMUM_RANGES_NS = (
    (Resolution.TICK, _HOUR_NS),
    (Resolution.SECOND, DAY_NS),
    (Resolution.THREE_MINUTES, 30 * DAY_NS),
    (Resolution.TEN_MINUTES, 90 * DAY_NS),
    (Resolution.HALF_HOUR, 180 * DAY_NS),
    (Resolution.TWELVE_HOURS, 365 * DAY_NS),
    (Resolution.DAY, 3_650 * DAY_NS),
    (Resolution.MONTH, 36_500 * DAY_NS),
)


def maximum_range_ns(resolution: Resolution) -> int:
    """How long the range of a page's query may be, in nanoseconds."""
    return next(limit for longest, limit in _MAXIMUM_RANGES_NS if resolution.rank <= longest.rank)
