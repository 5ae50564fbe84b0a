"""Finds ids that other rows of a symbol have with other values, before any of the rows is stored."""

import pyarrow as pa

from store.arrays import distinct
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import NO_COMMIT, Window
from store.rows.duplicates import duplicates_among, have_ids
from store.rows.stored_rows import no_rows
from store.window_list import WindowList
from trades.stores import market_store


class IdConflicts:
    """Looks at all rows of a symbol piece by piece, in order of time. All rows of one time must be in one piece.

    In a window with rows of a `Fill` it compares a piece with itself alone: which stored rows count there depends on more
    than ids.
    """

    def __init__(self, dataset: Dataset, symbol: str) -> None:
        self._dataset = dataset
        log = market_store().log(dataset, symbol)
        try:
            self._snapshot = log.at()
        except UnknownSymbol:
            self._snapshot = log.at(NO_COMMIT)

    def first(self, rows: pa.RecordBatch) -> int | None:
        """Return the index of the first row whose id an earlier or a stored row has with other values; None without."""
        if not have_ids(self._dataset, rows).any():
            return None
        stored, times = [no_rows(self._dataset)], distinct(rows.column(0).to_numpy())
        if not self._snapshot.fills(Window(int(times[0]), int(times[-1]) + 1)):
            stored += [self._snapshot.versions(each.bounds) for each in WindowList.at(times).by_date()]
        _, conflicts = duplicates_among(self._dataset, rows, pa.concat_tables(stored))
        return int(conflicts.argmax()) if conflicts.any() else None
