"""Reads files of typed records, some tens of thousands at a time: Parquet, DBN, and JSON of Alpaca's API."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import databento_dbn
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from store.arrays import Integers
from store.declarations import WORD_SEPARATOR
from store.timestamps import DAY_NS
from trades.exceptions import ImportRefused
from trades.imports.blocks import FilePosition, Pieces
from trades.imports.csv_file import skip, uncompressed
from trades.imports.parse import BlockParser, ParsedBlock

ROWS_AT_ONCE = 65_536
JSON_BYTES_LIMIT = 64 * 2**20


class RecordFile(ABC):
    """A file of records. Subclasses set `names` and `schema`. Rows are numbered from 1."""

    names: tuple[str, ...]
    schema: pa.Schema

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.start = FilePosition(0, 1)

    @abstractmethod
    def tables(self, offset: int) -> Iterator[tuple[pa.Table, int]]:
        """Yield the rows from `offset` on, piece by piece, with the bytes of the file read so far."""

    def texts(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """See `SourceFile`."""
        with self._damage_refused():
            for table, _ in self.tables(0):
                yield pa.table({name: _bytes(table.column(name)) for name in names})

    @contextmanager
    def pieces(self, parser: BlockParser, start: FilePosition) -> Iterator[Pieces]:
        """Open the file at a position. Raises `ImportRefused`."""
        with self._damage_refused():
            yield _RecordPieces(self.schema.empty_table(), self.tables(start.offset), parser, start)

    @contextmanager
    def _damage_refused(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, databento_dbn.DBNError) as error:
            raise ImportRefused(f"{self.path}: the file is damaged or cut off: {error}") from error


def _bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts and integers as bytes; nulls for columns of other types."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    try:
        return column.cast(pa.binary())
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(column), pa.binary())


class _RecordPieces:
    """The tables of a file."""

    def __init__(
        self,
        nothing: pa.Table,
        tables: Iterator[tuple[pa.Table, int]],
        parser: BlockParser,
        position: FilePosition,
    ) -> None:
        self.bytes_read = 0
        self._rows = nothing
        self._tables = tables
        # Read ahead, to know the last table: its rows may all have the same time.
        self._ahead = next(tables, None)
        self._parser = parser
        self._position = position

    def next(self) -> tuple[ParsedBlock, bool]:
        """See `Pieces`."""
        if self._ahead is not None:
            table, self.bytes_read = self._ahead
            self._rows = pa.concat_tables([self._rows, table])
            self._ahead = next(self._tables, None)
        return self._parser.parse_records(self._rows, self._position.line), self._ahead is None

    def take(self, line: int | None) -> FilePosition:
        """See `Pieces`."""
        taken = self._rows.num_rows if line is None else line - self._position.line
        self._position = FilePosition(self._position.offset + taken, self._position.line + taken)
        self._rows = self._rows.slice(taken)
        return self._position


class ParquetFile(RecordFile):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with pq.ParquetFile(path) as file:
                self.schema = file.schema_arrow.remove_metadata()
        except pa.ArrowException as error:
            raise ImportRefused(f"{path}: {error}") from error
        self.names = tuple(self.schema.names)

    def tables(self, offset: int) -> Iterator[tuple[pa.Table, int]]:
        with pq.ParquetFile(self.path) as file:
            metadata = file.metadata
            ends = np.cumsum([metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)])
            first = int(np.searchsorted(ends, offset, side="right"))
            row = int(ends[first - 1]) if first else 0
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=range(first, len(ends))):
                row += batch.num_rows
                rest = batch.slice(max(batch.num_rows - (row - offset), 0))
                if rest.num_rows:
                    yield pa.Table.from_batches([rest], self.schema), self.size * row // metadata.num_rows


class DbnFile(RecordFile):
    """A file in Databento Binary Encoding, `.dbn` or `.dbn.zst`, with records of one schema.

    Columns have the names of Databento's CSV. Fixed-point prices become floats, undefined values null, and `symbol`
    is what the file's metadata say of an instrument and date.
    Layout: https://databento.com/docs/conventions/databento-binary-encoding.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with path.open("rb") as raw:
            content = uncompressed(raw)
            head = content.read(_DBN_PRELUDE)
            if head[:3] != b"DBN" or len(head) < _DBN_PRELUDE:
                raise ImportRefused(f"{path}: not a DBN file")
            rest = content.read(int.from_bytes(head[4:], "little"))
        self._begin = len(head) + len(rest)
        try:
            metadata = databento_dbn.Metadata.decode(head + rest)
        except databento_dbn.DBNError as error:
            raise ImportRefused(f"{path}: {error}") from error
        kind = _DBN_RECORDS.get(str(metadata.schema))
        if kind is None or metadata.ts_out:
            raise ImportRefused(
                f"{path}: has the schema {metadata.schema}; {', '.join(_DBN_RECORDS)} can be imported"
            )
        self._dtype = np.dtype(kind._dtypes)  # noqa: SLF001 the record's layout, as databento's own client takes it
        self._prices = frozenset(kind._price_fields)  # noqa: SLF001
        self._symbols = _DbnSymbols(metadata.mappings)
        self.schema = self._table(np.zeros(0, self._dtype)).schema
        self.names = tuple(self.schema.names)

    def tables(self, offset: int) -> Iterator[tuple[pa.Table, int]]:
        size = self._dtype.itemsize
        with self.path.open("rb") as raw:
            content: IO[bytes] = uncompressed(raw)
            skip(content, self._begin + offset * size)
            while text := content.read(ROWS_AT_ONCE * size):
                if len(text) % size:
                    raise ImportRefused(f"{self.path}: the last record is cut off")
                records = np.frombuffer(text, self._dtype)
                if (records["length"] != size // _DBN_LENGTH_UNIT).any():
                    raise ImportRefused(f"{self.path}: has records of several schemas")
                yield self._table(records), raw.tell()

    def _table(self, records: Any) -> pa.Table:
        columns = {
            name: self._column(name, records[name]) for name in self._dtype.names or () if name != "length"
        }
        columns["symbol"] = self._symbols.of(records["instrument_id"], records["ts_event"])
        return pa.table(columns)

    def _column(self, name: str, values: Any) -> pa.Array:
        if name in self._prices:
            undefined = values == databento_dbn.UNDEF_PRICE
            return pa.array(values / databento_dbn.FIXED_PRICE_SCALE, mask=undefined)
        if values.dtype.kind == "S":
            return pa.array(values.astype("U1"), pa.string())
        if name in _DBN_TIMES:
            undefined = values == databento_dbn.UNDEF_TIMESTAMP
            return pa.array(np.where(undefined, 0, values).astype(np.int64), mask=undefined)
        array = pa.array(values)
        return array.cast(pa.string()) if name in _DBN_CODES else array


_DBN_PRELUDE, _DBN_LENGTH_UNIT = 8, 4
_DBN_TIMES = frozenset({"ts_event", "ts_recv"})
_DBN_CODES = frozenset({"publisher_id", "rtype", "flags"})
_DBN_RECORDS: dict[str, Any] = {
    "trades": databento_dbn.TradeMsg,
    "mbp-1": databento_dbn.MBP1Msg,
    "tbbo": databento_dbn.MBP1Msg,
    **{f"ohlcv-{length}": databento_dbn.OHLCVMsg for length in ("1s", "1m", "1h", "1d")},
}


class _DbnSymbols:
    """The symbols of instrument ids by date."""

    def __init__(self, mappings: dict[str, Any]) -> None:
        self._intervals: dict[int, list[tuple[int, int, str]]] = {}
        for symbol, intervals in mappings.items():
            for each in intervals:
                if each["symbol"].isdecimal():
                    first, behind = (
                        np.datetime64(each[name], "D").astype(int) for name in ("start_date", "end_date")
                    )
                    entry = (int(first), int(behind), symbol)
                    self._intervals.setdefault(int(each["symbol"]), []).append(entry)

    def of(self, ids: Integers, times: Integers) -> pa.DictionaryArray:
        """Return the symbol of each record; null for an id that the metadata do not name."""
        days = (times // np.uint64(DAY_NS)).astype(np.int64)
        codes = np.full(len(ids), -1, np.int32)
        names: dict[str, int] = {}
        order = np.argsort(ids, kind="stable")
        starts = np.flatnonzero(np.diff(ids[order].astype(np.int64), prepend=-1))
        for rows in np.split(order, starts[1:]) if len(starts) else ():
            for first, behind, symbol in self._intervals.get(int(ids[rows[0]]), []):
                codes[rows[(days[rows] >= first) & (days[rows] < behind)]] = names.setdefault(
                    symbol, len(names)
                )
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), pa.array([*names], pa.string())
        ).cast(pa.string())


class AlpacaJsonFile(RecordFile):
    """Answers of Alpaca's API: `{"trades": {"AAPL": [...]}}`, or a list with one `symbol`; one answer in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size > JSON_BYTES_LIMIT:
            raise ImportRefused(f"{path}: an answer of the API has at most {JSON_BYTES_LIMIT:,} bytes")
        with path.open("rb") as raw:
            content = uncompressed(raw).read()
        try:
            document = msgspec.json.decode(content, type=dict[str, Any])
            kind = next(name for name in _ALPACA_FIELDS if name in document)
            found = document[kind] or {}
            by_symbol = found if isinstance(found, dict) else {document["symbol"]: found}
            rows = [(symbol, row) for symbol, rows in by_symbol.items() for row in rows or ()]
            self._table = _alpaca_table(_ALPACA_FIELDS[kind], rows)
        except (
            msgspec.DecodeError,
            StopIteration,
            KeyError,
            TypeError,
            AttributeError,
            pa.ArrowException,
        ) as error:
            raise ImportRefused(f"{path}: not an answer of Alpaca's API: {error!r:.200}") from error
        self.schema = self._table.schema
        self.names = tuple(self.schema.names)

    def tables(self, offset: int) -> Iterator[tuple[pa.Table, int]]:
        for start in range(offset, self._table.num_rows, ROWS_AT_ONCE):
            rows = self._table.slice(start, ROWS_AT_ONCE)
            yield rows, self.size * (start + rows.num_rows) // self._table.num_rows


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
    return WORD_SEPARATOR.join(value) if isinstance(value, list) else str(value)
