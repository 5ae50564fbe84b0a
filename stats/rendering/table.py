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

    TIME = "time", pa.int64()
    DATE = "date", pa.int64()
    NUMBER = "number", pa.float64()
    VOLUME = "volume", pa.float64()
    INTEGER = "integer", pa.int64()
    TEXT = "text", pa.string()
    WORDS = "words", pa.string()
    FLAG = "flag", pa.bool_()

    def __init__(self, _name: str, arrow_type: pa.DataType) -> None:
        self.arrow_type = arrow_type
        """The Arrow type of the column in a `Table`."""


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
        schema, types = self.data.schema, [column.role.arrow_type for column in self.columns]
        if schema.names != [column.name for column in self.columns] or (
            schema.types != types and not all(map(_is_of, schema.types, types))
        ):
            raise ValueError(f"the data's columns are {schema}, expected are {self.columns}")

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
        return values if _is_of(values.type, arrow_type) else values.cast(arrow_type)
    return pa.array(values, arrow_type)


_CODED_TEXTS = pa.dictionary(pa.int32(), pa.string())


def _is_of(arrow_type: pa.DataType, expected: pa.DataType) -> bool:
    return bool(arrow_type == expected or (arrow_type == _CODED_TEXTS and expected == pa.string()))


def plain_texts(values: pa.Array) -> pa.Array:
    """Return the values, decoded if they are dictionary-encoded."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
