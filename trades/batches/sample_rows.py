"""A few rows of each dataset, for the schema's examples and the browsable forms."""

from typing import Any

SEED_TRADES: list[dict[str, Any]] = [
    {"timestamp": "2025-01-02T14:30:00.000Z", "symbol": "AAPL", "price": 189.98, "volume": 100},
    {"timestamp": "2025-01-02T14:30:12.500Z", "symbol": "AAPL", "price": 190.02, "volume": 250},
    {"timestamp": "2025-01-02T14:31:05.250Z", "symbol": "AAPL", "price": 190.1, "volume": 75},
]

SAMPLE_ROWS: dict[str, list[dict[str, Any]]] = {
    "trades": SEED_TRADES,
    "quotes": [
        {
            "timestamp": "2025-01-02T14:30:00.000Z",
            "symbol": "AAPL",
            "bid": 189.97,
            "bid_size": 300,
            "ask": 189.99,
            "ask_size": 200,
            "exchange": "XNAS",
        },
        {"timestamp": "2025-01-02T14:30:00.250Z", "symbol": "AAPL", "bid": 189.98, "bid_size": 100},
    ],
    "bars": [
        {
            "timestamp": "2025-01-02T14:30:00Z",
            "symbol": "AAPL",
            "resolution": "1m",
            "open": 189.98,
            "high": 190.02,
            "low": 189.98,
            "close": 190.02,
            "volume": 350,
        },
    ],
    "open_interest": [
        {
            "timestamp": "2025-01-03T11:00:00Z",
            "symbol": "ESH25",
            "date": "2025-01-02",
            "open_interest": 2_691_941,
            "status": "preliminary",
        },
    ],
    "option_quotes": [
        {
            "timestamp": "2025-01-02T14:30:00Z",
            "symbol": "AAPL250117C00190000",
            "bid": 4.1,
            "bid_size": 12,
            "ask": 4.2,
            "ask_size": 30,
        },
    ],
    "corporate_actions": [
        {"timestamp": "2020-08-31", "symbol": "AAPL", "kind": "split", "ratio": 4},
        {
            "timestamp": "2024-11-08",
            "symbol": "AAPL",
            "kind": "dividend",
            "amount": 0.25,
            "currency": "USD",
        },
    ],
    "universe_changes": [
        {"timestamp": "2024-12-23T00:00:00Z", "symbol": "SP500", "member": "APO", "action": "add"},
        {"timestamp": "2024-12-23T00:00:00Z", "symbol": "SP500", "member": "QRVO", "action": "remove"},
    ],
    "trading_status": [
        {
            "timestamp": "2025-01-02T15:02:11Z",
            "symbol": "AAPL",
            "status": "halted",
            "reason": "LUDP",
        },
        {"timestamp": "2025-01-02T15:07:11Z", "symbol": "AAPL", "status": "resumed"},
    ],
}
