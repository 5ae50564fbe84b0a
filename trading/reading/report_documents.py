"""What clients see of a report, of an account or of a backtest.

`…_pct` are per cent, other parts are fractions. What is not defined is null.
"""

from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.amounts import HUNDRED, ONE, ZERO
from trading.core.curve import Drawdowns, ExposureFigures, change
from trading.core.ratios import annual_return_percent, sharpe_ratio, sortino_ratio, volatility_percent
from trading.core.report import Grouping, GroupKey, PerformanceReport, TradeFigures
from trading.documents import Document, number, number_or_null


def report_document(report: PerformanceReport) -> Document:
    """Return the figures of a report that has ended; with groups, `by` and `rows`, too.

    begin: of the period, or the curve's first point if that is later; null without points.
    """
    curve, returns = report.curve, report.curve.daily_returns()
    elapsed_ns = report.until_ns - curve.since_ns
    document = {
        **_trading(report, report.figures),
        "begin": None if curve.last is None else format_timestamp(curve.since_ns),
        "end": format_timestamp(report.until_ns),
        "annual_turnover": number_or_null(report.annual_turnover(report.figures)),
        "return_pct": number(change(ONE, curve.growth) * HUNDRED),
        "annual_return_pct": number_or_null(annual_return_percent(curve.growth, elapsed_ns)),
        "volatility_pct": number_or_null(volatility_percent(returns)),
        "sharpe": number_or_null(sharpe_ratio(returns)),
        "sortino": number_or_null(sortino_ratio(returns)),
        "max_dd": number(ZERO if curve.drawdowns.deepest is None else curve.drawdowns.deepest.percent),
        "drawdown": drawdown_document(curve.drawdowns),
        "exposure": exposure_document(report.exposure),
        "drawdown_curve": [
            {
                "at": format_timestamp(point.at_ns),
                "equity": number(point.equity),
                "high_water": number(point.high_water),
                "drawdown_pct": number(point.drawdown),
            }
            for point in curve.thinned.points
        ],
    }
    return document if report.by is None else document | {"by": report.by.value, "rows": _rows(report)}


def _trading(report: PerformanceReport, figures: TradeFigures) -> Document:
    return {
        "trades": figures.trades,
        "win_rate": number_or_null(figures.win_rate),
        "total_r": number(figures.total_r),
        "average_r": number_or_null(figures.average_r),
        "without_r": figures.trades - figures.in_r,
        "pnl": number(figures.gained - figures.lost),
        "profit_factor": number_or_null(figures.profit_factor),
        "executions": figures.executions,
        "traded": number(figures.traded),
        "fees": number(figures.fees),
        "turnover": number_or_null(report.turnover(figures)),
    }


def drawdown_document(drawdowns: Drawdowns) -> Document:
    """Return when the deepest drawdown was, and how long the longest lasted, in seconds."""
    deepest = drawdowns.deepest
    return {
        "begin": None if deepest is None else format_timestamp(deepest.begin_ns),
        "trough": None if deepest is None else format_timestamp(deepest.trough_ns),
        "end": None if deepest is None or deepest.end_ns is None else format_timestamp(deepest.end_ns),
        "longest_seconds": drawdowns.longest_ns / SECOND_NS,
    }


def exposure_document(exposure: ExposureFigures) -> Document:
    """Return mean and largest exposure in per cent of the equity, and the part of the time with positions."""
    return {
        "mean_pct": number_or_null(exposure.mean_percent),
        "largest_pct": number(exposure.largest),
        "time_in_market": number_or_null(exposure.time_in_market),
    }


def _rows(report: PerformanceReport) -> list[Document]:
    keys = report.groups.keys() | (report.curve.days.keys() if report.by is Grouping.DAY else set())
    return [_row(report, key) for key in sorted(keys)]


def _row(report: PerformanceReport, key: GroupKey) -> Document:
    trading = _trading(report, report.groups.get(key, TradeFigures()))
    if isinstance(key, str):
        return {str(report.by): key or None, **trading}
    row = {"day": format_timestamp(key * DAY_NS)[:10], **trading}
    day = report.curve.days.get(key)
    if day is None:
        return row
    gained = report.day_return(key)
    return row | {
        "equity": number(day.close.equity),
        "return_pct": None if gained is None else number(gained * HUNDRED),
        "max_dd": number(day.max_drawdown),
        "exposure": exposure_document(day.exposure),
    }
