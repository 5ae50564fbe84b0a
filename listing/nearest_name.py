"""What is said of a name that is not known."""

from collections.abc import Collection
from difflib import get_close_matches

LONGEST_SHOWN = 64


def nearest_name(name: str, known: Collection[str]) -> str:
    """The nearest name that is known, as a question; "" if none is near."""
    found = get_close_matches(name[:LONGEST_SHOWN], list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def nearest_or_all(name: str, known: Collection[str]) -> str:
    """The nearest name that is known, as a question; all that are known if none is near."""
    return nearest_name(name, known) or (f"; known are {', '.join(sorted(known))}" if known else "")
