"""Lengths of time as people read them."""

from collections.abc import Callable


def duration_text(seconds: float, rounded: Callable[[float], int] = round) -> str:
    """Return a length of time: `0.4 s`, `12 s`, `3 min`, `5 h` or `508 days`. rounded: `math.ceil` for at least so long."""
    if seconds < 10:
        return f"{rounded(seconds * 10) / 10} s".replace(".0 ", " ")
    for longest, length, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < longest:
            return f"{rounded(seconds / length)} {unit}"
    return f"{rounded(seconds / 86_400):,} days"
