"""What is declared of a dataset: its columns, what they may hold, and by what its rows are known.

Decoders, the serializers that explain a refusal, and the OpenAPI schema are made from it.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import cached_property

import pyarrow as pa

from store.row_rules import LowerBound, RowRule

WORD_SEPARATOR = ";"


class ColumnKind(Enum):
    """What a column holds: an instant in nanoseconds, a float, an integer, a text, true or false."""

    TIME = "time"
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


class ColumnForm(Enum):
    """What a value of a kind looks like, beyond the kind itself.

    DATE: a time that is midnight UTC. ID: a word, or a whole number, which is kept as its text. WORDS: a list
    of words, kept as one text with `WORD_SEPARATOR` between them. SYMBOL: the name of an instrument. A text
    without a form is one word.
    """

    PLAIN = "plain"
    DATE = "date"
    ID = "id"
    WORDS = "words"
    SYMBOL = "symbol"


class Partition(StrEnum):
    """Which rows share a file of a store: those of an event date, or of a year. It only names the file."""

    DAY = "day"
    YEAR = "year"


ARROW_TYPES = {
    ColumnKind.TIME: pa.int64(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.TEXT: pa.string(),
    ColumnKind.BOOLEAN: pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A column that is not required may hold nulls.

    lower_bound: the lower bound of a number; `INTEGER` columns are never negative. choices: the words that a text
    may be; aliases: other spellings, which become the second of their pair. later: the column was added after
    the dataset's first form; it is optional, and neither identity nor digest depends on it.
    """

    name: str
    kind: ColumnKind
    required: bool = False
    help: str = ""
    form: ColumnForm = ColumnForm.PLAIN
    lower_bound: LowerBound | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    later: bool = False

    def __post_init__(self) -> None:
        if self.later and self.required:
            raise ValueError(f"{self.name}: stored rows lack a later column, so it cannot be required")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A kind of rows: its columns, the event time first and later ones last, and what makes a row known by an id.

    `id_columns` is empty or ends in the id itself; a row whose id is null is recognised by all its columns.
    `arrival_columns` tell how a row reached us, not what happened: two reports of one id may differ in them.
    `row_name`: what one row is called. `conflict`: code and message of an id that other values have taken,
    and the column that is to blame, or "". `query_column`: a column that may also stand in the query, for all
    rows. `instrument_class`: the only class of instruments that has such rows, if not all have.
    """

    name: str
    columns: tuple[Column, ...]
    id_columns: tuple[str, ...] = ()
    arrival_columns: tuple[str, ...] = ()
    partition: Partition = Partition.DAY
    row_name: str = "row"
    rules: tuple[RowRule, ...] = ()
    conflict: tuple[str, str, str] = ("row_conflict", "a row says otherwise of what is stored already", "")
    query_column: str | None = None
    instrument_class: str | None = None

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow's schema of the rows in the program, in the columns' order."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.kind], nullable=not c.required) for c in self.columns]
        )

    @cached_property
    def first_form(self) -> "Dataset":
        """The dataset without later columns: what identity and digest are made of, and every file has."""
        if not self.later_names:
            return self
        return replace(self, columns=tuple(column for column in self.columns if not column.later))

    @cached_property
    def later_names(self) -> tuple[str, ...]:
        """The names of the later columns, in order."""
        return tuple(column.name for column in self.columns if column.later)

    def column(self, name: str) -> Column:
        """The column of a name that exists."""
        return next(column for column in self.columns if column.name == name)
