"""Looks up which rows of a batch are stored, only where they can be, and remembers the dates it looked at."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from store.arrays import Mask
from store.csv.log.history import History
from store.csv.parts.stored_part import Day, StoredPart
from store.csv.writing.batch import Chunk
from store.csv.writing.identities import IdentityIndex, Known, StoredHashes, hash_rows
from store.csv.writing.matching import stored_rows
from store.exceptions import IdConflict
from store.rows.duplicates import Identified, stored_before

# The rows to be compared with, of parts of either kind.
Read = Callable[[Sequence[StoredPart]], pa.Table]

ROWS_LIMIT = 4_000_000
_LOAD_BYTES = 16 * 2**20
# From so many rows on, looking at whole columns is faster than at rows one by one.
_MANY_ROWS = 512


@dataclass(slots=True)
class _Date:
    """The index of one event date and up to which commit its rows are in it."""

    history: History
    index: IdentityIndex = field(default_factory=IdentityIndex)
    covered: int = 0


class KnownRows:
    """Indexes of the dates that were written last, of all logs of a store; about 24 bytes a row.

    An index is filled from the stored rows at a date's first use and kept up to date from then on.
    """

    def __init__(self, rows_limit: int = ROWS_LIMIT) -> None:
        self._rows_limit = rows_limit
        self._dates: OrderedDict[tuple[str, int], _Date] = OrderedDict()
        self._mutex = threading.Lock()

    def duplicates(self, chunk: Chunk, history: History, *, staged: IdentityIndex | None, read: Read) -> Mask:
        """A mask of the chunk's rows that are stored, or `staged` to be. Raises `IdConflict`."""
        day = history.day(chunk.day)
        indexes = []
        if day is not None and (chunk.has_ids or chunk.overlaps(day.first_ns, day.last_ns)):
            indexes.append(self._current(chunk, history, day.newest, read))
        if staged is not None:
            indexes.append(staged)
        if chunk.rows.num_rows >= _MANY_ROWS and (indexes or chunk.has_ids):
            stored = StoredHashes.joined([index.stored(chunk.hashes) for index in indexes])
            with suppress(IdConflict):  # which may be one only because a row was corrected
                return stored_rows(chunk.hashes, stored, chunk.places)
        known: dict[int, list[Known]] = defaultdict(list)
        for index in indexes:
            index.find(chunk.hashes, known)
        if not known and not chunk.has_ids:
            return np.zeros(chunk.rows.num_rows, dtype=bool)
        return np.isin(chunk.places, stored_before(_identified(chunk, known), _by_identity(known)))

    def stored(self, chunks: Sequence[Chunk], history: History, *, before: Day | None) -> None:
        """Take in chunks that have just become an event date's newest parts. before: the date as it was."""
        date = self._dates.get((chunks[0].symbol, chunks[0].day))
        day = history.day(chunks[0].day)
        if date is None or date.history is not history or day is None:
            return
        if date.covered >= (before.newest if before is not None else 0):
            for chunk in chunks:
                date.index.add(chunk.hashes)
            date.covered = day.newest

    def _current(self, chunk: Chunk, history: History, newest: int, read: Read) -> IdentityIndex:
        key = (chunk.symbol, chunk.day)
        with self._mutex:
            date = self._dates.get(key)
            if date is None or date.history is not history:
                date = self._dates[key] = _Date(history)
            self._dates.move_to_end(key)
        if date.covered < newest:
            for load in _loads(history.parts_of(chunk.day, newest, after=date.covered)):
                date.index.add(hash_rows(chunk.dataset, read(load)))
                date.covered = load[-1].commit
            date.covered = newest
        self._trim()
        return date.index

    def _trim(self) -> None:
        with self._mutex:
            held = sum(len(date.index) for date in self._dates.values())
            while held > self._rows_limit and len(self._dates) > 1:
                held -= len(self._dates.popitem(last=False)[1].index)


def _loads(parts: Sequence[StoredPart]) -> Iterator[list[StoredPart]]:
    """The parts, so many at a time as are about 16 MiB; none shares a commit with the next."""
    load: list[StoredPart] = []
    size = 0
    for stored in parts:
        if size >= _LOAD_BYTES and stored.commit > load[-1].commit:
            yield load
            load, size = [], 0
        load.append(stored)
        size += stored.part.length
    if load:
        yield load


def _by_identity(known: Mapping[int, list[Known]]) -> Mapping[Hashable, list[int]]:
    stored: dict[Hashable, list[int]] = defaultdict(list)
    for identity, of_identity in known.items():
        for check, value in of_identity:
            stored[identity, check].append(value)
    return stored


def _identified(chunk: Chunk, known: Mapping[int, list[Known]]) -> list[Identified]:
    """The chunk's rows that may be stored, or that share an id with another row of the chunk."""
    hashes = chunk.hashes
    suspects = np.isin(hashes.identity, np.array(list(known), dtype=np.uint64))
    if chunk.has_ids:
        ids, counts = np.unique(hashes.identity[hashes.has_id], return_counts=True)
        if len(ids) < counts.sum():
            suspects |= hashes.has_id & np.isin(hashes.identity, ids[counts > 1])
    rows = np.flatnonzero(suspects)
    columns = (
        chunk.places[rows],
        hashes.identity[rows],
        hashes.check[rows],
        hashes.value[rows],
        hashes.has_id[rows],
    )
    return [
        Identified(place, (identity, check), value, has_id)
        for place, identity, check, value, has_id in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
