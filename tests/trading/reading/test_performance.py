"""How an account did, by its closed trades and its equity."""

import math
import random
from typing import Any

import pandas as pd
import pytest

from store.instruments import Instrument
from tests.api_client import Api, answer
from tests.trading.desks import at_ns, coin
from tests.trading.recorded import RecordedAccount, engine_lives
from trades.stores import market_store
from trading.core.configuration import FillRule, RiskConfig, Zone
from trading.core.events import HaltLatched, HaltReleased, RiskConfigured

pytestmark = pytest.mark.system

DAY = 86_400
NOTHING_TRADED = {
    "trades": 0,
    "win_rate": None,
    "total_r": 0,
    "average_r": None,
    "without_r": 0,
    "pnl": 0,
    "profit_factor": None,
    "executions": 0,
    "traded": 0,
    "fees": 0,
    "turnover": None,
}
NO_EXPOSURE = {"mean_pct": None, "largest_pct": 0, "time_in_market": None}


def performance(api: Api, **params: Any) -> Any:
    response = api.get("/api/v1/performance", params)
    assert response.status_code == 200, response.content
    return answer(response)


@pytest.fixture
def account(api: Api) -> RecordedAccount:
    coin()
    engine_lives(40 * DAY)
    return RecordedAccount()


def test_an_account_without_trades_has_figures_without_a_meaning_null(api: Api, account: RecordedAccount):
    assert performance(api) == {
        "account": "ACC",
        "period_days": 30,
        "begin": None,
        "end": "2025-07-15T14:00:00.000000001Z",
        **NOTHING_TRADED,
        "currency": "USD",
        "fill_rules": ["through"],
        "return_pct": 0,
        "annual_return_pct": None,
        "volatility_pct": None,
        "max_dd": 0,
        "sharpe": None,
        "sortino": None,
        "drawdown": {"begin": None, "trough": None, "end": None},
        "exposure": NO_EXPOSURE,
        "drawdown_curve": [],
    }


def test_the_win_rate_is_a_fraction_and_the_sum_in_r(api: Api, account: RecordedAccount):
    for number in range(125):
        account.trade(12 if number < 74 else -8, seconds=20 * DAY + number, stop=number % 25 != 0)
    found = performance(api, days=30)
    assert (found["period_days"], found["trades"], found["win_rate"]) == (30, 125, 0.592)
    in_r = [1.2 if number < 74 else -0.8 for number in range(125) if number % 25]
    assert found["without_r"] == 5
    assert found["total_r"] == pytest.approx(sum(in_r), abs=1e-9)
    assert found["average_r"] == pytest.approx(sum(in_r) / 120, abs=1e-6)
    assert found["pnl"] == 74 * 12 - 51 * 8
    assert found["profit_factor"] == pytest.approx(74 * 12 / (51 * 8), abs=1e-6)


def test_the_fill_rules_are_those_of_the_period(api: Api, account: RecordedAccount):
    for version, (day, fill) in enumerate([(5, "touch"), (20, "through"), (38, "touch")], 2):
        config = RiskConfig(fill=FillRule(fill))
        account.record(RiskConfigured(version=version, config=config, by="test"), seconds=day * DAY)
    rules = [performance(api, days=days)["fill_rules"] for days in (1, 5, 30, 3660)]
    assert rules == [["touch"], ["through", "touch"], ["touch", "through"], ["through", "touch"]]


def test_drawdown_is_of_the_high_water_mark_and_transfers_are_no_part_of_it(
    api: Api, account: RecordedAccount
):
    account.transfer(1000, seconds=20 * DAY)
    account.mark(1100, seconds=21 * DAY)
    account.mark(1083.61, seconds=22 * DAY)
    account.transfer(1083.61, seconds=22 * DAY + 1)
    account.mark(2145.55, seconds=23 * DAY)
    found = performance(api)
    curve = [(each["equity"], each["drawdown_pct"]) for each in found["drawdown_curve"]]
    assert curve[:3] == [(1000, 0), (1100, 0), (1083.61, 1.49)]
    assert curve[3] == (2167.22, pytest.approx(1.49, abs=1e-6))
    assert found["max_dd"] == curve[4][1] == pytest.approx(100 * (1 - 2145.55 / 2200), abs=1e-6)
    assert found["drawdown_curve"][0]["at"] == "2025-06-25T14:00:00Z"


def test_the_end_of_a_halt_begins_the_high_water_mark_anew(api: Api, account: RecordedAccount):
    account.transfer(1000, seconds=20 * DAY)
    account.mark(890, seconds=21 * DAY, zone=Zone.HALT)
    account.record(HaltLatched(reason="drawdown"), seconds=21 * DAY)
    account.record(HaltReleased(reason="seen", by="key:1"), seconds=22 * DAY)
    assert [each["drawdown_pct"] for each in performance(api)["drawdown_curve"]] == [0, 11, 0]


@pytest.mark.parametrize("is_closed", [False, True], ids=["an open position", "closed after the period"])
@pytest.mark.parametrize("kinds", [["share"], ["share", "coin"]], ids=" and ".join)
def test_ratios_are_of_the_days_of_what_was_held(
    api: Api, account: RecordedAccount, kinds: list[str], is_closed: bool
):
    """A position that was opened before the period counts."""
    market_store().set_instrument(
        Instrument("SHARE", instrument_class="equity", currency="USD", exchange="XNYS")
    )
    account.transfer(1000, seconds=1 * DAY)
    account.trade(0, seconds=2 * DAY)
    for kind in kinds:
        account.hold(kind.upper(), "buy", 1, 100, seconds=3 * DAY)
    chance, equities = random.Random(3), [1000.0]
    for day in range(4, 40):
        equities.append(round(equities[-1] * chance.uniform(0.98, 1.03), 2))
        account.mark(equities[-1], seconds=day * DAY)
    if is_closed:
        account.hold("SHARE", "sell", 1, 100, seconds=39 * DAY + 1, reduce_only=True)
    found = performance(api, **{"from": "2025-06-19", "to": "2025-07-12"})
    days = pd.date_range("2025-06-08", periods=len(equities))
    closes = pd.Series(equities, index=days)["2025-06-18":"2025-07-11"]
    if kinds == ["share"]:
        closes = closes[
            (closes.index.weekday < 5) & ~closes.index.isin(pd.to_datetime(["2025-06-19", "2025-07-04"]))
        ]
    returns, year = closes.pct_change().dropna(), 252 if kinds == ["share"] else 365
    assert found["sharpe"] == near(returns.mean() / returns.std() * math.sqrt(year))
    assert found["volatility_pct"] == near(100 * returns.std() * math.sqrt(year))


def test_a_period_may_begin_and_end_at_any_time(api: Api, account: RecordedAccount):
    account.transfer(1000, seconds=1 * DAY)
    for day in (5, 15, 39):
        account.trade(day, seconds=day * DAY)

    def pnl(first: float | None = None, end: float | None = None) -> Any:
        bounds = {"from": first, "to": end}
        params = {name: str(at_ns(days * DAY)) for name, days in bounds.items() if days is not None}
        return performance(api, **params)["pnl"]

    assert [pnl(0), pnl(6), pnl(5, 15), pnl(5.5, 16), pnl(0, 3660)] == [59, 54, 5, 15, 59]
    whole = performance(api, **{"from": "1970-01-01", "to": "2025-06-20T14:00:00Z"})
    assert (whole["pnl"], whole["begin"], whole["end"]) == (5, "2025-06-06T14:00:00Z", "2025-06-20T14:00:00Z")
    assert performance(api, **{"from": "2024-01-01"})["period_days"] == 562
    assert performance(api, to="2025-07-15T14:00:00Z")["period_days"] == 0


def test_a_date_as_end_has_the_mark_of_its_midnight(api: Api, account: RecordedAccount):
    account.transfer(1000, seconds=1 * DAY)
    midnight = 10 * 3_600 + 0.02
    for day, equity in ((9, 1010), (10, 1030), (11, 1020)):
        account.mark(equity, seconds=day * DAY + midnight)
    parts = [
        performance(api, **{"from": first, "to": end})["return_pct"]
        for first, end in (("2025-06-10", "2025-06-16"), ("2025-06-16", "2025-06-17"))
    ]
    assert parts == [near(3), near(100 * (1020 / 1030 - 1))]


def test_a_period_in_the_future_has_nothing(api: Api, account: RecordedAccount):
    account.trade(5, seconds=5 * DAY)
    found = performance(api, **{"from": "2030-01-01", "to": "2031-01-01"})
    assert (found["trades"], found["period_days"], found["drawdown_curve"]) == (0, 0, [])


def test_rows_are_of_symbols_strategies_or_days(api: Api, account: RecordedAccount):
    account.transfer(1000, seconds=20 * DAY)
    account.trade(12, seconds=21 * DAY, strategy="fast")
    account.trade(-8, seconds=22 * DAY)
    account.mark(1004, seconds=22 * DAY + 3600)

    def rows(by: str, *names: str) -> list[list[Any]]:
        found = performance(api, by=by)
        assert found["by"] == by
        return [[row[name] for name in (by, "pnl", "traded", *names)] for row in found["rows"]]

    assert rows("symbol") == [["COIN", 4, 404]]
    assert rows("strategy", "win_rate", "average_r") == [[None, -8, 192, 0, -0.8], ["fast", 12, 212, 1, 1.2]]
    days = rows("day", "trades", "equity", "return_pct")
    assert len(days) == 21
    assert days[:4] == [
        ["2025-06-25", 0, 0, 0, 1000, 0],
        ["2025-06-26", 12, 212, 1, 1000, 0],
        ["2025-06-27", -8, 192, 1, 1004, 0.4],
        ["2025-06-28", 0, 0, 0, 1004, 0],
    ]


def test_exposure_is_part_of_the_equity_over_time(api: Api, account: RecordedAccount):
    account.transfer(1000, seconds=20 * DAY)
    account.hold("COIN", "buy", 5, 100, seconds=25 * DAY)
    account.hold("COIN", "sell", 5, 110, seconds=30 * DAY, reduce_only=True)
    found = performance(api)
    assert found["exposure"] == {"mean_pct": near(12.5), "largest_pct": 50, "time_in_market": near(0.25)}
    assert (found["executions"], found["traded"], found["turnover"]) == (2, 1050, near(1.05))


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-9)
