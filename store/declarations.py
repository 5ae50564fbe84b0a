"""The types that declare a dataset: its columns, their bounds, and the identity of its rows.

Decoders, serializers and the OpenAPI schema are made from the declarations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from store import lazy_pyarrow as pa
from store.cached_property import cached_property
from store.row_rules import LowerBound, RowRule

WORD_SEPARATOR = ";"


class ColumnKind(Enum):
    """The type of a column: nanoseconds UTC, float, integer, text or boolean."""

    TIME = "time"
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


class ColumnForm(Enum):
    """The form of a value within its kind.

    DATE: a time that is midnight UTC. ID: a word, or an integer, which is stored as text. WORDS: a list of
    words, stored as one text joined by `WORD_SEPARATOR`. SYMBOL: an instrument's symbol. MEMBER: the same, and an integer is
    its digits. CURRENCY: three of A-Z. PLAIN: no special form; a text is one word.
    """

    PLAIN = "plain"
    DATE = "date"
    ID = "id"
    WORDS = "words"
    SYMBOL = "symbol"
    MEMBER = "member"
    CURRENCY = "currency"
    RESOLUTION = "resolution"

    @property
    def takes_integers(self) -> bool:
        """Whether a value may be an integer, which is stored as text."""
        return self in (ColumnForm.ID, ColumnForm.MEMBER)


class Partition(StrEnum):
    """Whether a file holds the rows of one event date or of one year. Only the files' names depend on it."""

    DAY = "day"
    YEAR = "year"


# The names of Arrow's types; pyarrow's functions take a name instead of a type.
ARROW_TYPES = {
    ColumnKind.TIME: "int64",
    ColumnKind.NUMBER: "double",
    ColumnKind.INTEGER: "int64",
    ColumnKind.TEXT: "string",
    ColumnKind.BOOLEAN: "bool",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. It may hold nulls unless it is required.

    lower_bound: the lower bound of a number; `INTEGER` columns are never negative. choices: the allowed texts.
    later: the column was added after the dataset's first version. It is optional. Rows are compared by it, but digests of
    batches depend on it only if it is one of the `id_columns`.
    """

    name: str
    kind: ColumnKind
    required: bool = False
    help: str = ""
    form: ColumnForm = ColumnForm.PLAIN
    lower_bound: LowerBound | None = None
    choices: tuple[str, ...] = ()
    later: bool = False

    def __post_init__(self) -> None:
        if self.later and self.required:
            raise ValueError(f"{self.name}: stored rows lack a later column, so it cannot be required")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A kind of rows: its columns (event time first, `later` columns last) and what identifies a row.

    id_columns: the columns that identify a row; the last one is the id itself. If there are none, or if a row's
    id is null, the row is identified by all its columns. arrival_columns: describe how a row reached us; two
    reports of one id may differ in them. row_name: the singular name of a row. conflict: the error if an id is
    stored with other values: code, message, and the column at fault or "". query_column: a column whose value
    may be given once in the query, for all rows. instrument_class: the only class of instruments that may have
    such rows; None means any. named_by: the columns by which a correction names a row, beside its event time.
    corrected: the columns that clients may correct; none if rows are not corrected. has_sides: whether rows are quotes,
    of which a side with price 0 and size 0 is stored with a null price.
    """

    name: str
    columns: tuple[Column, ...]
    id_columns: tuple[str, ...] = ()
    arrival_columns: tuple[str, ...] = ()
    partition: Partition = Partition.DAY
    row_name: str = "row"
    rules: tuple[RowRule, ...] = ()
    conflict: tuple[str, str, str] = ("row_conflict", "a row with this id is stored with other values", "")
    query_column: str | None = None
    instrument_class: str | None = None
    named_by: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    has_sides: bool = False

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow's schema of the rows, in the columns' order."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.kind], nullable=not c.required) for c in self.columns]
        )

    @cached_property
    def first_form(self) -> Dataset:
        """The dataset without later columns. Every file has these columns."""
        if not self.later_names:
            return self
        return replace(self, columns=tuple(column for column in self.columns if not column.later))

    @cached_property
    def own_columns(self) -> tuple[Column, ...]:
        """The columns on which digests of batches depend: all but the later ones that are no id."""
        return tuple(column for column in self.columns if not column.later or column.name in self.id_columns)

    @property
    def has_complete_ids(self) -> bool:
        """Whether every row has an id, so that a row says all that is known of it. Other rows are repeated by feeds."""
        return bool(self.id_columns) and self.column(self.id_columns[-1]).required

    @property
    def takes_replacements(self) -> bool:
        """Whether a batch may replace stored rows: each has an identity, and can be corrected."""
        return self.has_complete_ids and bool(self.corrected)

    @property
    def series_columns(self) -> tuple[str, ...]:
        """The columns that tell apart series in one log, such as the resolution of bars; none if ids are optional."""
        return self.id_columns[:-1] if self.has_complete_ids else ()

    @cached_property
    def later_names(self) -> tuple[str, ...]:
        """The names of the later columns, in order."""
        return tuple(column.name for column in self.columns if column.later)

    def column(self, name: str) -> Column:
        """Return the column with this name, which must exist."""
        return next(column for column in self.columns if column.name == name)
