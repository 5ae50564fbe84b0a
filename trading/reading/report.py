"""How an account did in a period: figures of its trades, of its fills, and of the curve of its equity.

`…_pct` are per cent, other parts are fractions. What is not defined is null. Sums of money are exact; figures of the
curve are computed in float64 and have 12 significant digits.
"""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from store.arrays import Floats, Integers
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.account import AccountState, Effects
from trading.core.amounts import ZERO, average
from trading.core.events import Event, Executed
from trading.core.positions import ClosedTrade
from trading.core.report import FillResult, Grouping, fill_of, is_of_curve
from trading.documents.figures import (
    CurvePointDocument,
    DrawdownDocument,
    FiguresDocument,
    MeanExposureDocument,
    PerformanceRowDocument,
)
from trading.reading.return_days import UTC_DAYS, ReturnDays, value_end_ns
from web.documents import instant_or_null, number, number_or_null

YEAR_NS = 365 * DAY_NS
# Daily returns that differ by less are equal but for rounding.
_EQUAL_RETURNS = 1e-12
_MOST_POINTS, _PIECES = 1_000, 500
_NO_STEP = (np.nan,) * 3


class TradeResult(NamedTuple):
    """What counts of a closed trade. pnl: in the account's currency; r: None if not known."""

    at_ns: int
    symbol: str
    strategy: str
    pnl: Decimal
    r: Decimal | None


class AccountHistory:
    """What happened to an account, in the order of its events.

    at_ns, steps: an instant and four doubles of each point of the equity and of each fill: equity, high-water mark,
    `start_equity` and exposure, in the account's currency. The first three of a fill are NaN.
    """

    def __init__(self) -> None:
        self.at_ns, self.steps = array("q"), array("d")
        self.fills: list[FillResult] = []
        self.trades: list[TradeResult] = []
        self._highest = ZERO

    def take(self, state: AccountState, event: Event, effects: Effects, at_ns: int) -> None:
        """Add what an event changed. state: after it."""
        if isinstance(event, Executed):
            self.add_fill(fill_of(state, event, effects, at_ns))
        elif is_of_curve(event):
            self._add_equity(at_ns, state, state.equity, state.exposure)
        for trade in effects.closed:
            self.add_trade(trade)

    def add_value(self, at_ns: int, state: AccountState, equity: Decimal, exposure: Decimal) -> None:
        """Add equity and exposure at an instant between events, of an account from which nothing is paid out."""
        self._highest = max(self._highest, equity)
        self._add_equity(at_ns, state, equity, exposure)

    def _add_equity(self, at_ns: int, state: AccountState, equity: Decimal, exposure: Decimal) -> None:
        high_water = max(state.high_water, self._highest)
        self.add_point(at_ns, equity, high_water, state.start_equity, exposure)

    def add_point(self, at_ns: int, *amounts: SupportsFloat | str) -> None:
        """Add a point of the equity. amounts: the four of `steps`."""
        self.at_ns.append(at_ns)
        self.steps.extend(map(float, amounts))

    def add_fill(self, fill: FillResult) -> None:
        """Add a fill."""
        self.add_point(fill.at_ns, *_NO_STEP, fill.exposure)
        self.fills.append(fill)

    def add_trade(self, trade: ClosedTrade) -> None:
        """Add a closed trade."""
        self.trades.append(
            TradeResult(trade.closed_ns, trade.symbol, trade.strategy, trade.pnl_base, trade.r)
        )


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
    curve = _curve(history, since_ns, until_ns)
    exposure = NO_EXPOSURE if curve is None else curve.exposures()[0]
    groups: dict[str, tuple[list[TradeResult], list[FillResult]]] = defaultdict(lambda: ([], []))
    trades = [each for each in history.trades if since_ns <= each.at_ns < until_ns]
    fills = [each for each in history.fills if since_ns <= each.at_ns < until_ns]
    trading = _trading(trades, fills, exposure.mean_equity)
    turnover = trading["turnover"]
    figures = FiguresDocument(
        **trading,
        end=format_timestamp(until_ns),
        annual_turnover=_figure_or_null(None if turnover is None else turnover * YEAR_NS / exposure.ns),
        exposure=exposure.document,
        **({} if curve is None else curve.figures(return_days)),
    )
    if by is None:
        return figures
    for trade in trades:
        groups[_key(trade, by)][0].append(trade)
    for fill in fills:
        groups[_key(fill, by)][1].append(fill)
    days = {} if curve is None or by is not Grouping.DAY else curve.days()
    figures.by = by
    figures.rows = []
    for key in sorted(groups.keys() | days.keys()):
        group: dict[str, Any] = {by.value: key or None, **days.get(key, {})}
        figures.rows.append(PerformanceRowDocument(**group, **_trading(*groups[key], exposure.mean_equity)))
    return figures


def _key(each: TradeResult | FillResult, by: Grouping) -> str:
    return _date(each.at_ns // DAY_NS) if by is Grouping.DAY else str(getattr(each, by.value))


def _date(day: int) -> str:
    return format_timestamp(day * DAY_NS)[:10]


class Exposure(NamedTuple):
    """The exposure over the time with an equity above zero, which is `ns`. mean_equity: None without such a time."""

    ns: int
    mean_equity: float | None
    document: MeanExposureDocument


NO_EXPOSURE = Exposure(0, None, MeanExposureDocument())


class EquityCurve:
    """The equity at points in order, and the exposure, which fills change, too. Between steps both are constant.

    steps: as `AccountHistory`; a fill has the equity of the point before it. drawdown: by point, in per cent, with six
    decimals. growth: by point, the worth over that at the first point, without transfers. has_value_before: whether the
    first point is the value from before the period.
    """

    def __init__(
        self, until_ns: int, steps_ns: Integers, steps: Floats, points: Integers, *, has_value_before: bool
    ) -> None:
        self.has_value_before = has_value_before
        self.until_ns, self.steps_ns, self.steps = max(until_ns, int(steps_ns[-1])), steps_ns, steps
        self.at_ns = steps_ns[points]
        self.equity, self.high_water, start, _ = steps[points].T
        fall = 1 - _quotient(self.equity, self.high_water, self.high_water > 0, 1)
        self.drawdown = np.round(100 * fall.clip(min=0), 6)
        worth = _quotient(self.equity, start, start > 0, np.nan)
        change = _quotient(worth[1:], worth[:-1], worth[:-1] != 0, np.nan)
        # A time with nothing to grow changes nothing.
        self.growth = np.cumprod(np.concatenate([[1.0], np.where(np.isnan(change), 1.0, change)]))

    def figures(self, return_days: ReturnDays) -> dict[str, Any]:
        """Return the figures of all time: fields of `FiguresDocument`."""
        growth = float(self.growth[-1])
        ratios = ratios_of(self.daily_returns(return_days), return_days.per_year)
        return {
            "begin": format_timestamp(int(self.at_ns[0])),
            "return_pct": _figure(100 * (growth - 1)),
            "annual_return_pct": _figure_or_null(
                annual_return_percent(growth, self.until_ns - int(self.at_ns[0]))
            ),
            **{name: _figure_or_null(ratio) for name, ratio in ratios.items()},
            "max_dd": float(self.drawdown.max()),
            "drawdown": self._drawdown_document(),
            "drawdown_curve": self._thinned(),
        }

    def daily_returns(self, return_days: ReturnDays) -> Floats:
        """Return the changes of growth from a day's end to the next day's end.

        The first day has one only if the account had a value before the period: `returns.pct_change()` of closes.
        There are none if the equity was ever below zero: later changes are of a debt. None begins with a growth of 0.
        """
        if self.equity.min() < 0:
            return np.empty(0)
        ends_ns = return_days.ends_ns(int(self.at_ns[0]), self.until_ns)
        places = self.at_ns.searchsorted(ends_ns) - 1
        growth = np.concatenate([np.ones(int(self.has_value_before)), self.growth[places]])
        before, after = growth[:-1], growth[1:]
        returns: Floats = (after[before > 0] - before[before > 0]) / before[before > 0]
        return returns

    def _closes(self, days: Integers) -> Integers:
        """Return the last point of each day; the first point for days before it.

        A point in the first second of a day also ends the day before: accounts are marked as a day begins.
        """
        return np.maximum(self.at_ns.searchsorted((days + 1) * DAY_NS + SECOND_NS) - 1, 0)

    def _drawdown_document(self) -> DrawdownDocument:
        """Return when the deepest drawdown was, the first of equal ones, and how long the longest lasted, in seconds.

        It begins at the last point at the high-water mark, or at the first point, and ends at the next one at the mark:
        `pyfolio.timeseries.get_max_drawdown_underwater`.
        """
        at_mark = np.flatnonzero(self.drawdown == 0)
        begins = self.at_ns[np.concatenate([[0], at_mark])]
        ends = np.concatenate([self.at_ns[at_mark], [self.until_ns]])
        has_points_below = np.diff(at_mark, prepend=-1, append=len(self.at_ns)) > 1
        if not has_points_below.any():
            return DrawdownDocument()
        trough = int(self.drawdown.argmax())
        following = int(at_mark.searchsorted(trough))
        return DrawdownDocument(
            begin=format_timestamp(int(begins[following])),
            trough=format_timestamp(int(self.at_ns[trough])),
            end=instant_or_null(int(ends[following]) if following < len(at_mark) else None),
            longest_seconds=int((ends - begins)[has_points_below].max()) / SECOND_NS,
        )

    def _thinned(self) -> list[CurvePointDocument]:
        """Return at most a thousand points: of a longer curve the deepest and the last of each piece."""
        points = np.arange(len(self.at_ns))
        if len(points) > _MOST_POINTS:
            pieces = np.array_split(points, _PIECES)
            points = np.unique([(piece[self.drawdown[piece].argmax()], piece[-1]) for piece in pieces])
        columns = (
            each[points].tolist() for each in (self.at_ns, self.equity, self.high_water, self.drawdown)
        )
        return [
            CurvePointDocument(format_timestamp(at_ns), *amounts)
            for at_ns, *amounts in zip(*columns, strict=True)
        ]

    def exposures(self, days: Integers | None = None) -> list[Exposure]:
        """Return the exposure of each of consecutive days, from that of the first point; without days, of all time."""
        midnights = np.arange(self.at_ns[0] // DAY_NS + 1, -(-self.until_ns // DAY_NS)) * DAY_NS
        begins = np.unique(np.concatenate([self.steps_ns, midnights, [self.until_ns]]))
        groups = np.array([0]) if days is None else begins.searchsorted(days * DAY_NS)
        equity, *_, exposure = self.steps[self.steps_ns.searchsorted(begins, side="right") - 1].T
        lengths = np.where(equity > 0, np.diff(begins, append=self.until_ns), 0)
        percent = _quotient(100 * exposure, equity, lengths > 0, 0)
        ns, largest = np.add.reduceat(lengths, groups), np.maximum.reduceat(percent, groups)
        columns = np.stack([equity * lengths, percent * lengths, (exposure != 0) * lengths])
        means = (np.add.reduceat(columns, groups, axis=1) / ns.clip(min=1)).T
        return [
            Exposure(length, equity, MeanExposureDocument(_figure(mean), _figure(most), _figure(held)))
            if length
            else NO_EXPOSURE
            for length, most, (equity, mean, held) in zip(
                ns.tolist(), largest.tolist(), means.tolist(), strict=True
            )
        ]

    def days(self) -> dict[str, dict[str, Any]]:
        """Return fields of `PerformanceRowDocument` for each UTC date, also for those without a point."""
        last = max((self.until_ns - 1) // DAY_NS, int(self.at_ns[-1]) // DAY_NS)
        days = np.arange(self.at_ns[0] // DAY_NS, last + 1)
        closes = self._closes(days)
        growth = np.concatenate([[1.0], self.growth[closes]])
        returns = 100 * _quotient(np.diff(growth), growth[:-1], growth[:-1] > 0, np.nan)
        # A day also has the last point before it, but for one that begins with a point.
        begins, ends = self.at_ns.searchsorted(days * DAY_NS), self.at_ns.searchsorted((days + 1) * DAY_NS)
        begins -= (begins > 0) & (np.append(self.at_ns, 0)[begins] != days * DAY_NS)
        pairs = np.column_stack([begins, ends]).ravel()
        deepest = np.maximum.reduceat(np.append(self.drawdown, 0), pairs)[::2]
        columns = (each.tolist() for each in (days, self.equity[closes], returns, deepest))
        return {
            _date(day): {
                "equity": equity,
                "return_pct": None if np.isnan(percent) else _figure(percent),
                "max_dd": max_dd,
                "exposure": exposure.document,
            }
            for day, equity, percent, max_dd, exposure in zip(*columns, self.exposures(days), strict=True)
        }


def _curve(history: AccountHistory, since_ns: int, until_ns: int) -> EquityCurve | None:
    """Return the curve of a period; None without a point. Its first point is the last step before the period.

    An instant that is earlier than the one before it, or than the period, counts at that one's. A period that begins or
    ends at midnight does so after the mark of midnight; see `value_end_ns`.
    """
    at_ns = np.maximum.accumulate(np.array(history.at_ns, np.int64))
    steps = np.array(history.steps).reshape(-1, 4)
    is_point = ~np.isnan(steps[:, 0])
    is_before = (at_ns < until_ns) | (is_point & (at_ns < value_end_ns(until_ns)))
    at_ns, steps = at_ns[is_before], steps[is_before]
    points = np.flatnonzero(~np.isnan(steps[:, 0]))
    if not len(points):
        return None
    has_value_before = bool(at_ns[points[0]] < since_ns)
    first = max(points[0], int(at_ns.searchsorted(value_end_ns(since_ns))) - 1)
    last_points = points[points.searchsorted(np.arange(first, len(steps)), side="right") - 1]
    steps = np.column_stack([steps[last_points, :3], steps[first:, 3]])
    points = np.union1d([first], points[points > first]) - first
    at_ns = at_ns[first:].clip(since_ns, until_ns - 1)
    at_ns[at_ns < value_end_ns(since_ns)] = since_ns
    return EquityCurve(until_ns, at_ns, steps, points, has_value_before=has_value_before)


def _quotient(part: Floats, whole: Floats, is_defined: Any, otherwise: float) -> Floats:
    found: Floats = np.divide(part, whole, where=is_defined, out=np.full(len(part), float(otherwise)))
    return found


def ratios_of(returns: Floats, per_year: int) -> dict[str, float | None]:
    """Return volatility_pct, sharpe and sortino of daily returns. per_year: how many days a year has.

    They are `empyrical.annual_volatility` in per cent, `sharpe_ratio` without a risk-free rate, and `sortino_ratio`:
    the mean over the sample deviation (W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21 (1), 1994),
    and over the root of the mean square of the losses (F. A. Sortino and L. N. Price, Performance Measurement in a
    Downside Risk Framework, Journal of Investing 3 (3), 1994). None with less than two returns, or if the divisor is 0.
    """
    if len(returns) < 2:
        return dict.fromkeys(("volatility_pct", "sharpe", "sortino"))
    year_root = per_year**0.5
    mean = float(returns.mean()) * year_root
    deviation = 0.0 if np.ptp(returns) < _EQUAL_RETURNS else float(returns.std(ddof=1))
    loss = float((returns.clip(max=0) ** 2).mean() ** 0.5)
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
    trades: Sequence[TradeResult], fills: Sequence[FillResult], mean_equity: float | None
) -> dict[str, Any]:
    """Return the figures of closed trades, and of fills: a cancelled one stays in `executions`, `traded` and `fees`.

    win_rate: a trade that gains nothing is no win. average_r: their expectancy (V. K. Tharp). turnover: `traded` over
    the period's mean equity, weighted by time, as `pyfolio.txn.get_turnover`; groups add up to the whole.
    """
    pnls = [each.pnl for each in trades]
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
