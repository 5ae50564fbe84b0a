"""Parquet whose pages are much larger than the file: honest files are read, others are refused with their paths."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trades.imports.parquet_files import forged_parquet
from trades.exceptions import ImportRefused
from trades.imports.parquet_file import ParquetFile

ROW = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", "price": 1.0, "volume": 1.0}


def rows_in(path: Path) -> int:
    file = ParquetFile(path)
    return sum(len(piece.lines) for piece in file.pieces(file.names))


@pytest.mark.parametrize("compression", ["zstd", "snappy"])
def test_equal_rows_of_a_few_kilobytes_are_read(tmp_path: Path, compression: str) -> None:
    path, count = tmp_path / "x.parquet", 900_000
    table = pa.table({name: pa.repeat(value, count) for name, value in ROW.items()})
    pq.write_table(table, path, compression=compression)
    assert path.stat().st_size < 20_000
    assert rows_in(path) == count


def test_pages_of_a_whole_column_are_read(tmp_path: Path) -> None:
    """Some writers write one page for each column of a row group: here of 72 MiB in 5 MB."""
    path, count, chance = tmp_path / "x.parquet", 1_000_000, random.Random(1)
    texts = [
        f"a note of some length, {number:06d}, with more words in it, and more, and more"
        for number in range(50_000)
    ]
    notes = pa.array(chance.choices(texts, k=count))
    table = pa.table({**{name: pa.repeat(value, count) for name, value in ROW.items()}, "notes": notes})
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=["timestamp"],
        data_page_size=2**28,
        write_batch_size=count,
    )
    sizes = pq.ParquetFile(path).metadata.row_group(0).column(4)
    assert sizes.total_uncompressed_size > 70 * 2**20
    assert path.stat().st_size < 6 * 2**20
    assert rows_in(path) == count


def test_a_refused_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(forged_parquet("x" * (100 * 2**20)))
    with pytest.raises(ImportRefused, match=f"^{path}: reading some rows takes more than"):
        rows_in(path)
