"""One log of a replay, read in chunks: its rows and corrections by the instant at which they were known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.prints import STANDS
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.protocol import Action, Window
from store.rows.stored_rows import COMMIT

# What a row of a replay is, by its code: a row as it came, a correction, a cancel.
CHANGES = (None, Action.CORRECT, Action.CANCEL)
ROW, CORRECT, CANCEL = range(3)
# The columns of a dataset that tell when a row was known.
_OF_KNOWLEDGE = ("received_at", "resolution")

Codes = npt.NDArray[np.int8]


class ReplayChunk(NamedTuple):
    """Consecutive rows of a log. Chunks are read in the order of their fields.

    first_known_ns: none of them was known before. log: the index of the log. number: by event time.
    """

    first_known_ns: int
    log: int
    number: int
    window: Window


@dataclass(frozen=True, slots=True)
class ReplayRows:
    """Rows and corrections of a chunk by (known, event time, sequence, arrival), as equally long columns.

    table: the dataset's columns that are read, `arrival`, and `commit`, which made the row or the change. known_ns:
    when each was known. change: codes of `CHANGES`. in_memory: how many rows the tables' memory holds.
    """

    table: pa.Table
    known_ns: Integers
    change: Codes
    in_memory: int

    def __len__(self) -> int:
        return len(self.known_ns)

    def first(self, rows: int) -> ReplayRows:
        """Return the first rows."""
        return ReplayRows(self.table.slice(0, rows), self.known_ns[:rows], self.change[:rows], self.in_memory)

    def without_first(self, rows: int) -> ReplayRows:
        """Return the rows behind the first `rows`. A few late rows are copied, so that they do not keep their whole chunk in memory."""
        known_ns, change = self.known_ns[rows:], self.change[rows:]
        if 2 * len(known_ns) > self.in_memory:
            return ReplayRows(self.table.slice(rows), known_ns, change, self.in_memory)
        copied = self.table.take(pa.array(np.arange(rows, len(self))))
        return ReplayRows(copied, known_ns.copy(), change.copy(), len(known_ns))


def chunks_of(view: LogView, log: int, window: Window, rows: int, end_ns: int) -> Iterator[ReplayChunk]:
    """Yield the chunks of a log's window with rows that were known before `end_ns`.

    log: its index. rows: their number in a chunk; more only if further rows have the same event time.
    """
    numbers = count()
    while window.start_ns < window.end_ns:
        part = view.take_window(window, ROWS_AT_ONCE)
        window = Window(part.end_ns, window.end_ns)
        versions = view.versions(part, _OF_KNOWLEDGE)
        if not versions.num_rows:
            continue
        time_ns, known_ns = versions.column("timestamp").to_numpy(), view.known_times(versions).from_ns
        starts = np.unique(time_ns.searchsorted(time_ns[::rows]))
        edges = [part.start_ns, *time_ns[starts[1:]].tolist(), part.end_ns]
        firsts = np.minimum.reduceat(known_ns, starts).tolist()
        for first_ns, (start_ns, behind_ns) in zip(firsts, pairwise(edges), strict=True):
            if first_ns < end_ns:
                yield ReplayChunk(first_ns, log, next(numbers), Window(start_ns, behind_ns))


def known_rows(view: LogView, window: Window, columns: Sequence[str], end_ns: int) -> ReplayRows:
    """Return the rows of a window, and their corrections and cancels, that were known before `end_ns`.

    A version that was corrected or cancelled before it was known is left out: nobody has ever known it.
    """
    versions = view.versions(window, (*columns, *_OF_KNOWLEDGE))
    kept = versions.select([*columns, "arrival", "commit"])
    times = view.known_times(versions)
    known_ns, until = times.from_ns, versions.column("until").to_numpy()
    if not len(until) or int(until.min()) == STANDS:
        if _is_ascending(known_ns):
            change: Codes = np.broadcast_to(np.int8(ROW), len(until))
            rows = ReplayRows(kept, known_ns, change, len(until))
            return rows if not len(until) or known_ns[-1] < end_ns else _before(rows, end_ns)
        index = np.flatnonzero(known_ns < end_ns)
        return _ordered(kept, index, known_ns[index], np.zeros(len(index), np.int8))
    was_known = known_ns < times.until_ns
    index = np.flatnonzero(was_known & (known_ns < end_ns))
    ended = np.flatnonzero(was_known & (times.until_ns < end_ns))
    arrival, commit = (versions.column(name).to_numpy().astype(np.int64) for name in ("arrival", "commit"))
    is_correction = times.by == -1
    replaces = is_correction & (commit < until)  # not undone by the same commit
    replaced = np.isin(_pairs(arrival[ended], until[ended]), _pairs(arrival[replaces], commit[replaces]))
    cancelled = ended[~replaced]
    commits = np.append(commit[index], until[cancelled]).astype(np.int32)
    change = np.append(
        np.where(is_correction[index], CORRECT, ROW), np.full(len(cancelled), CANCEL)
    ).astype(np.int8)  # fmt: skip
    known_ns = np.append(known_ns[index], times.until_ns[cancelled])
    return _ordered(kept, np.append(index, cancelled), known_ns, change, commits)


def _before(rows: ReplayRows, end_ns: int) -> ReplayRows:
    return rows.first(int(rows.known_ns.searchsorted(end_ns)))


def _ordered(
    versions: pa.Table,
    index: Integers,
    known_ns: Integers,
    change: Codes,
    commits: npt.NDArray[np.int32] | None = None,
) -> ReplayRows:
    """Return the versions with these indices by (known, index). commits: None for those of the versions."""
    order = np.lexsort((index, known_ns))
    table = versions.take(pa.array(index[order]))
    if commits is not None:
        table = table.set_column(
            table.schema.get_field_index("commit"), COMMIT.field, pa.array(commits[order])
        )
    return ReplayRows(table, known_ns[order], change[order], len(order))


def _pairs(arrival: Integers, commit: Integers) -> Integers:
    """Return one number for each pair of an arrival number and a commit."""
    pairs: Integers = arrival << 31 | commit
    return pairs


def _is_ascending(values: Integers) -> bool:
    return bool((values[1:] >= values[:-1]).all())
