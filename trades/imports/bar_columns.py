"""Finds the open, high, low, close and volume of bars by their cells: four numbers that are alike, one of them the highest."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Floats
from trades.formats.arrow_values import one_array

_NEAR, _USUALLY, _NEARLY_ALWAYS, _FOUR = 0.25, 0.8, 0.95, 4
_NAMED = {
    "open": re.compile("(?i)open|first|erst|erff"),
    "high": re.compile("(?i)high|max|hoch|hi$"),
    "low": re.compile("(?i)low|min|tief|lo$"),
    "close": re.compile("(?i)close|last|latest|settle|schlu"),
}
# Prices of bars that are none of the four.
_OTHERS = re.compile("(?i)wap|avg|average|weight|mean|adj|prev|mid|typical")
_NUMBER = r"^[-+]?[$€£]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]+)?$"


class BarColumns(NamedTuple):
    """The columns of bars. volume: empty if no other column has numbers."""

    open: str
    high: str
    low: str
    close: str
    volume: str


def bar_columns(cells: pa.Table, volumes: Sequence[str] = ()) -> BarColumns | None:
    """Return the columns of bars by the first rows of a file; None if no four are alike, or if these are not told apart.

    volumes: the columns that by their names have the volume.
    """
    numbers = {name: found for name in cells.column_names if (found := _numbers(cells[name])) is not None}
    alike = _alike(numbers)
    if len(alike) > _FOUR:
        alike = [name for name in alike if not _OTHERS.search(name)]
    if len(alike) < _FOUR:
        return None
    high = _extreme(numbers, alike, "high")
    low = _extreme(numbers, [name for name in alike if name != high], "low") if high else ""
    if not high or not low or not _is_highest(numbers, alike, low, -1):
        return None
    rest = [name for name in alike if name not in (high, low)]
    pair = rest if len(rest) == 2 else [*_named(rest, "open")[:1], *_named(rest, "close")[:1]]
    if len(pair) < 2:
        return None
    others = [name for name in numbers if name not in alike and not _OTHERS.search(name)]
    later = [name for name in others if cells.column_names.index(name) > cells.column_names.index(alike[-1])]
    volume = next((name for name in (*volumes, *later) if name in others), "")
    is_swapped = bool(_named(pair[:1], "close") and _named(pair[1:], "open"))
    first, last = reversed(pair) if is_swapped else pair
    return BarColumns(first, high, low, last, volume)


def _numbers(column: pa.ChunkedArray) -> Floats | None:
    """Return a column's numbers, with nan for nulls; None for a column of something else."""
    values = one_array(column)
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return np.asarray(values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy())
    if not pa.types.is_string(values.type) or values.null_count == len(values):
        return None
    texts = pc.utf8_trim_whitespace(values)
    if not pc.any(pc.match_substring_regex(texts, "[.]")).as_py():
        texts = pc.replace_substring(texts, ",", ".")
    if not pc.all(pc.match_substring_regex(texts, _NUMBER)).as_py():
        return None
    plain = pc.replace_substring_regex(texts, "[$€£]", "")
    return np.asarray(plain.cast(pa.float64()).fill_null(np.nan).to_numpy())


def _alike(numbers: Mapping[str, Floats]) -> list[str]:
    """Return the columns of the largest group whose numbers are near one another in most rows, in the file's order."""
    groups: list[list[str]] = []
    for values in numbers.values():
        with np.errstate(all="ignore"):
            near = {name: np.abs(other / values - 1) <= _NEAR for name, other in numbers.items()}
        groups.append([name for name, is_near in near.items() if len(is_near) and is_near.mean() >= _USUALLY])
    return max(groups, key=len, default=[])


def _extreme(numbers: Mapping[str, Floats], names: Sequence[str], which: str) -> str:
    """Return the column that is the highest or lowest of these in all rows; of equal ones by its name or usual place."""
    sign, place = (1, 1) if which == "high" else (-1, 1)
    found = [name for name in names if _is_highest(numbers, names, name, sign)]
    usual = [name for name in names[place : place + 1] if name in found]
    return next(iter([*_named(found, which), *usual, *found]), "")


def _is_highest(numbers: Mapping[str, Floats], names: Sequence[str], name: str, sign: int) -> bool:
    others = np.array([sign * numbers[other] for other in names])
    return bool((sign * numbers[name] >= np.nanmax(others, axis=0)).mean() >= _NEARLY_ALWAYS)


def _named(names: Sequence[str], which: str) -> list[str]:
    return [name for name in names if _NAMED[which].search(name)]
