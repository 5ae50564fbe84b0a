"""Lengths of time as texts, such as `250ms`, `1min` or `1h`."""

import re

from store.timestamps import DAY_NS, SECOND_NS

UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "min": 60 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "d": DAY_NS,
}
LONGEST_NS = 36_525 * DAY_NS
_DURATION = re.compile(r"([1-9][0-9]{0,17})(ns|us|ms|s|min|m|h|d)")


def parse_duration(text: str) -> int | None:
    """Return the nanoseconds of a positive whole number with a unit; None for any other text and over a century."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    length_ns = int(match[1]) * UNITS_NS[match[2]]
    return length_ns if length_ns <= LONGEST_NS else None
