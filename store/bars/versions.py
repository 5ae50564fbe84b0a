"""Versions of aggregates: what each commit added to an interval, and until which commit it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import EqualColumns, Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.aggregation import aggregate_slices
from store.bars.prints import all_standing, prints_of


@dataclass(frozen=True, slots=True)
class AggregateVersions(EqualColumns):
    """Aggregates of prints that stand from one commit until another. An interval may have several, in any order.

    aggregates: their `newest` is the commit that stored the prints. until: the commit that cancelled or replaced them;
    `STANDS` if none did. The bar of an interval as of commit N is made of those with `newest <= N < until`.
    """

    aggregates: Aggregates
    until: Integers


def joined_versions(parts: Sequence[AggregateVersions]) -> AggregateVersions:
    """Return the versions of the parts one after the other."""
    until = np.concatenate([np.empty(0, np.int64), *(part.until for part in parts)])
    return AggregateVersions(Aggregates.joined([part.aggregates for part in parts]), until)


def versions_of(rows: pa.Table, policy: BarPolicy, interval_ns: int) -> AggregateVersions:
    """Return the versions of the aggregates of stored rows, by time. rows: ordered, with every version of each row."""
    if not rows.num_rows:
        return joined_versions([])
    prints, until = prints_of(all_standing(rows), policy), rows.column("until").to_numpy()
    keys = prints.time // interval_ns * interval_ns, prints.newest, until
    order = np.lexsort(keys[::-1])
    prints, sorted_keys = prints[order], [key[order] for key in keys]
    is_new = np.logical_or.reduce([np.diff(key, prepend=key[:1] - 1) != 0 for key in sorted_keys])
    starts = np.flatnonzero(is_new)
    return AggregateVersions(
        aggregate_slices(prints, sorted_keys[0], starts), sorted_keys[2][starts].astype(np.int64)
    )
