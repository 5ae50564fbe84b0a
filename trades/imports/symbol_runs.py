"""Imports a file symbol by symbol: of each symbol all rows are stored, or none."""

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.declarations import Dataset
from store.exceptions import IdConflict
from store.instruments import REFUSE
from store.protocol import Append, Receipt
from trades.conditions.rows import CONDITIONS
from trades.exceptions import BadRow, ConditionsRefused, ImportRefused
from trades.imports.blocks import BAD_ROWS_LIMIT, LINE, SYMBOL, RowBlock, SourceFile
from trades.imports.id_conflicts import IdConflicts
from trades.imports.parse import BlockParser
from trades.imports.run import one_batch, read_ahead, storable_rows, tables_of_symbols, yet_to_come
from trades.imports.sort import SortedRuns
from trades.services import conditions_check, conditions_of
from trades.stores import market_store

# A symbol with at most so many rows is stored by one commit. More rows take several, and need no more memory.
COMMIT_ROWS = 131_072
ROWS_LIMIT = 500_000_000
# The sorted rows of a file: bytes for each byte of the file, and at least so many.
_RUNS_PER_BYTE, _LEAST_RUNS_BYTES = 10, 2**30
# Of the disk so much stays free for all others.
_FREE_SHARE, _MOST_FREE_BYTES = 0.1, 5 * 2**30

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SymbolOutcome:
    """What became of a symbol's rows.

    symbol: None for rows without a valid symbol. rows: in the file, with the bad ones. bad: rows that were refused by
    themselves. commit: the token of the symbol's last commit; None if nothing was stored. error: why nothing was
    stored; "" if it was. line: of the row at fault, or None.
    """

    symbol: str | None
    rows: int
    stored: int = 0
    duplicates: int = 0
    bad: int = 0
    commit: str | None = None
    error: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows of a symbol in order of time, and their numbers in the file.

    store: stores them; None if they may not be stored, because of an error in the row of the number `line`.
    """

    symbol: str
    rows: pa.RecordBatch
    lines: Integers
    store: Callable[[], Receipt] | None = None
    error: str = ""
    line: int = 0

    def refused(self, error: str, row: int) -> Self:
        """Return the piece with the error of a row."""
        return replace(self, error=error, line=int(self.lines[row]))


class SymbolsImport:
    """The import of a file whose rows are all read, checked and sorted into temporary files before the first is stored.

    What depends on what is stored is checked for all rows of a symbol before its first commit, too. An id that another
    caller stores with other values between the commits of a symbol ends the symbol's import, and its outcome says how many rows are
    stored. A run with the same request keys goes on where an earlier one ended: what that one has stored is answered
    again. request_key: of a piece of the file. `read` and `store` each call their `progress` with bytes of the file, up to its size.
    """

    def __init__(
        self,
        file: SourceFile,
        parser: BlockParser,
        spool: Path,
        *,
        latest_ns: int | None,
        caller: str,
        request_key: Callable[[str], str],
    ) -> None:
        self.dataset = parser.dataset
        self.unread_columns = parser.unread_columns
        self._file = file
        self._parser = parser
        self._runs = SortedRuns(spool)
        self._latest_ns = latest_ns
        self._caller = caller
        self._request_key = request_key
        self._rows: Counter[str | None] = Counter()
        self._refused: dict[str | None, SymbolOutcome] = {}
        self._outcomes: dict[str, SymbolOutcome] = {}
        self._has_ids = False
        self._bad = 0

    def read(self, progress: Progress) -> None:
        """Read, check and sort all rows. Raises `ImportRefused`, `StorageError`s, `OSError`."""
        with read_ahead(self._parser.blocks(self._file)) as blocks:
            for block in blocks:
                self._add(block)
                progress(block.bytes_read)
        if not self._rows:
            raise ImportRefused("the file has no rows")
        large = {symbol for symbol, count in self._rows.items() if symbol and count > COMMIT_ROWS}
        self._check({symbol for symbol in large if self._has_ids or self._refuses_words(symbol)}, progress)

    def store(self, progress: Progress) -> list[SymbolOutcome]:
        """Store the rows; return the outcome of each symbol, in order. Raises `StorageError`s, `OSError`."""
        stored = 0
        with read_ahead(self._prepared()) as pieces:
            for piece in pieces:
                self._store(piece)
                stored += piece.rows.num_rows
                progress(self._file.size * stored // self._runs.rows)
        self._runs.remove()
        refused = (replace(each, rows=self._rows[each.symbol]) for each in self._refused.values())
        return sorted(chain(self._outcomes.values(), refused), key=lambda each: each.symbol or "")

    def _refuses_words(self, symbol: str) -> bool:
        """Return whether conditions of the symbol's rows may be refused."""
        has_words = CONDITIONS in self.dataset.schema.names
        return has_words and market_store().instrument(symbol).unknown_conditions == REFUSE

    def _check(self, symbols: Collection[str], progress: Progress) -> None:
        """Refuse symbols of which a row may not be stored, before the first of their commits."""
        if not symbols:
            return
        conflicts: IdConflicts | None = None
        symbol = ""
        for piece in map(self._checked, self._pieces(symbols)):
            if piece.symbol != symbol or conflicts is None:
                symbol, conflicts = piece.symbol, IdConflicts(self.dataset, piece.symbol)
            row = None if piece.error else conflicts.first(piece.rows)
            if row is not None:
                self._refuse(piece.refused(f"{self.dataset.id_columns[-1]}: {self.dataset.conflict[1]}", row))
            elif piece.error:
                self._refuse(piece)
            progress(self._file.size)

    def _add(self, block: RowBlock) -> None:
        """Sort a block's valid rows into the temporary files, and count all its rows."""
        for counted in block.rows[SYMBOL].value_counts().to_pylist():
            self._rows[counted["values"]] += counted["counts"]
        for bad in block.bad:
            self._refuse_row(bad)
            self._rows[bad.symbol] += 1
        ahead = list(self._ahead(block.rows))
        for bad in ahead:
            self._refuse_row(bad)
        self._bad += len(block.bad) + len(ahead)
        if self._bad > BAD_ROWS_LIMIT:
            raise ImportRefused(
                f"more than {BAD_ROWS_LIMIT:,} rows are bad, such as {(*block.bad, *ahead)[0]}"
            )
        self._runs.add(block.rows)
        self._check_space()
        self._has_ids |= _has_ids(self.dataset, block.rows)
        if self._runs.rows > ROWS_LIMIT:
            raise ImportRefused(f"the file has more than {ROWS_LIMIT:,} rows; send several files")

    def _check_space(self) -> None:
        """Raise `ImportRefused` before the sorted rows fill the disk."""
        most = max(_RUNS_PER_BYTE * self._file.size, _LEAST_RUNS_BYTES)
        if self._runs.bytes > most:
            raise ImportRefused(f"the sorted rows need more than {most:,} bytes; send several files")
        disk = shutil.disk_usage(self._runs.folder)
        if disk.free < min(_FREE_SHARE * disk.total, _MOST_FREE_BYTES):
            raise ImportRefused("the disk has no space for the sorted rows; send the file again later")

    def _refuse_row(self, bad: BadRow) -> None:
        if bad.field is None and bad.symbol is None:
            raise ImportRefused(str(bad))  # a line that is no row may have been any symbol's
        first = self._refused.get(bad.symbol) or SymbolOutcome(bad.symbol, 0, error=str(bad), line=bad.line)
        self._refused[bad.symbol] = replace(first, bad=first.bad + 1)

    def _ahead(self, rows: pa.Table) -> Iterator[BadRow]:
        """Yield a bad row for each that has a time that is yet to come."""
        times = rows.column(0).to_numpy()
        if self._latest_ns is None or not len(times) or times.max() <= self._latest_ns:
            return
        for row in np.flatnonzero(times > self._latest_ns)[: BAD_ROWS_LIMIT + 1].tolist():
            bad = BadRow(
                self._file.path, rows[LINE][row].as_py(), rows.column_names[0], yet_to_come(int(times[row]))
            )
            bad.symbol = rows[SYMBOL][row].as_py()
            yield bad

    def _pieces(self, symbols: Collection[str | None] | None = None) -> Iterator[_Piece]:
        """Yield the rows of symbols that are not refused. symbols: of these only; None: of all."""
        for table in _joined(
            chain.from_iterable(
                tables_of_symbols(block.rows) for block in self._runs.in_order() if block.rows.num_rows
            )
        ):
            symbol = table[SYMBOL][0].as_py()
            if symbol not in self._refused and (symbols is None or symbol in symbols):
                yield _Piece(symbol, one_batch(self.dataset, table), table[LINE].to_numpy())

    def _checked(self, piece: _Piece) -> _Piece:
        """Return the piece with its rows as they are stored, or refused."""
        dataset, symbol = self.dataset, piece.symbol
        conditions = conditions_of(dataset=dataset, symbol=symbol, given=self._parser.conditions)
        try:
            rows = storable_rows(dataset, symbol, piece.rows, conditions=conditions, latest_ns=None)
            conditions_check(dataset=dataset, symbol=symbol, rows=rows, conditions=conditions)
        except ImportRefused as error:
            return piece.refused(str(error), -1)
        except ConditionsRefused as error:
            return piece.refused(f"{CONDITIONS}: {error}", error.rows[0])
        return replace(piece, rows=rows)

    def _refuse(self, piece: _Piece) -> None:
        """Store no more of a symbol."""
        before = self._outcomes.pop(piece.symbol, SymbolOutcome(piece.symbol, 0))
        self._refused[piece.symbol] = replace(before, error=piece.error, line=piece.line)

    def _prepared(self) -> Iterator[_Piece]:
        """Yield the pieces, ready to be stored."""
        number, symbol = 0, ""
        for piece in map(self._checked, self._pieces()):
            number, symbol = (number + 1 if piece.symbol == symbol else 0), piece.symbol
            if piece.error:
                yield piece
                continue
            key = self._request_key(f"{self.dataset.name}:{symbol}:{number}")
            append = Append(self.dataset, symbol, piece.rows, self._caller, request_key=key)
            yield replace(piece, store=market_store().prepare_append(append))

    def _store(self, piece: _Piece) -> None:
        symbol = piece.symbol
        if symbol in self._refused:
            return
        if piece.store is None:
            self._refuse(piece)
            return
        try:
            receipt = piece.store()
        except IdConflict as error:
            self._refuse(piece.refused(f"{self.dataset.id_columns[-1]}: {error}", error.rows[0]))
            return
        before = self._outcomes.get(symbol) or SymbolOutcome(symbol, self._rows[symbol])
        self._outcomes[symbol] = replace(
            before,
            stored=before.stored + receipt.stored,
            duplicates=before.duplicates + receipt.duplicates,
            commit=receipt.commit.token,
        )


def _has_ids(dataset: Dataset, rows: pa.Table) -> bool:
    return bool(dataset.id_columns) and rows[dataset.id_columns[-1]].null_count < rows.num_rows


def _joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join neighbouring tables of a symbol as long as they have at most COMMIT_ROWS rows together."""
    pending: list[pa.Table] = []
    for table in tables:
        count = sum(each.num_rows for each in pending) + table.num_rows
        if pending and (count > COMMIT_ROWS or pending[0][SYMBOL][0] != table[SYMBOL][0]):
            yield pa.concat_tables(pending)
            pending.clear()
        pending.append(table)
    if pending:
        yield pa.concat_tables(pending)
