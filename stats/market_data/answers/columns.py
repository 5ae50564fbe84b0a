"""The columns of an answer that a query asks for."""

from collections.abc import Sequence

from http_requests.exceptions import InvalidParameter
from refusals.nearest_name import nearest_or_all
from stats.rendering.table import OutColumn, Table


def selected_columns(columns: Sequence[OutColumn], names: Sequence[str] | None) -> tuple[OutColumn, ...]:
    """The named columns in the order of the names, all without any. Raises `InvalidParameter`."""
    by_name = {column.name: column for column in columns}
    for name in names or ():
        if name not in by_name:
            hint = nearest_or_all(name, by_name)
            raise InvalidParameter("unknown_column", f"fields: {name[:64]} is no column here{hint}")
    return tuple(columns) if names is None else tuple(by_name[name] for name in names)


def selected(table: Table, names: Sequence[str] | None) -> Table:
    """The named columns of a table, which has them."""
    return table if names is None else table.select(names)
