"""Reads files of typed records, some tens of thousands at a time: Arrow, NDJSON, and JSON of Alpaca's API."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from store.arrow_messages import is_compressed
from store.declarations import WORD_SEPARATOR
from trades.children import MEMORY_BYTES
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import is_text, is_word, view_lengths
from trades.imports.apart import Read, tables_apart
from trades.imports.blocks import BLOCK_BYTES, FilePiece, check_names, no_check
from trades.imports.columns import with_nulls
from trades.imports.compressed import damage_refused, uncompressed

ROWS_AT_ONCE = 65_536
JSON_BYTES_LIMIT = 64 * 2**20
# The values of JSON take so many times the memory of their text, which is seldom so many times as large as compressed.
_JSON_FACTOR, _JSON_RATIO = 16, 20
# The texts of a column of so many rows, were they all as long as the longest.
TEXT_BYTES_LIMIT = 256 * 2**20
# A piece of NDJSON: rows that lack most columns need memory for them.
_CELLS_AT_ONCE = 4_000_000
_ROWS_OF_SCHEMA = 1_000
_NUMBER_BYTES = 8
_LINES_BYTES, _LINE_BYTES_LIMIT = 2**20, 64 * 2**10
_BLANK_BYTES = 16 * 2**20
_ARROW_FILE_MAGIC, _CONTINUATION = b"ARROW1\0\0", b"\xff\xff\xff\xff"
_SCHEMA_LIMIT = 2**20


class RecordFile(ABC):
    """A file of records. Subclasses set `names` and `schema`. Rows are numbered from 1."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    schema: pa.Schema
    check: Callable[[], object] = staticmethod(no_check)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    @abstractmethod
    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        """Yield the named columns, piece by piece, with the bytes of the file read so far."""

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        row = 1
        with damage_refused(f"{self.path}: "):
            for table, bytes_read in self.tables(names):
                self.check()
                yield FilePiece(with_nulls(table, nulls), row + np.arange(table.num_rows), (), bytes_read)
                row += table.num_rows

    def _plain(self, name: str) -> pa.DataType:
        """Return the type as which a column is read. Raises `ImportRefused` for types whose values may share bytes."""
        kind = self.schema.field(name).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        # Arrow cannot take views out of a dictionary.
        if is_text_or_binary(value) and not (value is not kind and _is_view(value)):
            return pa.string()
        if pa.types.is_primitive(value) or pa.types.is_decimal(value) or pa.types.is_null(value):
            return value
        if is_list(kind) and is_word(kind.value_type) and not _is_view(kind.value_type):
            return pa.list_(pa.string())
        raise ImportRefused(f"{self.path}: {name} is of the type {kind}; write texts, numbers or times")


def check_texts(path: Path, batch: pa.RecordBatch) -> None:
    """Raise `ImportRefused` for rows that share the bytes of texts, and would take too many of their own."""
    size = 0
    for column in batch.columns:
        words = column.flatten() if is_list(column.type) else column
        if pa.types.is_dictionary(words.type) and is_text_or_binary(words.type.value_type):
            size += len(words) * int(_lengths(words.dictionary).max(initial=0))
        elif _is_view(words.type):
            size += int(_lengths(words).sum(dtype=np.int64))
    if size > TEXT_BYTES_LIMIT:
        raise ImportRefused(f"{path}: the texts of {batch.num_rows:,} rows may take {size:,} bytes")


def _lengths(texts: pa.Array) -> npt.NDArray[Any]:
    """Return the bytes of each text that is no null."""
    if _is_view(texts.type):
        return view_lengths(texts)
    lengths: npt.NDArray[Any] = pc.binary_length(texts.drop_null()).to_numpy()
    return lengths


def row_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch in parts of at most `BLOCK_BYTES`, or of one row, with each row's own texts."""
    sizes = sum(map(_row_bytes, batch.columns), np.zeros(batch.num_rows, np.int64)).cumsum()
    start = 0
    while start < batch.num_rows:
        before = sizes[start - 1] if start else 0
        end = max(int(np.searchsorted(sizes, before + BLOCK_BYTES, "right")), start + 1)
        yield batch.slice(start, end - start)
        start = end


def _row_bytes(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return about how many bytes each value of a column has by itself."""
    if is_list(column.type):
        offsets = column.offsets.to_numpy()
        words = column.values.slice(offsets[0], offsets[-1] - offsets[0])
        ends = np.append(0, _row_bytes(words).cumsum())
        listed: npt.NDArray[np.int64] = np.diff(ends[offsets - offsets[0]]) + _NUMBER_BYTES
        return listed
    sizes = np.full(len(column), _NUMBER_BYTES, np.int64)
    if _is_view(column.type):
        sizes[column.is_valid().to_numpy(zero_copy_only=False)] += view_lengths(column)
    elif is_text_or_binary(column.type):
        sizes += pc.binary_length(column).fill_null(0).to_numpy()
    elif pa.types.is_dictionary(column.type) and is_text_or_binary(column.type.value_type):
        sizes += pc.binary_length(column.dictionary).take(column.indices).fill_null(0).to_numpy()
    return sizes


class IpcFile(RecordFile):
    """A file in Arrow's IPC formats, the stream's or the file's, with uncompressed buffers."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damage_refused(f"{path}: "):
            content = pa.memory_map(str(path)).read_buffer()
            is_file = content[: len(_ARROW_FILE_MAGIC)].to_pybytes() == _ARROW_FILE_MAGIC
            self._stream = content.slice(len(_ARROW_FILE_MAGIC)) if is_file else content
            self._is_headless = False
            try:
                with pa.ipc.open_stream(self._stream) as reader:
                    self.schema = reader.schema.remove_metadata()
            except (pa.ArrowInvalid, OSError):
                if not is_file:
                    raise
                # In front of a file's messages Polars writes the schema without its length; the footer has it whole.
                self.schema = pa.ipc.open_file(content).schema.remove_metadata()
                self._stream, self._is_headless = self._stream.slice(_first_message(self._stream)), True
            for message in iter(pa.ipc.MessageReader.open_stream(self._stream)):
                if is_compressed(message.type, message.metadata):
                    raise ImportRefused(f"{path}: the buffers are compressed; write them uncompressed")
                if self._is_headless and message.type == "dictionary":
                    raise ImportRefused(
                        f"{path}: has categories of Polars; write them as texts, or write Parquet"
                    )
        self.names = tuple(self.schema.names)
        check_names(path, self.names)

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        plain = pa.schema([(name, self._plain(name)) for name in names])
        done = count = 0
        for batch in self._batches():
            count += batch.num_rows
            if count > self.size:
                raise ImportRefused(
                    f"{self.path}: has more than {self.size:,} rows in as many bytes; they have no values"
                )
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                rows = batch.select(names).slice(start, ROWS_AT_ONCE)
                rows.validate(full=True)
                check_texts(self.path, rows)
                for part in row_parts(rows):
                    yield pa.Table.from_batches([part]).cast(plain), min(done, self.size)
            done += batch.nbytes

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of the mapped file, in order."""
        if self._is_headless:
            for message in iter(pa.ipc.MessageReader.open_stream(self._stream)):
                yield pa.ipc.read_record_batch(message, self.schema)
            return
        with pa.ipc.open_stream(self._stream) as reader:
            yield from reader


def _first_message(content: pa.Buffer) -> int:
    """Return where the first message with a length begins, at a multiple of eight bytes. Raises EOFError without one."""
    head = content[:_SCHEMA_LIMIT].to_pybytes()
    for at in range(0, len(head), 8):
        if head.startswith(_CONTINUATION, at):
            return at
    raise EOFError("the file has no message")


class LinesFile(RecordFile):
    """A file with a JSON object in each line (NDJSON). Its columns are the fields of the first lines.

    objects: of fields that hold objects, or lists of them, the first object.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        rows, _ = next(self._rows(), ([], 0))
        self.names = tuple(dict.fromkeys(name for row in rows for name in row))
        check_names(path, self.names)
        self.objects = _objects_inside(rows[:_ROWS_OF_SCHEMA])
        self.schema = _table_of(rows[:_ROWS_OF_SCHEMA], self.names).schema

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        known, line = {*self.names}, 1
        for rows, bytes_read in self._rows():
            if later := set[str]().union(*rows) - known:
                raise ImportRefused(
                    f"{self.path}: rows from line {line} on have {', '.join(sorted(later))}, which the first rows lack;"
                    " write null there"
                )
            step = max(_CELLS_AT_ONCE // max(len(names), 1), 1)
            for start in range(0, len(rows), step):
                yield _table_of(rows[start : start + step], names), bytes_read
            line += len(rows)

    def _rows(self) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Yield the rows, some at a time, with the bytes of the file read so far."""
        line = 1
        with self.path.open("rb") as file:
            rest, blank = b"", 0
            while text := file.read(_LINES_BYTES):
                self.check()
                whole, end, rest = (rest + text).rpartition(b"\n")
                if len(rest) > _LINE_BYTES_LIMIT:
                    raise ImportRefused(f"{self.path}: a line has more than {_LINE_BYTES_LIMIT:,} bytes")
                rows = self._decoded(whole + end, line)
                line += len(rows)
                blank = 0 if rows else blank + len(text)
                if blank > _BLANK_BYTES:
                    raise ImportRefused(
                        f"{self.path}: has {blank:,} bytes of blank lines after line {line:,}"
                    )
                if rows:
                    yield rows, file.tell()
            if rows := self._decoded(rest, line):
                yield rows, self.size

    def _decoded(self, text: bytes, line: int) -> list[dict[str, Any]]:
        with suppress(*_NOT_JSON):
            rows = _OBJECTS.decode_lines(text)
            if _has_distinct_keys(text, rows):
                return rows
        lines = enumerate(filter(bytes.strip, text.split(b"\n")), line)
        return [self._row(each, number) for number, each in lines]

    def _row(self, text: bytes, line: int) -> dict[str, Any]:
        """Decode a line that may be wrong. This takes several times as long as `decode_lines`."""
        try:
            row = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
            if isinstance(row, dict) and any(value in _BEYOND for value in row.values()):
                # A number beyond every float is JSON: its row is wrong, not the file.
                return row
            return _OBJECTS.decode(text)
        except _NOT_JSON as error:
            raise ImportRefused(
                f"{self.path}, line {line}: the line is not one JSON object: {error!s:.200}"
            ) from error


def _objects_inside(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in (pair for row in rows for pair in row.items()):
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, dict):
            found.setdefault(name, first)
    return found


_OBJECTS = msgspec.json.Decoder(dict[str, Any])
_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)
_BEYOND = (inf, -inf)


def _has_distinct_keys(text: bytes, rows: list[dict[str, Any]]) -> bool:
    """Return True if no key is repeated in an object; False if one may be, also if a value is an object."""
    # Each key has a quotation mark and a colon after it.
    is_counted = not any(space in text for space in (b" :", b"\t:", b"\r:"))
    return is_counted and text.count(b'":') == sum(map(len, rows))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is repeated in an object")
    return row


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _table_of(rows: list[dict[str, Any]], names: Sequence[str]) -> pa.Table:
    """Return the fields of JSON objects as columns; a column of several types, or of lists, as texts."""
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.array(map(_text, values), pa.string())
        if pa.types.is_nested(columns[name].type):
            columns[name] = pa.array(map(_text, values), pa.string())
    return pa.table(columns)


class AlpacaJsonFile(RecordFile):
    """Answers of Alpaca's API: `{"trades": {"AAPL": [...]}}`, or a list with one `symbol`; one answer in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size > JSON_BYTES_LIMIT:
            raise ImportRefused(f"{path}: an answer of the API has at most {JSON_BYTES_LIMIT:,} bytes")
        self._table = json_table(_alpaca_tables, path)
        self.schema = self._table.schema
        self.names = tuple(self.schema.names)

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        for start in range(0, self._table.num_rows, ROWS_AT_ONCE):
            rows = self._table.select(names).slice(start, ROWS_AT_ONCE)
            yield rows, self.size * (start + rows.num_rows) // self._table.num_rows


def is_text_or_binary(data_type: pa.DataType) -> bool:
    return is_text(data_type) or bool(pa.types.is_binary(data_type))


def is_list(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_list(data_type) or pa.types.is_large_list(data_type))


def _is_view(data_type: pa.DataType) -> bool:
    """Return whether several texts of a type may share their bytes."""
    return bool(pa.types.is_string_view(data_type))


_FLOAT, _COUNT, _TEXT = pa.float64(), pa.int64(), pa.string()
_ALPACA_FIELDS = {
    "trades": {
        "t": ("timestamp", _TEXT), "x": ("exchange", _TEXT), "p": ("price", _FLOAT), "s": ("size", _FLOAT),
        "i": ("id", _TEXT), "c": ("conditions", _TEXT), "z": ("tape", _TEXT),
        "u": ("update", _TEXT),
    },
    "quotes": {
        "t": ("timestamp", _TEXT), "bp": ("bid_price", _FLOAT), "bs": ("bid_size", _FLOAT),
        "ap": ("ask_price", _FLOAT), "as": ("ask_size", _FLOAT), "bx": ("bid_exchange", _TEXT),
        "ax": ("ask_exchange", _TEXT), "c": ("conditions", _TEXT), "z": ("tape", _TEXT),
    },
    "bars": {
        "t": ("timestamp", _TEXT), "o": ("open", _FLOAT), "h": ("high", _FLOAT), "l": ("low", _FLOAT),
        "c": ("close", _FLOAT), "v": ("volume", _FLOAT), "n": ("trade_count", _COUNT), "vw": ("vwap", _FLOAT),
    },
}  # fmt: skip


def json_table(read: Read, path: Path) -> pa.Table:
    """Return the rows that `read(path)` yields in a child process: values take many times the memory of their text.

    Raises `ImportRefused`.
    """
    with path.open("rb") as raw:
        is_compressed_file = uncompressed(raw) is not raw
    text_bytes = min(path.stat().st_size * (_JSON_RATIO if is_compressed_file else 1), JSON_BYTES_LIMIT)
    return pa.concat_tables(tables_apart(read, path, memory=_JSON_FACTOR * text_bytes + MEMORY_BYTES))


def json_text(path: Path) -> bytearray:
    """Return the text of a file of JSON, also compressed. Raises `ImportRefused`."""
    text = bytearray()
    with damage_refused(f"{path}: "), path.open("rb") as raw:
        content = uncompressed(raw)
        # One large read would take its memory before it knows how much there is.
        while len(text) <= JSON_BYTES_LIMIT and (piece := content.read(_LINES_BYTES // 4)):
            text += piece
    if len(text) > JSON_BYTES_LIMIT:
        raise ImportRefused(
            f"{path}: a file of JSON has at most {JSON_BYTES_LIMIT:,} bytes; write Parquet or CSV"
        )
    return text


def table_parts(table: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of a table in parts (`row_parts`), or one without rows."""
    batches = table.combine_chunks().to_batches()
    yield table.schema.empty_table()
    for batch in batches:
        for part in row_parts(batch):
            yield pa.Table.from_batches([part])


def _alpaca_tables(path: Path) -> Iterator[pa.Table]:
    try:
        document = msgspec.json.decode(json_text(path), type=dict[str, Any])
        kind = next(name for name in _ALPACA_FIELDS if name in document)
        found = document[kind] or {}
        by_symbol = found if isinstance(found, dict) else {document["symbol"]: found}
        rows = [(symbol, row) for symbol, rows in by_symbol.items() for row in rows or ()]
        if rows and all("t" not in row for _, row in rows):
            raise ImportRefused("the rows have no time t; write one row in each line of a file .ndjson")
        table = _alpaca_table(_ALPACA_FIELDS[kind], rows)
    except (
        *(msgspec.DecodeError, StopIteration, KeyError, TypeError, AttributeError),
        *(pa.ArrowException, ImportRefused),
    ) as error:
        raise ImportRefused(f"{path}: not an answer of Alpaca's API: {error!r:.200}") from error
    yield from table_parts(table)


def _alpaca_table(fields: dict[str, tuple[str, pa.DataType]], rows: list[tuple[str, Any]]) -> pa.Table:
    columns = {"symbol": pa.array([symbol for symbol, _ in rows], _TEXT)}
    for short, (name, kind) in fields.items():
        values = (row.get(short) for _, row in rows)
        texts = map(_text, values) if kind is _TEXT else values
        columns[name] = pa.array(list(texts), kind)
    return pa.table(columns)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return WORD_SEPARATOR.join(map(str, value)) if isinstance(value, list) else str(value)
