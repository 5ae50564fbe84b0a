"""Reads files of typed records, some tens of thousands at a time: Parquet, and JSON of Alpaca's API."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from store.declarations import WORD_SEPARATOR
from trades.exceptions import ImportRefused
from trades.imports.blocks import FilePiece
from trades.imports.csv_file import uncompressed

ROWS_AT_ONCE = 65_536
JSON_BYTES_LIMIT = 64 * 2**20
# The texts of a column of so many rows, were they all as long as the longest.
TEXT_BYTES_LIMIT = 256 * 2**20


class RecordFile(ABC):
    """A file of records. Subclasses set `names` and `schema`. Rows are numbered from 1."""

    names: tuple[str, ...]
    schema: pa.Schema

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    @abstractmethod
    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        """Yield the named columns, piece by piece, with the bytes of the file read so far."""

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        row = 1
        try:
            for table, bytes_read in self.tables(names):
                yield FilePiece(table, row + np.arange(table.num_rows), (), bytes_read)
                row += table.num_rows
        except pa.ArrowException as error:
            raise ImportRefused(f"{self.path}: the file is damaged or cut off: {error}") from error


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

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        row, texts = 0, [name for name in names if _is_text(self.schema.field(name).type)]
        with pq.ParquetFile(self.path, read_dictionary=texts) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(names)):
                row += batch.num_rows
                self._check_texts(batch)
                schema = pa.schema([self.schema.field(name) for name in batch.schema.names])
                yield pa.Table.from_batches([batch]).cast(schema), self.size * row // file.metadata.num_rows

    def _check_texts(self, batch: pa.RecordBatch) -> None:
        """Raise `ImportRefused` for a column of which a few bytes repeat long texts."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
                longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
                if longest * len(column) > TEXT_BYTES_LIMIT:
                    raise ImportRefused(f"{self.path}: a text of {name} has {longest:,} bytes")


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

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        for start in range(0, self._table.num_rows, ROWS_AT_ONCE):
            rows = self._table.select(names).slice(start, ROWS_AT_ONCE)
            yield rows, self.size * (start + rows.num_rows) // self._table.num_rows


def _is_text(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(data_type) or pa.types.is_binary(data_type))


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
