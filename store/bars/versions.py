"""Versions of aggregates: what each commit added to an interval, and until which commit it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import EqualColumns, Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.aggregation import aggregate_slices
from store.bars.prints import STANDS, Prints, prints_of


@dataclass(frozen=True, slots=True)
class AggregateVersions(EqualColumns):
    """Aggregates of prints that stand from one commit until another. An interval may have several, in any order.

    aggregates: their `newest` is the commit that stored the prints. until: the commit that cancelled or replaced them;
    `STANDS` if none did. The bar of an interval as of commit N is made of those with `newest <= N < until`.
    """

    aggregates: Aggregates
    until: Integers

    def as_of(self, commit: int) -> AggregateVersions:
        """Return them as a commit left them: without later ones and without later ends."""
        found = (
            self
            if self.aggregates.newest.max(initial=0) <= commit
            else self[self.aggregates.newest <= commit]
        )
        return replace(found, until=np.where(found.until > commit, STANDS, found.until))


def joined_versions(parts: Sequence[AggregateVersions]) -> AggregateVersions:
    """Return the versions of the parts one after the other."""
    until = np.concatenate([np.empty(0, np.int64), *(part.until for part in parts)])
    return AggregateVersions(Aggregates.joined([part.aggregates for part in parts]), until)


def versions_of(rows: pa.Table, policy: BarPolicy, interval_ns: int) -> AggregateVersions:
    """Return the versions of the aggregates of stored rows, by time. rows: ordered, with every version of each row."""
    prints, until = prints_of(all_standing(rows), policy), rows.column("until").to_numpy()
    return print_versions(prints, prints.time // interval_ns * interval_ns, until)


def print_versions(prints: Prints, time: Integers, until: Integers) -> AggregateVersions:
    """Return the versions of the aggregates of ordered prints, which stand from their `newest` until `until`.

    time: of the interval that each print belongs to.
    """
    if not len(prints):
        return joined_versions([])
    commit = prints.newest
    keys = [time, commit] if until.min() == STANDS else [time, commit, until]
    if ((time[1:] == time[:-1]) & ((commit[1:] < commit[:-1]) | (until[1:] < until[:-1]))).any():
        order = np.lexsort(keys[::-1])
        prints, keys, until = prints[order], [key[order] for key in keys], until[order]
    is_new = np.ones(len(time), np.bool_)
    is_new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(is_new)
    return AggregateVersions(aggregate_slices(prints, keys[0], starts), until[starts].astype(np.int64))


def all_standing(versions: pa.Table) -> pa.Table:
    """Return versions of rows, each as if it stood."""
    index = versions.schema.get_field_index("until")
    stands = pa.array(np.full(versions.num_rows, STANDS, np.int32))
    return versions.set_column(index, versions.schema.field(index), stands)
