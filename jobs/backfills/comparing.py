"""Compares our rows of a UTC date with those of a source."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers, Mask
from store.declarations import Dataset
from store.protocol import Window
from store.timestamps import DAY_NS

Pairs = tuple[Integers, Integers]

_LARGEST_CODE = 2**62


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between our rows and a source's, as ascending row numbers.

    missing: the source's rows that we lack. extra: our rows that the source denies. unconfirmed: how many other rows of
    ours the source lacks. different: our row, its row with the same id, and the columns with other values. again: its
    rows that we have and that equal a missing one. The store counts equal rows without an id in a batch, so a batch
    with the missing ones must have these, too.
    """

    missing: Integers
    extra: Integers
    unconfirmed: int
    different: tuple[tuple[int, int, tuple[str, ...]], ...]
    again: Integers


def date_pieces(window: Window) -> list[Window]:
    """Return the parts of a window on each UTC date, ascending."""
    first = window.start_ns // DAY_NS * DAY_NS
    return [Window(day, day + DAY_NS).within(window) for day in range(first, window.end_ns, DAY_NS)]


def rows_compare(
    dataset: Dataset, ours: pa.Table, theirs: pa.Table, answered: Iterable[Window]
) -> Comparison:
    """Compare the rows of one UTC date. answered: where the source is known to have all rows.

    Rows with an id are the same if their ids are. Other rows are the same if all compared columns are; equal ones are
    counted. Not compared are the columns of arrival, those that the source leaves empty in all rows, and, in rows
    without an id, the later columns.
    """
    pairing = _Pairing(dataset, ours, theirs)
    compared = [name for name in dataset.schema.names if _is_compared(dataset, theirs, name)]
    identity = dataset.first_form.schema.names
    with_id = pairing.pair(dataset.id_columns, pairing.has_id)
    exact = pairing.pair(identity, ~pairing.has_id)[1]
    pairing.pair([name for name in identity if name in compared], ~pairing.has_id)
    extra = np.flatnonzero(pairing.free_here)
    missing = np.flatnonzero(pairing.free_there)
    denied = _inside(ours.column(0).to_numpy()[extra], answered)
    codes = pairing.codes(identity)[ours.num_rows :]
    return Comparison(
        missing=missing,
        extra=extra[denied],
        unconfirmed=int((~denied).sum()),
        different=tuple(_different(ours, theirs, with_id, set(compared) - {*dataset.id_columns})),
        again=np.sort(exact[np.isin(codes[exact], codes[missing])]),
    )


class _Pairing:
    """Pairs our rows with a source's, each at most once. free_here, free_there: masks of the rows without a partner."""

    def __init__(self, dataset: Dataset, ours: pa.Table, theirs: pa.Table) -> None:
        self._both = pa.concat_tables([ours.cast(dataset.schema), theirs.cast(dataset.schema)])
        self._here = ours.num_rows
        self.free_here = np.ones(ours.num_rows, dtype=bool)
        self.free_there = np.ones(theirs.num_rows, dtype=bool)
        self.has_id = np.zeros(self._both.num_rows, dtype=bool)
        if dataset.id_columns:
            self.has_id = self._both.column(dataset.id_columns[-1]).is_valid().to_numpy()

    def pair(self, names: Sequence[str], among: Mask) -> Pairs:
        """Pair free rows of a mask over both tables whose columns are equal; return the row numbers of the pairs."""
        here = np.flatnonzero(self.free_here & among[: self._here])
        there = np.flatnonzero(self.free_there & among[self._here :])
        if not (len(here) and len(there)):
            return here[:0], there[:0]
        codes = self.codes(names)
        numbered = _numbered(codes[here], codes[self._here + there])
        _, in_here, in_there = np.intersect1d(*numbered, assume_unique=True, return_indices=True)
        pairs = here[in_here], there[in_there]
        self.free_here[pairs[0]] = False
        self.free_there[pairs[1]] = False
        return pairs

    def codes(self, names: Sequence[str]) -> Integers:
        """Return a number for each row of both tables; equal numbers mean equal values in the columns."""
        codes, largest = np.zeros(self._both.num_rows, dtype=np.int64), 1
        for name in names:
            column = self._both.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
            count = len(column.dictionary)
            if largest * count > _LARGEST_CODE:
                codes, largest = np.unique(codes, return_inverse=True)[1], len(codes)
            codes, largest = codes * count + column.indices.to_numpy(), largest * count
        return np.unique(codes, return_inverse=True)[1]


def _numbered(here: Integers, there: Integers) -> Pairs:
    """Return codes that are unique in each array: equal rows are told apart by their number among equal ones."""
    most = len(here) + len(there)
    return here * most + _occurrences(here), there * most + _occurrences(there)


def _occurrences(codes: Integers) -> Integers:
    """Return for each element how many before it are equal to it."""
    order = np.argsort(codes, kind="stable")
    is_first = np.concatenate([[True], np.diff(codes[order]) != 0])
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(codes)), 0))
    numbers = np.empty(len(codes), dtype=np.int64)
    numbers[order] = np.arange(len(codes)) - first
    return numbers


def _is_compared(dataset: Dataset, theirs: pa.Table, name: str) -> bool:
    return name not in dataset.arrival_columns and theirs.column(name).null_count < theirs.num_rows


def _inside(times: Integers, windows: Iterable[Window]) -> Mask:
    inside = np.zeros(len(times), dtype=bool)
    for window in windows:
        inside |= (times >= window.start_ns) & (times < window.end_ns)
    return inside


def _different(
    ours: pa.Table, theirs: pa.Table, pairs: Pairs, names: set[str]
) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield the pairs with other values, in order of our rows."""
    columns = [name for name in ours.schema.names if name in names]
    differs = {
        name: _unequal(ours.column(name).take(pairs[0]), theirs.column(name).take(pairs[1]))
        for name in columns
    }
    any_differs = np.logical_or.reduce([np.zeros(len(pairs[0]), dtype=bool), *differs.values()])
    found = np.flatnonzero(any_differs)
    for pair in found[np.argsort(pairs[0][found])].tolist():
        yield int(pairs[0][pair]), int(pairs[1][pair]), tuple(name for name in columns if differs[name][pair])


def _unequal(here: pa.ChunkedArray, there: pa.ChunkedArray) -> Mask:
    values: Mask = pc.fill_null(pc.not_equal(here, there), False).to_numpy()
    nulls: Mask = pc.xor(pc.is_null(here), pc.is_null(there)).to_numpy()
    return np.logical_or(values, nulls)
