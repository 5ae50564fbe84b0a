"""Rows as columns, and as frames of other libraries, which are imported when they are asked for."""

import datetime as dt
import importlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from marketdata_client.errors import BadAnswer, MarketDataError

TIME_COLUMNS = frozenset({"timestamp", "quote_timestamp", "received_at", "committed_at", "since"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND_NS = 1_000_000_000


class Table:
    """The rows of an answer, in columns. `len()` is the number of rows.

    names: of the columns. commit: the header `X-Commit`, which names the newest commits that the rows are of. Times are
    nanoseconds in UTC.
    """

    def __init__(self, held: pa.Table, *, commit: str = "") -> None:
        self._held = held
        self.commit = commit

    @property
    def names(self) -> list[str]:
        return list(self._held.column_names)

    def __len__(self) -> int:
        return int(self._held.num_rows)

    def __repr__(self) -> str:
        return f"<Table of {len(self):,} rows: {', '.join(self.names)}>"

    def lists(self) -> dict[str, list[Any]]:
        """Return a list for each column; times are nanoseconds since 1970, missing values None."""
        return {name: _plain(self._held.column(name)).to_pylist() for name in self.names}

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as the API's JSON has them, with times as RFC 3339 texts; they can be ingested."""
        lists = {
            name: [time_text(value) for value in values] if name in TIME_COLUMNS else values
            for name, values in self.lists().items()
        }
        if "date" in lists:
            lists["date"] = [None if each is None else str(each) for each in lists["date"]]
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]

    def numpy(self) -> dict[str, Any]:
        """Return an array for each column: times as datetime64[ns] in UTC, missing numbers as NaN, texts as objects.

        Raises `MarketDataError` without numpy.
        """
        _library("numpy")
        return {name: self._held.column(name).to_numpy() for name in self.names}

    def arrow(self) -> pa.Table:
        """Return a `pyarrow.Table`."""
        return self._held

    def pandas(self) -> Any:
        """Return a `pandas.DataFrame`; times have the zone UTC. Raises `MarketDataError` without pandas."""
        _library("pandas")
        return self._held.to_pandas()

    def polars(self) -> Any:
        """Return a `polars.DataFrame`; times have the zone UTC. Raises `MarketDataError` without polars."""
        return _library("polars").from_arrow(self._held)


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, one after the other; the commit is that of the first one."""
    if not tables:
        return Table(pa.table({}))
    return Table(pa.concat_tables([table.arrow() for table in tables]), commit=tables[0].commit)


def time_text(instant: object) -> str | None:
    """Return nanoseconds since 1970 as an RFC 3339 text in UTC, with as many decimals as needed; None of None."""
    if instant is None:
        return None
    if not isinstance(instant, int):
        raise BadAnswer("a time of the answer is no integer")
    seconds, fraction = divmod(instant, _SECOND_NS)
    try:
        text = (_EPOCH + dt.timedelta(seconds=seconds)).isoformat()[:19]
    except OverflowError as error:
        raise BadAnswer("a time of the answer is out of range") from error
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MarketDataError(f"this needs {name}: pip install {name}") from error


def _plain(column: Any) -> Any:
    """Return an Arrow column with instants as integers."""
    if not pa.types.is_timestamp(column.type):
        return column
    return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
