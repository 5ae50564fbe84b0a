"""When a version of a row could be known: the times by which a read of the past leaves out later knowledge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.prints import STANDS
from store.timestamps import SECOND_NS

# A row that was committed within this time of its event is taken as sent live. Later ones are imported history.
LIVE_NS = 3_600 * SECOND_NS
# Later than every instant.
NEVER_NS = 2**63 - 1


class Knowledge(StrEnum):
    """Whether bars are made of what is known now, or of what was known when they ended."""

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

    from_ns: when the version was known. until_ns: when it was known to be cancelled or replaced; `NEVER_NS` if it
    still stands. by: the index in `KnownBy` of the time that tells it; -1 for the new values of a correction.
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


def known_times(versions: pa.Table, event_ns: Integers, committed_at: Callable[[int], int]) -> KnowledgeTimes:
    """Return when each version of a row was known.

    versions: with the columns `arrival`, `commit` and `until`. event_ns: when each row's event was over: the time of a
    trade, the end of a stored bar. committed_at: returns a commit's time. A row is known at `received_at`; without
    it at its commit's time if that is within an hour of the event; otherwise at the event, because such rows are
    imported history. Corrections are known at their commit's time, however late.
    """
    arrival, commit, until = (
        versions.column(name).to_numpy().astype(np.int64) for name in ("arrival", "commit", "until")
    )
    numbers = np.unique(np.append(commit, until[until != STANDS]))
    times = np.array([committed_at(number) for number in numbers.tolist()], np.int64)
    committed_ns = times[numbers.searchsorted(commit)] if len(numbers) else commit
    ended = np.minimum(numbers.searchsorted(until), max(len(numbers) - 1, 0))
    until_ns = np.where(until == STANDS, NEVER_NS, times[ended]) if len(numbers) else until
    is_live = np.abs(committed_ns - event_ns) <= LIVE_NS
    from_ns = np.where(is_live, committed_ns, event_ns)
    by = np.where(is_live, 1, 2)
    received = _received(versions)
    if received is not None:
        from_ns, by = np.where(received >= 0, received, from_ns), np.where(received >= 0, 0, by)
    is_corrected = ~_is_first(arrival, commit)
    return KnowledgeTimes(
        np.where(is_corrected, committed_ns, from_ns), until_ns, np.where(is_corrected, -1, by)
    )


def _received(versions: pa.Table) -> Integers | None:
    """Return the column `received_at`, -1 where it is null; None without the column."""
    if "received_at" not in versions.column_names:
        return None
    column = versions.column("received_at")
    found: Integers = column.fill_null(-1).to_numpy()
    return found


def _is_first(arrival: Integers, commit: Integers) -> Mask:
    """Return whether each version is the one that was stored first under its arrival number."""
    order = np.lexsort((commit, arrival))
    is_first: Mask = np.zeros(len(arrival), np.bool_)
    ordered = arrival[order]
    is_first[order] = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    return is_first
