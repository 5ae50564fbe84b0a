"""Tables of rows. A column's role decides how formats write its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

import numpy as np
import pyarrow as pa


class ColumnRole(Enum):
    """The kind of a column's values.

    TIME: nanoseconds since the epoch, UTC. DATE: days since 1970-01-01. NUMBER, VOLUME: NaN means null.
    WORDS: non-empty words, joined by `;`; "" means no words.
    """

    TIME = "time"
    DATE = "date"
    NUMBER = "number"
    VOLUME = "volume"
    INTEGER = "integer"
    TEXT = "text"
    WORDS = "words"
    FLAG = "flag"

    @property
    def arrow_type(self) -> pa.DataType:
        """Return the Arrow type of the column in a `Table`."""
        return _TYPES[self]


_TYPES = {
    ColumnRole.TIME: pa.int64(),
    ColumnRole.DATE: pa.int64(),
    ColumnRole.NUMBER: pa.float64(),
    ColumnRole.VOLUME: pa.float64(),
    ColumnRole.INTEGER: pa.int64(),
    ColumnRole.TEXT: pa.string(),
    ColumnRole.WORDS: pa.string(),
    ColumnRole.FLAG: pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class OutColumn:
    """A column's name in answers, and its role.

    is_integer: for VOLUME, all values are integers; for TIME, all values are whole seconds, as in bars.
    """

    name: str
    role: ColumnRole
    is_integer: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows. Raises `ValueError` unless `data` has exactly `columns`, in order, each with its role's Arrow type.

    A column of texts may also be dictionary-encoded, with `int32` indices.
    """

    columns: tuple[OutColumn, ...]
    data: pa.Table

    def __post_init__(self) -> None:
        expected = [(column.name, column.role.arrow_type) for column in self.columns]
        actual = [(field.name, _plain_type(field.type)) for field in self.data.schema]
        if actual != expected:
            raise ValueError(f"the data's columns are {actual}, expected are {expected}")

    def __len__(self) -> int:
        return self.data.num_rows  # type: ignore[no-any-return]

    @classmethod
    def of(cls, columns: Sequence[OutColumn], values: Mapping[str, Any]) -> Self:
        """Make a table. values: arrays (Arrow, numpy or lists) of equal length, by column name.

        Names that are not in `columns` are ignored.
        """
        arrays = [_typed(values[column.name], column.role.arrow_type) for column in columns]
        return cls(tuple(columns), pa.Table.from_arrays(arrays, names=[column.name for column in columns]))

    @classmethod
    def empty(cls, columns: Sequence[OutColumn]) -> Self:
        """Make a table without rows."""
        return cls.of(columns, {column.name: [] for column in columns})

    def arrays(self) -> list[pa.Array]:
        """Return each column as one array of its role's Arrow type."""
        return [plain_texts(array) for array in self.coded_arrays()]

    def coded_arrays(self) -> list[pa.Array]:
        """Return each column as one array. Texts stay dictionary-encoded."""
        return [
            chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
            for chunks in self.data.columns
        ]

    def plain(self) -> "Table":
        """Return the table with its dictionary-encoded columns decoded."""
        if not any(map(pa.types.is_dictionary, self.data.schema.types)):
            return self
        return Table.of(self.columns, dict(zip(self.data.column_names, self.arrays(), strict=True)))

    def select(self, names: Sequence[str]) -> "Table":
        """Return the named columns in the order of `names`. Raises `KeyError` for an unknown name."""
        by_name = {column.name: column for column in self.columns}
        return Table(tuple(by_name[name] for name in names), self.data.select(list(names)))

    def slice(self, start: int, end: int) -> "Table":
        """Return the rows `[start, end)`; fewer if the table ends before."""
        if start == 0 and end >= len(self):
            return self
        return Table(self.columns, self.data.slice(start, max(end - start, 0)))

    def reversed(self) -> "Table":
        """Return the rows in reverse order."""
        indices = np.arange(len(self) - 1, -1, -1)
        return Table(self.columns, self.data.take(indices))


def _typed(values: Any, arrow_type: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values if _plain_type(values.type) == arrow_type else values.cast(arrow_type)
    return pa.array(values, arrow_type)


_CODED_TEXTS = pa.dictionary(pa.int32(), pa.string())


def _plain_type(arrow_type: pa.DataType) -> pa.DataType:
    return pa.string() if arrow_type == _CODED_TEXTS else arrow_type


def plain_texts(values: pa.Array) -> pa.Array:
    """Return the values, decoded if they are dictionary-encoded."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
