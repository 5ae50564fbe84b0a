"""Imports one file block by block if its rows are in order of time; otherwise sorts it in temporary files first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from django.conf import settings

from store.arrays import Integers
from store.declarations import Dataset
from store.exceptions import IdConflict
from store.protocol import Append, Receipt
from store.timestamps import DAY_NS, format_timestamp
from trades.conditions.condition_map import CONDITIONS, ConditionMap, translated_rows
from trades.exceptions import BadRow, ConditionsRefused, ImportRefused, ImportsError, NotInOrder
from trades.imports.blocks import (
    BAD_ROWS_LIMIT,
    LINE,
    SYMBOL,
    RowBlock,
    SourceFile,
    blocks_in_order,
    symbol_starts,
)
from trades.imports.parse import BlockParser
from trades.imports.sort import SortedRuns, require_space
from trades.services import conditions_check, conditions_of, dated_rows, symbol_refusal
from trades.stores import market_store

DATES_AT_ONCE = 64
EXAMPLES_LIMIT = 20
# The most rows of an upload, so that its job ends.
ROWS_LIMIT = 500_000_000
# An upload's sorted rows take at most this many bytes for each byte of the file, or this many.
_SORTED_PER_BYTE, _LEAST_SORTED_BYTES = 10, 2**30
_CALLER_LENGTH = 200
_Item = TypeVar("_Item")


class ImportStage(StrEnum):
    """The stages of an import. A file in order is stored as it is read; any other is sorted first."""

    STORING = "storing"
    SORTING = "sorting"
    STORING_SORTED = "storing, sorted"


class StageStatus(NamedTuple):
    """The state of a stage: `done` of `total` in its unit, and the rows of the file read so far."""

    stage: ImportStage
    done: int
    total: int
    rows: int


@dataclass(frozen=True, slots=True)
class PreparedAppend:
    """Rows of one symbol, their line numbers, and the function that stores them."""

    symbol: str
    rows: pa.RecordBatch
    lines: Integers
    store: Callable[[], Receipt]


@dataclass(frozen=True, slots=True)
class AppendGroup:
    """Appends that are counted together.

    done: the stage's progress after them, in the stage's unit. rows, bad: what they add to the counts.
    """

    appends: Sequence[PreparedAppend]
    done: int
    rows: int = 0
    bad: tuple[BadRow, ...] = ()


@dataclass(slots=True)
class SymbolCounts:
    """The numbers of a symbol's valid rows and of those newly stored, its first and last time, and its last commit's token."""

    first_ns: int
    last_ns: int = 0
    rows: int = 0
    stored: int = 0
    commit: str = ""


@dataclass(slots=True)
class ImportCounts:
    """The numbers of a file's rows so far, of those newly stored, and of the bad ones.

    examples: the first bad rows. unknown_conditions: the numbers of rows with each condition of unknown meaning.
    """

    rows: int = 0
    stored: int = 0
    bad: int = 0
    examples: list[BadRow] = field(default_factory=list)
    unknown_conditions: Counter[str] = field(default_factory=Counter)
    symbols: dict[str, SymbolCounts] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        """The rows that had been stored before."""
        return self.rows - self.stored - self.bad

    def add(self, rows: int, bad: Sequence[BadRow]) -> None:
        """Count rows of the file, and bad ones."""
        self.rows += rows
        self.bad += len(bad)
        self.examples += bad[: EXAMPLES_LIMIT - len(self.examples)]

    def begin_again(self) -> None:
        """Count the file from its beginning. What is stored stays counted."""
        self.rows = self.bad = 0
        self.examples.clear()
        self.unknown_conditions.clear()
        for each in self.symbols.values():
            each.rows = 0


@contextmanager
def read_ahead(items: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """Yield an iterator over `items` that prepares the next item in a thread. No item may be None."""
    with ThreadPoolExecutor(1) as pool:
        yield _submitted(pool, items)


def _submitted(pool: ThreadPoolExecutor, items: Iterator[_Item]) -> Iterator[_Item]:
    future = pool.submit(next, items, None)
    while (item := future.result()) is not None:
        future = pool.submit(next, items, None)
        yield item
        del item  # frees its memory while waiting for the next item


def tables_of_symbols(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield each symbol's rows. Raises `NotInOrder`."""
    for start, end in pairwise(symbol_starts(rows)):
        yield rows.slice(start, end - start)


def one_batch(dataset: Dataset, rows: pa.Table) -> pa.RecordBatch:
    """Return the dataset's columns of at least one row, as one batch."""
    return rows.select(dataset.schema.names).combine_chunks().to_batches()[0]


def yet_to_come(time_ns: int) -> str:
    """Return the message for a time that is too far ahead."""
    return (
        f"a time that is yet to come, {format_timestamp(time_ns)}; give --time-format"
        " or --date as the times are written, or give --yes if it is right"
    )


def storable_rows(
    dataset: Dataset,
    symbol: str,
    rows: pa.RecordBatch,
    *,
    conditions: ConditionMap | None,
    latest_ns: int | None,
) -> pa.RecordBatch:
    """Return a symbol's rows, which are in order of time, as they are stored. Raises `ImportRefused`, `StorageError`s.

    latest_ns: a later time is refused; None allows all.
    """
    refusal = symbol_refusal(dataset=dataset, symbol=symbol)
    if refusal is not None:
        raise ImportRefused(str(refusal))
    last_ns = rows.column(0)[-1].as_py()
    if latest_ns is not None and last_ns > latest_ns:
        raise ImportRefused(f"has {yet_to_come(last_ns)}")
    return dated_rows(dataset=dataset, symbol=symbol, rows=translated_rows(dataset, rows, conditions))


class FileImport:
    """The import of a file. counts: of its rows so far.

    spool: a folder for sorted rows; what it holds is deleted. latest_ns: a later time refuses the file; None allows all.
    caller: of the commits; empty for the file's name. is_bounded: whether the file has at most ROWS_LIMIT rows and
    BAD_ROWS_LIMIT bad ones.
    """

    def __init__(
        self,
        file: SourceFile,
        parser: BlockParser,
        spool: Path,
        *,
        latest_ns: int | None,
        caller: str,
        progress: Callable[[StageStatus], None],
        is_bounded: bool,
    ) -> None:
        self.counts = ImportCounts()
        self._file = file
        self._dataset = parser.dataset
        self._parser = parser
        self._spool = spool
        self._latest_ns = latest_ns
        self._progress = progress
        self._is_bounded = is_bounded
        self._store = market_store()
        self._caller = (caller or f"import:{file.path.name}")[:_CALLER_LENGTH]

    def run(self) -> None:
        """Store the rows. Sets `stored` of the `ImportsError` that it raises."""
        try:
            if not self._stored_in_order():
                self._store_sorted()
        except ImportsError as error:
            error.stored = self.counts.stored
            raise

    def _stored_in_order(self) -> bool:
        """Store the rows as they are read; return False for a file that must be sorted."""
        try:
            blocks = blocks_in_order(self._parser.blocks(self._file))
            self._store_all(blocks, ImportStage.STORING, self._file.size)
        except NotInOrder:
            self.counts.begin_again()
            return False
        return True

    def _store_sorted(self) -> None:
        """Read the whole file into sorted runs, and store these."""
        runs = SortedRuns(self._spool)
        most = max(_SORTED_PER_BYTE * self._file.size, _LEAST_SORTED_BYTES)
        try:
            with read_ahead(self._parser.blocks(self._file)) as blocks:
                for block in blocks:
                    self._count(block.rows.num_rows + len(block.bad), block.bad)
                    runs.add(block.rows)
                    if self._is_bounded and runs.bytes > most:
                        raise ImportRefused(
                            f"the sorted rows need more than {most:,} bytes; send several files"
                        )
                    self._report(ImportStage.SORTING, block.bytes_read, self._file.size)
            self._store_all(runs.in_order(), ImportStage.STORING_SORTED, runs.rows)
        finally:
            runs.remove()

    def _groups(self, blocks: Iterable[RowBlock], stage: ImportStage) -> Iterator[AppendGroup]:
        """Yield the appends of blocks."""
        position = 0
        for block in blocks:
            position += block.rows.num_rows
            appends = [append for some in self._of_symbols(block.rows) for append in self._prepared(*some)]
            if stage is ImportStage.STORING:
                rows = block.rows.num_rows + len(block.bad)
                yield AppendGroup(appends, block.bytes_read, rows, block.bad)
            else:
                yield AppendGroup(appends, position)

    def _of_symbols(self, rows: pa.Table) -> Iterator[tuple[str, pa.RecordBatch, Integers]]:
        """Yield each symbol's rows, with their lines."""
        for some in tables_of_symbols(rows):
            yield some[SYMBOL][0].as_py(), one_batch(self._dataset, some), some[LINE].to_numpy()

    def _prepared(self, symbol: str, rows: pa.RecordBatch, lines: Integers) -> tuple[PreparedAppend, ...]:
        """Cut rows in order of time into appends of at most `DATES_AT_ONCE` dates. Raises `ImportRefused`."""
        try:
            rows = storable_rows(
                self._dataset, symbol, rows, conditions=self._conditions(symbol), latest_ns=self._latest_ns
            )
        except ImportRefused as error:
            raise ImportRefused(f"{self._file.path}: {error}") from error
        days = rows.column(0).to_numpy() // DAY_NS
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))[::DATES_AT_ONCE].tolist()
        appends = []
        for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
            part = rows.slice(start, end - start)
            store = self._store.prepare_append(Append(self._dataset, symbol, part, self._caller))
            appends.append(PreparedAppend(symbol, part, lines[start:end], store))
        return tuple(appends)

    def _store_all(self, blocks: Iterator[RowBlock], stage: ImportStage, total: int) -> None:
        """Store blocks as `blocks_in_order` yields them."""
        with (
            read_ahead(blocks) as ordered,
            read_ahead(self._groups(ordered, stage)) as groups,
        ):
            for group in groups:
                self._count(group.rows, group.bad)
                if self._is_bounded:
                    require_space(settings.DATA_DIR)
                for append in group.appends:
                    self._append(append)
                self._report(stage, group.done, total)

    def _append(self, append: PreparedAppend) -> None:
        """Store an append. Rows whose ids conflict, or whose conditions are refused, become bad rows."""
        try:
            unknown = conditions_check(
                dataset=self._dataset,
                symbol=append.symbol,
                rows=append.rows,
                conditions=self._conditions(append.symbol),
            )
            receipt = append.store()
        except IdConflict as error:
            self._append_without(append, error.rows, self._dataset.id_columns[-1], error)
            return
        except ConditionsRefused as error:
            self._append_without(append, error.rows, CONDITIONS, error)
            return
        self.counts.unknown_conditions.update(unknown)
        self.counts.stored += receipt.stored
        times = append.rows.column(0)
        of_symbol = self.counts.symbols.setdefault(append.symbol, SymbolCounts(times[0].as_py()))
        if not of_symbol.rows:  # none yet, or the file is read again
            of_symbol.first_ns = times[0].as_py()
        of_symbol.last_ns = times[-1].as_py()
        of_symbol.rows += len(times)
        of_symbol.stored += receipt.stored
        of_symbol.commit = receipt.commit.token

    def _conditions(self, symbol: str) -> ConditionMap | None:
        return conditions_of(dataset=self._dataset, symbol=symbol, given=self._parser.conditions)

    def _append_without(
        self, append: PreparedAppend, wrong: Sequence[int], field: str, error: Exception
    ) -> None:
        """Store an append without its wrong rows. Raises the first of them unless bad rows are skipped."""
        bad = [BadRow(self._file.path, int(append.lines[row]), field, str(error)) for row in wrong]
        if not self._parser.skips_bad:
            raise bad[0] from error
        self._count(0, bad)
        kept = np.ones(len(append.lines), dtype=bool)
        kept[wrong] = False
        rows = append.rows.filter(pa.array(kept))
        if rows.num_rows:
            for remaining in self._prepared(append.symbol, rows, append.lines[kept]):
                self._append(remaining)

    def _count(self, rows: int, bad: Sequence[BadRow]) -> None:
        """Count rows of the file. Raises `ImportRefused` if there are too many."""
        self.counts.add(rows, bad)
        if self._is_bounded and self.counts.bad > BAD_ROWS_LIMIT:
            raise ImportRefused(
                f"more than {BAD_ROWS_LIMIT:,} rows are bad, such as {self.counts.examples[0]}"
            )
        if self._is_bounded and self.counts.rows > ROWS_LIMIT:
            raise ImportRefused(f"the file has more than {ROWS_LIMIT:,} rows; send several files")

    def _report(self, stage: ImportStage, done: int, total: int) -> None:
        self._progress(StageStatus(stage, done, total, self.counts.rows))
