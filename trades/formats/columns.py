"""Batches that come by columns."""

from typing import Protocol

import pyarrow as pa

from http_requests.exceptions import ERRORS_LIMIT, FieldError, MalformedDocument
from http_requests.nearest_name import LONGEST_SHOWN, nearest_name
from store.declarations import ARROW_TYPES, Column
from trades.batches.refusals import refused, rows_refusal
from trades.batches.row_batch import Expected, RowBatch, assembled, check_size
from trades.batches.validation import Typed, findings, validated


class Source(Protocol):
    """Columns as a format has them."""

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        ...

    def __len__(self) -> int: ...

    def typed(self, column: Column) -> Typed:
        """A column that is there. Raises `BatchRefused` if it cannot hold such values at all."""
        ...


def read_columns(source: Source, expected: Expected) -> RowBatch:
    """The batch in columns. Raises `BatchRefused`."""
    check_names(source.names, expected)
    check_size(len(source), expected.dataset.name)
    typed = {column.name: _typed(source, expected, column) for column in expected.columns}
    symbols = typed["symbol"].values.unique().to_pylist()
    columns, broken = validated(expected.dataset, typed, any_price=lambda: expected.any_price(symbols))
    if broken:
        raise rows_refusal(expected.dataset, findings(broken))
    return assembled(expected, columns, symbols)


def check_not_repeated(names: list[str]) -> None:
    """Refuse a column that is named twice. Raises `MalformedDocument`."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedDocument("duplicate_key", f"the column {twice[:64]!r} is named twice")


def check_names(names: list[str], expected: Expected) -> None:
    """Refuse columns of which one is missing, or not known."""
    missing = [name for name in expected.required if name not in names]
    unknown = [] if expected.ignore_unknown else [name for name in names if name not in expected.names]
    errors = [FieldError(name, "required", "the column is missing") for name in missing]
    for name in unknown[:ERRORS_LIMIT]:
        message = f"is not a column of these rows{nearest_name(name, expected.names)}"
        errors.append(FieldError(name[:LONGEST_SHOWN], "unknown_field", message))
    if errors:
        raise refused(errors[:ERRORS_LIMIT])


def _typed(source: Source, expected: Expected, column: Column) -> Typed:
    """A column of the source, of the query, or of nulls."""
    if column.name in source.names:
        return source.typed(column)
    given = expected.given.get(column.name)
    if given is not None:
        return Typed(pa.repeat(given, len(source)))
    return Typed(pa.nulls(len(source), ARROW_TYPES[column.kind]))
