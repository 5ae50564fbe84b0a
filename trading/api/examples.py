"""Answers of trading as the OpenAPI document shows them."""

from trading.core.configuration import RiskConfig
from trading.documents import Document, config_document

_ORDER_ID = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
_EXECUTION_ID = "6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22"

BALANCES = [
    {"account": "capital", "currency": "USD", "symbol": None, "amount": -100000.0},
    {"account": "cash", "currency": "USD", "symbol": None, "amount": 81001.0},
    {"account": "fees", "currency": "USD", "symbol": None, "amount": 1.0},
    {"account": "positions", "currency": "USD", "symbol": "AAPL", "amount": 18998.0},
]
STRATEGY: Document = {"name": "crossover", "parameters": {"fast": 10, "slow": 30}, "symbols": ["AAPL"]}
ACCOUNT: Document = {
    "id": "main",
    "name": "Momentum",
    "kind": "margin",
    "currency": "USD",
    "created_at": "2025-01-02T14:00:00Z",
    "dd_zone": "NORMAL",
    "cash": 81001.0,
    "equity": 100099.0,
    "marked_at": "2025-01-02T15:00:00Z",
    "high_water": 101613.2,
    "open_positions": 1,
    "open_orders": 2,
    "balances": BALANCES,
    "requires_signature": False,
    "heartbeat_seconds": None,
    "heartbeat_at": None,
    "model": None,
    "strategy": None,
    "risk_version": 1,
    "event": 12,
}
STATUS: Document = {
    "account": "main",
    "engine": "running",
    "status": "running",
    "connected": True,
    "open_positions": 1,
    "dd_zone": "NORMAL",
    "uptime_seconds": 3600,
    "halt": None,
    "queued": [],
}
POSITION: Document = {
    "symbol": "AAPL",
    "strategy": "momentum",
    "direction": "LONG",
    "quantity": 100.0,
    "average_price": 189.98,
    "mark": 190.98,
    "marked_at": "2025-01-02T15:00:00Z",
    "is_stale": False,
    "value": 19098.0,
    "currency": "USD",
    "pnl": 99.0,
    "pnl_base": 99.0,
    "pnl_r": 0.5,
    "opened_at": "2025-01-02T14:30:01Z",
}
PORTFOLIO: Document = {
    "account": "main",
    "positions": [POSITION],
    "total_pnl": 0.5,
    "total_pnl_money": 99.0,
    "without_r": 0,
    "high_water": 101613.03,
    "drawdown_pct": 1.49,
    "dd_zone": "NORMAL",
    "risk_level": 0.3,
    "equity": 100099.0,
    "cash": 81001.0,
    "currency": "USD",
    "exposure": {
        "gross": 19098.0,
        "gross_pct": 19.079112,
        "by_symbol": [{"symbol": "AAPL", "exposure": 19098.0, "exposure_pct": 19.079112}],
    },
}
RISK: Document = {
    "account": "main",
    "dd_zone": "NORMAL",
    "drawdown_pct": 1.49,
    "risk_level": 0.3,
    "limits": {
        "daily_loss": {"limit": 3.0, "used": 0.4, "unit": "percent of the day's first equity"},
        "total_loss": {"limit": 10.0, "used": 0.0, "unit": "percent of the first equity"},
        "symbol_exposure": {"limit": 25.0, "used": 19.079112, "unit": "percent of the equity"},
        "gross_exposure": {"limit": 100.0, "used": 19.079112, "unit": "percent of the equity"},
        "orders_per_minute": {"limit": 60.0, "used": 1.0, "unit": "orders"},
    },
    "override": None,
    "halt": None,
    "version": 1,
}
CONFIG: Document = {"account": "main", "version": 1, "config": config_document(RiskConfig())}
TRADING_FIGURES: Document = {
    "trades": 125,
    "win_rate": 0.592,
    "total_r": 14.2,
    "average_r": 0.116393442622951,
    "without_r": 3,
    "pnl": 4260.0,
    "profit_factor": 1.7,
    "executions": 250,
    "traded": 2375000.0,
    "fees": 250.0,
    "turnover": 23.9,
}
PERFORMANCE: Document = {
    "account": "main",
    "period_days": 30,
    "currency": "USD",
    "fill_rules": ["through"],
    "begin": "2025-01-02T14:00:00Z",
    "end": "2025-02-01T14:00:00Z",
    **TRADING_FIGURES,
    "annual_turnover": 308.4,
    "return_pct": 4.26,
    "annual_return_pct": None,
    "volatility_pct": 9.4,
    "sharpe": 1.8,
    "sortino": 2.7,
    "max_dd": 2.31,
    "drawdown": {
        "begin": "2025-01-14T15:02:11Z",
        "trough": "2025-01-15T19:40:02Z",
        "end": "2025-01-17T14:31:00Z",
        "longest_seconds": 257329.0,
    },
    "exposure": {"mean_pct": 19.2, "largest_pct": 48.1, "time_in_market": 0.31},
    "drawdown_curve": [
        {"at": "2025-01-02T15:00:00Z", "equity": 100099.0, "high_water": 101613.03, "drawdown_pct": 1.49}
    ],
}
PERFORMANCE_BY_STRATEGY: Document = {
    **PERFORMANCE,
    "by": "strategy",
    "rows": [{"strategy": "momentum", **TRADING_FIGURES}],
}
TRADE: Document = {
    "id": _EXECUTION_ID,
    "symbol": "AAPL",
    "strategy": "momentum",
    "direction": "LONG",
    "quantity": 100.0,
    "entry_price": 189.98,
    "exit_price": 191.98,
    "opened_at": "2025-01-02T14:30:01Z",
    "closed_at": "2025-01-02T15:30:01Z",
    "currency": "USD",
    "fees": 2.0,
    "income": 0.0,
    "pnl": 198.0,
    "pnl_base": 198.0,
    "risk": 198.0,
    "pnl_r": 1.0,
}
SIGNAL: Document = {
    "id": _ORDER_ID,
    "strategy": "momentum",
    "symbol": "AAPL",
    "direction": "LONG",
    "entry": 190.0,
    "stop": 188.0,
    "target": 194.0,
    "at": "2025-01-02T14:30:00Z",
    "order_id": _ORDER_ID,
    "quantity": 10.0,
    "status": "filled",
    "average_price": 189.98,
    "reason": None,
}
EXECUTION: Document = {
    "id": _EXECUTION_ID,
    "account": "main",
    "order_id": _ORDER_ID,
    "symbol": "AAPL",
    "side": "buy",
    "quantity": 100.0,
    "price": 189.98,
    "fee": 1.0,
    "slippage": 0.0,
    "currency": "USD",
    "rate": 1.0,
    "at": "2025-01-02T14:30:01Z",
    "state": "open",
    "is_ambiguous": False,
    "print": {
        "dataset": "trades",
        "symbol": "AAPL",
        "commit": "17-9f3a2c",
        "ordinal": 4,
        "timestamp": "2025-01-02T14:30:01Z",
        "price": 189.98,
        "volume": 2500.0,
        "known_at": "2025-01-02T14:30:01.2Z",
    },
    "event": 9,
}
TRANSACTION: Document = {
    "event": 9,
    "at": "2025-01-02T14:30:01Z",
    "kind": "executed",
    "symbol": "AAPL",
    "currency": "USD",
    "amount": -18999.0,
    "balance": 81001.0,
    "entries": [
        {"account": "positions", "currency": "USD", "amount": 18998.0, "symbol": "AAPL"},
        {"account": "fees", "currency": "USD", "amount": 1.0, "symbol": ""},
        {"account": "cash", "currency": "USD", "amount": -18999.0, "symbol": ""},
    ],
}
PREVIEW: Document = {
    "preview_id": "d1f0a2c4-5b6e-4f70-8a91-b2c3d4e5f607",
    "account": "main",
    "expires_at": "2025-01-02T14:30:30Z",
    "order": {
        "client_order_id": None,
        "symbol": "AAPL",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "quantity": 10.0,
        "limit_price": 189.5,
        "stop_price": None,
        "reduce_only": False,
        "take_profit": None,
        "stop_loss": None,
        "strategy": None,
    },
    "reference": {
        "symbol": "AAPL",
        "price": 190.0,
        "rate": 1.0,
        "bid": 189.98,
        "ask": 190.0,
        "last": 189.99,
        "at": "2025-01-02T14:29:59.5Z",
        "rows": [
            {
                "dataset": "quotes",
                "symbol": "AAPL",
                "commit": "17-9f3a2c",
                "ordinal": 4,
                "timestamp": "2025-01-02T14:29:59.5Z",
            }
        ],
    },
    "tick": 0.01,
    "currency": "USD",
    "cost": 1895.0,
    "fee": 1.0,
    "margin": 947.5,
    "exposure_after": 1895.0,
    "gross_after": 1895.0,
    "equity": 100000.0,
    "checks": [
        {
            "name": "symbol_exposure",
            "passed": True,
            "value": 1.895,
            "limit": 25.0,
            "unit": "percent of equity",
            "message": "symbol exposure must be within its limit",
        }
    ],
    "would_be_accepted": True,
    "event": 4,
}
CANCELLED: Document = {"account": "main", "cancelled": [_ORDER_ID]}
STOPPED: Document = {**STATUS, "status": "stopping", "accounts": [{**STATUS, "status": "stopping"}]}

EXPLANATION = {
    "account": "main",
    "number": 8,
    "execution": {
        "event": "executed",
        "execution_id": _EXECUTION_ID,
        "order_id": _ORDER_ID,
        "quantity": "0.5",
        "price": "60022.01",
        "fee": "30.011005",
        "slippage": "12.01",
        "rate": "1",
        "print": {
            "type": "print",
            "ref": {
                "dataset": "trades",
                "symbol": "BTC-USD",
                "commit": "2-bd440e",
                "ordinal": 0,
                "timestamp_ns": 1749132001000000000,
            },
            "price": "60010.0",
            "volume": "10.0",
            "known_ns": 1749132001000000000,
        },
        "capacity": "1.000000000",
    },
    "order": {"order": {"symbol": "BTC-USD", "side": "buy", "quantity": "0.5"}, "collar": "63000.00"},
    "risk": {"version": 1, "config": {"participation": "10", "latency_ms": 50, "fill": "through"}},
}
