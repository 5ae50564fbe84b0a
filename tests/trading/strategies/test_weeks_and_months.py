"""Stored bars of weeks and months give the drawdowns and ratios of the same prices as prints and days."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import pytest

from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, parse_timestamp
from tests.chance import SOAK, each_of
from tests.trading.strategies.past import batch_of
from tests.trading.strategies.resolutions import HOUR_NS, Session, act, dates, run, write
from trading.core.terms import terms_by_class
from trading.documents.figures import FiguresDocument

EXCHANGES = ("XNYS", "XLON", "XTKS", "XASX", None) if SOAK else ("XNYS", "XASX", None)
TERMS = terms_by_class({"equity": {"borrow_rate": 0}})
# Weekdays from 3 February on: three weeks, and until the end of May.
THREE_WEEKS, FOUR_MONTHS = 15, 85
# Its daily bars decide, because strategies have no interval of months. February's bar is known with that of 3 March.
CLOCK, OF_MARCH = "CLOCK", 20


def held(quantity: int, bar: int) -> dict[int, Any]:
    """Return a plan that holds shares after a bar, short below zero."""
    side = "buy" if quantity > 0 else "sell"
    return {bar: [{"side": side, "quantity": Decimal(abs(quantity)), "time_in_force": "gtc"}]}


def figures(
    path: Path, sessions: list[Session], quantity: int, bar: int = 0, **inputs: Any
) -> FiguresDocument:
    """Return the figures of holding shares after a bar, by usual until the end of the last session's week."""
    usual = {
        "end_ns": dates(len(sessions))[-1] + 3 * DAY_NS + HOUR_NS,
        "parameters": {"interval": "1w"},
        "classes": TERMS,
    }
    found = run(path, held(quantity, bar), len(sessions), **usual | inputs)
    assert [each for each, _ in found.fills] == [quantity]
    return found.figures


def falling(ex_date: str, count: int) -> list[Session]:
    """Return sessions at 100, and from the ex-date on at 88."""
    ex_ns = parse_timestamp(ex_date)
    return [Session(88, 88) if date_ns >= ex_ns else Session(100, 100) for date_ns in dates(count)]


def pay(store: CsvStore, ex_date: str, amount: float) -> None:
    action = {"kind": "dividend", "amount": amount, "currency": "USD"}
    act(store, {"timestamp": parse_timestamp(ex_date), **action})


def add_clock(store: CsvStore, count: int) -> None:
    """Store daily bars of another symbol."""
    store.set_instrument(Instrument(CLOCK, currency="USD", tick_size=0.01, exchange="XNYS"))
    prices = dict.fromkeys(("open", "high", "low", "close"), 50.0)
    rows = [{"timestamp": date_ns, "resolution": "1d", "volume": 1e6, **prices} for date_ns in dates(count)]
    store.append(Append(BARS, CLOCK, batch_of(BARS, rows), "test"))


# Of few shares, the price's fall is less than the equity is recorded by.
@pytest.mark.parametrize("quantity", [900, -900, 5], ids=["long", "short", "few"])
@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(
    "ex_date",
    [
        pytest.param("2025-02-12", id="in the entry's week"),
        pytest.param("2025-02-19", id="later"),
        pytest.param("2025-02-10", id="with the entry"),
    ],
)
def test_a_dividend_inside_a_week_makes_no_drawdown(
    tmp_path: Path, exchange: str | None, ex_date: str, quantity: int
):
    sessions = falling(ex_date, THREE_WEEKS)
    for resolution in ("prints", "1d", "1w"):
        store = write(tmp_path / resolution, resolution, sessions, exchange=exchange)
        pay(store, ex_date, 12.0)
        found = figures(tmp_path / resolution, sessions, quantity)
        assert (found.max_dd, found.return_pct) == (0, 0), resolution
        assert {each.equity for each in found.drawdown_curve} == {100_000}


@pytest.mark.parametrize("quantity", [900, -900, 5], ids=["long", "short", "few"])
@pytest.mark.parametrize(
    "ex_date",
    [
        pytest.param("2025-04-16", id="in the entry's month"),
        pytest.param("2025-05-01", id="before April's bar is known"),
    ],
)
def test_a_dividend_inside_a_month_makes_no_drawdown(tmp_path: Path, ex_date: str, quantity: int):
    sessions = falling(ex_date, FOUR_MONTHS)
    for resolution in ("prints", "1d", "1M"):
        store = write(tmp_path / resolution, resolution, sessions, exchange="XNYS")
        add_clock(store, FOUR_MONTHS)
        pay(store, ex_date, 12.0)
        inputs: dict[str, Any] = {"symbols": (CLOCK, "SHARE"), "parameters": {"interval": "1d"}}
        found = figures(tmp_path / resolution, sessions, quantity, OF_MARCH, **inputs)
        assert (found.max_dd, found.return_pct) == (0, 0), resolution
        assert {each.equity for each in found.drawdown_curve} == {100_000}


@pytest.mark.parametrize("resolution", ["prints", "1d", "1w"])
def test_a_fall_beyond_the_dividend_is_the_drawdown(tmp_path: Path, resolution: str):
    """Bought at 100, with a dividend of 10 it is worth 98."""
    sessions = falling("2025-02-12", THREE_WEEKS)
    pay(write(tmp_path, resolution, sessions, exchange="XNYS"), "2025-02-12", 10.0)
    found = figures(tmp_path, sessions, 900)
    assert (found.max_dd, found.return_pct) == pytest.approx((1.8, -1.8))


def weeks(*closes: float) -> list[Session]:
    """Return weeks that are at the last week's close until Friday's close, the first one from 100 on."""
    sessions, price = [], 100.0
    for close in closes:
        sessions += [*[Session(price, price)] * 4, Session(price, close)]
        price = close
    return sessions


@pytest.mark.parametrize(
    ("exchange", "end"),
    each_of(
        ["XNYS", "XLON", "XASX", "XCME", None],
        ["2025-02-17T00:00:00Z", "2025-02-17T01:00:00Z", "2025-02-18T00:00:00Z"],
    ),
)
def test_the_last_week_is_in_the_ratios(tmp_path: Path, exchange: str | None, end: str):
    """In New York the Monday after it is a holiday."""
    sessions, found = weeks(100, 90), []
    for resolution in ("prints", "1d", "1w"):
        write(tmp_path / resolution, resolution, sessions, exchange=exchange)
        one = figures(tmp_path / resolution, sessions, 100, end_ns=parse_timestamp(end))
        found.append([one.return_pct, one.max_dd, one.sharpe, one.sortino, one.volatility_pct])
    prints, days, of_weeks = found
    assert of_weeks == prints == days
    assert of_weeks[:2] == [-1, 1]
    assert of_weeks[2] is not None
    assert of_weeks[2] < 0


def test_a_trade_within_the_last_week_is_in_the_ratios(tmp_path: Path):
    """Bought at 100, and stopped out at 95 in the same week."""
    sessions = weeks(100, 90)
    write(tmp_path, "1w", sessions, exchange="XNYS")
    plan = held(50, 0)
    plan[0][0]["stop_loss"] = Decimal(95)
    inputs: dict[str, Any] = {
        "parameters": {"interval": "1w"},
        "end_ns": parse_timestamp("2025-02-17T01:00:00Z"),
    }
    found = run(tmp_path, plan, len(sessions), **inputs).figures
    returns = np.array([0.0] * 8 + [-250 / 100_000])
    assert found.return_pct == pytest.approx(-0.25)
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(returns))
