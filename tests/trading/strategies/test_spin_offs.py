"""The value of a spin-off is paid as cash, and named: who holds a share through one has lost nothing."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.instruments import EQUITY, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import batch_of
from trading.core.configuration import RiskConfig
from trading.core.events import DividendPaid
from trading.core.terms import Side
from trading.engine.floor import RecordedEvent
from trading.strategies.backtest import BacktestInputs
from trading.strategies.catalogue import SHIPPED
from trading.strategies.outcome import BacktestOutcome, outcome_of
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

SYMBOL, EX_DATE = "AAPL", "2025-06-06"
# Monday to Thursday at 100, then at 88. New York opens at 13:30Z.
_CLOSES = dict.fromkeys(["2025-06-02", "2025-06-03", "2025-06-04", "2025-06-05"], 100) | dict.fromkeys(
    [EX_DATE, "2025-06-09"], 88
)


class Holder(Strategy):
    """Opens a position by its first bar, and keeps it."""

    name = "holder"

    class Parameters(StrategyParameters, frozen=True):
        side: Side = Side.BUY

    parameters: Parameters
    bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars == 1:
            self.broker.order(bar.symbol, self.parameters.side, Decimal(900))


@pytest.fixture(autouse=True)
def strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, Holder.name, Holder)


def store_market(path: Path, form: str, **action: Any) -> None:
    path.mkdir()
    store = CsvStore(path)
    store.set_instrument(Instrument(SYMBOL, instrument_class=EQUITY, exchange="XNYS", currency="USD"))
    for date, price in _CLOSES.items():
        open_ns = parse_timestamp(f"{date}T13:30:00Z")
        same = dict.fromkeys(("open", "high", "low", "close"), price)
        rows: list[dict[str, Any]]
        if form == "1d":
            rows = [{"timestamp": parse_timestamp(date), "resolution": "1d", "volume": 1e6} | same]
        elif form == "1m":
            times = [open_ns, open_ns + MINUTE_NS]
            rows = [{"timestamp": each, "resolution": "1m", "volume": 1e6} | same for each in times]
        else:
            times = [open_ns, open_ns + 5 * MINUTE_NS]
            rows = [{"timestamp": each, "price": price, "volume": 1e6} for each in times]
        dataset = TRADES if form == "prints" else BARS
        store.append(Append(dataset, SYMBOL, batch_of(dataset, rows), "test"))
    row = {"timestamp": parse_timestamp(EX_DATE)} | action
    store.append(Append(CORPORATE_ACTIONS, SYMBOL, batch_of(CORPORATE_ACTIONS, [row]), "test"))


def run(path: Path, form: str, **parameters: Any) -> tuple[list[DividendPaid], BacktestOutcome]:
    paid = []

    def keep(recorded: RecordedEvent) -> None:
        if isinstance(recorded.event, DividendPaid):
            paid.append(recorded.event)

    interval = "1d" if form == "1d" else "1min"
    inputs = BacktestInputs(
        strategy=Holder.name, symbols=(SYMBOL,), start_ns=parse_timestamp("2025-06-02"),
        end_ns=parse_timestamp("2025-06-09") + 2 * DAY_NS, config=RiskConfig().without_limits(),
        parameters={"interval": interval} | parameters, terms={SYMBOL: {"borrow_rate": Decimal(0)}},
        fee_basis_points=Decimal(0), slippage_basis_points=Decimal(0),
    )  # fmt: skip
    return paid, outcome_of(inputs, open_store(path), keep=keep)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("form", ["1d", "1m", "prints"])
def test_the_value_of_a_spin_off_is_paid_and_named(tmp_path: Path, form: str, side: Side):
    """900 at 100 are worth 88 afterwards, and 12 were paid; a short owes them."""
    store_market(tmp_path / "data", form, kind="spin_off", amount=12.0, ratio=0.5, currency="USD")
    paid, outcome = run(tmp_path / "data", form, side=side)
    assert [(each.kind, float(each.amount)) for each in paid] == [("spin_off", 12)]
    document = outcome.document
    assert document.performance.return_pct == pytest.approx(0, abs=1e-9)
    assert document.performance.max_dd == 0
    assert document.notice == (
        "A spin-off of AAPL took effect on 2025-06-06: its value of 12 USD a unit was paid as cash, in the place of the "
        "other company's shares."
    )


def test_an_action_that_changes_nothing_is_named(tmp_path: Path):
    store_market(tmp_path / "data", "1d", kind="merger", ratio=0.5)
    paid, outcome = run(tmp_path / "data", "1d")
    assert [(each.kind, float(each.amount)) for each in paid] == [("merger", 0)]
    assert outcome.document.performance.return_pct == pytest.approx(-10.8)
    assert outcome.document.notice == (
        "A merger of AAPL took effect on 2025-06-06: the account's positions are as before."
    )


def test_a_dividend_is_not_named(tmp_path: Path):
    store_market(tmp_path / "data", "1d", kind="dividend", amount=12.0, currency="USD")
    paid, outcome = run(tmp_path / "data", "1d")
    assert [(each.kind, float(each.amount)) for each in paid] == [("dividend", 12)]
    assert (outcome.document.performance.return_pct, outcome.document.notice) == (0, None)
