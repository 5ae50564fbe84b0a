"""One run over one file: block by block while it is in order of time, otherwise by way of a spool."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from store.exceptions import IdConflict
from store.protocol import Append
from trades.imports.batches import Batch, Work, batches_of, groups_of, tables_of
from trades.imports.blocks import Block, Position, Source, blocks_as_they_are, blocks_in_order
from trades.imports.exceptions import BadRow, ImportRefused, NotInOrder
from trades.imports.parse import Parser
from trades.imports.progress_note import Note, Progress
from trades.imports.read_ahead import read_ahead
from trades.imports.spool import Spool
from trades.services.rows import class_refusal
from trades.stores import market_store

EXAMPLES_LIMIT = 20
_CALLER_LENGTH = 200
_LINE = "line"


class Stage(StrEnum):
    """What is being done: storing as it is read, or sorting first and then storing."""

    STORING = "storing"
    SORTING = "sorting"
    STORING_SORTED = "storing, sorted"


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
        source: Source,
        parser: Parser,
        note: Note,
        *,
        start: Position,
        done: Progress,
        progress: Callable[[Step], None],
    ) -> None:
        self._source = source
        self._dataset = parser.dataset
        self._parser = parser
        self._note = note
        self._start = start
        self._done = done
        self._progress = progress
        self._examples: list[BadRow] = []
        self._store = market_store()
        self._caller = f"import:{source.path.name}"[:_CALLER_LENGTH]

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
        start = self._done.position or self._start
        with read_ahead(blocks_in_order(self._source, self._parser, start)) as blocks:
            self._store_all(map(self._work_of, blocks), Stage.STORING, self._source.size)

    def _work_of(self, block: Block) -> Work:
        batches = self._batches(block.symbol, block.rows, block.lines) if len(block.lines) else ()
        rows = len(block.lines) + len(block.bad)
        return Work(batches, block.read, position=block.end, rows=rows, bad=block.bad)

    def _store_by_spool(self) -> None:
        schema = self._dataset.schema.append(pa.field(_LINE, pa.int64()))
        is_filled = self._done.partitions is not None
        spool = Spool.finished(self._note.spool, schema) if is_filled else None
        if spool is None:
            spool = self._filled_spool(schema)
        total = sum(partition.rows for partition in spool.partitions())
        self._store_all(self._sorted_works(spool), Stage.STORING_SORTED, total)
        spool.remove()

    def _filled_spool(self, schema: pa.Schema) -> Spool:
        self._examples.clear()
        self._done = replace(self._done, position=None, partitions=None, rows=0, bad=0)
        spool = Spool.started(self._note.spool, schema)
        with read_ahead(blocks_as_they_are(self._source, self._parser, self._start)) as blocks:
            for block in blocks:
                self._count(len(block.lines) + len(block.bad), block.bad)
                columns = [*block.rows.columns, pa.array(block.lines)]
                spool.add(pa.record_batch(columns, schema=schema), block.symbols)
                self._tell(Stage.SORTING, block.read, self._source.size)
        spool.finish()
        self._done = replace(self._done, partitions=0)
        self._note.save(self._done)
        return spool

    def _sorted_works(self, spool: Spool) -> Iterator[Work]:
        """What is left of a spool; how far it is changes with the last table of a group only."""
        stored, before = 0, 0
        for partitions, group in groups_of(spool.partitions()):
            rows = sum(partition.rows for partition in group)
            if partitions > (self._done.partitions or 0):
                left = rows
                for table in tables_of(spool, group):
                    left -= table.num_rows
                    whole = table.combine_chunks().to_batches()[0]
                    lines = whole.column(_LINE).to_numpy()
                    batches = self._batches(group[0].symbol, whole.select(self._dataset.schema.names), lines)
                    yield Work(batches, stored + rows - left, partitions=before if left else partitions)
            stored, before = stored + rows, partitions

    def _batches(self, symbol: str, rows: pa.RecordBatch, lines: Any) -> tuple[Batch, ...]:
        refusal = class_refusal(dataset=self._dataset, symbol=symbol)
        if refusal is not None:
            raise ImportRefused(f"{self._source.path}: {refusal}")
        template = Append(self._dataset, symbol, rows, self._caller)
        return tuple(batches_of(template, rows, lines, self._store.prepare_append))

    def _store_all(self, works: Iterator[Work], stage: Stage, total: int) -> None:
        with read_ahead(works) as ready:
            for work in ready:
                for batch in work.batches:
                    self._append(batch)
                self._count(work.rows, work.bad)
                self._done = replace(self._done, position=work.position, partitions=work.partitions)
                self._note.save(self._done)
                self._tell(stage, work.done, total)

    def _append(self, batch: Batch) -> None:
        try:
            receipt = batch.store()
        except IdConflict as error:
            field = self._dataset.id_columns[-1]
            bad = [BadRow(self._source.path, int(batch.lines[row]), field, str(error)) for row in error.rows]
            if not self._parser.skips_bad:
                raise bad[0] from error
            self._count(0, tuple(bad))
            self._append_without(batch, error.rows)
            return
        newest = (batch.append.symbol, receipt.commit.number, receipt.commit.hash)
        self._done = replace(self._done, stored=self._done.stored + receipt.stored, commit=newest)

    def _append_without(self, batch: Batch, dropped: list[int]) -> None:
        kept = np.ones(len(batch.lines), dtype=bool)
        kept[dropped] = False
        rows = batch.append.rows.filter(pa.array(kept))
        for left in self._batches(batch.append.symbol, rows, batch.lines[kept]):
            self._append(left)

    def _count(self, rows: int, bad: tuple[BadRow, ...]) -> None:
        self._done = replace(self._done, rows=self._done.rows + rows, bad=self._done.bad + len(bad))
        self._examples += bad[: EXAMPLES_LIMIT - len(self._examples)]

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        self._progress(Step(stage, done, total, self._done.rows))
