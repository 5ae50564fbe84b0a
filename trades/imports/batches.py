"""Rows on their way to the store: batches, made ready ahead, and what is to be noted once they are stored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from store.protocol import Append, Receipt
from store.timestamps import DAY_NS
from trades.imports.blocks import Position
from trades.imports.exceptions import BadRow
from trades.imports.lines import Lines
from trades.imports.spool import ROWS_AT_ONCE, Partition, Spool

DATES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one symbol, the line of each, and what appends them."""

    append: Append
    lines: Lines
    store: Callable[[], Receipt]


@dataclass(frozen=True, slots=True)
class Work:
    """Batches, and what is true once all of them are stored.

    position or partitions: how far the file is then. rows, bad: of the file, counted with these batches.
    done: of the stage, in the unit of its total.
    """

    batches: tuple[Batch, ...]
    done: int
    position: Position | None = None
    partitions: int | None = None
    rows: int = 0
    bad: tuple[BadRow, ...] = ()


def batches_of(
    template: Append, rows: pa.RecordBatch, lines: Lines, prepare: Callable[[Append], Callable[[], Receipt]]
) -> Iterator[Batch]:
    """Rows in order of time, like `template` in all else, cut so that none has too many dates."""
    if not rows.num_rows:
        return
    days = rows.column(0).to_numpy() // DAY_NS
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))[::DATES_AT_ONCE].tolist()
    for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        part = rows.slice(start, end - start)
        append = Append(template.dataset, template.symbol, part, template.caller)
        yield Batch(append, lines[start:end], prepare(append))


def groups_of(partitions: Sequence[Partition]) -> Iterator[tuple[int, list[Partition]]]:
    """Neighbours of one symbol that are stored at once, and how many partitions there are to their last."""
    group: list[Partition] = []
    for number, partition in enumerate(partitions):
        rows = sum(each.rows for each in group) + partition.rows
        is_other = bool(group) and group[0].symbol != partition.symbol
        if group and (is_other or rows > ROWS_AT_ONCE or len(group) >= DATES_AT_ONCE):
            yield number, group
            group = []
        group.append(partition)
    if group:
        yield len(partitions), group


def tables_of(spool: Spool, group: Sequence[Partition]) -> Iterator[pa.Table]:
    """The rows of a group in order of time: one table, or several of a partition too large for one."""
    if len(group) == 1:
        yield from spool.rows_in_order(group[0])
    else:
        yield pa.concat_tables(table for partition in group for table in spool.rows_in_order(partition))
