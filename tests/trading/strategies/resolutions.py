"""The same prices as prints, minutes, hours and days, and a backtest of a plan of orders over them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.instruments import Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import batch_of
from trading.core.configuration import RiskConfig
from trading.core.events import Executed, HaltLatched, OrderEnded, OrderRejected
from trading.documents.figures import FiguresDocument
from trading.engine.floor import RecordedEvent
from trading.strategies import catalogue
from trading.strategies.backtest import BacktestInputs
from trading.strategies.outcome import BacktestOutcome, outcome_of
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
    checks. decided: equity and risk level at each daily bar. halted_ns: when trading was halted. recorded: all events.
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
    first_hour, last_hour = HOURS[exchange]
    rows: list[dict[str, Any]] = []
    for midnight_ns, session in zip(dates(len(sessions)), sessions, strict=True):
        if resolution == "1d":
            rows.append(_bar(midnight_ns, resolution, session.open, session.close))
            continue
        begin_ns = midnight_ns + first_hour * HOUR_NS
        end_ns = midnight_ns + last_hour * HOUR_NS + (0 if resolution == "1h" else HOUR_NS - MINUTE_NS)
        for at_ns, price in ((begin_ns, session.open), (end_ns, session.close)):
            is_print = resolution == "prints"
            rows.append(_print(at_ns, price) if is_print else _bar(at_ns, resolution, price, price))
    dataset = TRADES if resolution == "prints" else BARS
    store.append(Append(dataset, SYMBOL, batch_of(dataset, rows), "test"))
    return store


def act(store: CsvStore, *actions: Mapping[str, Any]) -> None:
    """Store corporate actions."""
    rows = [dict(each) for each in actions]
    store.append(Append(CORPORATE_ACTIONS, SYMBOL, batch_of(CORPORATE_ACTIONS, rows), "test"))


def _print(at_ns: int, price: float) -> dict[str, Any]:
    return {"timestamp": at_ns, "price": price, "volume": 1e6}


def _bar(at_ns: int, resolution: str, open_: float, close: float) -> dict[str, Any]:
    prices = {"open": open_, "high": max(open_, close), "low": min(open_, close), "close": close}
    return {"timestamp": at_ns, "resolution": resolution, "volume": 1e6, **prices}


def run(path: Path, plan: Mapping[int, Sequence[Order]], days: int, **inputs: Any) -> Run:
    """Run a plan over so many weekdays: orders by the number of the daily bar that decides them, from 0 on."""
    decided: list[tuple[Decimal, Decimal]] = []

    class Planned(Strategy):
        name = "planned"

        def on_bar(self, bar: Bar) -> None:
            decided.append((self.broker.equity, self.broker.risk_level))
            for order in plan.get(len(decided) - 1, ()):
                self.broker.order(SYMBOL, **order)

    found = Run([], [], [], decided, [], [], None)  # type: ignore[arg-type]  # replaced below

    def keep(recorded: RecordedEvent) -> None:
        event = recorded.event
        found.recorded.append(recorded)
        if isinstance(event, Executed):
            order = next(each for each in recorded.effects.orders if each.id == event.order_id)
            found.fills.append((int(event.quantity) * order.terms.side.sign, float(event.price)))
        elif isinstance(event, OrderEnded):
            found.ended.append(event.reason)
        elif isinstance(event, OrderRejected):
            found.refused.append(next(each.name for each in event.checks if not each.is_passed))
        elif isinstance(event, HaltLatched):
            found.halted_ns.append(recorded.at_ns)

    given = BacktestInputs(
        strategy="planned", symbols=(SYMBOL,), start_ns=FIRST_NS, end_ns=dates(days)[-1] + DAY_NS + HOUR_NS, parameters={"interval": "1d"},
        **{"config": ZONES, "fee_basis_points": Decimal(0), "slippage_basis_points": Decimal(0), **inputs},
    )  # fmt: skip
    with mock.patch.dict(catalogue.SHIPPED, {"planned": Planned}):
        return found._replace(outcome=outcome_of(given, open_store(path), keep=keep))
