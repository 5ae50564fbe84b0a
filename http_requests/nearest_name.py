"""Hints for an unknown name: the most similar known name, by edit distance."""

from collections.abc import Collection
from itertools import pairwise

LONGEST_SHOWN = 64
# A slip is one edit. A name may have one for each three characters, at most three. If more were allowed, every short
# name would be similar to some other.
_CHARACTERS_PER_SLIP = 3
_MOST_SLIPS = 3


def nearest_name(name: str, known: Collection[str]) -> str:
    """Return `; did you mean NAME?` with the most similar known name; "" if no name is similar."""
    written = name.casefold()
    permitted = min(len(written) // _CHARACTERS_PER_SLIP, _MOST_SLIPS)
    near = [each for each in known if abs(len(each) - len(written)) <= permitted]
    slips, found = min(
        ((_slips(written, each.casefold()), each) for each in near), default=(permitted + 1, "")
    )
    return f"; did you mean {found}?" if slips <= permitted else ""


def nearest_or_all(name: str, known: Collection[str]) -> str:
    """Return the text of `nearest_name`; if no name is similar, a list of all known names."""
    return nearest_name(name, known) or (f"; known are {', '.join(sorted(known))}" if known else "")


def no_such_field(name: str, known: Collection[str]) -> str:
    """Return the message for an unknown field."""
    return f"is not a field of this object{nearest_name(name, known)}"


def _slips(written: str, meant: str) -> int:
    """Return the optimal string alignment distance: the number of omissions, insertions, substitutions and swaps."""
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for place, character in enumerate(written, 1):
        longer = [place]
        for other, (left_up, up) in enumerate(pairwise(row), 1):
            slips = min(up + 1, longer[-1] + 1, left_up + (character != meant[other - 1]))
            if place > 1 and other > 1 and written[place - 2 : place] == meant[other - 2 : other][::-1]:
                slips = min(slips, before[other - 2] + 1)
            longer.append(slips)
        before, row = row, longer
    return row[-1]
