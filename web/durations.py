"""Lengths of time as people read them."""


def duration_text(seconds: float) -> str:
    """Return a length of time: `0.4 s`, `12 s`, `3 min`, `5 h` or `508 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    for longest, length, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < longest:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"
