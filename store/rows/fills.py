"""Which rows of fills a batch of the feed replaces, and which rows of fills do not count as stored.

A batch of the feed replaces the rows of fills from its first to its last event time: they are cancelled, in its own
commit, and the batch is stored as if they had not been stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.prints import STANDS
from store.declarations import Dataset
from store.protocol import Superseded, Window
from store.rows.stored_rows import integers


def of_fills(versions: pa.Table, fills: Sequence[int]) -> Mask:
    """Return a mask of the versions of rows that fills stored. fills: their commits."""
    arrivals = integers(versions, "arrival")
    found: Mask = np.isin(arrivals, arrivals[np.isin(integers(versions, "commit"), fills)])
    return found


def counting(versions: pa.Table, fills: Sequence[int], *, is_fill: bool) -> Mask:
    """Return a mask of the versions of rows that count as stored to a batch.

    To the feed no row of a fill does, to a fill those of fills that stand. So a fill brings back what was cancelled.
    """
    is_counted = ~of_fills(versions, fills)
    if is_fill:
        arrivals = integers(versions, "arrival")
        is_counted |= np.isin(arrivals, arrivals[standing(versions)])
    return is_counted


_NO_INDICES = np.zeros(0, np.int64)


def extents_of(dataset: Dataset, rows: pa.RecordBatch) -> tuple[Superseded, ...]:
    """Return, for each series of a batch, the event times of its first and its last row. rows: at least one."""
    times = rows.column(0).to_numpy()
    return tuple(
        Superseded(int(times[own].min()), int(times[own].max()), name)
        for name, own in sorted(_series_of(dataset, rows).items())
    )


def bounds_of(extents: Sequence[Superseded]) -> Window:
    """Return the window from the first to the last event time."""
    return Window(min(each.first_ns for each in extents), max(each.last_ns for each in extents) + 1)


def between(dataset: Dataset, rows: pa.Table, extents: Iterable[Superseded]) -> Mask:
    """Return a mask of the rows whose event time and series are in one of the extents."""
    found: Mask = np.zeros(rows.num_rows, np.bool_)
    times, series = integers(rows, "timestamp"), _series_of(dataset, rows)
    for each in extents:
        found[_inside(times, series, each)] = True
    return found


def standing(versions: pa.Table) -> Mask:
    """Return a mask of the versions that stand."""
    stands: Mask = integers(versions, "until") == STANDS
    return stands


def _inside(times: Integers, series: dict[str, Integers], extent: Superseded) -> Integers:
    """Return the indices of the rows in an extent. times: of all rows. series: see `_series_of`."""
    own = series.get(extent.series, _NO_INDICES)
    return own[(times[own] >= extent.first_ns) & (times[own] <= extent.last_ns)]


def _series_of(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> dict[str, Integers]:
    """Return the indices of each series' rows (see `Superseded`)."""
    if not dataset.series_columns:
        return {"": np.arange(rows.num_rows)}
    series: dict[str, list[int]] = defaultdict(list)
    columns = [rows.column(name).to_pylist() for name in dataset.series_columns]
    for index, values in enumerate(zip(*columns, strict=True)):
        series[";".join(map(str, values))].append(index)
    return {name: np.array(indices) for name, indices in series.items()}
