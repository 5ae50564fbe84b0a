"""`file_preview`: what an import of a file would store, and what of that is not certain."""

import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from store.cached_property import cached_property
from store.datasets import TRADES
from store.special_sessions import unproved_dates
from store.timestamps import format_timestamp
from trades.exceptions import BadRow
from trades.imports.blocks import LINE, SYMBOL, SourceFile
from trades.imports.commands import command_of, unsaid
from trades.imports.csv_file import Guess
from trades.imports.doubts import UnreadColumn, doubts_of, refuse_wrong_rows, unread_columns
from trades.imports.layout import ReadOptions
from trades.imports.reading import FileReading, file_reading
from trades.imports.run import one_batch, storable_rows, tables_of_symbols
from trades.imports.samples import Sample, first_sample, joined_samples, last_sample
from trades.services import conditions_of
from trades.stores import market_store


def closed_date_notes(sample: Sample) -> Iterator[str]:
    """Yield a note for each closed date whose trades in a sample do not span an hour. sample: trades.

    A file with such trades is certain: a stray print is usual, and the date's other trades may be in another part of
    the file. Raises `StorageError`s.
    """
    store, rows = market_store(), sample.rows.select([0, SYMBOL])
    ordered = rows.sort_by([(SYMBOL, "ascending"), (rows.column_names[0], "ascending")])
    for own in tables_of_symbols(ordered):
        symbol, times = own[SYMBOL][0].as_py(), own.column(0).to_numpy()
        for day, count in unproved_dates(store, TRADES, store.canonical(symbol), times):
            yield (
                f"on {day} the exchange of {symbol} is closed ({count:,} of the rows that were looked at): they stay"
                " outside of sessions, unless trades of that date span at least an hour"
            )


PREVIEW_ROWS = 3


@dataclass(frozen=True)
class ImportPreview:
    """What an import of a file would store.

    first: the rows of its beginning. sample: these and those of its end. unsaid: options to give so that nothing is asked;
    the file's name may tell the symbol. guessed: all options that were not given. doubts: why the rows may be wrong,
    whatever the options. bad: the first rows that cannot be stored.
    """

    reading: FileReading
    first: Sample
    sample: Sample
    unsaid: tuple[Guess, ...]
    doubts: tuple[str, ...]

    @property
    def options(self) -> ReadOptions:
        return self.reading.options

    @property
    def is_certain(self) -> bool:
        """Whether the file is stored without a question."""
        return not self.unsaid and not self.doubts

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing, but no reason to ask. Raises `StorageError`s."""
        return tuple(closed_date_notes(self.sample)) if self.options.dataset is TRADES else ()

    @property
    def command(self) -> str:
        """The options with which nothing is asked."""
        return command_of(self.reading)

    @property
    def kind(self) -> Hashable:
        """Equal for files whose columns, options and doubts are the same. One question is enough for them."""
        command = command_of(replace(self.reading, options=replace(self.options, symbol=None)))
        doubts = tuple(each.partition(":")[0] for each in self.doubts)
        return self.reading.file.names, self.options.dataset.name, command, doubts

    @property
    def guessed(self) -> tuple[Guess, ...]:
        names = {guess.option.split()[0] for guess in self.unsaid}
        others = [guess for guess in self.options.guessed if guess.option.split()[0] not in names]
        return (*self.unsaid, *others)

    @property
    def bad(self) -> tuple[BadRow, ...]:
        return self.first.bad[:PREVIEW_ROWS]

    @property
    def columns(self) -> dict[str, str]:
        """Our columns, also `symbol`, and the file's columns that become these."""
        layout, derived = self.reading.layout, self.options.derived
        found = {**layout.sources, **({SYMBOL: layout.symbol} if layout.symbol else {})}
        return {**found, **{name: "+".join(each.sources) for name, each in derived.items()}}

    @property
    def unread(self) -> list[UnreadColumn]:
        """The columns that are not read, those first that may matter most."""
        return unread_columns(self.reading, self.first)

    @cached_property
    def first_rows(self) -> pa.Table:
        """The first three rows of the file that can be stored, as they would be stored, with `SYMBOL` and `LINE`."""
        return _as_stored(self.reading, self.first.rows.slice(0, PREVIEW_ROWS))

    @cached_property
    def last_rows(self) -> pa.Table:
        """The last three rows likewise, without those that are among the first. This may read the whole file."""
        rows = joined_samples(self.first, last_sample(self.reading, reads_all=True)).rows
        start = max(rows.num_rows - PREVIEW_ROWS, min(PREVIEW_ROWS, rows.num_rows))
        return _as_stored(self.reading, rows.slice(start))

    def document(self) -> dict[str, Any]:
        """Return the preview as JSON has it."""
        options, symbol = self.options, self.reading.symbol
        return {
            "dataset": options.dataset.name,
            "symbol": None if self.reading.layout.symbol else symbol,
            "format": options.vendor or None,
            "timezone": options.zone,
            "resolution": options.given.get("resolution"),
            "columns": self.columns,
            "unread_columns": [
                {"name": each.name, "samples": list(each.samples), "note": each.note} for each in self.unread
            ],
            "guessed": [guess._asdict() for guess in self.guessed],
            "doubts": [*self.doubts, *self.notes],
            "first_rows": row_documents(self.first_rows),
            "last_rows": row_documents(self.last_rows),
            "bad": [str(row) for row in self.bad],
            "command": self.command,
        }


def file_preview(*, file: SourceFile, options: ReadOptions) -> ImportPreview:
    """Return what an import of a file would store, and store nothing.

    Raises `ImportRefused` for a file that is never imported with these options.
    """
    reading = file_reading(file, options)
    first = first_sample(reading)
    both = joined_samples(first, last_sample(reading, reads_all=False))
    refuse_wrong_rows(reading, both)
    doubts = tuple(doubts_of(reading, both, now_ns=time.time_ns()))
    return ImportPreview(reading, first, both, tuple(unsaid(reading, first)), doubts)


def row_documents(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows as JSON has them: without columns that are null in all of them, and with times as texts."""
    names = [name for name in rows.column_names if name != LINE and rows[name].null_count < len(rows)]
    ordered = [SYMBOL, *(name for name in names if name != SYMBOL)]
    return [{name: _value(name, row[name]) for name in ordered} for row in rows.to_pylist()]


def _value(name: str, value: Any) -> Any:
    is_time = name in ("timestamp", "received_at") and value is not None
    return format_timestamp(value) if is_time else value


def _as_stored(reading: FileReading, rows: pa.Table) -> pa.Table:
    """Return rows as they would be stored, in the file's order. Raises `ImportRefused`."""
    parts = [_stored(reading, rows, symbol) for symbol in rows[SYMBOL].unique().to_pylist()]
    return pa.concat_tables([rows.slice(0, 0), *parts]).sort_by(LINE)


def _stored(reading: FileReading, rows: pa.Table, symbol: str) -> pa.Table:
    dataset = reading.options.dataset
    some = rows.filter(pc.equal(rows[SYMBOL], symbol)).sort_by(rows.column_names[0]).combine_chunks()
    conditions = conditions_of(dataset=dataset, symbol=symbol, given=reading.options.conditions)
    batch = storable_rows(dataset, symbol, one_batch(dataset, some), conditions=conditions, latest_ns=None)
    return pa.table([*batch.columns, some[SYMBOL], some[LINE]], schema=rows.schema)
