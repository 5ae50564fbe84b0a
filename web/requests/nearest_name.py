"""Hints for an unknown name: the most similar known name."""

from collections.abc import Collection
from difflib import get_close_matches

LONGEST_SHOWN = 64
# The least similarity (0 to 1) of a suggested name. With a lower one, every short name would be similar to another.
_SIMILARITY = 0.75


def nearest_of(name: str, known: Collection[str]) -> str | None:
    """Return the most similar known name; None if no name is similar."""
    folded = {each.casefold(): each for each in known}
    nearest = get_close_matches(name[:LONGEST_SHOWN].casefold(), folded, n=1, cutoff=_SIMILARITY)
    return folded[nearest[0]] if nearest else None


def nearest_name(name: str, known: Collection[str]) -> str:
    """Return `; did you mean NAME?` with the most similar known name; "" if no name is similar."""
    nearest = nearest_of(name, known)
    return f"; did you mean {nearest}?" if nearest else ""


def nearest_or_all(name: str, known: Collection[str]) -> str:
    """Return the text of `nearest_name`. If no name is similar, return a list of all known names."""
    return nearest_name(name, known) or (f"; known are {', '.join(sorted(known))}" if known else "")


def no_such_field(name: str, known: Collection[str]) -> str:
    """Return the message for an unknown field."""
    return f"is not a field of this object{nearest_or_all(name, known)}"
