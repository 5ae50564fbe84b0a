"""An answer before it has a format: what stands before its rows, the rows, and what stands behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stats.rendering.table import Table


class TimeForm(StrEnum):
    """How instants are written: RFC 3339 text in UTC, or milliseconds or nanoseconds since the epoch."""

    RFC3339 = "rfc3339"
    MS = "ms"
    NS = "ns"


@dataclass(frozen=True, slots=True)
class Document:
    """`head`, then the rows under `rows_name`, then `tail`; both are written as they are, in their order.

    next_cursor, prev_cursor: where the neighbouring pages begin, for formats that have no place for a tail.
    bars_times: whether the columnar forms write times in milliseconds (bars), else in nanoseconds (ticks).
    """

    head: Mapping[str, Any]
    rows_name: str
    table: Table
    tail: Mapping[str, Any]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    bars_times: bool = True

    @property
    def columnar_times(self) -> TimeForm:
        """How times are written where rows are columns, unless the client chose."""
        return TimeForm.MS if self.bars_times else TimeForm.NS
