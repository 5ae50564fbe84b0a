"""`csv_import`: one file into the store."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from store.exceptions import StorageError
from store.symbols import InvalidSymbol, parse_symbol
from trades.imports.blocks import Source
from trades.imports.exceptions import BadRow, ImportRefused
from trades.imports.parse import Parser
from trades.imports.progress_note import Note, Progress
from trades.imports.reading import Layout, Reading
from trades.imports.run import Run, Step
from trades.services.instruments import symbol_canonical
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file. duplicates: rows that were stored before. examples: the first bad rows."""

    path: Path
    rows: int
    stored: int
    bad: int
    examples: tuple[BadRow, ...] = ()
    passed_over: tuple[str, ...] = ()
    was_known: bool = False

    @property
    def duplicates(self) -> int:
        return self.rows - self.stored - self.bad


def csv_import(
    *,
    path: Path,
    reading: Reading,
    notes: Path,
    skip_bad: bool = False,
    restart: bool = False,
    progress: Callable[[Step], None] = lambda _: None,
) -> Imported:
    """Store the rows of a `.csv` or `.csv.gz` file that are not stored.

    Equal rows are counted over the whole file. Memory is bounded whatever the file's size.
    notes: the folder of the notes by which an import that was ended goes on. `restart` passes over them.
    Raises `ImportsError`s, the store's `StorageError`s, `OSError`.
    """
    if reading.symbol is not None:
        reading = replace(reading, symbol=symbol_canonical(reading.symbol))
    note = Note(notes, path, f"{reading!r}{skip_bad}")
    with note.held():
        source = Source(path)
        layout, start = source.layout(reading)
        known = None if restart else _still_true(note.load(), reading)
        if known is not None and known.is_finished:
            return Imported(path, known.rows, 0, known.bad, (), layout.passed_over, was_known=True)
        symbol = _symbol_of(path, layout, reading)
        parser = Parser(path, layout, reading, symbol=symbol, skip_bad=skip_bad)
        run = Run(source, parser, note, start=start, done=known or Progress(), progress=progress)
        done, examples = run.all()
        return Imported(path, done.rows, done.stored, done.bad, examples, layout.passed_over)


def _still_true(known: Progress | None, reading: Reading) -> Progress | None:
    """A note whose newest commit is the store's still: not that of a store which was emptied or restored."""
    if known is None or known.commit is None:
        return None
    symbol, number, commit_hash = known.commit
    store = market_store()
    try:
        if store.head(reading.dataset, symbol).number < number:
            return None
        return known if store.head(reading.dataset, symbol, commit=number).hash == commit_hash else None
    except StorageError:
        return None


def _symbol_of(path: Path, layout: Layout, reading: Reading) -> str | None:
    if layout.symbol is not None or reading.symbol is not None:
        return reading.symbol
    stem = path.name.removesuffix(".gz").removesuffix(".csv")
    try:
        return symbol_canonical(parse_symbol(stem))
    except InvalidSymbol as error:
        raise ImportRefused(
            f"{path}: no symbol is given, no column has it, and the file's name is none"
        ) from error
