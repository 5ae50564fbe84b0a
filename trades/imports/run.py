"""One run over one file: block by block while it is in order of time, otherwise by way of a spool."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from trades.imports.blocks import Block, Position, Source, blocks_as_they_are, blocks_in_order
from trades.imports.exceptions import BadRow, NotInOrder
from trades.imports.lines import Lines
from trades.imports.parse import Parser
from trades.imports.progress_note import Note, Progress
from trades.imports.read_ahead import read_ahead
from trades.imports.reading import Reading
from trades.imports.spool import ROWS_AT_ONCE, Partition, Spool
from trades.storage.exceptions import TradeIdConflict
from trades.storage.protocol import Append
from trades.stores import market_store
from trades.timestamps import DAY_NS

DATES_AT_ONCE = 64
EXAMPLES_LIMIT = 20
_CALLER_LENGTH = 200
_LINE = "line"


class Stage(StrEnum):
    """What is being done: storing as it is read, or sorting first and then storing."""

    STORING = "storing"
    SORTING = "sorting"
    STORING_SORTED = "storing sorted"


class Step(NamedTuple):
    """How far a stage is, `done` of `total` in any unit, and how many rows of the file were read."""

    stage: Stage
    done: int
    total: int
    rows: int


class Run:
    """The import of a file from where an earlier run was ended, or from its beginning."""

    def __init__(
        self,
        *,
        source: Source,
        reading: Reading,
        parser: Parser,
        note: Note,
        start: Position,
        done: Progress,
        progress: Callable[[Step], None],
        skip_bad: bool,
    ) -> None:
        self._source = source
        self._dataset = reading.dataset
        self._parser = parser
        self._note = note
        self._start = start
        self._done = done
        self._progress = progress
        self._skip_bad = skip_bad
        self._examples: list[BadRow] = []
        self._store = market_store()
        self._caller = f"import:{source.path.name}"[:_CALLER_LENGTH]
        self._schema = self._dataset.schema.append(pa.field(_LINE, pa.int64()))

    def all(self) -> tuple[Progress, tuple[BadRow, ...]]:
        """Store what is left; returns the counts of the whole file and the first bad rows of this run."""
        try:
            if self._done.partitions is None:
                self._store_in_order()
            else:
                self._store_by_spool()
        except NotInOrder:
            self._store_by_spool()
        self._done = replace(self._done, is_finished=True)
        self._note.save(self._done)
        return self._done, tuple(self._examples)

    def _store_in_order(self) -> None:
        blocks = blocks_in_order(self._source, self._parser, self._done.position or self._start)
        with read_ahead(blocks) as ahead:
            for block in ahead:
                self._count(block)
                if block.rows.num_rows:
                    self._append_all(block.symbol, block.rows, block.lines)
                self._done = replace(self._done, position=block.end)
                self._note.save(self._done)
                self._tell(Stage.STORING, block.read, self._source.size)

    def _store_by_spool(self) -> None:
        is_filled = self._done.partitions is not None
        spool = Spool.finished(self._note.spool, self._schema) if is_filled else None
        if spool is None:
            spool = self._filled_spool()
        total = sum(partition.rows for partition in spool.partitions())
        stored = 0
        for first, group in _groups(spool.partitions()):
            if first >= (self._done.partitions or 0):
                for table in _joined(spool, group):
                    rows = table.combine_chunks().to_batches()[0]
                    lines = rows.column(_LINE).to_numpy()
                    self._append_all(group[0].symbol, rows.select(self._dataset.schema.names), lines)
                    self._tell(Stage.STORING_SORTED, stored + rows.num_rows, total)
                self._done = replace(self._done, partitions=first + len(group))
                self._note.save(self._done)
            stored += sum(partition.rows for partition in group)
        spool.remove()

    def _filled_spool(self) -> Spool:
        self._examples.clear()
        self._done = replace(self._done, position=None, partitions=None, rows=0, bad=0)
        spool = Spool.started(self._note.spool, self._schema)
        with read_ahead(blocks_as_they_are(self._source, self._parser, self._start)) as ahead:
            for block in ahead:
                self._count(block)
                columns = [*block.rows.columns, pa.array(block.lines)]
                spool.add(pa.record_batch(columns, schema=self._schema), block.symbols)
                self._tell(Stage.SORTING, block.read, self._source.size)
        spool.finish()
        self._done = replace(self._done, partitions=0)
        self._note.save(self._done)
        return spool

    def _count(self, block: Block) -> None:
        rows = len(block.lines) + len(block.bad)
        self._done = replace(self._done, rows=self._done.rows + rows, bad=self._done.bad + len(block.bad))
        self._keep_examples(block.bad)

    def _keep_examples(self, bad: tuple[BadRow, ...] | list[BadRow]) -> None:
        self._examples += bad[: EXAMPLES_LIMIT - len(self._examples)]

    def _append_all(self, symbol: str, rows: pa.RecordBatch, lines: Lines) -> None:
        """Store rows in order of time, of any number of dates."""
        days = rows.column(0).to_numpy() // DAY_NS
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))[::DATES_AT_ONCE].tolist()
        for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
            self._append(symbol, rows.slice(start, end - start), lines[start:end])

    def _append(self, symbol: str, rows: pa.RecordBatch, lines: Lines) -> None:
        try:
            receipt = self._store.append(Append(self._dataset, symbol, rows, self._caller))
        except TradeIdConflict as error:
            bad = [
                BadRow(self._source.path, int(lines[row]), self._dataset.id_columns[-1], str(error))
                for row in error.rows
            ]
            if not self._skip_bad:
                raise bad[0] from error
            self._done = replace(self._done, bad=self._done.bad + len(bad))
            self._keep_examples(bad)
            kept = np.ones(len(lines), dtype=bool)
            kept[error.rows] = False
            if kept.any():
                self._append(symbol, rows.filter(pa.array(kept)), lines[kept])
            return
        newest = (symbol, receipt.commit.number, receipt.commit.hash)
        self._done = replace(self._done, stored=self._done.stored + receipt.stored, commit=newest)

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        self._progress(Step(stage, done, total, self._done.rows))


def _groups(partitions: list[Partition]) -> Iterator[tuple[int, list[Partition]]]:
    """Neighbours of one symbol that are stored at once, and how many partitions stand before them."""
    group: list[Partition] = []
    for number, partition in enumerate(partitions):
        rows = sum(each.rows for each in group) + partition.rows
        is_other = bool(group) and group[0].symbol != partition.symbol
        if group and (is_other or rows > ROWS_AT_ONCE or len(group) >= DATES_AT_ONCE):
            yield number - len(group), group
            group = []
        group.append(partition)
    if group:
        yield len(partitions) - len(group), group


def _joined(spool: Spool, group: list[Partition]) -> Iterator[pa.Table]:
    """The rows of a group: one table, or several of a partition that is too large for one."""
    if len(group) == 1:
        yield from spool.rows_in_order(group[0])
    else:
        yield pa.concat_tables(table for partition in group for table in spool.rows_in_order(partition))
