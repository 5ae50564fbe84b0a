"""Rows as numpy columns. A column without nulls is a view of the store's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.declarations import ColumnKind, Dataset
from store.lazy_imports import compute as pc
from store.reading.exceptions import UnknownColumn
from store.timestamps import Instants

# The value of a null among integers and instants; as a datetime64 it is NaT.
NULL = int(np.iinfo(np.int64).min)

_FILL_VALUES = {ColumnKind.TIME: NULL, ColumnKind.INTEGER: NULL, ColumnKind.NUMBER: float("nan")}
_OBJECTS = (ColumnKind.TEXT, ColumnKind.BOOLEAN)


class Columns:
    """Rows of a dataset by (event time, sequence, arrival), as equally long read-only numpy arrays.

    `columns.price` and `columns["price"]` are the same array; iteration yields the names. Instants and
    integers are int64, numbers float64, texts and booleans objects. A null is `NULL` (the smallest int64),
    NaN or None; the Arrow table in `table` distinguishes nulls from values.
    """

    __slots__ = ("_arrays", "_dataset", "table")

    def __init__(self, dataset: Dataset, table: pa.Table) -> None:
        self.table = table
        self._dataset = dataset
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        array = self._arrays.get(name)
        if array is None:
            if name not in self.names:
                raise UnknownColumn(f"column of {self._dataset.name} that was read", name, self.names)
            array = self._arrays[name] = _array(self.table.column(name), self._dataset.column(name).kind)
        return array

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownColumn as error:
            raise AttributeError(str(error), name=name, obj=self) from error

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.names]

    def __repr__(self) -> str:
        return f"<{len(self):,} rows of {self._dataset.name}: {', '.join(self.names)}>"

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return list(self.table.column_names)

    @property
    def time_ns(self) -> Instants:
        """The event times: int64 nanoseconds UTC, ascending."""
        return self[self._dataset.columns[0].name]

    def frame(self) -> Any:
        """Return a pandas DataFrame indexed by event time in UTC; see `frames.rows_frame`."""
        from store.reading.frames import rows_frame  # noqa: PLC0415 pandas takes half a second

        return rows_frame(self._dataset, self.table)


def select(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Return the names of the columns to read: event time, then the given ones. Raises `UnknownColumn`."""
    event_time, known_names = dataset.columns[0].name, [column.name for column in dataset.columns]
    selected = [names] if isinstance(names, str) else names
    for name in selected:
        if name not in known_names:
            raise UnknownColumn(f"column of {dataset.name}", name, known_names)
    return list(dict.fromkeys([event_time, *selected]))


def _array(column: pa.ChunkedArray, column_kind: ColumnKind) -> npt.NDArray[Any]:
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    values = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.array([], column.type)])
    array: npt.NDArray[Any]
    if column_kind in _OBJECTS:
        array = np.array(values.to_pylist(), dtype=object)
    else:
        filled = pc.fill_null(values, _FILL_VALUES[column_kind]) if values.null_count else values
        array = filled.to_numpy()
    array.flags.writeable = False
    return array
