"""A market of the past: random trades, quotes and stored bars of several symbols, some late, some cancelled or corrected."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pyarrow as pa

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import MINUTE_NS, SECOND_NS, parse_timestamp
from trading.core.account_store import RecordedEvent
from trading.core.configuration import RiskConfig
from trading.core.events import Executed
from trading.core.orders import Order
from trading.strategies import catalogue
from trading.strategies.backtest import BacktestInputs
from trading.strategies.outcome import BacktestOutcome, outcome_of
from trading.strategies.strategy import Strategy

START_NS = parse_timestamp("2025-01-06T00:00:00Z")
GENEROUS = RiskConfig(
    max_symbol_exposure=Decimal(1_000),
    max_gross_exposure=Decimal(1_000),
    risk_level=Decimal(5),
    max_risk_level=Decimal(5),
    daily_loss=Decimal(50),
    total_loss=Decimal(90),
)


def batch_of(dataset: Dataset, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    full = [dict.fromkeys(dataset.schema.names) | row for row in rows]
    return pa.RecordBatch.from_pylist(full, schema=dataset.schema)


def random_market(path: Path, chance: random.Random, *, minutes: int = 600) -> Reader:
    """A store with trades of A and B, quotes of B, and stored bars of C."""
    path.mkdir()
    store = CsvStore(path)
    for symbol, settle in (("A-USD", 2.0), ("B-USD", 2.0), ("C-USD", 0.0)):
        store.set_instrument(
            Instrument(symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=settle)
        )
    for symbol in ("A-USD", "B-USD"):
        price, rows, quotes = 100.0, list[dict[str, Any]](), list[dict[str, Any]]()
        at_ns, end_ns = START_NS, START_NS + minutes * MINUTE_NS
        while at_ns < end_ns:
            at_ns += chance.randrange(SECOND_NS, 20 * SECOND_NS)
            price = round(price * (1 + chance.gauss(0, 0.002)), 2)
            volume = round(chance.uniform(1, 500), 3)
            late_ns = chance.choice([0, 0, 0, SECOND_NS, 30 * SECOND_NS])
            rows.append(
                {"timestamp": at_ns, "price": price, "volume": volume, "received_at": at_ns + late_ns}
            )
            quotes.append({"timestamp": at_ns + 1, "bid": price - 0.01, "ask": price + 0.01})
        store.append(Append(TRADES, symbol, batch_of(TRADES, rows), "test"))
        if symbol == "B-USD":
            store.append(Append(QUOTES, symbol, batch_of(QUOTES, quotes), "test"))
    store.append(Append(BARS, "C-USD", batch_of(BARS, stored_bars(chance, minutes)), "test"))
    return open_store(path)


def stored_bars(chance: random.Random, minutes: int) -> list[dict[str, Any]]:
    rows, close = [], 50.0
    for minute in range(minutes):
        open_, close = round(close + chance.gauss(0, 0.02), 2), round(close * (1 + chance.gauss(0, 0.003)), 2)
        rows.append(
            {
                "timestamp": START_NS + minute * MINUTE_NS,
                "resolution": "1m",
                "open": open_,
                "high": round(max(open_, close) + chance.random() / 20, 2),
                "low": round(min(open_, close) - chance.random() / 20, 2),
                "close": close,
                "volume": 10_000.0,
            }
        )
    return rows


def inputs_of(strategy: str, *symbols: str, minutes: int = 600, **more: Any) -> BacktestInputs:
    return BacktestInputs(
        strategy=strategy,
        symbols=symbols,
        start_ns=START_NS,
        end_ns=START_NS + minutes * MINUTE_NS,
        config=GENEROUS,
        **more,
    )


class Backtested(NamedTuple):
    """What a backtest recorded, and its outcome."""

    recorded: list[RecordedEvent]
    outcome: BacktestOutcome

    @property
    def fills(self) -> list[tuple[Order, Executed]]:
        """The executions, each with its order after it."""
        return [
            (order, each.event)
            for each in self.recorded
            if isinstance(each.event, Executed)
            for order in each.effects.orders
            if order.id == each.event.order_id
        ]


def backtested(
    strategy: type[Strategy], path: Path, *symbols: str, start_ns: int, end_ns: int, **more: Any
) -> Backtested:
    """Run a strategy without costs on the store in a folder."""
    free = {"fee_basis_points": Decimal(0), "slippage_basis_points": Decimal(0)}
    inputs = BacktestInputs(
        strategy=strategy.name, symbols=symbols, start_ns=start_ns, end_ns=end_ns, **free | more
    )
    recorded = list[RecordedEvent]()
    with mock.patch.dict(catalogue.SHIPPED, {strategy.name: strategy}):
        return Backtested(recorded, outcome_of(inputs, open_store(path), keep=recorded.append))
