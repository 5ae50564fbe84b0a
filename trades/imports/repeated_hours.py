"""The hours that a local clock shows twice, when summer time ends: which of the two the rows of a file mean."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers, Mask
from store.datasets import BARS
from store.timestamps import DAY_NS
from trades.formats.arrow_values import one_array
from trades.imports.blocks import LINE, SYMBOL, RowBlock
from trades.imports.layout import ReadOptions

_AROUND_NS = DAY_NS // 2
_APART_NS = 10 * DAY_NS
_RESOLUTION = "resolution"
# Places of rows. The order of rows does not tell UNTOLD, and contradicts UNORDERED.
UNTOLD, EARLIEST, LATEST, UNORDERED = range(4)


@dataclass(frozen=True, slots=True)
class RepeatedHours:
    """The rows of a file whose local times occurred twice. lines: ascending. places: one for each line."""

    lines: Integers
    places: Integers

    def places_of(self, lines: Integers) -> Integers:
        """Return the place of each line. Lines of other rows are UNTOLD."""
        if not len(self.lines):
            return np.full(len(lines), UNTOLD)
        index = np.searchsorted(self.lines, lines).clip(max=len(self.lines) - 1)
        return np.where(self.lines[index] == lines, self.places[index], UNTOLD)


def repeated_hours(blocks: Iterable[RowBlock], options: ReadOptions) -> RepeatedHours:
    """Return the rows whose local times occurred twice, with their places by order.

    blocks: the whole file in its order, where each such time was read as the earliest. A symbol's rows must be in order
    of time, up or down, for half a day on both sides; where the clock goes back once, the second hour begins. Rows of
    bars go back also with an equal time, other rows only by half of the repeated hour or more: late reports go back
    by less. Memory: the rows of these half days.
    """
    parts = [part for block in blocks for part in _around(block, options.zone)]
    if not parts:
        nothing = np.zeros(0, np.int64)
        return RepeatedHours(nothing, nothing)
    times, lines = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    keys = (
        pa.chunked_array([part[2] for part in parts]).combine_chunks().dictionary_encode().indices.to_numpy()
    )
    lengths = _latest(times, options.zone) - times
    places = _places(times, lengths, keys, is_unique=options.dataset is BARS)
    repeats = lengths > 0
    order = np.argsort(lines[repeats])
    return RepeatedHours(lines[repeats][order], places[repeats][order])


def _around(block: RowBlock, zone: str) -> Iterator[tuple[Integers, Integers, pa.Array]]:
    """Yield times, lines and keys of the rows within half a day of an end of summer time.

    A key is the symbol, of bars with the resolution: it has at most one bar for each time.
    """
    times = block.rows.column(0).to_numpy()
    offset_after, offset_before = (
        _local(times + shift, zone) - times - shift for shift in (_AROUND_NS, -_AROUND_NS)
    )
    is_near = offset_after < offset_before
    if is_near.any():
        mask = pa.array(is_near)
        keys = one_array(block.rows[SYMBOL].filter(mask))
        if _RESOLUTION in block.rows.column_names:
            resolutions = one_array(block.rows[_RESOLUTION].filter(mask))
            keys = pc.binary_join_element_wise(keys, resolutions, " ")
        yield times[is_near], block.rows[LINE].to_numpy()[is_near], keys


def _local(times: Integers, zone: str) -> Any:
    zoned = pa.array(times).cast(pa.timestamp("ns", zone))
    return pc.local_timestamp(zoned).cast(pa.int64()).to_numpy()


def _latest(times: Integers, zone: str) -> Any:
    local = pa.array(_local(times, zone)).cast(pa.timestamp("ns"))
    return pc.assume_timezone(local, zone, ambiguous="latest").cast(pa.int64()).to_numpy()


def _places(times: Integers, lengths: Integers, keys: Integers, *, is_unique: bool) -> Integers:
    """Return the place of each row: by the order of its key's rows, else by that of all rows."""
    places = np.full(len(times), UNTOLD)
    ordered = np.sort(times)
    ends = ordered[1:][np.diff(ordered) > _APART_NS]
    changes = np.searchsorted(ends, times, side="right")
    for rows in _groups(changes, keys):
        places[rows] = _of_sequence(times[rows], lengths[rows], is_unique=is_unique)
    for rows in _groups(changes, np.zeros_like(changes)):
        untold = rows[places[rows] == UNTOLD]
        by_all = np.full(len(times), UNTOLD)
        by_all[rows] = _of_sequence(times[rows], lengths[rows], is_unique=False)
        told = untold[by_all[untold] != UNORDERED]
        places[told] = by_all[told]
    return places


def _groups(*keys: Integers) -> list[Integers]:
    """Return the indexes of the rows with equal keys, in order of the rows."""
    order = np.lexsort(keys)
    is_first: Mask = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
    return np.split(order, np.flatnonzero(is_first) + 1)


def _of_sequence(times: Integers, lengths: Integers, *, is_unique: bool) -> Integers:
    """Return the places of rows around one end of summer time, in order of the file."""
    if not lengths.any():
        return np.full(len(times), UNTOLD)
    steps = np.diff(times)
    if (steps < 0).sum() > (steps > 0).sum():
        return _of_sequence(times[::-1], lengths[::-1], is_unique=is_unique)[::-1]
    back = np.flatnonzero(steps <= (0 if is_unique else -lengths.max() // 2))
    if not len(back):
        return np.full(len(times), UNTOLD)
    last = int(back[0])
    if len(back) > 1 or not (lengths[last] and lengths[last + 1]):
        return np.full(len(times), UNORDERED)
    return np.where(np.arange(len(times)) <= last, EARLIEST, LATEST)
