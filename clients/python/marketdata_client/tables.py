"""Rows as columns, and as frames of other libraries.

Without pyarrow a table holds lists. Libraries are imported when they are asked for.
"""

import datetime as dt
import importlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from marketdata_client.errors import BadAnswer, MarketDataError

TIME_COLUMNS = frozenset({"timestamp", "quote_timestamp", "received_at", "committed_at", "since"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND_NS = 1_000_000_000


class Table:
    """The rows of an answer, in columns. `len()` is the number of rows.

    names: of the columns. commit: the header `X-Commit`, which names the newest commits that the rows are of. Times are
    nanoseconds in UTC.
    """

    def __init__(self, held: Any, *, commit: str = "") -> None:
        """held: a `pyarrow.Table`, or lists of the same length by name."""
        self._held = held
        self.commit = commit

    @property
    def names(self) -> list[str]:
        return list(self._held) if isinstance(self._held, dict) else list(self._held.column_names)

    def __len__(self) -> int:
        if isinstance(self._held, dict):
            return max(map(len, self._held.values()), default=0)
        return int(self._held.num_rows)

    def __repr__(self) -> str:
        return f"<Table of {len(self):,} rows: {', '.join(self.names)}>"

    def lists(self) -> dict[str, list[Any]]:
        """Return a list for each column; times are nanoseconds since 1970, missing values None."""
        if isinstance(self._held, dict):
            return {name: list(values) for name, values in self._held.items()}
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
        """Return an array for each column: times as datetime64[ns] in UTC, missing numbers as NaN, texts as objects."""
        np = _library("numpy")
        if not isinstance(self._held, dict):
            return {name: self._held.column(name).to_numpy() for name in self.names}
        return {name: _array(np, name, values) for name, values in self._held.items()}

    def arrow(self) -> Any:
        """Return a `pyarrow.Table`."""
        if not isinstance(self._held, dict):
            return self._held
        pa = _library("pyarrow")
        instants = {name: pa.array(self._held[name], _instant(pa)) for name in self._times()}
        return pa.table({**self._held, **instants})

    def pandas(self) -> Any:
        """Return a `pandas.DataFrame`; times have the zone UTC."""
        pd = _library("pandas")
        if not isinstance(self._held, dict):
            return self._held.to_pandas()
        frame = pd.DataFrame(self.numpy())
        return frame.assign(**{name: frame[name].dt.tz_localize("UTC") for name in self._times()})

    def polars(self) -> Any:
        """Return a `polars.DataFrame`; times have the zone UTC."""
        pl = _library("polars")
        if not isinstance(self._held, dict):
            return pl.from_arrow(self._held)
        times = [pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in self._times()]
        return pl.DataFrame(self._held, infer_schema_length=None).with_columns(times)

    def _times(self) -> list[str]:
        return [name for name in self.names if name in TIME_COLUMNS]


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables, one after the other; the commit is that of the first one."""
    if not tables:
        return Table({})
    arrows = [table for table in tables if not isinstance(table._held, dict)]  # noqa: SLF001 own class
    commit = tables[0].commit
    if len(arrows) == len(tables):
        held = _library("pyarrow").concat_tables([table.arrow() for table in arrows])
        return Table(held, commit=commit)
    lists: dict[str, list[Any]] = {}
    for table in tables:
        for name, values in table.lists().items():
            lists.setdefault(name, []).extend(values)
    return checked_lists(lists, commit=commit)


def checked_lists(lists: Mapping[str, Any], *, commit: str) -> Table:
    """Return a table of lists. Raises `BadAnswer` unless all are lists of the same length."""
    held = {("timestamp" if name == "timestamps" else name): values for name, values in lists.items()}
    if not all(isinstance(values, list) for values in held.values()) or len(set(map(len, held.values()))) > 1:
        raise BadAnswer("the columns of the answer are not lists of the same length")
    return Table(held, commit=commit)


def table_of_rows(rows: Sequence[Mapping[str, Any]], *, commit: str) -> Table:
    """Return a table of rows that all have the keys of the first one. Raises `BadAnswer`."""
    names = list(rows[0]) if rows else []
    if any(row.keys() != rows[0].keys() for row in rows):
        raise BadAnswer("the rows of the answer have different columns")
    return Table({name: [row[name] for row in rows] for name in names}, commit=commit)


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


@cache
def has_pyarrow() -> bool:
    """Whether Arrow can be used, which is the fastest format."""
    try:
        importlib.import_module("pyarrow")
    except ImportError:
        return False
    return True


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MarketDataError(f"this needs {name}: pip install {name}") from error


def arrow_library() -> Any:
    """Return the module `pyarrow`. Raises `MarketDataError` if it is not installed."""
    return _library("pyarrow")


def _instant(pa: Any) -> Any:
    return pa.timestamp("ns", "UTC")


def _plain(column: Any) -> Any:
    """Return an Arrow column with instants as integers."""
    pa = arrow_library()
    return column.cast(_instant(pa)).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _array(np: Any, name: str, values: Iterable[Any]) -> Any:
    held = list(values)
    if name in TIME_COLUMNS:
        return np.array(["NaT" if each is None else each for each in held], "datetime64[ns]")
    if held and all(isinstance(each, bool) for each in held):
        return np.array(held)
    if held and all(type(each) is int for each in held):
        return np.array(held, "int64")
    if all(each is None or (isinstance(each, int | float) and not isinstance(each, bool)) for each in held):
        return np.array([np.nan if each is None else each for each in held], "float64")
    array = np.empty(len(held), object)
    array[:] = held
    return array
