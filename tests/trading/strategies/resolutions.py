"""The same prices as prints and as bars, and a backtest of a plan of orders over them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.instruments import Instrument
from store.protocol import Append
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import backtested, batch_of
from trading.core.account_store import RecordedEvent
from trading.core.configuration import RiskConfig
from trading.core.events import HaltLatched, OrderEnded, OrderRejected
from trading.documents.figures import FiguresDocument
from trading.strategies.outcome import BacktestOutcome
from trading.strategies.strategy import Bar, Strategy

SYMBOL, HOUR_NS = "SHARE", 60 * MINUTE_NS
RESOLUTIONS = ("prints", "1m", "1h", "1d")
# Whole hours of the session in UTC: the first and the last one. A decision by a day comes two seconds after midnight.
HOURS = {
    "XNYS": (15, 20),
    "XLON": (9, 15),
    "XTKS": (1, 5),
    "XASX": (1, 4),
    "XCME": (15, 20),
    "XEUR": (9, 15),
    None: (1, 23),
}
# The usual zones, and no limit of exposure or loss.
ZONES = RiskConfig(
    participation=Decimal(100), max_symbol_exposure=Decimal(500), max_gross_exposure=Decimal(500),
    daily_loss=Decimal(100), total_loss=Decimal(100), collar=Decimal(50),
)  # fmt: skip
# A Monday.
FIRST_NS = parse_timestamp("2025-02-03")
Order = Mapping[str, Any]


class Session(NamedTuple):
    """A session's first price, in its first hour, and its last price, in its last hour."""

    open: float
    close: float


class Run(NamedTuple):
    """What a plan came to.

    fills: quantity below zero for a sale, and price. ended: the reasons of orders that ended unfilled. refused: by which
    checks. decided: equity and risk level at each bar. halted_ns: when trading was halted. recorded: all events.
    """

    fills: list[tuple[int, float]]
    ended: list[str]
    refused: list[str]
    decided: list[tuple[Decimal, Decimal]]
    halted_ns: list[int]
    recorded: list[RecordedEvent]
    outcome: BacktestOutcome

    @property
    def result(self) -> tuple[Any, ...]:
        """What is equal at every resolution."""
        return self.fills, self.ended, self.refused, self.decided

    @property
    def figures(self) -> FiguresDocument:
        return self.outcome.document.performance


def dates(count: int) -> list[int]:
    """Return midnights of consecutive weekdays."""
    return [FIRST_NS + (number // 5 * 7 + number % 5) * DAY_NS for number in range(count)]


def write(
    path: Path, resolution: str, sessions: Sequence[Session], *, exchange: str | None, **instrument: Any
) -> CsvStore:
    """Store sessions from `FIRST_NS` on: prints, or bars of a resolution."""
    path.mkdir(parents=True, exist_ok=True)
    store = CsvStore(path)
    declared: dict[str, Any] = {"currency": "USD", "tick_size": 0.01, "exchange": exchange} | instrument
    store.set_instrument(Instrument(SYMBOL, **declared))
    dataset = TRADES if resolution == "prints" else BARS
    is_of_dates = resolution != "prints" and Resolution.parse(resolution).is_period
    rows = (
        _bars_of_dates(resolution, sessions)
        if is_of_dates
        else _rows_of_hours(resolution, sessions, exchange)
    )
    store.append(Append(dataset, SYMBOL, batch_of(dataset, rows), "test"))
    return store


def _bars_of_dates(resolution: str, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """Return bars of days, weeks or months."""
    length, rows = Resolution.parse(resolution), []
    starts = length.start_ns(length.number_of(np.array(dates(len(sessions))))).tolist()
    for start_ns, group in groupby(zip(starts, sessions, strict=True), key=lambda each: each[0]):
        prices = list(chain.from_iterable(session for _, session in group))
        rows.append(_bar(start_ns, resolution, *prices))
    return rows


def _rows_of_hours(
    resolution: str, sessions: Sequence[Session], exchange: str | None
) -> list[dict[str, Any]]:
    """Return prints, or bars of minutes or hours."""
    first_hour, last_hour = HOURS[exchange]
    rows: list[dict[str, Any]] = []
    for midnight_ns, session in zip(dates(len(sessions)), sessions, strict=True):
        begin_ns = midnight_ns + first_hour * HOUR_NS
        end_ns = midnight_ns + last_hour * HOUR_NS + (0 if resolution == "1h" else HOUR_NS - MINUTE_NS)
        for at_ns, price in ((begin_ns, session.open), (end_ns, session.close)):
            is_print = resolution == "prints"
            rows.append(_print(at_ns, price) if is_print else _bar(at_ns, resolution, price))
    return rows


def act(store: CsvStore, *actions: Mapping[str, Any]) -> None:
    """Store corporate actions."""
    rows = [dict(each) for each in actions]
    store.append(Append(CORPORATE_ACTIONS, SYMBOL, batch_of(CORPORATE_ACTIONS, rows), "test"))


def _print(at_ns: int, price: float) -> dict[str, Any]:
    return {"timestamp": at_ns, "price": price, "volume": 1e6}


def _bar(at_ns: int, resolution: str, *prices: float) -> dict[str, Any]:
    cells = {"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]}
    return {"timestamp": at_ns, "resolution": resolution, "volume": 1e6, **cells}


def run(path: Path, plan: Mapping[int, Sequence[Order]], days: int, **inputs: Any) -> Run:
    """Run a plan over so many weekdays: orders by the number of the bar that decides them, from 0 on."""
    decided: list[tuple[Decimal, Decimal]] = []

    class Planned(Strategy):
        name = "planned"

        def on_bar(self, bar: Bar) -> None:
            decided.append((self.broker.equity, self.broker.risk_level))
            for order in plan.get(len(decided) - 1, ()):
                self.broker.order(SYMBOL, **order)

    usual: dict[str, Any] = {
        "end_ns": dates(days)[-1] + DAY_NS + HOUR_NS,
        "parameters": {"interval": "1d"},
        "config": ZONES,
    }
    symbols = inputs.pop("symbols", (SYMBOL,))
    found = backtested(Planned, path, *symbols, start_ns=FIRST_NS, **usual | inputs)
    events = [each.event for each in found.recorded]
    return Run(
        fills=[
            (int(fill.quantity) * order.terms.side.sign, float(fill.price)) for order, fill in found.fills
        ],
        ended=[each.reason for each in events if isinstance(each, OrderEnded)],
        refused=[
            next(check.name for check in each.checks if not check.is_passed)
            for each in events
            if isinstance(each, OrderRejected)
        ],
        decided=decided,
        halted_ns=[each.at_ns for each in found.recorded if isinstance(each.event, HaltLatched)],
        recorded=found.recorded,
        outcome=found.outcome,
    )
