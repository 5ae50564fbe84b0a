"""Tables: their types and their parts."""

import pyarrow as pa
import pytest

from stats.rendering.table import ColumnRole, OutColumn, Table
from tests.stats.rendering.tables import BARS, TWO_BARS, plain_rows, table_of

PRICE = OutColumn("price", ColumnRole.NUMBER)
SEQUENCE = OutColumn("sequence", ColumnRole.INTEGER)
THREE = table_of([{"price": number / 2, "sequence": number} for number in range(3)], (PRICE, SEQUENCE))


@pytest.mark.parametrize(
    ("columns", "data"),
    [
        ((PRICE,), pa.table({"cost": pa.array([1.0])})),
        ((PRICE,), pa.table({"price": pa.array([1])})),
        ((PRICE,), pa.table({"price": pa.array([1.0]), "sequence": pa.array([1])})),
        ((PRICE, SEQUENCE), pa.table({"sequence": pa.array([1]), "price": pa.array([1.0])})),
    ],
    ids=["another name", "another type", "a column more", "another order"],
)
def test_data_with_other_columns_is_a_value_error(columns: tuple[OutColumn, ...], data: pa.Table):
    with pytest.raises(ValueError, match="the data's columns are"):
        Table(columns, data)


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 2, [0, 1]), (1, 9, [1, 2]), (2, 2, []), (3, 1, []), (0, 3, [0, 1, 2])]
)
def test_a_slice_is_cut_to_the_rows_there_are(start: int, end: int, expected: list[int]):
    assert [row["sequence"] for row in plain_rows(THREE.slice(start, end))] == expected


def test_columns_are_selected_in_the_order_asked_for():
    chosen = TWO_BARS.select(["close", "timestamp"])
    assert [column.name for column in chosen.columns] == chosen.data.column_names == ["close", "timestamp"]
    assert chosen.columns[1].is_integer


def test_selecting_an_unknown_column_is_a_key_error():
    with pytest.raises(KeyError):
        TWO_BARS.select(["cost"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_reversed_rows_begin_with_the_last(count: int):
    assert plain_rows(THREE.slice(0, count).reversed()) == plain_rows(THREE.slice(0, count))[::-1]


def test_an_empty_table_has_no_rows():
    assert len(Table.empty(BARS)) == 0


def test_a_column_of_several_pieces_becomes_one():
    data = pa.table({"price": pa.chunked_array([[1.0], [2.0, None]])})
    assert [array.to_pylist() for array in Table((PRICE,), data).arrays()] == [[1.0, 2.0, None]]
