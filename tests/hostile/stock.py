"""What the store of the hostile tests holds, and the names and times by which valid calls find it."""

import random
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import orjson

from store.datasets import CORRECTED, TRADES
from trades.batches.sample_rows import SAMPLE_ROWS
from trading.core.orders import Order, OrderState, OrderTerms
from trading.core.terms import TRADABLE, Side
from trading.documents.orders import EXAMPLE_ORDER

SYMBOL = "AAPL"
SYMBOLS = {
    "equities": SYMBOL,
    "futures": "ESH25",
    "options": "AAPL250117C00190000",
    "crypto": "BTC-USD",
    "fx": "EUR-USD",
    "universes": "SP500",
}
INSTRUMENTS: dict[str, dict[str, Any]] = {
    SYMBOL: {"class": "equity", "exchange": "XNAS", "currency": "USD"},
    # The document's example of a model has it.
    "MSFT": {"class": "equity", "exchange": "XNAS", "currency": "USD"},
    "ESH25": {
        "class": "future",
        "exchange": "XCME",
        "currency": "USD",
        "underlying": "ES",
        "expiry": "2025-03-21",
    },
    "BTC-USD": {"class": "crypto", "currency": "USD", "volume_kind": "fractional"},
    "EUR-USD": {"class": "fx"},
}
EXPIRY = "2025-01-17"
CORRECTABLE = 40
FIRST_MINUTE, MINUTES = 14 * 60 + 30, 60
# Values of parameters by which something is found.
VALUES: dict[str, list[str]] = {
    "start": ["2025-01-02T14:30:00Z", "2025-01-02T14:30:00.000000001Z", "1735828200", "2025-01-02T15:30:00+01:00"],
    "end": ["2025-01-02T15:30:00Z", "1735831800000", "2025-01-02T15:29:59.5Z"],
    "as_of": ["2100-01-01", "4102444800"],
    "symbol_as_of": ["2100-01-01", "4102444800"],
    "complete_until": ["2025-01-02T14:30:00Z"],
    "after": ["2000-01-01"],
    "at": ["2025-01-02T14:30:00Z"],
    "since": ["2025-01-02T14:30:00Z"],
    "seen": ["04be11" + 58 * "0"],
    "until": ["2100-01-01T00:00:00Z"],
    "account": ["main"],
    "model": ["core"],
    "from": ["2025-01-02T14:30:00Z", "1735828200"],
    "to": ["2100-01-01", "4102444800000"],
    "exchange": ["XNAS", "XNYS"],
    "currency": ["USD"],
    "underlying": ["ES"],
    "expiry_from": ["2025-01-01"],
    "expiry_to": ["2026-01-01"],
    "fields": ["timestamp"],
    "resolution": ["1m", "5m", "1h", "1d"],
    "session": ["utc"],
    "hours": ["all"],
    "anchor": ["clock"],
    "roll_before": ["8d"],
    "price_tolerance": ["0.5"],
    "cash_tolerance": ["1"],
}  # fmt: skip
# Other values at the paths that end so.
VALUES_BY_PATH = {
    ("path", "{path}"): "manifest.json",
    ("fields", "members"): "member",
    ("after", "commits"): "0",
    # Of `/udf`.
    **{
        (name, path): value
        for path in ("history", "marks", "timescale_marks")
        for name, value in {"resolution": "5", "from": "1735828200", "to": "1735831800"}.items()
    },
}
# Parameters that are taken only beside another one with this value.
DEPENDENT = {"roll_before": ("roll", "days")}
# Keys to read and to revoke, however often, and keys each of which is rotated once.
FIRST_KEY, KEYS, FIRST_ROTATED_KEY, ROTATED_KEYS = 1_000, 50, 2_000, 2_000
JOB = "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11"
EXPORT = "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f13"
BACKTEST = "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f12"
_ORDER = Order(
    id=EXAMPLE_ORDER,
    terms=OrderTerms(symbol=SYMBOL, side=Side.BUY, quantity=Decimal(1)),
    instrument=TRADABLE["equity"],
    state=OrderState.FILLED,
    states={OrderState.PENDING_NEW: 1_735_828_200_000_000_000},
    matches_after_ns=0,
)
# The webhook, its delivery and the alert of the document's examples. Others are deleted, which are not there.
WEBHOOK, DELIVERY, ALERT = (
    "0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11",
    "9a1e2b3c-4d5e-4f60-8a7b-1c2d3e4f5a6b",
    "3f6f0a4e-2b11-4d8e-9a5c-0d4f1f0e5a0b",
)
DELETED = {"webhook_delete", "alert_delete", "model_delete"}
ACCOUNT_ROW = {
    "id": 1,
    "name": "main",
    "number": 0,
    "created_ns": 0,
}
MODEL_ROW = {
    "id": 1,
    "account_id": 1,
    "name": "core",
    "weights": "{}",
    "changed_ns": 0,
}
ORDER_ROW = {
    "id": 1,
    "account_id": 1,
    "uuid": _ORDER.id.replace("-", ""),
    "client_order_id": "",
    "symbol": SYMBOL,
    "side": "buy",
    "strategy": "",
    "state": "filled",
    "is_open": False,
    "is_signal": False,
    "submitted_ns": 1_735_828_200_000_000_000,
    "document": msgspec.json.encode(_ORDER).decode(),
}
# Of bodies that the document shows no example of.
EXAMPLES: dict[str, Any] = {
    "oauth_token": {"grant_type": "client_credentials"},
    "oauth_revoke": {"token": "9f86d081884c7d659a2feaa0c55ad015"},
}
# What is answered where not with 200. Nobody is known to log in, and no token is good twice.
STATUSES = {
    "key_create": 201, "key_rotate": 201, "backfill_submit": 202, "fetch_submit": 202,
    # The job has ended.
    "job_confirm": 409,
    # The account is open and stopped, its order has ended, and it holds nothing. Orders are sent without a key, and
    # the limits without what was read before.
    "account_create": 409, "account_heartbeat": 204, "account_transfer": 202, "orders_cancel": 202,
    "order_batch_submit": 202, "order_batch_cancel": 202, "feed_stop": 404,
    "order_submit": 400, "account_order_submit": 400, "order_replace": 422, "order_cancel": 409,
    "position_close": 404, "trade_execute": 404, "risk_configure": 428,
    # No model is assigned.
    "account_rebalance": 409, "backtest_submit": 202,

    "webhook_create": 201, "alert_create": 201, **dict.fromkeys(DELETED, 404),
    # The files of the export are gone, and no link is known.
    **dict.fromkeys(("export_submit", "account_export_submit", "audit_export_submit"), 202), "export_delete": 204, "export_link": 410, "export_file": 410, "dataset": 404, "download": 403, "upload_begin": 202, "upload": 404,
    "auth_token": 401, "auth_refresh": 401, "auth_logout": 401, "oauth_token": 401, "oauth_revoke": 401,
}  # fmt: skip
_rotated = count()


def key_id_for(operation: str, rng: random.Random) -> str:
    """The id of a key that is there for such calls."""
    if operation == "key_rotate":
        return str(FIRST_ROTATED_KEY + next(_rotated) % ROTATED_KEYS)
    return str(FIRST_KEY + rng.randrange(KEYS))


def job_for(operation: str) -> str:
    """The id of a job of the kind that an operation speaks of."""
    if operation.startswith("export"):
        return EXPORT
    return BACKTEST if operation == "backtest" else JOB


def symbol_for(path: str) -> str:
    """The symbol of the class that a path names, else the equity."""
    return next((symbol for name, symbol in SYMBOLS.items() if f"/{name}/" in path), SYMBOL)


def minute(number: int) -> str:
    hour, minute = divmod(FIRST_MINUTE + number, 60)
    return f"2025-01-02T{hour:02}:{minute:02}"


def requests() -> list[tuple[str, str, bytes]]:
    """Method, path and body of what fills the store: instruments, an hour of trades and quotes of each, once a minute."""
    found = [
        ("PUT", f"/api/v1/instruments/{symbol}", orjson.dumps({"symbol": symbol, **told}))
        for symbol, told in INSTRUMENTS.items()
    ]
    for symbol in (each for name, each in SYMBOLS.items() if name != "universes"):
        trades = [
            {
                "timestamp": f"{minute(n)}:00.5Z", "symbol": symbol, "price": 100 + n % 7, "volume": 1 + n,
                "trade_id": f"t-{n}", "exchange": "XNAS", "conditions": ["regular"],
            }
            for n in range(MINUTES)
        ]  # fmt: skip
        quotes = [
            {
                "timestamp": f"{minute(n)}:01Z", "symbol": symbol, "bid": 99.5 + n % 7, "bid_size": 3,
                "ask": 100.5 + n % 7, "ask_size": 4, "exchange": "XNAS",
            }
            for n in range(MINUTES)
        ]  # fmt: skip
        found.append(("POST", "/api/v1/trades/ingest", orjson.dumps({"trades": trades})))
        name = "option-quotes" if symbol == SYMBOLS["options"] else "quotes"
        found.append(("POST", f"/api/v1/{name}/ingest", orjson.dumps({name.replace("-", "_"): quotes})))
    changes = [
        {"timestamp": f"{minute(n)}:00Z", "symbol": SYMBOLS["universes"], "member": f"M{n}", "action": "add"}
        for n in range(MINUTES)
    ]
    found.append(("POST", "/api/v1/universe-changes/ingest", orjson.dumps({"universe_changes": changes})))
    # The documentation's examples of corrections name one of them.
    for dataset in CORRECTED:
        if dataset is not TRADES:
            path = f"/api/v1/{dataset.name.replace('_', '-')}/ingest"
            found.append(("POST", path, orjson.dumps({dataset.name: SAMPLE_ROWS[dataset.name]})))
    return found


def bulk() -> list[tuple[str, str, bytes | None]]:
    """Requests whose answers are more than the response cache of a process holds, each over a megabyte."""
    rows = b"".join(
        b"2025-01-02T14:%02d:%02d.%03dZ,BULK,1.5,%d\n" % (n // 600 % 60, n // 10 % 60, n % 10, n)
        for n in range(20_000)
    )
    body = b"timestamp,symbol,price,volume\n" + rows
    reads = [
        (
            "GET",
            f"/api/v1/market-data/equities/BULK/trades?start=2025-01-02T14:00:00.{n:03}Z&end=2025-01-02T15:00:00Z&limit=10000",
            None,
        )
        for n in range(64)
    ]
    return [("POST", "/api/v1/trades/ingest", body), *reads]


def document_for(operation: str, example: Any, rng: random.Random) -> Any:
    """A document that is accepted however often it is sent."""
    if operation == "backtest_submit":
        return {**example, "symbols": [SYMBOL]}
    if operation != "trades_correct":
        return example
    number = rng.randrange(CORRECTABLE)
    correction = {"action": "correct", "timestamp": f"{minute(number)}:00.5Z", "trade_id": f"t-{number}"}
    return {"symbol": SYMBOL, "corrections": [correction | {"new_price": rng.randint(1, 10**6) / 100}]}
