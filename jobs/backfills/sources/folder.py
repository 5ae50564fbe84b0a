"""A folder of CSV, Parquet or vendors' files, one or more for each UTC event date."""

import hashlib
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from django.core.exceptions import ImproperlyConfigured

from jobs.backfills.exceptions import NotOffered, SourceFailed
from jobs.backfills.sources.protocol import Fetched, Offer, SourceRequest
from jobs.backfills.sources.row_spool import RowSpool
from ops.outbound.pace import Pace
from store.exceptions import StorageError
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS
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
    file has a column of symbols. format: one of `trades.imports.formats.FORMATS`. zone, columns: see
    `ReadOptions`. A file that the options do not fully describe is refused: nobody sees what it would become. rate: files a second. offer: see `Offer`.
    """

    def __init__(
        self,
        name: str,
        *,
        path: str,
        pattern: str,
        format: str = "csv",  # noqa: A002 the option's name in the settings
        zone: str = "UTC",
        columns: Mapping[str, str] | None = None,
        resolution: str = "",
        rate: float | None = None,
        offer: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Raises `ImproperlyConfigured`."""
        if format not in FORMATS:
            raise ImproperlyConfigured(f"format is one of {', '.join(FORMATS)}")
        self.name = name
        self._root = Path(path)
        self._pattern = _checked_pattern(pattern)
        self._format = format
        self._terms: dict[str, Any] = {"zone": zone, **({"columns": columns} if columns else {})}
        self._terms |= {"given": {"resolution": resolution}} if resolution else {}
        self._pace = Pace(rate)
        self._offer = Offer(**(offer or {}))

    def offers(self, request: SourceRequest) -> bool:
        """See `Source`."""
        return self._offer.includes(request)

    def fetch(self, request: SourceRequest) -> Fetched:
        """See `Source`. Of a date without a file nothing is known; a window without any file is `NotOffered`."""
        files = [(day, path) for day in _dates(request.window) if (path := self._file(request.symbol, day))]
        if not files:
            raise NotOffered(self.name, "there is no file of these dates")
        state = hashlib.sha256()
        try:
            with RowSpool(request.dataset.schema) as spool:
                for day, path in files:
                    self._pace.wait()
                    for rows in self._rows(request, day, path):
                        spool.write(rows)
                    status = path.stat()
                    state.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
                table = spool.table()
        except (ImportsError, StorageError, OSError) as error:
            raise SourceFailed(self.name, str(error).replace(f"{self._root}/", "")) from error
        return Fetched(self.name, table, state.hexdigest()[:16], tuple(_answered(files, request.window)))

    def _file(self, symbol: str, day: date) -> Path | None:
        """Return the file of a symbol and date, if there is one inside the folder."""
        path = self._root / self._pattern.format(symbol=symbol, date=day.isoformat())
        if not path.is_file():
            return None
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise SourceFailed(self.name, "a file lies outside of the folder")
        return path

    def _rows(self, request: SourceRequest, day: date, path: Path) -> Iterator[pa.RecordBatch]:
        """Yield the file's rows that are in the window, block by block. Raises `ImportsError`s."""
        file = opened_file(path)
        options = self._options(request, file)
        preview = file_preview(file=file, options=options)
        if not preview.is_certain:
            raise ImportRefused(
                f"{path}: {', '.join([*(guess.option for guess in preview.unsaid), *preview.doubts])}: nobody said so; look at"
                f" it with manage.py import {path} {preview.command} --preview, and correct the source's options"
            )
        parser = preview.reading.parser(skip_bad=False)
        conditions = conditions_of(dataset=request.dataset, symbol=request.symbol, given=options.conditions)
        whole = _window_of(day)
        for block in blocks_in_order(parser.blocks(file)):
            rows = block.rows.select(request.dataset.schema.names).combine_chunks()
            times = rows[0].to_numpy()
            if len(times) and not (whole.start_ns <= times[0] and times[-1] < whole.end_ns):
                raise ImportRefused(f"{path}: has rows of other dates than {day}")
            start, end = np.searchsorted(times, (request.window.start_ns, request.window.end_ns)).tolist()
            if start < end:
                part = rows.slice(start, end - start).to_batches()[0]
                yield translated_rows(request.dataset, part, conditions)

    def _options(self, request: SourceRequest, file: SourceFile) -> ReadOptions:
        """Return the options of a read: rows of other symbols are refused in a symbol's own file, else passed over."""
        is_own = _SYMBOL in _fields(self._pattern)
        symbols = {"symbol": request.symbol} if is_own else {"symbols": frozenset({request.symbol})}
        terms = dict(self._terms)
        if self._format in _PLAIN:
            own = {name: name for name in (*request.dataset.schema.names, _SYMBOL) if name in file.names}
            terms["columns"] = {**own, **terms.get("columns", {})}
        options = read_options(file, self._format, dataset=request.dataset, **terms, **symbols)
        if not is_own and file_layout(file.names, options).symbol is None:
            raise ImportRefused(f"{file.path}: no column has the symbol, and the pattern has no {{symbol}}")
        return options


def _checked_pattern(pattern: str) -> str:
    """Return a pattern whose files are below the folder. Raises `ImproperlyConfigured`."""
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise ImproperlyConfigured("pattern is a path below the folder")
    try:
        fields = _fields(pattern)
    except ValueError as error:
        raise ImproperlyConfigured(f"pattern: {error}") from error
    if _DATE not in fields or not fields <= {_DATE, _SYMBOL}:
        raise ImproperlyConfigured("pattern has {date}, and perhaps {symbol}, and no other field")
    return pattern


def _fields(pattern: str) -> set[str]:
    """Return the names in braces, with their attributes, conversions and formats. Raises `ValueError`."""
    return {
        field + (spec or "") + (conversion or "")
        for _, field, spec, conversion in string.Formatter().parse(pattern)
        if field is not None
    }


def _dates(window: Window) -> Iterator[date]:
    """Yield the UTC dates of a window."""
    for day in range(window.start_ns // DAY_NS, -(-window.end_ns // DAY_NS)):
        yield datetime.fromtimestamp(day * DAY_NS // SECOND_NS, UTC).date()


def _window_of(day: date) -> Window:
    start_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND_NS
    return Window(start_ns, start_ns + DAY_NS)


def _answered(files: Sequence[tuple[date, Path]], window: Window) -> Iterator[Window]:
    """Yield the parts of the window on the files' dates, neighbours merged."""
    open_part: Window | None = None
    for day, _ in files:
        part = _window_of(day).within(window)
        if open_part is not None and open_part.end_ns == part.start_ns:
            open_part = Window(open_part.start_ns, part.end_ns)
            continue
        if open_part is not None:
            yield open_part
        open_part = part
    if open_part is not None:
        yield open_part
