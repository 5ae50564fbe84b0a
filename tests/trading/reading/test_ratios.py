"""Ratios, drawdowns and returns are those of empyrical."""

import math
from decimal import Decimal

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.timestamps import DAY_NS
from tests.chance import SOAK
from tests.trading.core.paper import dec
from trading.core.report import EquityPoint
from trading.reading.report import (
    EquityCurve,
    PerformanceReport,
    annual_return_percent,
    sharpe_ratio,
    sortino_ratio,
    volatility_percent,
)

BEGIN_DAY = 20_000
# Equities in whole cents, one a day.
EQUITIES = st.lists(st.integers(1_000, 10_000_000), min_size=1, max_size=60).map(
    lambda cents: [Decimal(each) / 100 for each in cents]
)


def curve_of(equities: list[Decimal]) -> EquityCurve:
    """A curve with a point at the end of each day."""
    report, high_water = PerformanceReport(until_ns=(BEGIN_DAY + len(equities)) * DAY_NS), Decimal(0)
    for day, equity in enumerate(equities, BEGIN_DAY):
        high_water = max(high_water, equity)
        at_ns = (day + 1) * DAY_NS - 1
        report.steps.append(EquityPoint(at_ns, equity, high_water, equities[0], Decimal(0)))
    curve = EquityCurve.of(report)
    assert curve is not None
    return curve


def returns_of(equities: list[Decimal]) -> pd.Series:
    """The returns of the days, of which the first begins and ends with the first equity."""
    days = pd.to_datetime(np.arange(len(equities) + 1) + BEGIN_DAY - 1, unit="D")
    values = [float(each) for each in (equities[0], *equities)]
    return pd.Series(values, index=days).pct_change().dropna()


@given(EQUITIES)
def test_ratios_of_daily_returns_are_those_of_empyrical(equities: list[Decimal]):
    curve, returns = curve_of(equities), returns_of(equities)
    found = curve.daily_returns()
    assert list(found) == pytest.approx(list(returns), rel=1e-12, abs=1e-15)
    for ours, theirs, scale in (
        (sharpe_ratio(found), empyrical.sharpe_ratio(returns), 1),
        (sortino_ratio(found), empyrical.sortino_ratio(returns), 1),
        (volatility_percent(found), empyrical.annual_volatility(returns), 100),
    ):
        if ours is None:
            assert len(returns) < 2 or not math.isfinite(theirs) or float(returns.std()) < 1e-12
        else:
            assert float(ours) == pytest.approx(scale * theirs, rel=1e-9, abs=1e-9)


@given(EQUITIES)
def test_drawdown_and_return_are_those_of_empyrical(equities: list[Decimal]):
    curve, returns = curve_of(equities), returns_of(equities)
    theirs = empyrical.max_drawdown(returns) if len(returns) else 0
    # A percentage of a drawdown has six decimals.
    assert float(curve.drawdown.max()) == pytest.approx(-100 * theirs, abs=1e-6)
    assert curve.growth[-1] - 1 == pytest.approx(
        empyrical.cum_returns_final(returns) if len(returns) else 0, rel=1e-9, abs=1e-12
    )


@given(st.integers(400, 2_000 if SOAK else 500), st.floats(-0.01, 0.01), st.randoms(use_true_random=False))
def test_the_annual_return_is_that_of_empyrical_with_days_of_the_calendar(days, drift, chance):
    equities = [Decimal(1_000)]
    for _ in range(days):
        equities.append(round(equities[-1] * dec(1 + drift + chance.uniform(-0.01, 0.01)), 6) + 1)
    returns = returns_of(equities)
    ours = annual_return_percent(float(curve_of(equities).growth[-1]), len(returns) * DAY_NS)
    assert ours is not None
    assert float(ours) == pytest.approx(100 * empyrical.annual_return(returns, annualization=365), rel=1e-9)


def test_less_than_a_year_is_not_annualised():
    assert annual_return_percent(2.0, 365 * DAY_NS - 1) is None
    assert annual_return_percent(2.0, 365 * DAY_NS) == 100
    assert annual_return_percent(0.0, 365 * DAY_NS) == -100
    assert annual_return_percent(-1.0, 365 * DAY_NS) == -100


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01]], ids=["none", "one", "equal"])
def test_sharpe_and_sortino_need_returns_that_differ(returns: list[float]):
    found = np.array(returns)
    assert (sharpe_ratio(found), sortino_ratio(found)) == (None, None)
    assert volatility_percent(found) == (0 if len(found) == 2 else None)


def test_sortino_needs_a_loss():
    assert sortino_ratio(np.array([0.01, 0.02])) is None
