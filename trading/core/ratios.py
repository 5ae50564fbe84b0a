"""Ratios of daily returns, and what a period comes to in a year.

Returns are fractions, each of a day: 0.01 is a gain of one per cent. Results have 15 digits.
"""

from collections.abc import Sequence
from decimal import Decimal

from trading.core.amounts import HUNDRED, NS_PER_SECOND, ONE, ZERO, average

YEAR_NS = 365 * 86_400 * NS_PER_SECOND
_TRADING_DAYS_A_YEAR = Decimal(252)


def sharpe_ratio(returns: Sequence[Decimal]) -> Decimal | None:
    """Return the mean over the sample deviation, times the root of 252, with no risk-free rate.

    None with less than two returns, or if all are equal. W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio
    Management 21 (1), 1994; `empyrical.sharpe_ratio`.
    """
    deviation = _deviation(returns)
    return _annual(_mean(returns) / deviation) if deviation else None


def sortino_ratio(returns: Sequence[Decimal]) -> Decimal | None:
    """Return the mean over the root of the mean square of the losses, times the root of 252.

    None with less than two returns, or without a loss. F. A. Sortino and L. N. Price, Performance Measurement in a
    Downside Risk Framework, Journal of Investing 3 (3), 1994; `empyrical.sortino_ratio`.
    """
    if len(returns) < 2:
        return None
    risk = _mean([min(each, ZERO) ** 2 for each in returns]).sqrt()
    return _annual(_mean(returns) / risk) if risk else None


def volatility_percent(returns: Sequence[Decimal]) -> Decimal | None:
    """Return the sample deviation in per cent, times the root of 252: `empyrical.annual_volatility`.

    None with less than two returns.
    """
    deviation = _deviation(returns)
    return None if deviation is None else _annual(deviation * HUNDRED)


def annual_return_percent(growth: Decimal, ns: int) -> Decimal | None:
    """Return the yearly return, in per cent, that gives a growth in a time: `empyrical.annual_return` by calendar days.

    None for less than 365 days, which the Global Investment Performance Standards forbid to annualise. A growth of zero
    or less is -100.
    """
    if ns < YEAR_NS:
        return None
    a_year = growth ** (Decimal(YEAR_NS) / ns) if growth > 0 else ZERO
    return average((a_year - 1) * HUNDRED, ONE)


def _deviation(returns: Sequence[Decimal]) -> Decimal | None:
    if len(returns) < 2:
        return None
    if min(returns) == max(returns):
        return ZERO
    mean = _mean(returns)
    return (sum(((each - mean) ** 2 for each in returns), ZERO) / (len(returns) - 1)).sqrt()


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values)


def _annual(value: Decimal) -> Decimal:
    return average(value * _TRADING_DAYS_A_YEAR.sqrt(), ONE)
