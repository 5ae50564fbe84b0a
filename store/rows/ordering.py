"""The order of rows: event time, then the feed's sequence number where there is one, then arrival."""

import numpy as np
import pyarrow as pa

from store.bars.prints import sequences
from store.protocol import Window


def in_order(rows: pa.Table, window: Window) -> pa.Table:
    """The rows in the window, sorted.

    `rows` is in order of arrival; rows without a sequence come behind those with.
    Rows that are in order already are not copied.
    """
    time = rows.column("timestamp").to_numpy()
    inside = (time >= window.start_ns) & (time < window.end_ns)
    if not inside.all():
        rows = rows.filter(pa.array(inside))
        time = time[inside]
    sequence = sequences(rows)
    if sequence is not None:
        return rows.take(pa.array(np.lexsort((sequence, time))))
    if len(time) < 2 or (time[1:] >= time[:-1]).all():
        return rows
    return rows.take(pa.array(np.argsort(time, kind="stable")))


def stored_in_order(rows: pa.Table) -> pa.Table:
    """Stored rows by (event time, sequence, arrival), each replaced row before the one in its place.

    Rows that are in order already are not copied.
    """
    time, arrival, commit = (rows.column(name).to_numpy() for name in ("timestamp", "arrival", "commit"))
    sequence = sequences(rows)
    if sequence is None and (np.diff(time) >= 0).all() and (np.diff(arrival) > 0).all():
        return rows
    keys = (commit, arrival, time) if sequence is None else (commit, arrival, sequence, time)
    order = np.lexsort(keys)
    is_ordered = bool((np.diff(order) == 1).all())
    return rows if is_ordered else rows.take(pa.array(order))
