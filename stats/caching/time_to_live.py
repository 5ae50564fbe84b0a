"""How long a finished answer is worth keeping."""

from store.timestamps import SECOND_NS

_HOUR = 3_600
_DAY = 86_400
_STEPS = ((_HOUR, 30), (_DAY, 300), (3 * _DAY, 3_600))
_OLD = 7 * _DAY
_COARSE_FACTOR = 4


def seconds_to_live(end_ns: int | None, *, now_ns: int, coarse: bool) -> int:
    """Seconds that an answer up to `end_ns` is kept, by the age of that end; 0 if it lies in the future.

    Both times are nanoseconds since the epoch, `end_ns` as requested, before any rounding up; None is all
    that is stored, whose end is now. `coarse` says that the interval is a day or longer: four times.
    """
    age_ns = 0 if end_ns is None else now_ns - end_ns
    if age_ns < 0:
        return 0
    seconds = next((kept for limit, kept in _STEPS if age_ns < limit * SECOND_NS), _OLD)
    return seconds * _COARSE_FACTOR if coarse else seconds
