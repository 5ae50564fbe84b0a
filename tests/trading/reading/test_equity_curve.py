"""The curve of an account: growth, drawdowns, exposure, and the points that are shown of it."""

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.valuation import FillResult, Grouping
from trading.documents.figures import FiguresDocument
from trading.report import AccountHistory, figures_of

HOUR_NS = DAY_NS // 24


def point(at_ns: int, equity: Any, *, high: Any = 0, start: Any = 100, exposure: Any = 0) -> tuple[Any, ...]:
    return at_ns, equity, max(high, equity), start, exposure


def fill(at_ns: int, exposure: Any) -> FillResult:
    return FillResult(at_ns, "AAPL", "", Decimal(1), Decimal(0), Decimal(str(exposure)))


def figures(*steps: Any, since_ns: int = 0, until_ns: int) -> FiguresDocument:
    history = AccountHistory()
    for step in steps:
        if isinstance(step, FillResult):
            history.add_fill(step)
        else:
            history.add_point(*step)
    return figures_of(history, since_ns, until_ns, Grouping.DAY)


def days_of(found: FiguresDocument, *names: str) -> list[tuple[Any, ...]]:
    assert found.rows
    return [tuple(getattr(row, name) for name in names) for row in found.rows]


def exposure_of(found: Any) -> Any:
    """Mean, largest, and time in the market."""
    return msgspec.structs.astuple(found.exposure)


def volatility(*returns: float) -> Any:
    """The volatility of returns, which the Sharpe ratio is of, too."""
    return pytest.approx(100 * np.std(returns, ddof=1) * 365**0.5)


def drawdown_of(*percents: float) -> tuple[Any, ...]:
    """Depth, begin, trough and end of points that are a second apart."""
    points = [point(at * SECOND_NS, 100 - each, high=100) for at, each in enumerate(percents)]
    found = figures(*points, until_ns=len(percents) * SECOND_NS)
    return found.max_dd, *msgspec.structs.astuple(found.drawdown)


def instants(*seconds: int | None) -> list[str | None]:
    return [None if each is None else format_timestamp(each * SECOND_NS) for each in seconds]


@pytest.mark.parametrize(
    ("percents", "depth", "bounds"),
    [
        ([0, 0], 0, (None, None, None)),
        ([0, 0, 3, 5, 4, 0, 1], 5, (1, 3, 5)),
        ([0, 2, 0, 2, 0], 2, (0, 1, 2)),
        ([0, 2, 0, 3, 2], 3, (2, 3, None)),
        ([4, 3, 0], 4, (0, 0, 2)),
    ],
    ids=["none", "one", "the first of equal ones", "open", "before the curve"],
)
def test_the_deepest_drawdown(percents, depth, bounds):
    assert drawdown_of(*percents) == (depth, *instants(*bounds))


def test_exposure_is_weighted_by_time():
    steps = [
        point(0, 100),
        fill(6 * HOUR_NS, 50),
        point(12 * HOUR_NS, 200, exposure=60),
        fill(18 * HOUR_NS, 0),
    ]
    found = figures(*steps, until_ns=2 * DAY_NS)
    mean_equity, mean_percent = (12 * 100 + 36 * 200) / 48, (6 * 50 + 6 * 30) / 48
    assert found.turnover == pytest.approx(2 / mean_equity)
    assert exposure_of(found) == (mean_percent, 50, 0.25)


def test_the_time_without_equity_has_no_exposure():
    steps = [point(0, 100, exposure=50), point(HOUR_NS, -10, exposure=50), point(3 * HOUR_NS, 100)]
    assert exposure_of(figures(*steps, until_ns=4 * HOUR_NS)) == (25, 50, 0.5)


def test_what_lasted_no_time_is_no_exposure():
    found = figures(point(0, 100), fill(HOUR_NS, 80), fill(HOUR_NS, 10), until_ns=2 * HOUR_NS)
    assert found.exposure.largest_pct == 10


def test_a_curve_begins_with_the_point_before_its_period():
    steps = [
        point(0, 80, high=100, exposure=90),
        point(HOUR_NS, 95, high=100, exposure=95),
        point(11 * HOUR_NS, 100, high=100),
    ]
    found = figures(*steps, since_ns=10 * HOUR_NS, until_ns=12 * HOUR_NS)
    bounds = [format_timestamp(each * HOUR_NS) for each in (10, 10, 11)]
    assert msgspec.structs.astuple(found.drawdown) == tuple(bounds)
    assert found.exposure.time_in_market == 0.5


def test_a_fill_before_the_period_changes_what_it_begins_with():
    steps = [point(0, 100), fill(HOUR_NS, 40), fill(3 * HOUR_NS, 0)]
    found = figures(*steps, since_ns=2 * HOUR_NS, until_ns=4 * HOUR_NS)
    assert exposure_of(found) == (20, 40, 0.5)
    assert len(found.drawdown_curve) == 1


def test_a_day_has_its_deepest_point_and_its_close():
    steps = [
        point(0, 100),
        point(HOUR_NS, 90, high=100),
        point(2 * HOUR_NS, 95, high=100),
        point(2 * DAY_NS + HOUR_NS, 110),
    ]
    found = figures(*steps, until_ns=3 * DAY_NS)
    dates = "1970-01-01", "1970-01-02", "1970-01-03"
    assert days_of(found, "day", "equity", "max_dd") == [*zip(dates, (95, 95, 110), (10, 5, 5), strict=True)]
    assert found.volatility_pct == volatility(0, 15 / 95)


def test_the_mark_at_midnight_ends_the_day_before():
    steps = [
        point(HOUR_NS, 100),
        point(2 * HOUR_NS, 102),
        point(DAY_NS + 20_000_000, 104),
        point(DAY_NS + HOUR_NS, 130),
    ]
    found = figures(*steps, point(2 * DAY_NS + 10_000_000, 117), until_ns=3 * DAY_NS)
    assert days_of(found, "equity", "return_pct")[0] == (104, 4)
    assert days_of(found, "equity")[1:] == [(117,), (117,)]
    assert found.volatility_pct == volatility(13 / 104, 0)


def test_an_account_that_was_empty_goes_on_with_its_growth():
    amounts = [(100, 100), (120, 100), (0, 0), (50, 50), (55, 50)]
    steps = [point(day * DAY_NS + HOUR_NS, each, start=start) for day, (each, start) in enumerate(amounts)]
    found = figures(*steps, until_ns=5 * DAY_NS)
    assert found.return_pct == pytest.approx(32)
    assert found.volatility_pct == volatility(0.2, 0, 0, 0.1)


def test_after_a_loss_of_all_nothing_grows():
    found = figures(point(0, 100), point(HOUR_NS, 0), point(DAY_NS + HOUR_NS, 50), until_ns=2 * DAY_NS)
    assert found.return_pct == -100
    assert days_of(found, "return_pct") == [(-100,), (None,)]
    assert found.volatility_pct is None


def test_time_never_runs_backwards():
    found = figures(point(2 * HOUR_NS, 100, exposure=50), point(HOUR_NS, 100), until_ns=3 * HOUR_NS)
    assert exposure_of(found) == (0, 0, 0)
    assert found.begin == format_timestamp(2 * HOUR_NS)


@pytest.mark.parametrize("length", [1, 999, 1_000, 1_001, 1_004, 12_345])
def test_a_long_curve_keeps_its_end_and_its_deepest_point(length: int):
    depths = np.arange(length) * 7919 % 5000 / 100
    points = [point(at * SECOND_NS, 100 - depth, high=100) for at, depth in enumerate(depths)]
    found = figures(*points, until_ns=length * SECOND_NS)
    kept = [each.at for each in found.drawdown_curve]
    assert len(kept) <= 1_000
    assert kept == sorted(set(kept))
    assert kept[-1] == format_timestamp((length - 1) * SECOND_NS)
    assert max(each.drawdown_pct for each in found.drawdown_curve) == found.max_dd
    assert len(kept) == length if length <= 1_000 else len(kept) > 400


def test_a_run_whose_equity_was_below_zero_has_no_ratios():
    equities = (100, 80, -35, 45, 82)
    steps = [point(day * DAY_NS + HOUR_NS, each) for day, each in enumerate(equities)]
    found = figures(*steps, until_ns=5 * DAY_NS)
    assert (found.return_pct, found.volatility_pct, found.sharpe, found.sortino) == (-18, None, None, None)
    later = [*steps[3:], point(5 * DAY_NS + HOUR_NS, 80)]
    assert figures(*later, until_ns=6 * DAY_NS).volatility_pct is not None


def test_a_day_that_is_not_over_has_no_return():
    steps = [
        point(HOUR_NS, 100),
        point(2 * HOUR_NS, 110),
        point(DAY_NS + HOUR_NS, 99),
        point(2 * DAY_NS + HOUR_NS, 50),
    ]
    since_ns, until_ns = 90 * 60 * SECOND_NS, 2 * DAY_NS + 2 * HOUR_NS
    assert figures(*steps, since_ns=since_ns, until_ns=until_ns).volatility_pct == volatility(0.1, -0.1)
    # Without a value before the period there is only one return.
    assert figures(*steps, until_ns=until_ns).volatility_pct is None


def test_periods_that_meet_at_midnight_share_its_mark():
    steps = [
        point(HOUR_NS, 100),
        point(DAY_NS + 20_000_000, 104),
        fill(DAY_NS + 30_000_000, 50),
        point(DAY_NS + HOUR_NS, 130),
    ]
    first, second = figures(*steps, until_ns=DAY_NS), figures(*steps, since_ns=DAY_NS, until_ns=2 * DAY_NS)
    assert [each.return_pct for each in (first, second)] == [4, 25]
    assert [days_of(each, "day", "equity") for each in (first, second)] == [
        [("1970-01-01", 104)],
        [("1970-01-02", 130)],
    ]
    assert (first.executions, first.exposure.largest_pct) == (0, 0)
    assert (second.executions, second.begin) == (1, "1970-01-02T00:00:00Z")
