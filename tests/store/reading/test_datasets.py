"""Every declared dataset is read by the same code."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import DATASETS
from store.declarations import ColumnKind, Dataset
from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME, Append
from store.reading import Reader
from tests.store.builders import NOON

VALUES: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: 1.5,
    ColumnKind.INTEGER: 7,
    ColumnKind.TEXT: "word",
    ColumnKind.BOOLEAN: True,
}


def rows_of(dataset: Dataset) -> pa.RecordBatch:
    """A row that has every value, and one that has those that are required."""
    full = {column.name: VALUES.get(column.kind, NOON) for column in dataset.columns}
    bare = {column.name: full[column.name] if column.required else None for column in dataset.columns}
    event_time = dataset.columns[0].name
    rows = [full | {event_time: NOON}, bare | {event_time: NOON + 1}]
    return pa.RecordBatch.from_pylist(rows, schema=dataset.schema)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    store = CsvStore(tmp_path)
    for dataset in DATASETS.values():
        store.append(Append(dataset, "AAPL", rows_of(dataset), "key:1"))
    return open_store(tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_rows_of_every_dataset(reader: Reader, tmp_path: Path, name: str):
    dataset = DATASETS[name]
    table = CsvStore(tmp_path).log(dataset, "AAPL").at().rows(ALL_TIME)
    columns = reader.rows(name, "AAPL")
    assert columns.table.equals(table)
    assert list(columns) == dataset.schema.names
    assert columns.time_ns.tolist() == [NOON, NOON + 1]
    for column in dataset.columns:
        assert columns[column.name].dtype.kind == {
            ColumnKind.NUMBER: "f",
            ColumnKind.TEXT: "O",
            ColumnKind.BOOLEAN: "O",
        }.get(column.kind, "i")
    frame = columns.frame()
    assert frame.columns.tolist() == dataset.schema.names[1:]
    assert frame.isna().to_numpy()[0].any() == False  # noqa: E712 a numpy boolean
    assert reader.coverage("AAPL", name)[:4] == (NOON, NOON + 1, 2, 1)
    assert reader.symbols(name) == ["AAPL"]
    assert reader.version("AAPL", dataset=name).startswith("1-")


def test_a_symbol_without_rows_of_a_dataset_is_unknown_there(reader: Reader):
    for name in DATASETS:
        with pytest.raises(UnknownSymbol, match="MSFT"):
            reader.rows(name, "MSFT")
