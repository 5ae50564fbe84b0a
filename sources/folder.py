"""A folder of CSV, Parquet or vendors' files, one for each UTC event date."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.asking import Shown, batch_of, pages_of, parts_of, rows_within
from sources.protocol import Source, SourceFailed, SourceMarket, SourcePage, Wanted
from store.exceptions import StorageError
from store.instruments import EQUITY, INSTRUMENT_CLASSES
from store.protocol import Window
from store.timestamps import DAY_NS, format_timestamp
from trades.conditions.condition_map import translated_rows
from trades.exceptions import ImportRefused, ImportsError
from trades.imports.blocks import SourceFile, blocks_in_order
from trades.imports.formats import FORMATS, opened_file, read_options
from trades.imports.layout import ReadOptions, file_layout
from trades.imports.services import file_preview
from trades.services import conditions_of

# Formats without a layout of columns: the columns have our names, or those that the option `columns` gives.
_PLAIN = ("csv", "parquet", "ndjson", "arrow")


class Folder(Source):
    """A folder of files. A file has the rows of one event date, in order of time, of one symbol or of many.

    pattern: the file's path below `path`, with `{date}` (2025-01-02) and perhaps `{symbol}`. Without `{symbol}` the
    file has a column of symbols. format: one of `trades.imports.formats.FORMATS`. zone, columns: see `ReadOptions`.
    resolution: of all bars, where no column has it. instrument_class: of all symbols. A file that the options do not
    fully describe is refused, because nobody sees a preview.
    """

    terms = "The rows are those of your files: the terms of the vendor that you have them from apply."

    def __init__(
        self,
        name: str,
        *,
        path: str,
        pattern: str,
        key: str = "",
        format: str = "csv",  # noqa: A002 the option's name in the settings
        zone: str = "UTC",
        columns: Mapping[str, str] | None = None,
        resolution: str = "",
        instrument_class: str = EQUITY,
    ) -> None:
        """Raises `ValueError`."""
        for option, value, known in (
            ("format", format, FORMATS), ("instrument_class", instrument_class, INSTRUMENT_CLASSES)
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{option} is one of {', '.join(known)}")
        self.name, self._root, self._pattern = name, Path(path), pattern
        self._format, self._class, self._resolution = format, instrument_class, resolution
        self._options: dict[str, Any] = {"zone": zone, **({"columns": columns} if columns else {})}
        self._options |= {"given": {"resolution": resolution}} if resolution else {}
        try:
            is_dated = "{date}" in pattern and self._path("", "")
        except (LookupError, ValueError, AttributeError):
            is_dated = None
        if not is_dated:
            raise ValueError("pattern has {date}, and perhaps {symbol}, and no other field")

    def refusal(self, wanted: Wanted) -> str:
        return (
            f"{self.name} has bars of {self._resolution}"
            if self._resolution not in ("", wanted.resolution)
            else ""
        )

    def market(self, name: str) -> SourceMarket:
        """See `Source`. Any name is asked for."""
        return SourceMarket(name, name, self._class)

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """Nothing is answered of a date without a file."""
        for day in parts_of(window.whole_dates(), DAY_NS):
            date = format_timestamp(day.start_ns)[:10]
            path = self._path(wanted.name, date)
            if not path.resolve().is_relative_to(self._root.resolve()):
                raise SourceFailed(
                    f"{self.name}: the file of {wanted.name} and {date} lies outside of the folder"
                )
            if path.is_file():
                part = day.within(window)
                yield from pages_of(self.name, self._shown(wanted, path, day, part), part.start_ns)

    def _path(self, symbol: str, date: str) -> Path:
        return self._root / self._pattern.format(symbol=symbol, date=date)

    def _shown(self, wanted: Wanted, path: Path, day: Window, part: Window) -> Iterator[Shown]:
        """Yield the rows of a day's file that are in a part of the day. The file answers the whole day."""
        try:
            status = path.stat()
            state = f"{path.name} {status.st_size} {status.st_mtime_ns}"
            commit = hashlib.sha256(state.encode()).hexdigest()[:16]
            for rows in self._rows(wanted, path, day):
                yield Shown(rows_within(rows, part), None, commit)
            yield Shown(batch_of(wanted.dataset, {"timestamp": []}), part.end_ns, commit)
        except (ImportsError, StorageError, OSError) as error:
            raise SourceFailed(f"{self.name}: {str(error).replace(f'{self._root}/', '')}") from error

    def _rows(self, wanted: Wanted, path: Path, day: Window) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file, block by block. Raises `ImportsError`s."""
        file = opened_file(path)
        options = self._read_options(wanted, file)
        preview = file_preview(file=file, options=options)
        if not preview.is_certain:
            raise ImportRefused(
                f"{path}: {', '.join([*(guess.option for guess in preview.unsaid), *preview.doubts])}: nobody said so; look at"
                f" it with manage.py import {path} {preview.command} --preview, and correct the source's options"
            )
        conditions = conditions_of(
            dataset=wanted.dataset, symbol=wanted.instrument.symbol, given=options.conditions
        )
        for block in blocks_in_order(preview.reading.parser(skip_bad=False).blocks(file)):
            rows = block.rows.select(wanted.dataset.schema.names)
            if wanted.resolution is not None:
                rows = rows.filter(pc.equal(rows["resolution"], wanted.resolution))
            for batch in rows.combine_chunks().to_batches():
                if rows_within(batch, day).num_rows < batch.num_rows:
                    date = format_timestamp(day.start_ns)[:10]
                    raise ImportRefused(f"{path}: has rows of other dates than {date}")
                yield translated_rows(wanted.dataset, batch, conditions)

    def _read_options(self, wanted: Wanted, file: SourceFile) -> ReadOptions:
        """Return the options of a read: rows of other symbols are refused in a symbol's own file, else passed over."""
        is_own = "{symbol}" in self._pattern
        symbols = {"symbol": wanted.name} if is_own else {"symbols": frozenset({wanted.name})}
        terms = dict(self._options)
        if self._format in _PLAIN:
            own = {name: name for name in (*wanted.dataset.schema.names, "symbol") if name in file.names}
            terms["columns"] = {**own, **terms.get("columns", {})}
        options = read_options(file, self._format, dataset=wanted.dataset, **terms, **symbols)
        if not is_own and file_layout(file.names, options).symbol is None:
            raise ImportRefused(f"{file.path}: no column has the symbol, and the pattern has no {{symbol}}")
        return options
