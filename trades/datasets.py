"""The datasets, declared once as data. The store keeps every one of them with the same code."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property

import pyarrow as pa


class Kind(Enum):
    """What a column holds: an instant in nanoseconds, a float, an integer, a text."""

    TIME = "time"
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"


ARROW_TYPES = {
    Kind.TIME: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
}


class Partition(StrEnum):
    """Which event dates share a file: those of a year, or none. Commits name the rows of every date in any case."""

    DAY = "day"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A column that is not required may hold nulls."""

    name: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True)
class Dataset:
    """A kind of rows: its columns, the event time first, and what makes a row known by an id.

    `id_columns` is empty or ends in the id itself; a row whose id is null is recognised by all its columns.
    `arrival_columns` tell how a row reached us, not what happened: two reports of one id may differ in them.
    """

    name: str
    columns: tuple[Column, ...]
    id_columns: tuple[str, ...] = ()
    arrival_columns: tuple[str, ...] = ()
    partition: Partition = Partition.DAY

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow's schema of the rows in the program, in the columns' order."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.kind], nullable=not c.required) for c in self.columns]
        )


TRADES = Dataset(
    name="trades",
    columns=(
        Column("timestamp", Kind.TIME, required=True),
        Column("price", Kind.NUMBER, required=True),
        Column("volume", Kind.NUMBER, required=True),
        Column("trade_id", Kind.TEXT),
        Column("sequence", Kind.INTEGER),
        Column("exchange", Kind.TEXT),
        Column("conditions", Kind.TEXT),
        Column("received_at", Kind.TIME),
    ),
    id_columns=("exchange", "trade_id"),
    arrival_columns=("received_at",),
)

DATASETS = {dataset.name: dataset for dataset in (TRADES,)}
