"""A folder of CSV, Parquet or vendors' files, one for each UTC event date."""

import hashlib
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.asking import Shown, batch_of, pages_of, rows_within
from sources.protocol import SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from store.exceptions import StorageError
from store.instruments import EQUITY, INSTRUMENT_CLASSES
from store.protocol import Window
from store.timestamps import DAY_NS, format_timestamp
from trades.conditions.rows import translated_rows
from trades.exceptions import ImportRefused, ImportsError
from trades.imports.blocks import SourceFile, blocks_in_order
from trades.imports.formats import FORMATS, opened_file, read_options
from trades.imports.layout import ReadOptions, file_layout
from trades.imports.services import file_preview
from trades.services import conditions_of

_SYMBOL, _DATE = "symbol", "date"
# Formats without a layout of columns: the columns have our names, or those that the option `columns` gives.
_PLAIN = ("csv", "parquet", "ndjson", "arrow")


class Folder:
    """A folder of files. A file has the rows of one event date, in order of time, of one symbol or of many.

    pattern: the file's path below `path`, with `{date}` (2025-01-02) and perhaps `{symbol}`. Without `{symbol}` the
    file has a column of symbols. format: one of `trades.imports.formats.FORMATS`. zone, columns: see `ReadOptions`.
    resolution: of all bars, where no column has it. instrument_class: of all symbols. A file that the options do not fully describe is refused, because nobody
    sees a preview.
    """

    terms = "The rows are those of your files: the terms of the vendor that you have them from apply."
    ids_are_sequential = False

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
        if format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}")
        if instrument_class not in INSTRUMENT_CLASSES:
            raise ValueError(f"instrument_class is one of {', '.join(INSTRUMENT_CLASSES)}")
        self.name = name
        self._root = Path(path)
        self._pattern = _checked_pattern(pattern)
        self._format, self._class = format, instrument_class
        self._options: dict[str, Any] = {"zone": zone, **({"columns": columns} if columns else {})}
        self._options |= {"given": {"resolution": resolution}} if resolution else {}

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        given = self._options.get("given", {}).get("resolution", wanted.resolution)
        return "" if given == wanted.resolution else f"{self.name} has bars of {given}"

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`. The symbols in the names of files; none if the pattern has no `{symbol}`."""
        if _SYMBOL in _fields(self._pattern):
            anything = {_SYMBOL: "*", _DATE: "*"}
            form = re.escape(self._pattern).replace(r"\{symbol\}", "(?P<symbol>[^/]+?)", 1)
            form = form.replace(r"\{symbol\}", "(?P=symbol)").replace(
                r"\{date\}", "[0-9]{4}-[0-9]{2}-[0-9]{2}"
            )
            paths = (
                str(path.relative_to(self._root))
                for path in self._root.glob(self._pattern.format(**anything))
            )
            for symbol in sorted({match["symbol"] for path in paths if (match := re.fullmatch(form, path))}):
                yield SourceMarket(symbol, symbol, self._class)

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`. Nothing is answered of a date without a file."""
        if refusal := self.refusal(wanted):
            raise SourceRefused(refusal)
        for day in range(window.start_ns // DAY_NS, -(-window.end_ns // DAY_NS)):
            whole = Window(day * DAY_NS, (day + 1) * DAY_NS)
            path = self._file(wanted.name, whole)
            if path is not None:
                part = whole.within(window)
                yield from pages_of(self.name, self._shown(wanted, path, whole, part), part.start_ns)

    def _file(self, symbol: str, day: Window) -> Path | None:
        """Return the file of a symbol and date, if there is one inside the folder."""
        text = format_timestamp(day.start_ns)[:10]
        path = self._root / self._pattern.format(symbol=symbol, date=text)
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise SourceFailed(f"{self.name}: the file of {symbol} and {text} lies outside of the folder")
        return path if path.is_file() else None

    def _shown(self, wanted: Wanted, path: Path, day: Window, part: Window) -> Iterator[Shown]:
        """Yield the rows of a day's file that are in a part of the day. The file answers the whole day."""
        try:
            status = path.stat()
            state = f"{path.name} {status.st_size} {status.st_mtime_ns}"
            commit = hashlib.sha256(state.encode()).hexdigest()[:16]
            until_ns = part.start_ns
            for rows in self._rows(wanted, path, day):
                inside = rows_within(rows, part)
                until_ns = inside.column(0)[-1].as_py() if inside.num_rows else until_ns
                yield Shown(inside, until_ns, commit)
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
                    raise ImportRefused(
                        f"{path}: has rows of other dates than {format_timestamp(day.start_ns)[:10]}"
                    )
                yield translated_rows(wanted.dataset, batch, conditions)

    def _read_options(self, wanted: Wanted, file: SourceFile) -> ReadOptions:
        """Return the options of a read: rows of other symbols are refused in a symbol's own file, else passed over."""
        is_own = _SYMBOL in _fields(self._pattern)
        symbols = {"symbol": wanted.name} if is_own else {"symbols": frozenset({wanted.name})}
        terms = dict(self._options)
        if self._format in _PLAIN:
            own = {name: name for name in (*wanted.dataset.schema.names, _SYMBOL) if name in file.names}
            terms["columns"] = {**own, **terms.get("columns", {})}
        options = read_options(file, self._format, dataset=wanted.dataset, **terms, **symbols)
        if not is_own and file_layout(file.names, options).symbol is None:
            raise ImportRefused(f"{file.path}: no column has the symbol, and the pattern has no {{symbol}}")
        return options


def _checked_pattern(pattern: str) -> str:
    """Return a pattern whose files are below the folder. Raises `ValueError`."""
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("pattern is a path below the folder")
    try:
        fields = _fields(pattern)
    except ValueError as error:
        raise ValueError(f"pattern: {error}") from error
    if _DATE not in fields or not fields <= {_DATE, _SYMBOL}:
        raise ValueError("pattern has {date}, and perhaps {symbol}, and no other field")
    return pattern


def _fields(pattern: str) -> set[str]:
    """Return the names in braces, with their attributes, conversions and formats. Raises `ValueError`."""
    return {
        field + (spec or "") + (conversion or "")
        for _, field, spec, conversion in string.Formatter().parse(pattern)
        if field is not None
    }
