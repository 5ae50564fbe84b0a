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
from trading.documents.figures import FiguresDocument
from trading.report import AccountHistory, annual_return_percent, figures_of, ratios_of

BEGIN_DAY = 20_000
# Equities in whole cents, one a day.
EQUITIES = st.lists(st.integers(1_000, 10_000_000), min_size=2, max_size=60).map(
    lambda cents: [Decimal(each) / 100 for each in cents]
)


def figures(equities: list[Decimal]) -> FiguresDocument:
    """The figures of a curve with a point at the end of each day."""
    history, high_water = AccountHistory(), Decimal(0)
    for day, equity in enumerate(equities, BEGIN_DAY):
        high_water = max(high_water, equity)
        history.add_point((day + 1) * DAY_NS - 1, equity, high_water, equities[0], 0)
    return figures_of(history, 0, (BEGIN_DAY + len(equities)) * DAY_NS)


def returns_of(equities: list[Decimal]) -> pd.Series:
    """The returns of the days but for the first, before which there is no equity."""
    days = pd.to_datetime(np.arange(len(equities)) + BEGIN_DAY, unit="D")
    values = [float(each) for each in equities]
    return pd.Series(values, index=days).pct_change().dropna()


@given(EQUITIES)
def test_figures_are_those_of_empyrical(equities: list[Decimal]):
    found, returns = figures(equities), returns_of(equities)
    for ours, theirs, scale in (
        (found.sharpe, empyrical.sharpe_ratio(returns, annualization=365), 1),
        (found.sortino, empyrical.sortino_ratio(returns, annualization=365), 1),
        (found.volatility_pct, empyrical.annual_volatility(returns, annualization=365), 100),
    ):
        if ours is None:
            assert len(returns) < 2 or not math.isfinite(theirs) or float(returns.std()) < 1e-12
        else:
            assert ours == pytest.approx(scale * theirs, rel=1e-9, abs=1e-9)
    # A percentage of a drawdown has six decimals.
    assert found.max_dd == pytest.approx(-100 * empyrical.max_drawdown(returns), abs=1e-6)
    assert found.return_pct == pytest.approx(100 * empyrical.cum_returns_final(returns), rel=1e-9, abs=1e-10)


@given(st.integers(400, 2_000 if SOAK else 500), st.floats(-0.01, 0.01), st.randoms(use_true_random=False))
def test_the_annual_return_is_that_of_empyrical_with_days_of_the_calendar(days, drift, chance):
    equities = [Decimal(1_000)]
    for _ in range(days):
        equities.append(round(equities[-1] * dec(1 + drift + chance.uniform(-0.01, 0.01)), 6) + 1)
    returns = returns_of(equities)
    growth = 1 + (figures(equities).return_pct or 0) / 100
    ours = annual_return_percent(growth, len(returns) * DAY_NS)
    assert ours == pytest.approx(100 * empyrical.annual_return(returns, annualization=365), rel=1e-9)


def test_less_than_a_year_is_not_annualised():
    assert annual_return_percent(2.0, 365 * DAY_NS - 1) is None
    assert annual_return_percent(2.0, 365 * DAY_NS) == 100
    assert annual_return_percent(0.0, 365 * DAY_NS) == -100
    assert annual_return_percent(-1.0, 365 * DAY_NS) == -100


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01]], ids=["none", "one", "equal"])
def test_sharpe_and_sortino_need_returns_that_differ(returns: list[float]):
    deviation = 0 if len(returns) == 2 else None
    assert ratios_of(pd.Series(returns, dtype=float), 252) == {
        "volatility_pct": deviation,
        "sharpe": None,
        "sortino": None,
    }


def test_sortino_needs_a_loss():
    assert ratios_of(pd.Series([0.01, 0.02]), 252)["sortino"] is None
