"""pandas DataFrames of rows and bars.

Imported only when a frame is requested: pandas takes half a second to import.
"""

import numpy as np
import pandas as pd
import pyarrow as pa

from store.arrays import Floats
from store.bars.bars import Bars
from store.declarations import Column, ColumnKind, Dataset
from store.timestamps import Instants

_INDEX = "timestamp"


def rows_frame(dataset: Dataset, table: pa.Table) -> pd.DataFrame:
    """Return rows indexed by event time in UTC. Rows of the same nanosecond have the same index.

    Types: datetime64[ns, UTC] for instants, Int64 for integers that may be absent, pandas' `str` for texts
    and pandas' `boolean`.
    """
    first, *others = dataset.columns
    kinds = {column.name: column for column in others}
    values = {name: _values(kinds[name], table.column(name)) for name in table.column_names if name in kinds}
    return pd.DataFrame(values, index=_instants(table.column(first.name).to_numpy()))


def bars_frame(bars: Bars) -> pd.DataFrame:
    """Return bars indexed by the start of their interval in UTC, with all columns but `time_ns`."""
    columns = {name: getattr(bars, name) for name in bars.__slots__ if name != "time_ns"}
    return pd.DataFrame(columns, index=_instants(bars.time_ns))


def _instants(nanoseconds: Instants) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanoseconds.view("M8[ns]"), tz="UTC", name=_INDEX)


def _values(column: Column, values: pa.ChunkedArray) -> object:
    if column.kind is ColumnKind.TIME:
        filled = values.fill_null(np.iinfo(np.int64).min)  # pandas reads it as NaT
        return _instants(filled.to_numpy())
    if column.kind is ColumnKind.INTEGER and not column.required:
        mask = values.is_null().to_numpy()
        return pd.arrays.IntegerArray(values.fill_null(0).to_numpy().copy(), mask.copy())
    if column.kind is ColumnKind.TEXT:
        return pd.array(values, dtype="str")
    if column.kind is ColumnKind.BOOLEAN:
        return pd.array(values.to_pylist(), dtype="boolean")
    return values.to_numpy()


def panel_frame(time_ns: Instants, symbols: tuple[str, ...], values: Floats) -> pd.DataFrame:
    """Return a panel indexed by time in UTC, with a column per symbol."""
    columns = pd.Index(symbols, name="symbol")
    return pd.DataFrame(values, index=_instants(time_ns), columns=columns, copy=False)
