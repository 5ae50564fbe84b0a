"""A dividend moves no equity: until the first price after it, the mark is the last price less the dividend.

The value of a spin-off is paid as cash, and named.
"""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.datasets import QUOTES
from store.protocol import Append
from store.timestamps import format_timestamp
from tests.chance import SOAK, chosen_seed, examples
from tests.trading.strategies.past import batch_of
from tests.trading.strategies.resolutions import (
    HOUR_NS,
    RESOLUTIONS,
    SYMBOL,
    ZONES,
    Session,
    act,
    dates,
    run,
    write,
)
from trading.core.events import DividendPaid
from trading.core.terms import terms_by_class
from trading.strategies.outcome import BacktestOutcome

EXCHANGES = ("XNYS", "XLON", "XTKS", "XASX", None)
CASES = [(exchange, resolution) for exchange in EXCHANGES for resolution in RESOLUTIONS]
# Without SOAK each exchange and each resolution, and all days.
SOME = CASES if SOAK else [case for number, case in enumerate(CASES) if case[1] == "1d" or number % 3 == 0]
_NO_LIMITS = msgspec.structs.replace(ZONES.without_limits(), participation=Decimal(100))
TERMS = terms_by_class({"equity": {"borrow_rate": 0}})


def held(side: str, quantity: int) -> dict[int, Any]:
    """Return a plan that holds shares from the second session on."""
    return {0: [{"side": side, "quantity": Decimal(quantity), "time_in_force": "gtc"}]}


def paid(date_ns: int, amount: float, **action: Any) -> dict[str, Any]:
    return {"timestamp": date_ns, "kind": "dividend", "amount": amount, "currency": "USD", **action}


@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(("exchange", "resolution"), SOME)
def test_a_dividend_makes_no_drawdown_and_no_high_water(
    tmp_path: Path, exchange: str | None, resolution: str, sign: int
):
    """Over a weekend, too: the sixth session is a Monday's, and the price falls by the dividend."""
    sessions = [*[Session(100, 100)] * 5, *[Session(88, 88)] * 3]
    store = write(tmp_path, resolution, sessions, exchange=exchange)
    act(store, paid(dates(6)[5], 12.0))
    found = run(tmp_path, held("buy" if sign > 0 else "sell", 900), len(sessions), classes=TERMS)
    assert found.fills == [(900 * sign, 100)]
    assert found.halted_ns == []
    assert {equity for equity, _ in found.decided} == {100_000}
    assert (found.figures.max_dd, found.figures.return_pct) == (0, 0)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_price_that_falls_by_less_is_a_gain_from_its_first_price_on(tmp_path: Path, resolution: str):
    sessions = [*[Session(100, 100)] * 3, *[Session(95, 95)] * 2]
    act(write(tmp_path, resolution, sessions, exchange="XNYS"), paid(dates(4)[3], 12.0))
    found = run(tmp_path, held("buy", 900), len(sessions))
    assert [equity for equity, _ in found.decided] == [100_000] * 3 + [106_300] * 2
    assert found.figures.max_dd == 0


# A bar is known at its end. Without one it is the first midnight that is two bars after the ex-date's beginning.
@pytest.mark.parametrize(
    ("resolution", "first", "without"),
    [
        ("prints", "2025-02-06T15:00:00Z", "2025-02-07T00:00:00Z"),
        ("1h", "2025-02-06T16:00:00Z", "2025-02-07T00:00:00Z"),
        ("1d", "2025-02-07T00:00:00Z", "2025-02-09T00:00:00Z"),
    ],
)
def test_it_is_paid_with_the_first_price_or_without_one_at_midnight(
    tmp_path: Path, resolution: str, first: str, without: str
):
    for name, sessions, expected in (
        ("first", [*[Session(100, 100)] * 3, *[Session(88, 88)] * 3], first),
        ("without", [Session(100, 100)] * 3, without),
    ):
        act(write(tmp_path / name, resolution, sessions, exchange="XNYS"), paid(dates(4)[3], 12.0))
        found = run(tmp_path / name, held("buy", 900), 9)
        (at_ns,) = [each.at_ns for each in found.recorded if isinstance(each.event, DividendPaid)]
        assert format_timestamp(at_ns) == expected
        assert (found.figures.max_dd, found.figures.return_pct) == (0, 0)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("exchange", ["XNYS", "XTKS"])
def test_a_dividend_and_a_split_of_one_date_move_no_equity(tmp_path: Path, resolution: str, exchange: str):
    """The dividend is per old share."""
    sessions = [*[Session(100, 100)] * 3, *[Session(44, 44)] * 2]
    ex_ns = dates(4)[3]
    split = {"timestamp": ex_ns, "kind": "split", "ratio": 2.0}
    act(write(tmp_path, resolution, sessions, exchange=exchange), paid(ex_ns, 12.0), split)
    found = run(tmp_path, held("buy", 900), len(sessions))
    assert {equity for equity, _ in found.decided} == {100_000}
    assert (found.figures.max_dd, found.halted_ns) == (0, [])


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_who_sells_at_the_ex_dates_open_has_the_dividend(tmp_path: Path, resolution: str):
    sessions = [*[Session(100, 100)] * 3, *[Session(88, 90)] * 2]
    act(write(tmp_path, resolution, sessions, exchange="XNYS"), paid(dates(4)[3], 12.0))
    plan = held("buy", 900) | {2: [{"side": "sell", "quantity": Decimal(900), "time_in_force": "gtc"}]}
    found = run(tmp_path, plan, len(sessions), config=ZONES)
    assert found.fills == [(900, 100), (-900, 88)]
    assert {equity for equity, _ in found.decided} == {100_000}
    assert (found.figures.max_dd, found.figures.pnl) == (0, 0)


def test_a_quote_of_the_ex_date_pays_after_the_bar_of_the_day_before(tmp_path: Path):
    """In Sydney the ex-date's session begins before midnight UTC, at which the bar of the day before is known."""
    sessions = [*[Session(100, 100)] * 3, *[Session(88, 88)] * 2]
    ex_ns = dates(4)[3]
    store = write(tmp_path, "1d", sessions, exchange="XASX")
    act(store, paid(ex_ns, 12.0))
    quotes = [{"timestamp": ex_ns - HOUR_NS // 2, "bid": 88.0, "ask": 88.0}]
    store.append(Append(QUOTES, SYMBOL, batch_of(QUOTES, quotes), "test"))
    found = run(tmp_path, {1: held("buy", 900)[0]}, len(sessions))
    assert found.fills == [(900, 100)]
    # Until the next price the mark is the quote, and the dividend is not paid yet.
    assert found.decided[-1][0] == 100_000


@pytest.mark.parametrize("number", range(examples(60)))
def test_random_plans_have_the_same_fills_and_equity_at_every_resolution(tmp_path: Path, number: int):
    """Market orders of longs and shorts over gaps, with dividends on some dates.

    Shorts pay nothing: by days a dividend in Tokyo is booked after midnight UTC, and the night costs a little more.
    """
    chance = random.Random(chosen_seed() + number)
    exchange = chance.choice(EXCHANGES)
    sessions, actions, price = [], [], 100.0
    for date_ns in dates(9):
        if chance.random() < 0.3 or date_ns == dates(9)[4]:
            amount = chance.choice([0.5, 2.0, 12.0])
            actions.append(paid(date_ns, amount))
            price -= amount
        open_ = round(price * chance.uniform(0.97, 1.03), 2)
        price = round(open_ * chance.uniform(0.95, 1.05), 2)
        sessions.append(Session(open_, price))
    plan = {
        day: [
            {
                "side": chance.choice(["buy", "sell"]),
                "quantity": Decimal(chance.randrange(1, 300)),
                "time_in_force": "gtc",
            }
        ]
        for day in chance.sample(range(8), 4)
    }
    found = []
    for resolution in RESOLUTIONS:
        act(write(tmp_path / resolution, resolution, sessions, exchange=exchange), *actions)
        found.append(run(tmp_path / resolution, plan, len(sessions), config=_NO_LIMITS, classes=TERMS))
    prints, *bars = found
    assert len(prints.fills) == 4
    for each in bars:
        assert each.result == prints.result
        assert each.figures.return_pct == prints.figures.return_pct


def paid_to(
    path: Path, resolution: str, side: str = "buy", **action: Any
) -> tuple[list[tuple[str, float]], BacktestOutcome]:
    """Return what was paid to who holds 900 over an action of the fifth session, and the outcome."""
    sessions = [*[Session(100, 100)] * 4, *[Session(88, 88)] * 2]
    store = write(path, resolution, sessions, exchange="XNYS")
    act(store, {"timestamp": dates(5)[4], "currency": "USD"} | action)
    found = run(path, held(side, 900), len(sessions), config=_NO_LIMITS, classes=TERMS)
    booked = [each.event for each in found.recorded if isinstance(each.event, DividendPaid)]
    return [(each.kind, float(each.amount)) for each in booked], found.outcome


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_value_of_a_spin_off_is_paid_and_named(tmp_path: Path, resolution: str, side: str):
    """900 at 100 are worth 88 afterwards, and 12 were paid; a short owes them."""
    booked, outcome = paid_to(tmp_path, resolution, side, kind="spin_off", amount=12.0, ratio=0.5)
    assert booked == [("spin_off", 12)]
    figures = outcome.document.performance
    assert (figures.return_pct, figures.max_dd) == (0, 0)
    assert outcome.notice == (
        "A spin-off of SHARE took effect on 2025-02-07: its value of 12 USD a unit was paid as cash, in the place of the "
        "other company's shares."
    )


def test_an_action_that_changes_nothing_is_named(tmp_path: Path):
    booked, outcome = paid_to(tmp_path, "1d", kind="merger", ratio=0.5)
    assert booked == [("merger", 0)]
    assert outcome.document.performance.return_pct == pytest.approx(-10.8)
    assert outcome.notice == (
        "A merger of SHARE took effect on 2025-02-07: the account's positions are as before."
    )


def test_a_dividend_is_not_named(tmp_path: Path):
    booked, outcome = paid_to(tmp_path, "1d", kind="dividend", amount=12.0)
    assert (booked, outcome.notice) == ([("dividend", 12)], None)
