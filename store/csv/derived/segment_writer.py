"""Divides ordered rows into segments and writes each segment's files."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.prints import STANDS
from store.csv.derived.manifest import Segment, rollups_file, rows_file
from store.csv.derived.segment_files import (
    Seal,
    SegmentRows,
    aggregates_of,
    check_file,
    plain_rows,
    write_aggregates,
    write_rows,
)
from store.csv.files.disk import Disk
from store.datasets import TRADES
from store.declarations import Dataset
from store.timestamps import DAY_NS

SEGMENT_ROWS = 1_000_000


class SegmentWriter:
    """Writes segments into one derived folder, durably. The caller holds the folder's lock. Raises `OSError`."""

    def __init__(
        self, folder: Path, dataset: Dataset, policies: Sequence[BarPolicy], rows_limit: int, disk: Disk
    ) -> None:
        self._folder = folder
        self._sync = disk.sync
        self._dataset = dataset
        of_sessions = [policy.session for policy in policies if policy.daily is not None]
        of_auctions = [policy.auctions for policy in policies]
        self._policies = (*policies, *of_sessions, *of_auctions) if dataset is TRADES else ()
        self._rows_limit = rows_limit

    def rows_of(self, segments: Iterable[Segment]) -> list[pa.Table]:
        """Return the stored rows of each segment. Raises `SegmentDamaged`."""
        tables = []
        for each in segments:
            path = self._folder / rows_file(each.name)
            check_file(path, each.stored)  # else damage would be written again, under a new checksum
            rows = SegmentRows(path, each.stored)
            tables.append(plain_rows(self._dataset, rows.at(slice(0, len(rows)))))
        return tables

    def write(self, rows: pa.Table) -> Iterator[Segment]:
        """Write stored rows, which are in order, as segments; yield the segments."""
        time = rows.column("timestamp").to_numpy()
        start = 0
        while start < len(time):
            end = _cut(time, start, self._rows_limit)
            yield self._segment(rows.slice(start, end - start))
            start = end

    def with_rollups(self, segment: Segment) -> Segment:
        """Return the segment with rollups of exactly the current policies. Raises `SegmentDamaged`."""
        policies = {policy.key: policy for policy in self._policies}
        if policies.keys() == segment.rollups.keys():
            return segment
        (rows,) = self.rows_of([segment])
        added = [policy for key, policy in policies.items() if key not in segment.rollups]
        rollups = segment.rollups | self._rollups(segment.name, rows, added)
        return msgspec.structs.replace(segment, rollups={key: rollups[key] for key in policies})

    def _segment(self, rows: pa.Table) -> Segment:
        name = uuid.uuid4().hex[:16]
        time, commit, until = (rows.column(column).to_numpy() for column in ("timestamp", "commit", "until"))
        ended = until[until != STANDS]
        return Segment(
            name=name,
            rows=rows.num_rows,
            standing=rows.num_rows - len(ended),
            first_ns=int(time[0]),
            last_ns=int(time[-1]),
            newest=int(max(commit.max(), ended.max(initial=0))),
            stored=write_rows(self._folder / rows_file(name), rows, self._sync),
            rollups=self._rollups(name, rows, self._policies),
        )

    def _rollups(self, name: str, rows: pa.Table, policies: Sequence[BarPolicy]) -> dict[str, Seal]:
        return {
            policy.key: write_aggregates(
                self._folder / rollups_file(name, policy.key), aggregates_of(rows, policy), self._sync
            )
            for policy in policies
        }


def _cut(time: Integers, start: int, limit: int) -> int:
    """Return the end index of the segment that begins at index `start`.

    The segment ends where an event date ends if it is at least half full by then. Rows of one event time stay
    together.
    """
    end = start + limit
    if end >= len(time):
        return len(time)
    midnight = int(time.searchsorted(time[end] // DAY_NS * DAY_NS))
    if midnight - start >= max(limit // 2, 1):
        return midnight
    first_of_time = int(time.searchsorted(time[end]))
    return first_of_time if first_of_time > start else int(time.searchsorted(time[end], side="right"))
