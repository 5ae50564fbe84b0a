"""The JSON schema of rows, and an example of one, by their columns."""

from collections.abc import Iterable
from typing import Any

from msgspec import Meta

from stats.rendering.table import ColumnRole, OutColumn
from web.documents import Schema

_TYPES: dict[ColumnRole, Schema] = {
    ColumnRole.TIME: {"type": ["string", "integer", "null"]},
    ColumnRole.DATE: {"type": ["string", "null"], "format": "date"},
    ColumnRole.NUMBER: {"type": ["number", "null"]},
    ColumnRole.VOLUME: {"type": ["number", "null"]},
    ColumnRole.INTEGER: {"type": ["integer", "null"]},
    ColumnRole.TEXT: {"type": ["string", "null"]},
    ColumnRole.WORDS: {"type": ["array", "null"], "items": {"type": "string"}},
    ColumnRole.FLAG: {"type": ["boolean", "null"]},
}
_EXAMPLES_BY_ROLE: dict[ColumnRole, Any] = {
    ColumnRole.TIME: "2025-01-02T14:30:00Z",
    ColumnRole.DATE: "2025-01-02",
    ColumnRole.NUMBER: 190.02,
    ColumnRole.VOLUME: 350,
    ColumnRole.INTEGER: 12,
    ColumnRole.TEXT: None,
    ColumnRole.WORDS: ["regular"],
    ColumnRole.FLAG: True,
}
_EXAMPLES_BY_NAME: dict[str, Any] = {
    "exchange": "XNAS",
    "bid_exchange": "XNAS",
    "contract": "ESZ5",
    "roll_date": "2025-09-12",
    "adjustment": 0.0,
    "ask_exchange": "ARCX",
    "status": "final",
    "state": "normal",
    "trade_id": "812",
    "strike": 190.0,
    "right": "call",
    "bid": 5.1,
    "ask": 5.2,
    "price": 5.15,
    "delta": 0.53,
    "gamma": 0.021,
    "theta": -0.061,
    "vega": 0.31,
    "rho": 0.09,
    "iv": 0.243,
    "forward": 190.61,
    "forward_source": "parity",
    "rate": 0.04,
    "rate_source": "settings",
    "member": "AAPL",
    "action": "add",
    "dividend_yield": 0.0051,
    "dividends": 0.25,
    "t": 0.0411,
}


def row_schema(columns: Iterable[OutColumn]) -> Schema:
    """Return the schema of a row that has some of the columns."""
    properties = {column.name: _TYPES[column.role] for column in columns}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def example_row(columns: Iterable[OutColumn]) -> dict[str, Any]:
    """Return a row with all columns."""
    return {
        column.name: _EXAMPLES_BY_NAME.get(column.name, _EXAMPLES_BY_ROLE[column.role]) for column in columns
    }


def row_of(columns: Iterable[OutColumn]) -> Meta:
    """Return the schema and the example of a document's field that is a row, or null."""
    columns = tuple(columns)
    schema = {name: each for name, each in row_schema(columns).items() if name != "type"}
    return Meta(extra_json_schema=schema, examples=[example_row(columns)])
