"""How an account did in a period: figures of its trades, of its fills, and of the curve of its equity.

`…_pct` are per cent, other parts are fractions. What is not defined is null. Sums of money are exact; figures of the
curve are computed in float64 by pandas, and have 12 significant digits.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from calendars.trading_calendar import TradingCalendar
from store.arrays import Integers
from store.instrument_calendars import calendar_if_known
from store.instruments import FX, Instrument
from store.lazy_imports import pandas as pd
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.account import AccountState, Effects
from trading.core.amounts import ZERO, average
from trading.core.events import Event, Executed
from trading.core.positions import ClosedTrade
from trading.core.valuation import FillResult, Grouping, fill_of, is_of_curve
from trading.documents.figures import (
    CurvePointDocument,
    DrawdownDocument,
    FiguresDocument,
    MeanExposureDocument,
    PerformanceRowDocument,
)
from web.documents import instant_or_null, number, number_or_null

_SESSIONS_A_YEAR, _UTC_DAYS_A_YEAR = 252, 365


def value_end_ns(until_ns: int) -> int:
    """Return the instant before which values are of the time until `until_ns`.

    It is a second later for midnight: accounts are marked as a day begins, and stored bars of days end at midnight.
    """
    return until_ns + SECOND_NS if until_ns % DAY_NS == 0 else until_ns


class ReturnDays(NamedTuple):
    """The trading dates of calendars; UTC dates without calendars.

    has_long_bars: whether prices are of stored bars of weeks or months, which count for their last session.
    """

    calendars: frozenset[TradingCalendar] = frozenset()
    has_long_bars: bool = False

    @property
    def per_year(self) -> int:
        """By how many days a year returns are annualised."""
        return _SESSIONS_A_YEAR if self.calendars else _UTC_DAYS_A_YEAR

    def ends_ns(self, begin_ns: int, until_ns: int) -> Integers:
        """Return the instant up to which each day's last value counts, ascending, nanoseconds UTC.

        The days are those that end in `begin_ns` < end <= `until_ns`: UTC dates at midnight, trading dates at their
        last close. The values are those of the midnight after; see `value_end_ns`. With long bars they are those of the
        midnight of the next trading date: a week ends then, days after its last close.
        """
        first, last = begin_ns // DAY_NS, until_ns // DAY_NS
        if not self.calendars:
            return (np.arange(first, last) + 1) * DAY_NS + SECOND_NS
        schedules = [each.on_dates(first - 1, last + 1) for each in self.calendars]
        dates = np.concatenate([each.date for each in schedules])
        days, places = np.unique(dates, return_inverse=True)
        closes = np.zeros(len(days), np.int64)
        np.maximum.at(closes, places, np.concatenate([each.close_ns for each in schedules]))
        end_days = np.append(days[1:], last + 2) if self.has_long_bars else days + 1
        ends: Integers = np.maximum(closes, end_days * DAY_NS) + SECOND_NS
        return ends[(closes > begin_ns) & (closes <= until_ns)]


UTC_DAYS = ReturnDays()


def return_days_of(instruments: Iterable[Instrument]) -> ReturnDays:
    """Return the days for an account that held these: the trading dates of any of them.

    They are UTC dates if one of them is of fx or has no calendar, as crypto, and if there are no instruments.
    """
    calendars = {None if each.instrument_class == FX else calendar_if_known(each) for each in instruments}
    return UTC_DAYS if None in calendars else ReturnDays(frozenset(filter(None, calendars)))


YEAR_NS = 365 * DAY_NS
# Daily returns that differ by less are equal but for rounding.
_EQUAL_RETURNS = 1e-12
_MOST_POINTS, _PIECES = 1_000, 500
_STEP = ("equity", "high_water", "start_equity", "exposure")


class AccountHistory:
    """What happened to an account, in the order of its events.

    at_ns, steps: an instant and four doubles of each point of the equity and of each fill: equity, high-water mark,
    `start_equity` and exposure, in the account's currency. The first three of a fill are NaN.
    """

    def __init__(self) -> None:
        self.at_ns, self.steps = array("q"), array("d")
        self.fills: list[FillResult] = []
        self.trades: list[ClosedTrade] = []

    def take(self, state: AccountState, event: Event, effects: Effects, at_ns: int) -> None:
        """Add what an event changed. state: after it."""
        if isinstance(event, Executed):
            self.add_fill(fill_of(state, event, effects, at_ns))
        elif is_of_curve(event):
            self.add_point(at_ns, state.equity, state.high_water, state.start_equity, state.exposure)
        self.trades += effects.closed

    def add_point(self, at_ns: int, *amounts: SupportsFloat | str) -> None:
        """Add a point of the equity. amounts: the four of `steps`."""
        self.at_ns.append(at_ns)
        self.steps.extend(map(float, amounts))

    def add_fill(self, fill: FillResult) -> None:
        """Add a fill."""
        self.add_point(fill.at_ns, np.nan, np.nan, np.nan, fill.exposure)
        self.fills.append(fill)


def figures_of(
    history: AccountHistory,
    since_ns: int,
    until_ns: int,
    by: Grouping | None = None,
    return_days: ReturnDays = UTC_DAYS,
) -> FiguresDocument:
    """Return the figures of `since_ns` <= time < `until_ns`, with `by` also those of each day, symbol or strategy.

    The last steps before the period are what it begins with. return_days: whose returns are in the ratios.
    """
    curve = EquityCurve(history, since_ns, until_ns)
    mean_equity, exposure = curve.exposure()
    trades = [each for each in history.trades if since_ns <= each.closed_ns < until_ns]
    fills = [each for each in history.fills if since_ns <= each.at_ns < until_ns]
    figures = FiguresDocument(
        **_trading(trades, fills, mean_equity),
        end=format_timestamp(until_ns),
        exposure=exposure,
        **curve.figures(return_days),
    )
    if by is None:
        return figures
    groups: dict[str, tuple[list[ClosedTrade], list[FillResult]]] = defaultdict(lambda: ([], []))
    for trade in trades:
        groups[_key(trade, trade.closed_ns, by)][0].append(trade)
    for fill in fills:
        groups[_key(fill, fill.at_ns, by)][1].append(fill)
    days = curve.days() if by is Grouping.DAY else {}
    figures.by = by
    figures.rows = []
    for key in sorted(groups.keys() | days.keys()):
        group: dict[str, Any] = {by.value: key or None, **days.get(key, {})}
        figures.rows.append(PerformanceRowDocument(**group, **_trading(*groups[key], mean_equity)))
    return figures


def _key(each: ClosedTrade | FillResult, at_ns: int, by: Grouping) -> str:
    return _date(at_ns // DAY_NS) if by is Grouping.DAY else str(getattr(each, by.value))


def _date(day: int) -> str:
    return format_timestamp(day * DAY_NS)[:10]


class EquityCurve:
    """The equity and the exposure of an account in a period, as frames of pandas. Between rows both are constant.

    steps: points of the equity and fills, which have the equity of the point before them; the first row is the last
    step before the period. points: those of the equity, with `drawdown`, in per cent with six decimals, and `growth`:
    the worth over that at the first point, without transfers. has_value_before: whether the first point is from before
    the period.

    An instant that is earlier than the one before it, or than the period, counts at that one's. A period that begins or
    ends at midnight does so after the mark of midnight; see `value_end_ns`.
    """

    def __init__(self, history: AccountHistory, since_ns: int, until_ns: int) -> None:
        steps = pd.DataFrame(np.array(history.steps).reshape(-1, len(_STEP)), columns=list(_STEP))
        steps["at_ns"] = np.maximum.accumulate(np.array(history.at_ns, np.int64))
        steps["is_point"] = steps.equity.notna()
        is_before = steps.at_ns < np.where(steps.is_point, value_end_ns(until_ns), until_ns)
        steps = steps[is_before].ffill().dropna()
        self.until_ns, self.has_value_before = until_ns, bool((steps.at_ns[:1] < since_ns).any())
        begin_ns = value_end_ns(since_ns)
        steps = steps.iloc[max(int(steps.at_ns.searchsorted(begin_ns)) - 1, 0) :].reset_index(drop=True)
        at_ns = steps.at_ns.clip(since_ns, until_ns - 1)
        self.steps = steps.assign(at_ns=at_ns.where(at_ns >= begin_ns, since_ns))
        points = self.steps[steps.is_point | (steps.index == 0)].reset_index(drop=True)
        fall = (1 - points.equity / points.high_water).where(points.high_water > 0, 0.0)
        worth = (points.equity / points.start_equity).where(points.start_equity > 0)
        # A time with nothing to grow changes nothing.
        change = worth.pct_change(fill_method=None).where(worth.shift() != 0).fillna(0.0)
        self.points = points.assign(
            drawdown=(100 * fall.clip(lower=0)).round(6), growth=(1 + change).cumprod()
        )

    def figures(self, return_days: ReturnDays) -> dict[str, Any]:
        """Return the figures of all time: fields of `FiguresDocument`; none without a point."""
        if self.points.empty:
            return {}
        begin_ns, growth = int(self.points.at_ns[0]), float(self.points.growth.iloc[-1])
        ratios = ratios_of(self._daily_returns(return_days), return_days.per_year)
        return {
            "begin": format_timestamp(begin_ns),
            "return_pct": _figure(100 * (growth - 1)),
            "annual_return_pct": _figure_or_null(annual_return_percent(growth, self.until_ns - begin_ns)),
            **{name: _figure_or_null(ratio) for name, ratio in ratios.items()},
            "max_dd": float(self.points.drawdown.max()),
            "drawdown": self._drawdown_document(),
            "drawdown_curve": self._thinned(),
        }

    def _daily_returns(self, return_days: ReturnDays) -> Any:
        """Return a Series of the changes of growth from a day's end to the next day's end.

        The first day has one only if the account had a value before the period. There are none if the equity was ever
        below zero: later changes are of a debt. None begins with a growth of 0.
        """
        if self.points.equity.min() < 0:
            return pd.Series(dtype=float)
        ends_ns = return_days.ends_ns(int(self.points.at_ns[0]), self.until_ns)
        growth = self._last_before(ends_ns).growth
        before = pd.Series([1.0] * self.has_value_before, dtype=float)
        return pd.concat([before, growth]).pct_change().dropna()

    def _last_before(self, instants: Any) -> Any:
        """Return the last point before each instant; no instant is before the first point."""
        return self.points.iloc[self.points.at_ns.searchsorted(instants) - 1]

    def _drawdown_document(self) -> DrawdownDocument:
        """Return when the deepest drawdown was, the first of equal ones.

        It begins at the last point at the high-water mark, or at the first point, and ends at the next one at the mark:
        `pyfolio.timeseries.get_max_drawdown_underwater`.
        """
        points, trough = self.points, int(self.points.drawdown.argmax())
        if not points.drawdown[trough]:
            return DrawdownDocument()
        at_mark = points.at_ns[points.drawdown == 0]
        before, after = at_mark[at_mark.index < trough], at_mark[at_mark.index > trough]
        return DrawdownDocument(
            begin=format_timestamp(int(points.at_ns[0] if before.empty else before.iloc[-1])),
            trough=format_timestamp(int(points.at_ns[trough])),
            end=instant_or_null(None if after.empty else int(after.iloc[0])),
        )

    def _thinned(self) -> list[CurvePointDocument]:
        """Return at most a thousand points: of a longer curve the deepest and the last of each piece."""
        points = self.points
        if len(points) > _MOST_POINTS:
            pieces = points.groupby(np.arange(len(points)) * _PIECES // len(points))
            points = points.loc[np.union1d(pieces.drawdown.idxmax(), pieces.tail(1).index)]
        rows = points[["at_ns", "equity", "high_water", "drawdown"]].itertuples(index=False)
        return [CurvePointDocument(format_timestamp(at_ns), *amounts) for at_ns, *amounts in rows]

    def exposure(self) -> tuple[float | None, MeanExposureDocument]:
        """Return the mean equity and the exposure over the time with an equity above zero, both weighted by time.

        The mean equity is None without such a time.
        """
        steps = self.steps.assign(ns=np.diff(self.steps.at_ns, append=self.until_ns))
        steps = steps[(steps.ns > 0) & (steps.equity > 0)]
        if steps.empty:
            return None, MeanExposureDocument()
        mean, percent = partial(np.average, weights=steps.ns), 100 * steps.exposure / steps.equity
        figures = mean(percent), percent.max(), mean(steps.exposure != 0)
        return float(mean(steps.equity)), MeanExposureDocument(*map(_figure, figures))

    def days(self) -> dict[str, dict[str, Any]]:
        """Return fields of `PerformanceRowDocument` for each UTC date, also for those without a point."""
        if self.points.empty:
            return {}
        days = np.arange(self.points.at_ns[0] // DAY_NS, (self.until_ns - 1) // DAY_NS + 1)
        closes = self._last_before((days + 1) * DAY_NS + SECOND_NS)
        growth = pd.Series([1.0, *closes.growth])
        returns = (100 * growth.pct_change()).where(growth.shift() > 0)[1:]
        # A day also has the last point before it.
        carried = self._last_before(np.maximum(days * DAY_NS + 1, self.points.at_ns[0] + 1)).drawdown
        deepest = self.points.groupby(self.points.at_ns // DAY_NS).drawdown.max().reindex(days)
        columns = days, closes.equity, returns, np.fmax(carried.to_numpy(), deepest.to_numpy())
        return {
            _date(day): {
                "equity": equity,
                "return_pct": None if np.isnan(percent) else _figure(percent),
                "max_dd": max_dd,
            }
            for day, equity, percent, max_dd in zip(*(each.tolist() for each in columns), strict=True)
        }


def ratios_of(returns: Any, per_year: int) -> dict[str, float | None]:
    """Return volatility_pct, sharpe and sortino of a Series of daily returns. per_year: how many days a year has.

    They are `empyrical.annual_volatility` in per cent, `sharpe_ratio` without a risk-free rate, and `sortino_ratio`:
    the mean over the sample deviation (W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21 (1), 1994),
    and over the root of the mean square of the losses (F. A. Sortino and L. N. Price, Performance Measurement in a
    Downside Risk Framework, Journal of Investing 3 (3), 1994). None with less than two returns, or if the divisor is 0.
    """
    if len(returns) < 2:
        return dict.fromkeys(("volatility_pct", "sharpe", "sortino"))
    year_root = per_year**0.5
    mean = returns.mean() * year_root
    deviation = 0.0 if returns.max() - returns.min() < _EQUAL_RETURNS else returns.std()
    loss = (returns.clip(upper=0) ** 2).mean() ** 0.5
    return {
        "volatility_pct": 100 * deviation * year_root,
        "sharpe": mean / deviation if deviation else None,
        "sortino": mean / loss if loss else None,
    }


def annual_return_percent(growth: float, ns: int) -> float | None:
    """Return the yearly return, in per cent, that gives a growth in a time: `empyrical.annual_return` by calendar days.

    None for less than 365 days, which the Global Investment Performance Standards forbid to annualise. A growth of zero
    or less is -100.
    """
    if ns < YEAR_NS:
        return None
    return 100 * (growth ** (YEAR_NS / ns) - 1) if growth > 0 else -100.0


def _trading(
    trades: Sequence[ClosedTrade], fills: Sequence[FillResult], mean_equity: float | None
) -> dict[str, Any]:
    """Return the figures of closed trades, and of fills: a cancelled one stays in `executions`, `traded` and `fees`.

    win_rate: a trade that gains nothing is no win. average_r: their expectancy (V. K. Tharp). turnover: `traded` over
    the period's mean equity, weighted by time, as `pyfolio.txn.get_turnover`; groups add up to the whole.
    """
    pnls = [each.pnl_base for each in trades]
    in_r = [each.r for each in trades if each.r is not None]
    wins, losses = [each for each in pnls if each > 0], [each for each in pnls if each < 0]
    traded = number(sum((each.value for each in fills), ZERO))
    return {
        "trades": len(pnls),
        "win_rate": _part(Decimal(len(wins)), Decimal(len(pnls))),
        "total_r": number(sum(in_r, ZERO)),
        "average_r": _part(sum(in_r, ZERO), Decimal(len(in_r))),
        "without_r": len(pnls) - len(in_r),
        "pnl": number(sum(pnls, ZERO)),
        "profit_factor": _part(sum(wins, ZERO), -sum(losses, ZERO)),
        "executions": len(fills),
        "traded": traded,
        "fees": number(sum((each.fee for each in fills), ZERO)),
        "turnover": _figure_or_null(mean_equity and traded / mean_equity),
    }


def _part(part: Decimal, whole: Decimal) -> float | None:
    """Return part / whole with 15 digits; None if the whole is zero."""
    return number_or_null(average(part, whole) if whole else None)


def _figure(value: float) -> float:
    """Return a figure of the curve with 12 significant digits. Zero has no sign."""
    return float(f"{value:.12g}") + 0.0


def _figure_or_null(value: float | None) -> float | None:
    return None if value is None else _figure(value)
