"""Finds the rows of a batch that are stored already, and caches the hashes of the event dates that it read."""

import threading
from collections.abc import Sequence
from pathlib import Path

from cachetools import LRUCache

from store.csv.files.column_file import ColumnsDamaged
from store.csv.files.commit_records import DateSummary, StoredPart
from store.csv.log.history import CommitHistory
from store.csv.writing.batch import Chunk
from store.csv.writing.known_date import IdentityIndex, KnownDate
from store.csv.writing.row_hashes import StoredHashes
from store.exceptions import StorageError

LIMIT_BYTES = 16 * 2**20


class KnownRows:
    """LRU cache of the hashes of event dates, for all logs of a store.

    It takes at most `limit_bytes` of memory, or what one date needs if that is more. Dates that are not in the
    cache are read again.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        # A date with more bytes than the limit counts as the limit; then no other date is cached.
        self._dates: LRUCache[tuple[Path, int], KnownDate] = LRUCache(
            limit_bytes, getsizeof=lambda date: min(date.nbytes, limit_bytes)
        )
        self._mutex = threading.Lock()

    def candidates(
        self, chunk: Chunk, history: CommitHistory, folder: Path, *, staged: IdentityIndex | None
    ) -> StoredHashes:
        """Return the stored and staged rows with the identity of one of the chunk's rows. Needs the log's lock.

        staged: an index of the date's staged rows. Raises `DataDamaged` if rows that must be read are damaged.
        """
        day = history.day(chunk.day)
        stored: list[StoredHashes] = []
        if day is not None and (chunk.has_ids or chunk.overlaps(day.first_ns, day.last_ns)):
            stored += self._stored(chunk, history, folder, day.newest)
        if staged is not None:
            stored.append(staged.stored(chunk.identities))
        return StoredHashes.joined(stored)

    def stored(
        self,
        chunks: Sequence[tuple[StoredPart, Chunk]],
        history: CommitHistory,
        folder: Path,
        *,
        before: DateSummary | None,
    ) -> None:
        """Add chunks that have just been stored for one event date. before: the date's summary without them."""
        number = chunks[0][1].day
        date = self._cached((folder, number))
        day = history.day(number)
        if date is None or date.history is not history or day is None:
            return
        if date.covered >= (before.newest if before is not None else 0):
            date.add([chunk.stored_hashes(part.first_arrival) for part, chunk in chunks], day.newest)
            try:
                date.write_if_due()
            except (ColumnsDamaged, StorageError):  # no error for the caller: the batch is stored
                date = None
            self._cache((folder, number), date)

    def _stored(self, chunk: Chunk, history: CommitHistory, folder: Path, newest: int) -> list[StoredHashes]:
        """Return the stored rows of the chunk's date that have the identity of one of the chunk's rows."""
        key, identities = (folder, chunk.day), chunk.identities
        date = self._cached(key)
        if date is None or date.history is not history:
            date = KnownDate(chunk.dataset, chunk.day, folder, history)
        try:
            # A row without an id equals only rows of its own time.
            between = None if chunk.has_ids else date.missing_between(newest, *chunk.bounds)
            if between is None:
                date.catch_up(newest, self._limit // 2)
                date.write_if_due()
            stored = date.stored(identities)
            if between is not None:
                stored.append(between.stored(identities))
        except ColumnsDamaged:
            date.rebuild(newest)
            stored = date.stored(identities)
        self._cache(key, date)
        return stored

    def _cached(self, key: tuple[Path, int]) -> KnownDate | None:
        with self._mutex:
            return self._dates.get(key)

    def _cache(self, key: tuple[Path, int], date: KnownDate | None) -> None:
        """Cache a date with its current size; None removes the entry."""
        with self._mutex:
            if date is None:
                self._dates.pop(key, None)
            else:
                self._dates[key] = date
