"""Whether a file's bars can have the resolution that they are said to have, by the distances of their times."""

import numpy as np

from store.arrays import Floats
from store.resolutions import USUAL_RESOLUTIONS, Resolution
from trades.formats.arrow_values import one_array
from trades.imports.blocks import SYMBOL, RowBlock

_RESOLUTION = "resolution"
# Days of 23 hours and months of 28 days are a little shorter than their resolution.
_SHORTEST, _TOLERANCE = 0.9, 0.1
_COARSE, _COARSE_OF_FEW, _FEW = 2, 60, 3
_REGULAR, _SELDOM = 0.4, 0.1


def distance_doubt(block: RowBlock) -> str | None:
    """Return why the rows of a block seem to have another resolution, or None.

    The median distance of a symbol's bars is too short, or it is at least twice the resolution and many distances are
    equal to it, while hardly any is that of the resolution: bars of a symbol that seldom trades lie irregularly.
    """
    names, of_symbol = (one_array(block.rows[name]).dictionary_encode() for name in (_RESOLUTION, SYMBOL))
    if not len(names):
        return None
    length_of = np.array([Resolution.parse(name).length_ns for name in names.dictionary.to_pylist()])
    resolutions = names.indices.to_numpy()
    symbols = of_symbol.indices.to_numpy()
    times = block.rows.column(0).to_numpy()
    order = np.lexsort((times, resolutions, symbols))
    is_same = (np.diff(symbols[order]) == 0) & (np.diff(resolutions[order]) == 0)
    ratios = (np.diff(times[order]) / length_of[resolutions[order]][1:])[is_same]
    if not len(ratios) or not _is_doubtful(ratios):
        return None
    first = names[0].as_py()
    distance = _median(ratios) * Resolution.parse(first).length_ns
    fitting = [each for each in USUAL_RESOLUTIONS if each.length_ns * _SHORTEST <= distance]
    found = fitting[-1].value if fitting else "less than 1s"
    return f"most bars are {found} apart, and the resolution is {first}"


def _is_doubtful(ratios: Floats) -> bool:
    median = _median(ratios)
    if median < _SHORTEST:
        return True
    if len(ratios) < _FEW:
        return median >= _COARSE_OF_FEW
    is_regular = np.mean(np.abs(ratios / median - 1) <= _TOLERANCE) >= _REGULAR
    return bool(median >= _COARSE and is_regular and np.mean(ratios < _COARSE) <= _SELDOM)


def _median(ratios: Floats) -> float:
    """Return the lower median: a distance that occurs."""
    return float(np.sort(ratios)[(len(ratios) - 1) // 2])
