"""Finds ids that other rows of a symbol have with other values, before any of the rows is stored."""

import numpy as np
import pyarrow as pa

from store.arrays import Integers, Mask
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import NO_COMMIT, Window
from store.rows.duplicates import duplicates_among
from store.rows.row_hashes import NO_ID, id_hashes
from store.rows.stored_rows import no_rows
from store.timestamps import DAY_NS
from trades.stores import market_store


class IdConflicts:
    """Looks at all rows of a symbol piece by piece, in order of time; all rows of one time are in one piece.

    Memory: the hashes of the ids of one date. Where stored rows came from other sources (see `Fill`), which rows conflict
    depends on more than ids, and nothing is found.
    """

    def __init__(self, dataset: Dataset, symbol: str) -> None:
        self._dataset = dataset
        log = market_store().log(dataset, symbol)
        try:
            self._snapshot = log.at()
        except UnknownSymbol:
            self._snapshot = log.at(NO_COMMIT)
        self._day, self._seen = -1, np.empty(0, np.int64)
        self._window, self._known = Window(0, 1), no_rows(dataset)

    def first(self, rows: pa.RecordBatch) -> int | None:
        """Return the index of the first row whose id an earlier or a stored row has with other values; None without."""
        ids = id_hashes(self._dataset, rows)
        if (ids == NO_ID).all():
            return None
        stored = self._stored(rows, ids)
        _, conflicts = duplicates_among(self._dataset, rows, ids, stored, id_hashes(self._dataset, stored))
        # Rows with other values than the piece's: their times are others.
        found = np.flatnonzero(conflicts | self._was_seen(rows, ids))
        return int(found[0]) if len(found) else None

    def _was_seen(self, rows: pa.RecordBatch, ids: Integers) -> Mask:
        """Return a mask of the rows whose ids earlier pieces have on their date."""
        if not self._dataset.has_optional_ids:
            return np.zeros(len(ids), np.bool_)
        days = rows.column(0).to_numpy() // DAY_NS
        seen: Mask = np.isin(ids, self._seen) & (ids != NO_ID)
        own = ids[(days == days[-1]) & (ids != NO_ID)]
        self._seen = np.concatenate([self._seen, own]) if self._day == days[-1] else own
        self._day = int(days[-1])
        return seen

    def _stored(self, rows: pa.RecordBatch, ids: Integers) -> pa.Table:
        """Return all versions of the stored rows with these ids; others may be among them."""
        dataset, times = self._dataset, rows.column(0).to_numpy()
        window = Window(int(times[0]), int(times[-1]) + 1)
        if self._snapshot.fills(window.whole_dates()):
            return no_rows(dataset)
        if dataset.has_optional_ids:
            if window.whole_dates() != self._window:
                self._window = window.whole_dates()
                self._known = self._snapshot.versions(self._window, columns=dataset.id_columns)
            is_same = np.isin(id_hashes(dataset, self._known), ids[ids != NO_ID])
            if not is_same.any():
                return no_rows(dataset)
            near = self._known.column(0).to_numpy()[is_same]
            window = Window(int(near.min()), int(near.max()) + 1)
        return self._snapshot.versions(window)
