"""Reads candles of freqtrade: a JSON list of `[ms, open, high, low, close, volume]` in a file such as BTC_USDT-1m.json."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from trades.exceptions import ImportRefused
from trades.imports.compressed import damage_refused, uncompressed
from trades.imports.record_files import (
    JSON_BYTES_LIMIT,
    ROWS_AT_ONCE,
    AlpacaJsonFile,
    RecordFile,
    json_table,
    json_text,
    table_parts,
)

_HEAD_BYTES = 64
_NAMES = ("date", "open", "high", "low", "close", "volume")
_Candle = tuple[int, float, float, float, float, float]
_NAME = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)-([0-9]+[mhdwM])")


class FileName(NamedTuple):
    """What the name of a file of freqtrade tells."""

    symbol: str
    resolution: str


class FreqtradeFile(RecordFile):
    """Candles of freqtrade, at most 64 MiB of JSON."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size > JSON_BYTES_LIMIT:
            raise ImportRefused(
                f"{path}: has more than {JSON_BYTES_LIMIT:,} bytes; write it as Parquet or CSV"
            )
        self._table = json_table(_candles, path)
        self.schema = self._table.schema
        self.names = _NAMES

    def tables(self, names: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        for start in range(0, self._table.num_rows, ROWS_AT_ONCE):
            rows = self._table.select(names).slice(start, ROWS_AT_ONCE)
            yield rows, self.size * (start + rows.num_rows) // self._table.num_rows


def _candles(path: Path) -> Iterator[pa.Table]:
    try:
        rows = msgspec.json.decode(json_text(path), type=list[_Candle])
        columns = zip(*rows, strict=True) if rows else ([] for _ in _NAMES)
        kinds = (pa.int64(), *[pa.float64()] * (len(_NAMES) - 1))
        table = pa.table(
            {name: pa.array(cells, kind) for name, cells, kind in zip(_NAMES, columns, kinds, strict=True)}
        )
    except (msgspec.MsgspecError, pa.ArrowException, OverflowError) as error:
        raise ImportRefused(
            f"{path}: neither candles of freqtrade, which are lists of six numbers, nor an answer of Alpaca's API:"
            f" {error!s:.200}"
        ) from error
    yield from table_parts(table)


def freqtrade_name(name: str) -> FileName | None:
    """Return what a file's name without suffix tells; None for names of futures, marks and funding rates."""
    match = _NAME.fullmatch(name)
    return FileName(f"{match[1]}-{match[2]}", match[3]) if match else None


def json_file(path: Path) -> RecordFile:
    """Return the reader of a JSON file: of candles if it is a list, of an answer of Alpaca's API if it is an object."""
    with damage_refused(f"{path}: "), path.open("rb") as raw:
        is_list = uncompressed(raw).read(_HEAD_BYTES).lstrip().startswith(b"[")
    return FreqtradeFile(path) if is_list else AlpacaJsonFile(path)
