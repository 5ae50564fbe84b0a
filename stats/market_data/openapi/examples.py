"""Values that the schema's examples are made of."""

from collections.abc import Iterable
from typing import Any

from stats.rendering.table import OutColumn, Role

EXAMPLE_SYMBOLS = {
    "equities": "AAPL",
    "futures": "ESZ5",
    "options": "AAPL250117C00150000",
    "crypto": "BTC-USD",
}
EXAMPLE_COVERAGE = {
    "dataset": "quotes",
    "first": "2025-01-02T14:30:00Z",
    "last": "2025-01-02T20:59:59.5Z",
    "rows": 48_211,
    "commits": 17,
    "head": "17-9f3a2c",
}
_BY_ROLE: dict[Role, Any] = {
    Role.TIME: "2025-01-02T14:30:00Z",
    Role.DATE: "2025-01-02",
    Role.NUMBER: 190.02,
    Role.VOLUME: 350,
    Role.INTEGER: 12,
    Role.TEXT: None,
    Role.WORDS: ["regular"],
    Role.FLAG: True,
}
_BY_NAME: dict[str, Any] = {
    "exchange": "XNAS",
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
    "dividend_yield": 0.0051,
    "t": 0.0411,
}


def example_row(columns: Iterable[OutColumn]) -> dict[str, Any]:
    """A row of the columns."""
    return {column.name: _BY_NAME.get(column.name, _BY_ROLE[column.role]) for column in columns}
