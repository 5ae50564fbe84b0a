"""Looks up which rows of a batch are stored, only where they can be, and remembers the dates it looked at."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trades.storage.csv.batch import Chunk
from trades.storage.csv.history import History, StoredPart
from trades.storage.csv.identities import IdentityIndex, Known, StoredHashes, hash_rows
from trades.storage.csv.matching import stored_rows
from trades.storage.duplicates import Identified, stored_before

Read = Callable[[Sequence[StoredPart]], pa.Table]

ROWS_LIMIT = 4_000_000
_LOAD_BYTES = 16 * 2**20
# From so many rows on, looking at whole columns is faster than at rows one by one.
_MANY_ROWS = 512


@dataclass(slots=True)
class _Date:
    """The index of one event date and how many of its parts are in it."""

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

    def duplicates(
        self, chunk: Chunk, history: History, *, staged: IdentityIndex | None, read: Read
    ) -> npt.NDArray[np.bool_]:
        """A mask of the chunk's rows that are stored, or `staged` to be. Raises `TradeIdConflict`."""
        day = history.days.get(chunk.day)
        can_be_stored = day is not None and (chunk.has_ids or chunk.overlaps(day.first_ns, day.last_ns))
        indexes = [self._current(chunk, history, read)] if can_be_stored else []
        if staged is not None:
            indexes.append(staged)
        if chunk.rows.num_rows >= _MANY_ROWS and (indexes or chunk.has_ids):
            stored = StoredHashes.joined([index.stored(chunk.hashes) for index in indexes])
            return stored_rows(chunk.hashes, stored, chunk.places)
        known: dict[int, list[Known]] = defaultdict(list)
        for index in indexes:
            index.find(chunk.hashes, known)
        if not known and not chunk.has_ids:
            return np.zeros(chunk.rows.num_rows, dtype=bool)
        return np.isin(chunk.places, stored_before(_identified(chunk, known), _by_identity(known)))

    def stored(self, chunks: Sequence[Chunk], history: History) -> None:
        """Take in chunks of one event date that have just become its newest parts."""
        day = chunks[0].day
        date = self._dates.get((chunks[0].symbol, day))
        if date is None or date.history is not history:
            return
        if date.covered == len(history.days[day].parts) - len(chunks):
            for chunk in chunks:
                date.index.add(chunk.hashes)
            date.covered += len(chunks)

    def _current(self, chunk: Chunk, history: History, read: Read) -> IdentityIndex:
        key = (chunk.symbol, chunk.day)
        with self._mutex:
            date = self._dates.get(key)
            if date is None or date.history is not history:
                date = self._dates[key] = _Date(history)
            self._dates.move_to_end(key)
        parts = history.days[chunk.day].parts
        while date.covered < len(parts):
            load = _load(parts, date.covered)
            date.index.add(hash_rows(chunk.dataset, read(load)))
            date.covered += len(load)
        self._trim()
        return date.index

    def _trim(self) -> None:
        with self._mutex:
            held = sum(len(date.index) for date in self._dates.values())
            while held > self._rows_limit and len(self._dates) > 1:
                held -= len(self._dates.popitem(last=False)[1].index)


def _load(parts: Sequence[StoredPart], start: int) -> list[StoredPart]:
    load, size = [], 0
    for stored in parts[start:]:
        load.append(stored)
        size += stored.part.length
        if size >= _LOAD_BYTES:
            break
    return load


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
