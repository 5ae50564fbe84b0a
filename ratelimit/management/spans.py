"""Spans of time as people write them."""

import re
from datetime import timedelta

_SPAN = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_SECONDS_OF = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_span(text: str) -> timedelta:
    """The span that a number of seconds, or one of `s`, `m`, `h`, `d`, names. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} is not a span such as 3600, 90m, 12h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS_OF[found[2]])
