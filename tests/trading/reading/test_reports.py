"""Reports of rows, of events in memory, and of a naive computation step by step, are the same."""

from fractions import Fraction
from typing import Any

import pytest

from tests.api_client import Api
from tests.chance import SOAK
from tests.trading.desks import at_ns, coin
from tests.trading.reading.histories import DAY, History
from tests.trading.recorded import RecordedAccount, engine_lives
from trading.core.account import AccountState, apply
from trading.core.valuation import Grouping
from trading.documents.figures import FiguresDocument
from trading.models import TradeRow
from trading.performance import Period, account_history
from trading.report import AccountHistory, figures_of

SEEDS = range(6 if SOAK else 2)


def near(value: Any) -> Any:
    return pytest.approx(float(value), rel=1e-11)


@pytest.fixture
def history(api: Api, request: pytest.FixtureRequest) -> History:
    coin()
    engine_lives()
    return History(RecordedAccount(), seed=request.param).run(60)


def periods(history: History) -> list[Period]:
    """The whole, and parts that begin and end in the middle, and between."""
    end = history.seconds
    bounds = [(0, end + 3_600), (end // 3, end), (end // 4, end // 2 + 1), (end + 1, end + 2)]
    return [Period(at_ns(first), at_ns(last)) for first, last in bounds]


def figures_of_rows(history: History, period: Period, by: Grouping | None) -> FiguresDocument:
    return figures_of(account_history(history.account.row, period), period.since_ns, period.until_ns, by)


@pytest.mark.parametrize("history", SEEDS, indirect=True)
def test_events_in_memory_give_the_report_of_the_rows(history: History):
    state, taken = AccountState(id=""), AccountHistory()
    for at, event in history.events():
        taken.take(state, event, apply(state, event, at_ns=at), at)
    for period in periods(history):
        for by in (None, *Grouping):
            of_events = figures_of(taken, period.since_ns, period.until_ns, by)
            assert of_events == figures_of_rows(history, period, by)


@pytest.mark.parametrize("history", SEEDS[:2], indirect=True)
@pytest.mark.parametrize("by", Grouping)
def test_rows_add_up_to_the_whole(history: History, by: Grouping):
    period = periods(history)[0]
    document = figures_of_rows(history, period, by).as_json()
    rows = document["rows"]
    assert [each[by.value] or "" for each in rows] == sorted({each[by.value] or "" for each in rows})
    for name in ("trades", "without_r", "executions"):
        assert sum(each[name] for each in rows) == document[name] > 0
    for name in ("pnl", "total_r", "traded", "fees", "turnover"):
        assert sum(each[name] for each in rows) == pytest.approx(document[name], rel=1e-11, abs=1e-9)
    assert document["trades"] == TradeRow.objects.count()


@pytest.mark.parametrize("history", SEEDS[:2], indirect=True)
def test_the_days_of_a_period_grow_to_its_return(history: History):
    period = periods(history)[0]
    document = figures_of_rows(history, period, Grouping.DAY).as_json()
    growth = Fraction(1)
    for row in document["rows"]:
        growth *= 1 + Fraction(row["return_pct"]) / 100
    assert float(100 * (growth - 1)) == pytest.approx(document["return_pct"], rel=1e-9)
    assert max(row["max_dd"] for row in document["rows"]) == document["max_dd"]
    assert len(document["rows"]) == -(-(period.until_ns - at_ns(0) + 14 * 3_600 * 10**9) // (DAY * 10**9))
