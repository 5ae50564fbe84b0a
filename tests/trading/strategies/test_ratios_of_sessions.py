"""Ratios are of the sessions of what was held: those of empyrical of the equity at the closes."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import empyrical
import msgspec
import numpy as np
import pandas as pd
import pytest
from django.conf import settings

from calendars.trading_calendar import exchange_calendar
from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.instruments import CRYPTO, EQUITY, FUTURE, FX, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import GENEROUS, backtested, batch_of
from trading.core.terms import Side
from trading.documents.figures import BacktestDocument, FiguresDocument
from trading.strategies.strategy import Bar, Strategy

CASH, QUANTITY = 100_000.0, 240
FIRST, LAST = pd.Timestamp("2024-02-01"), pd.Timestamp("2024-06-28")
WIDE = msgspec.structs.replace(
    GENEROUS, participation=Decimal(100), daily_loss=Decimal(100), total_loss=Decimal(100),
    caution=Decimal(97), danger=Decimal(98), halt=Decimal(99),
)  # fmt: skip
SHARES = {
    mic: {"exchange": mic, "instrument_class": EQUITY} for mic in ("XNYS", "XLON", "XTAE", "XTKS", "XASX")
}
INDEX = {"exchange": "XCME", "instrument_class": FUTURE, "multiplier": 1.0}
COIN, PAIR = {"instrument_class": CRYPTO}, {"instrument_class": FX}


class Hold(Strategy):
    """Buys each symbol after its first bar, and holds it."""

    name = "hold-each"

    def on_bar(self, bar: Bar) -> None:
        if not self.broker.position(bar.symbol) and not self.broker.has_orders(bar.symbol):
            self.broker.order(bar.symbol, Side.BUY, Decimal(QUANTITY), time_in_force="gtc")


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


def bars_of(days: Days) -> list[dict[str, Any]]:
    """Bars of the days."""
    prices = zip(days.dates, days.opens.tolist(), days.closes.tolist(), strict=True)
    return [
        {"timestamp": date.value, "resolution": "1d", "volume": 1e9, "open": open_, "close": close}
        | {"high": max(open_, close), "low": min(open_, close)}
        for date, open_, close in prices
    ]


def held(
    path: Path,
    instruments: dict[str, dict[str, Any]],
    days: dict[str, Days],
    *,
    has_bars: bool = False,
    actions: Sequence[dict[str, Any]] = (),
) -> BacktestDocument:
    """Return what comes of holding the symbols, without costs."""
    path.mkdir()
    store = CsvStore(path)
    for symbol, fields in instruments.items():
        store.set_instrument(Instrument(symbol, tick_size=0.01, currency="USD", **fields))
        dataset, rows = (BARS, bars_of(days[symbol])) if has_bars else (TRADES, rows_of(days[symbol]))
        store.append(Append(dataset, symbol, batch_of(dataset, rows), "test"))
        if actions:
            store.append(
                Append(CORPORATE_ACTIONS, symbol, batch_of(CORPORATE_ACTIONS, list(actions)), "test")
            )
    dates = [each.dates for each in days.values()]
    begin_ns, end_ns = min(each[0].value for each in dates), max(each[-1].value for each in dates) + DAY_NS
    parameters = {"interval": "1d" if has_bars else "1h"}
    more: dict[str, Any] = {"parameters": parameters, "cash": Decimal(int(CASH)), "config": WIDE}
    found = backtested(Hold, path, *instruments, start_ns=begin_ns, end_ns=end_ns + MINUTE_NS, **more)
    return found.outcome.document


def equity_at_closes(document: BacktestDocument, days: dict[str, Days], *, has_bars: bool) -> pd.Series:
    """Return the equity at the end of each date of any symbol. Bars fill at their opens."""
    dates = pd.DatetimeIndex(sorted(set().union(*(each.dates for each in days.values()))))
    equity = pd.Series(CASH, index=dates)
    for position in document.positions:
        own = days[position.symbol]
        is_held = own.close_ns > parse_timestamp(position.opened_at or "")
        paid = own.opens[is_held][0] if has_bars else position.average_price
        gains = pd.Series(np.where(is_held, QUANTITY * (own.closes - paid), 0.0), index=own.dates)
        equity += gains.reindex(dates).ffill().fillna(0.0)
    return equity


def check(found: FiguresDocument, equity: pd.Series, per_year: int, *, rel: float = 1e-9) -> None:
    """Check the ratios against those of the returns of an equity."""
    returns = equity.pct_change().iloc[1:]
    for ours, theirs in (
        (found.sharpe, empyrical.sharpe_ratio(returns, annualization=per_year)),
        (found.sortino, empyrical.sortino_ratio(returns, annualization=per_year)),
        (found.volatility_pct, 100 * empyrical.annual_volatility(returns, annualization=per_year)),
    ):
        assert ours == pytest.approx(theirs, rel=rel)


_CASES = [
    ("XNYS", 252), ("XNYS XLON", 252), ("XTAE", 252), ("XTKS", 252),
    ("coin", 365), ("pair", 365), ("XNYS coin", 365), ("XNYS pair", 365),
]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "per_year", "has_bars"),
    [
        *((*each, False) for each in _CASES),
        *((*each, True) for each in [*_CASES, ("XASX", 252), ("XCME", 252)]),
    ],
)
def test_ratios_are_those_of_the_equity_at_closes(tmp_path: Path, names: str, per_year: int, has_bars: bool):
    chance = np.random.default_rng(5)
    others: dict[str, dict[str, Any]] = {"coin": COIN, "pair": PAIR, "XCME": INDEX}
    calendars = {"coin": None, "pair": "XNYS"}
    kinds = names.split()
    instruments: dict[str, dict[str, Any]] = {
        kind.upper(): others.get(kind) or SHARES[kind] for kind in kinds
    }
    days = {kind.upper(): days_of(calendars.get(kind, kind), chance) for kind in kinds}
    document = held(tmp_path / "data", instruments, days, has_bars=has_bars)
    assert len(document.positions) == len(kinds)
    equity = equity_at_closes(document, days, has_bars=has_bars)
    if per_year == 365:
        begin, end = equity.index[0], equity.index[-1]
        equity = equity.reindex(pd.date_range(begin, end)).ffill()
    check(document.performance, equity, per_year)


def real_apple() -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Raw daily bars of Apple from 2012 to 2020, and its splits and dividends by the vendor's factors."""
    file = Path(settings.REAL_DATA) / "equity" / "aapl_daily_trade.csv"
    if not file.exists():
        pytest.skip("the real bars are not on this machine (setting REAL_DATA)")
    frame = pd.read_csv(file, names=["day", "open", "high", "low", "close", "volume"])
    frame.index = pd.to_datetime(frame.pop("day").str[:8])
    frame = (frame / 10_000).loc["2012":"2020"]
    factors = pd.read_csv(file.with_name("aapl_factors.csv"), names=["day", "price", "split", "close"])
    actions = []
    for before, after in pairwise(factors.itertuples()):
        later = frame.index[frame.index > pd.Timestamp(str(before.day))]
        if not frame.index[0].value <= pd.Timestamp(str(before.day)).value < frame.index[-1].value:
            continue
        row: dict[str, Any] = {"timestamp": later[0].value}
        if before.split != after.split:
            actions.append(row | {"kind": "split", "ratio": float(round(after.split / before.split))})
        if before.price != after.price:
            amount = round(before.close * (1 - before.price / after.price), 4)
            actions.append(row | {"kind": "dividend", "amount": amount, "currency": "USD"})
    return frame, actions


def test_the_ratios_of_apple_from_2012_to_2020(tmp_path: Path):
    """The equity is that of a ledger: shares, splits and dividends."""
    frame, actions = real_apple()
    schedule = exchange_calendar("XNYS").on_dates(
        *(int(each.value) // DAY_NS for each in frame.index[[0, -1]])
    )
    opens, closes = frame["open"].to_numpy(), frame["close"].to_numpy()
    days = Days(frame.index, schedule.open_ns, schedule.close_ns, opens, closes)
    found = held(tmp_path / "data", {"AAPL": SHARES["XNYS"]}, {"AAPL": days}, has_bars=True, actions=actions)
    units, cash, equity = 0.0, CASH, []
    for number, (day, open_, close) in enumerate(zip(frame.index, opens, closes, strict=True)):
        for action in (each for each in actions if each["timestamp"] == day.value):
            cash += units * action.get("amount", 0)
            units *= action.get("ratio", 1)
        if number == 1:
            units, cash = QUANTITY, CASH - QUANTITY * open_
        equity.append(cash + units * close)
    check(found.performance, pd.Series(equity, index=frame.index), 252, rel=1e-6)
    assert found.performance.sharpe == pytest.approx(1.0479, abs=5e-5)
    assert found.performance.sortino == pytest.approx(1.5356, abs=5e-5)
    assert found.performance.volatility_pct == pytest.approx(27.20, abs=5e-3)
