"""Ratios are of the sessions of what was held: those of empyrical of the equity at the closes."""

from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import empyrical
import msgspec
import numpy as np
import pandas as pd
import pytest

from calendars.trading_calendar import exchange_calendar
from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import CRYPTO, EQUITY, FX, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import GENEROUS, batch_of
from trading.core.terms import Side
from trading.documents.backtests import BacktestDocument
from trading.strategies.backtest import BacktestInputs
from trading.strategies.catalogue import SHIPPED
from trading.strategies.outcome import outcome_of
from trading.strategies.strategy import Bar, Strategy

CASH, QUANTITY = 100_000.0, 100
FIRST, LAST = pd.Timestamp("2024-02-01"), pd.Timestamp("2024-06-28")
WIDE = msgspec.structs.replace(
    GENEROUS, participation=Decimal(100), daily_loss=Decimal(100), total_loss=Decimal(100),
    caution=Decimal(97), danger=Decimal(98), halt=Decimal(99),
)  # fmt: skip
SHARES = {mic: {"exchange": mic, "instrument_class": EQUITY} for mic in ("XNYS", "XLON", "XTAE", "XTKS")}
COIN, PAIR = {"instrument_class": CRYPTO}, {"instrument_class": FX}


class Hold(Strategy):
    """Buys each symbol after its first bar, and holds it."""

    name = "hold-each"

    def on_bar(self, bar: Bar) -> None:
        if not self.broker.position(bar.symbol) and not self.broker.has_orders(bar.symbol):
            self.broker.order(bar.symbol, Side.BUY, Decimal(QUANTITY), time_in_force="gtc")


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, Hold.name, Hold)


class Days(NamedTuple):
    """A symbol's days: their dates, when they open and close, and the prices of then."""

    dates: pd.DatetimeIndex
    open_ns: np.ndarray
    close_ns: np.ndarray
    opens: np.ndarray
    closes: np.ndarray


def days_of(exchange: str | None, chance: np.random.Generator) -> Days:
    """Random days of a spring, in which the exchanges have different holidays; without an exchange all dates."""
    first, last = (each.value // DAY_NS for each in (FIRST, LAST))
    if exchange is None:
        days = np.arange(first, last + 1)
        open_ns, close_ns = days * DAY_NS, (days + 1) * DAY_NS
    else:
        schedule = exchange_calendar(exchange).on_dates(first, last)
        days, open_ns, close_ns = schedule.date, schedule.open_ns, schedule.close_ns
    closes = np.round(100 * np.exp(np.cumsum(chance.normal(0, 0.01, len(days)))), 2)
    return Days(pd.DatetimeIndex(days * DAY_NS), open_ns, close_ns, closes + 1, closes)


def rows_of(days: Days) -> list[dict[str, Any]]:
    """Trades a minute after each open and before each close."""
    times = np.column_stack([days.open_ns + MINUTE_NS, days.close_ns - MINUTE_NS]).ravel().tolist()
    prices = np.column_stack([days.opens, days.closes]).ravel().tolist()
    return [
        {"timestamp": at_ns, "price": price, "volume": 1e6, "received_at": at_ns}
        for at_ns, price in zip(times, prices, strict=True)
    ]


def held(path: Path, instruments: dict[str, dict[str, Any]], days: dict[str, Days]) -> BacktestDocument:
    """Return what comes of holding the symbols, without costs."""
    path.mkdir()
    store = CsvStore(path)
    for symbol, fields in instruments.items():
        store.set_instrument(Instrument(symbol, tick_size=0.01, currency="USD", **fields))
        store.append(Append(TRADES, symbol, batch_of(TRADES, rows_of(days[symbol])), "test"))
    inputs = BacktestInputs(
        strategy=Hold.name, symbols=tuple(instruments), start_ns=FIRST.value, end_ns=LAST.value + DAY_NS + MINUTE_NS,
        parameters={"interval": "1h"}, cash=Decimal(int(CASH)), config=WIDE,
        fee_basis_points=Decimal(0), slippage_basis_points=Decimal(0),
    )  # fmt: skip
    return outcome_of(inputs, open_store(path)).document


def equity_at_closes(document: BacktestDocument, days: dict[str, Days]) -> pd.Series:
    """Return the equity at the end of each date of any symbol."""
    dates = pd.DatetimeIndex(sorted(set().union(*(each.dates for each in days.values()))))
    equity = pd.Series(CASH, index=dates)
    for position in document.positions:
        own = days[position.symbol]
        opened_ns = parse_timestamp(position.opened_at or "")
        gains = np.where(own.close_ns > opened_ns, QUANTITY * (own.closes - position.average_price), 0.0)
        equity += pd.Series(gains, index=own.dates).reindex(dates).ffill().fillna(0.0)
    return equity


@pytest.mark.parametrize(
    ("kinds", "per_year"),
    [
        (["XNYS"], 252),
        (["XNYS", "XLON"], 252),
        (["XTAE"], 252),
        (["XTKS"], 252),
        (["coin"], 365),
        (["pair"], 365),
        (["XNYS", "coin"], 365),
        (["XNYS", "pair"], 365),
    ],
    ids=lambda each: " and ".join(each) if isinstance(each, list) else str(each),
)
def test_ratios_are_those_of_the_equity_at_closes(
    hold: None, tmp_path: Path, kinds: list[str], per_year: int
):
    chance = np.random.default_rng(5)
    others = {"coin": COIN, "pair": PAIR}
    instruments = {kind.upper(): others.get(kind) or SHARES[kind] for kind in kinds}
    calendars = {"coin": None, "pair": "XNYS"}
    days = {kind.upper(): days_of(calendars.get(kind, kind), chance) for kind in kinds}
    document = held(tmp_path / "data", instruments, days)
    assert len(document.positions) == len(kinds)
    equity = equity_at_closes(document, days)
    if per_year == 365:
        equity = equity.reindex(pd.date_range(FIRST, LAST)).ffill()
    returns = pd.concat([pd.Series([CASH]), equity]).pct_change().iloc[1:]
    found = document.performance
    for ours, theirs in (
        (found.sharpe, empyrical.sharpe_ratio(returns, annualization=per_year)),
        (found.sortino, empyrical.sortino_ratio(returns, annualization=per_year)),
        (found.volatility_pct, 100 * empyrical.annual_volatility(returns, annualization=per_year)),
    ):
        assert ours == pytest.approx(theirs, rel=1e-9)
