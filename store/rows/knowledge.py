"""When a version of a row could be known: the times by which a read of the past leaves out later knowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.prints import STANDS
from store.datasets import BARS
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.resolutions import Resolution
from store.rows.stored_rows import first_versions
from store.timestamps import SECOND_NS

# A row that was committed at most this long after its event is taken as sent live. Later ones are imported history.
LIVE_NS = 3_600 * SECOND_NS
# When a version that stands is known to be wrong: later than every instant.
STILL_KNOWN_NS = 2**63 - 1
# Columns of one value, of which any number of rows takes no memory.
_STILL_KNOWN, _BY_EVENT = (np.broadcast_to(np.int64(each), 1 << 59) for each in (STILL_KNOWN_NS, 2))


class Knowledge(StrEnum):
    """Whether bars are as they are known now, or as they were known at their end."""

    NOW = "now"
    THEN = "then"


class KnownBy(StrEnum):
    """Which time tells when a row was known."""

    RECEIVED_AT = "received_at"
    COMMITTED_AT = "committed_at"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class KnowledgeTimes:
    """Equally long columns, one entry per version of a row, nanoseconds UTC.

    from_ns: when the version was known. until_ns: when it was known to be cancelled or replaced; `STILL_KNOWN_NS`
    if it still stands. by: the index in `KnownBy` of the time that tells it; -1 for the new values of a correction.
    """

    from_ns: Integers
    until_ns: Integers
    by: Integers

    def at(self, instant_ns: Integers) -> Mask:
        """Return whether each version was known, and not known to be wrong, at its instant."""
        return (self.from_ns <= instant_ns) & (instant_ns < self.until_ns)

    def counts(self) -> dict[str, int]:
        """Return how many rows were judged by each time."""
        return {name.value: int((self.by == index).sum()) for index, name in enumerate(KnownBy)}


def known_times(
    versions: pa.Table, event_ns: Integers, committed_times: Callable[[Integers], Integers]
) -> KnowledgeTimes:
    """Return when each version of a row was known.

    versions: with the columns `arrival`, `commit` and `until`; with every version of each row, because the first is
    known otherwise than those that correct it. event_ns: when each row's event was over: the time of a
    trade, the end of a stored bar. committed_times: returns the times of commits. A row is known at `received_at`; without
    it at its commit's time unless that is more than an hour after the event; otherwise at the event, because such
    rows are imported history. Corrections are known at their commit's time, however late.
    """
    commit, until = (versions.column(name).to_numpy() for name in ("commit", "until"))
    received = _received(versions)
    all_stand = not len(until) or int(until.min()) == STANDS
    if all_stand and received is None and _is_imported(event_ns, commit, committed_times):
        return _known_at_events(event_ns)
    committed_ns = _times_of(commit, committed_times)
    is_live = committed_ns - event_ns <= LIVE_NS
    from_ns = np.where(is_live, committed_ns, event_ns)
    by = np.where(is_live, 1, 2)
    if received is not None:
        from_ns, by = np.where(received >= 0, received, from_ns), np.where(received >= 0, 0, by)
    if all_stand:
        return KnowledgeTimes(from_ns, _STILL_KNOWN[: len(until)], by)
    until_ns = np.full(len(until), STILL_KNOWN_NS)
    until_ns[until != STANDS] = _times_of(until[until != STANDS], committed_times)
    is_corrected = ~first_versions(versions)
    return KnowledgeTimes(
        np.where(is_corrected, committed_ns, from_ns), until_ns, np.where(is_corrected, -1, by)
    )


def event_ends_ns(dataset: Dataset, rows: pa.Table) -> Integers:
    """Return when each row's event was over: its time; of a stored bar its end, at the latest for months."""
    time_ns: Integers = rows.column("timestamp").to_numpy()
    if dataset is not BARS:
        return time_ns
    ends_ns = time_ns.copy()
    for resolution, own in by_resolution(rows):
        ends_ns[own] += resolution.length_ns
    return ends_ns


def by_resolution(rows: pa.Table | pa.RecordBatch) -> Iterator[tuple[Resolution, Mask | slice]]:
    """Yield the resolutions of stored bars, the shortest first, each with its rows: a mask, or a slice of all rows."""
    column = rows.column("resolution")
    resolutions = sorted(map(Resolution.parse, pc.unique(column).to_pylist()))
    for resolution in resolutions:
        yield (
            resolution,
            slice(None) if len(resolutions) == 1 else np.asarray(pc.equal(column, resolution.value)),
        )


def _is_imported(
    event_ns: Integers, commit: Integers, committed_times: Callable[[Integers], Integers]
) -> bool:
    """Return whether even the first of some commits was more than an hour after the last event."""
    return (
        not len(commit) or int(committed_times(commit.min(keepdims=True))[0]) - int(event_ns.max()) > LIVE_NS
    )


def _known_at_events(event_ns: Integers) -> KnowledgeTimes:
    """Return the times of rows that are imported history and stand."""
    return KnowledgeTimes(event_ns, _STILL_KNOWN[: len(event_ns)], _BY_EVENT[: len(event_ns)])


def _times_of(commit: Integers, committed_times: Callable[[Integers], Integers]) -> Integers:
    """Return the time of each row's commit. Neighbours mostly have the same."""
    starts = np.flatnonzero(np.append(True, commit[1:] != commit[:-1])[: len(commit)])
    numbers, index = np.unique(commit[starts], return_inverse=True)
    found: Integers = np.repeat(committed_times(numbers)[index], np.diff(np.append(starts, len(commit))))
    return found


def _received(versions: pa.Table) -> Integers | None:
    """Return the column `received_at`, -1 where it is null; None without any value."""
    if "received_at" not in versions.column_names:
        return None
    column = versions.column("received_at")
    if column.null_count == len(column):
        return None
    found: Integers = column.fill_null(-1).to_numpy()
    return found
