"""Whether a file's bars can have the resolution that they are said to have, by the distances of their times."""

import numpy as np

from store.arrays import Floats
from store.resolutions import USUAL_RESOLUTIONS, Resolution
from store.timestamps import SECOND_NS
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
    ratios = _ratios(block)
    if not len(ratios) or not _is_doubtful(ratios):
        return None
    first = block.rows[_RESOLUTION][0].as_py()
    fitting = _fitting(_median(ratios) * Resolution.parse(first).length_ns)
    return f"most bars are {fitting or 'less than 1s'} apart, and the resolution is {first}"


def found_resolution(block: RowBlock) -> tuple[str, bool]:
    """Return the resolution that the distances of bars said to be of seconds suggest, and whether it is certain.

    It is, if many distances are equal to it, and hardly any is shorter. An empty text for bars of one time.
    """
    distances = _ratios(block) * SECOND_NS
    distances = distances[distances > 0]
    found = _fitting(_median(distances)) if len(distances) else ""
    if not found:
        return "", False
    ratios = distances / Resolution.parse(found).length_ns
    is_regular = (
        np.mean(np.abs(ratios - 1) <= _TOLERANCE) >= _REGULAR and np.mean(ratios < _SHORTEST) <= _SELDOM
    )
    return found, bool(len(ratios) >= _FEW - 1 and is_regular)


def _fitting(distance: float) -> str:
    """Return the longest resolution that is not longer than a distance; an empty text if there is none."""
    fitting = [each for each in USUAL_RESOLUTIONS if each.length_ns * _SHORTEST <= distance]
    return fitting[-1].value if fitting else ""


def _ratios(block: RowBlock) -> Floats:
    """Return the distances of each symbol's bars of a resolution, in lengths of it."""
    names, of_symbol = (one_array(block.rows[name]).dictionary_encode() for name in (_RESOLUTION, SYMBOL))
    if not len(names):
        return np.zeros(0)
    length_of = np.array([Resolution.parse(name).length_ns for name in names.dictionary.to_pylist()])
    resolutions = names.indices.to_numpy()
    symbols = of_symbol.indices.to_numpy()
    times = block.rows.column(0).to_numpy()
    order = np.lexsort((times, resolutions, symbols))
    is_same = (np.diff(symbols[order]) == 0) & (np.diff(resolutions[order]) == 0)
    return np.asarray((np.diff(times[order]) / length_of[resolutions[order]][1:])[is_same])


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
