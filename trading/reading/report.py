"""How an account did in a period, as clients see it: figures of its trades, of its fills, and of the curve of its equity.

`…_pct` are per cent, other parts are fractions. What is not defined is null. Sums of money are exact; figures of the
curve are computed in float64 and have 12 significant digits.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.core.account import AccountState, Effects
from trading.core.amounts import ZERO, average
from trading.core.events import Event, Executed
from trading.core.report import EquityPoint, FillResult, Grouping, TradeResult, fill_of, is_of_curve
from trading.documents import Document
from web.documents import instant_or_null, number, number_or_null

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

YEAR_NS = 365 * DAY_NS
_YEAR_ROOT = 252**0.5
# Daily returns that differ by less are equal but for rounding.
_EQUAL_RETURNS = 1e-12
_MOST_POINTS, _PIECES = 1_000, 500


@dataclass(slots=True)
class PerformanceReport:
    """What happened in `since_ns` <= time < `until_ns`. steps: points and fills in the order of their events.

    What came before the period may be there, too: the last of it is what the period begins with.
    """

    since_ns: int = 0
    until_ns: int = 2**63 - 1
    by: Grouping | None = None
    steps: list[EquityPoint | FillResult] = field(default_factory=list)
    trades: list[TradeResult] = field(default_factory=list)

    def take(self, state: AccountState, event: Event, effects: Effects, at_ns: int) -> None:
        """Take the next event of an account. state: after it."""
        if isinstance(event, Executed):
            self.steps.append(fill_of(state, event, effects, at_ns))
        elif is_of_curve(event):
            self.steps.append(
                EquityPoint(at_ns, state.equity, state.high_water, state.start_equity, state.exposure)
            )
        for each in effects.closed:
            self.trades.append(TradeResult(each.closed_ns, each.symbol, each.strategy, each.pnl_base, each.r))

    def _is_within(self, each: TradeResult | FillResult) -> bool:
        return self.since_ns <= each.at_ns < self.until_ns

    def document(self) -> Document:
        """Return the figures; with groups, `by` and `rows`, too. begin: null without a point."""
        curve = EquityCurve.of(self)
        trades = [*filter(self._is_within, self.trades)]
        fills = [each for each in self.steps if isinstance(each, FillResult) and self._is_within(each)]
        exposure = NO_EXPOSURE if curve is None else curve.exposure(*curve.parts)
        trading = _trading(trades, fills, exposure)
        year = None if trading["turnover"] is None else trading["turnover"] * YEAR_NS / exposure.ns
        document = {
            **trading,
            "begin": None if curve is None else format_timestamp(int(curve.at_ns[0])),
            "end": format_timestamp(self.until_ns),
            "annual_turnover": _figure(year),
            **_curve(curve),
            "exposure": exposure.document(),
        }
        if self.by is None:
            return document
        groups: dict[Any, tuple[list[TradeResult], list[FillResult]]] = defaultdict(lambda: ([], []))
        for trade in trades:
            groups[_key(trade, self.by)][0].append(trade)
        for fill in fills:
            groups[_key(fill, self.by)][1].append(fill)
        days = {} if curve is None or self.by is not Grouping.DAY else curve.days()
        return document | {
            "by": self.by.value,
            "rows": [
                {
                    self.by.value: format_timestamp(key * DAY_NS)[:10]
                    if isinstance(key, int)
                    else key or None,
                    **_trading(*groups[key], exposure),
                    **days.get(key, {}),
                }
                for key in sorted(groups.keys() | days.keys())
            ],
        }


@dataclass(frozen=True, slots=True)
class Exposure:
    """Over the time with an equity above zero, which is `ns`: means, None if it is nothing, and the largest exposure.

    time_in_market: the part of the time with positions, from 0 to 1.
    """

    ns: int
    mean_equity: float | None
    mean_percent: float | None
    largest_percent: float
    time_in_market: float | None

    def document(self) -> Document:
        return {
            "mean_pct": _figure(self.mean_percent),
            "largest_pct": _figure(self.largest_percent),
            "time_in_market": _figure(self.time_in_market),
        }


NO_EXPOSURE = Exposure(0, None, None, 0.0, None)


class EquityCurve:
    """The equity at points in order, and the exposure, which fills change, too. Between them both are constant.

    steps: columns are those of `EquityPoint` without the instant, after each point and fill. is_point: which are points.
    An instant that is earlier than the one before it, or than the period, counts at that one's. drawdown: by point, in
    per cent, with six decimals. growth: by point, the worth over that at the first point, without transfers.
    """

    def __init__(self, steps_ns: Integers, steps: Floats, is_point: NDArray[np.bool_], until_ns: int) -> None:
        self.steps_ns, self.until_ns = steps_ns, max(until_ns, int(steps_ns[-1]))
        self.step_equity, self.step_exposure = steps[:, 0], steps[:, 3]
        self.at_ns = steps_ns[is_point]
        self.equity, self.high_water, start, _ = steps[is_point].T
        below = np.where(
            self.high_water > 0, 1 - self.equity / np.where(self.high_water > 0, self.high_water, 1), 0
        )
        self.drawdown = np.round(100 * below.clip(min=0), 6)
        raw = np.where(start > 0, self.equity / np.where(start > 0, start, 1), np.nan)
        # A time with nothing to grow changes nothing.
        change = np.divide(raw[1:], raw[:-1], where=raw[:-1] != 0, out=np.full(len(raw) - 1, np.nan))
        self.growth = np.cumprod(np.concatenate([[1.0], np.where(np.isnan(change), 1.0, change)]))

    @classmethod
    def of(cls, report: PerformanceReport) -> "EquityCurve | None":
        """Return the curve of a report; None without a point."""
        at: list[int] = []
        rows: list[EquityPoint] = []
        is_point: list[bool] = []
        for each in report.steps:
            if each.at_ns >= report.until_ns or not (rows or isinstance(each, EquityPoint)):
                continue
            is_before = each.at_ns < report.since_ns and len(rows) < 2
            point = each if isinstance(each, EquityPoint) else rows[-1]._replace(exposure=each.exposure)
            if is_before:
                at, rows, is_point = [], [], []
            at.append(max(each.at_ns, report.since_ns))
            rows.append(point)
            is_point.append(is_before or isinstance(each, EquityPoint))
        if not at:
            return None
        steps_ns = np.maximum.accumulate(np.array(at, np.int64))
        return cls(
            steps_ns, np.array([each[1:] for each in rows], float), np.array(is_point), report.until_ns
        )

    def daily_returns(self) -> Floats:
        """Return the changes of growth from the beginning or a day's end to the next day's end, for days with points.

        A point in the first second of a day also ends the day before: accounts are marked as a day begins.
        """
        last_of: dict[int, int] = {}
        for index, at_ns in enumerate(self.at_ns.tolist()):
            if index == 0 or at_ns % DAY_NS < SECOND_NS:
                last_of[at_ns // DAY_NS - 1] = index
            last_of[at_ns // DAY_NS] = index
        closes = self.growth[list(last_of.values())]
        before = closes[:-1]
        return (closes[1:][before > 0] - before[before > 0]) / before[before > 0]

    def drawdown_document(self) -> Document:
        """Return when the deepest drawdown was, the first of equal ones, and how long the longest lasted, in seconds.

        It begins at the last point at the high-water mark, or at the first point, and ends at the next one at the mark:
        `pyfolio.timeseries.get_max_drawdown_underwater`.
        """
        at_mark = np.flatnonzero(self.drawdown == 0)
        begins = self.at_ns[np.concatenate([[0], at_mark])]
        ends = np.concatenate([self.at_ns[at_mark], [self.until_ns]])
        has_points_below = np.diff(at_mark, prepend=-1, append=len(self.at_ns)) > 1
        if not has_points_below.any():
            return NO_DRAWDOWN
        trough = int(self.drawdown.argmax())
        following = int(np.searchsorted(at_mark, trough))
        return {
            "begin": format_timestamp(int(begins[following])),
            "trough": format_timestamp(int(self.at_ns[trough])),
            "end": instant_or_null(int(ends[following]) if following < len(at_mark) else None),
            "longest_seconds": int((ends - begins)[has_points_below].max()) / SECOND_NS,
        }

    @property
    def parts(self) -> tuple[Integers, Integers]:
        """The begins and lengths of the parts of a day at most in which nothing changes, from the first point to the end."""
        midnights = np.arange(self.at_ns[0] // DAY_NS + 1, -(-self.until_ns // DAY_NS)) * DAY_NS
        begins = np.unique(np.concatenate([self.steps_ns[self.steps_ns < self.until_ns], midnights]))
        return begins, np.diff(begins, append=self.until_ns)

    def exposure(self, begins: Integers, lengths: Integers) -> Exposure:
        """Return the exposure over some parts."""
        steps = np.searchsorted(self.steps_ns, begins, side="right") - 1
        counts = self.step_equity[steps] > 0
        steps, lengths = steps[counts], lengths[counts]
        ns = int(lengths.sum())
        if not ns:
            return NO_EXPOSURE
        equity, exposure = self.step_equity[steps], self.step_exposure[steps]
        percent, weights = 100 * exposure / equity, lengths / ns
        return Exposure(
            ns,
            float(equity @ weights),
            float(percent @ weights),
            float(percent.max()),
            float(weights[exposure != 0].sum()),
        )

    def days(self) -> dict[int, Document]:
        """Return the figures of each UTC date, by days since 1970, also of those without a point."""
        begins, lengths = self.parts
        last = max((self.until_ns - 1) // DAY_NS, int(self.at_ns[-1]) // DAY_NS)
        found, before = {}, 1.0
        for day in range(int(self.at_ns[0]) // DAY_NS, last + 1):
            first, end, close = np.searchsorted(
                self.at_ns, np.array([0, DAY_NS, DAY_NS + SECOND_NS]) + day * DAY_NS
            )
            begins_at_once = first < len(self.at_ns) and self.at_ns[first] == day * DAY_NS
            of_day, growth = begins // DAY_NS == day, float(self.growth[close - 1])
            found[day] = {
                "equity": float(self.equity[close - 1]),
                "return_pct": _figure(100 * (growth - before) / before) if before > 0 else None,
                "max_dd": float(self.drawdown[max(first - (not begins_at_once), 0) : end].max()),
                "exposure": self.exposure(begins[of_day], lengths[of_day]).document(),
            }
            before = growth
        return found

    def thinned(self) -> list[int]:
        """Return the numbers of at most a thousand points: of a longer curve the deepest and the last of each piece."""
        numbers = np.arange(len(self.at_ns))
        if len(numbers) <= _MOST_POINTS:
            return numbers.tolist()
        pieces = np.array_split(numbers, _PIECES)
        return sorted(
            {int(each) for piece in pieces for each in (piece[self.drawdown[piece].argmax()], piece[-1])}
        )


NO_DRAWDOWN: Document = {"begin": None, "trough": None, "end": None, "longest_seconds": 0.0}


def sharpe_ratio(returns: Floats) -> float | None:
    """Return the mean over the sample deviation, times the root of 252: `empyrical.sharpe_ratio` without a risk-free rate.

    None with less than two returns, or if all are equal. W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio
    Management 21 (1), 1994.
    """
    deviation = _deviation(returns)
    return float(returns.mean()) / deviation * _YEAR_ROOT if deviation else None


def sortino_ratio(returns: Floats) -> float | None:
    """Return the mean over the root of the mean square of the losses, times the root of 252: `empyrical.sortino_ratio`.

    None with less than two returns, or without a loss. F. A. Sortino and L. N. Price, Performance Measurement in a
    Downside Risk Framework, Journal of Investing 3 (3), 1994.
    """
    risk = float((returns.clip(max=0) ** 2).mean() ** 0.5) if len(returns) > 1 else 0.0
    return float(returns.mean()) / risk * _YEAR_ROOT if risk else None


def volatility_percent(returns: Floats) -> float | None:
    """Return the sample deviation in per cent, times the root of 252: `empyrical.annual_volatility`."""
    deviation = _deviation(returns)
    return None if deviation is None else 100 * deviation * _YEAR_ROOT


def annual_return_percent(growth: float, ns: int) -> float | None:
    """Return the yearly return, in per cent, that gives a growth in a time: `empyrical.annual_return` by calendar days.

    None for less than 365 days, which the Global Investment Performance Standards forbid to annualise. A growth of zero
    or less is -100.
    """
    if ns < YEAR_NS:
        return None
    return 100 * (growth ** (YEAR_NS / ns) - 1) if growth > 0 else -100.0


def _deviation(returns: Floats) -> float | None:
    """Return the sample deviation; None with less than two returns."""
    if len(returns) < 2:
        return None
    return 0.0 if np.ptp(returns) < _EQUAL_RETURNS else float(returns.std(ddof=1))


def _key(each: TradeResult | FillResult, by: Grouping) -> str | int:
    return each.at_ns // DAY_NS if by is Grouping.DAY else str(getattr(each, by.value))


def _trading(trades: Sequence[TradeResult], fills: Sequence[FillResult], exposure: Exposure) -> Document:
    """Return the figures of closed trades, and of fills: a cancelled one stays in `executions`, `traded` and `fees`.

    win_rate: a trade that gains nothing is no win. average_r: their expectancy (V. K. Tharp). turnover: `traded` over
    the period's mean equity, weighted by time, as `pyfolio.txn.get_turnover`; groups add up to the whole.
    """
    pnls = [each.pnl for each in trades]
    in_r = [each.r for each in trades if each.r is not None]
    wins, losses = [each for each in pnls if each > 0], [each for each in pnls if each < 0]
    traded = sum((each.value for each in fills), ZERO)
    return {
        "trades": len(pnls),
        "win_rate": _part(Decimal(len(wins)), Decimal(len(pnls))),
        "total_r": number(sum(in_r, ZERO)),
        "average_r": _part(sum(in_r, ZERO), Decimal(len(in_r))),
        "without_r": len(pnls) - len(in_r),
        "pnl": number(sum(pnls, ZERO)),
        "profit_factor": _part(sum(wins, ZERO), -sum(losses, ZERO)),
        "executions": len(fills),
        "traded": number(traded),
        "fees": number(sum((each.fee for each in fills), ZERO)),
        "turnover": _figure(exposure.mean_equity and float(traded) / exposure.mean_equity),
    }


def _curve(curve: EquityCurve | None) -> Document:
    returns = np.array([]) if curve is None else curve.daily_returns()
    growth = 1.0 if curve is None else float(curve.growth[-1])
    elapsed_ns = 0 if curve is None else curve.until_ns - int(curve.at_ns[0])
    return {
        "return_pct": _figure(100 * (growth - 1)),
        "annual_return_pct": _figure(annual_return_percent(growth, elapsed_ns)),
        "volatility_pct": _figure(volatility_percent(returns)),
        "sharpe": _figure(sharpe_ratio(returns)),
        "sortino": _figure(sortino_ratio(returns)),
        "max_dd": 0.0 if curve is None else float(curve.drawdown.max()),
        "drawdown": NO_DRAWDOWN if curve is None else curve.drawdown_document(),
        "drawdown_curve": []
        if curve is None
        else [
            {
                "at": format_timestamp(int(curve.at_ns[each])),
                "equity": float(curve.equity[each]),
                "high_water": float(curve.high_water[each]),
                "drawdown_pct": float(curve.drawdown[each]),
            }
            for each in curve.thinned()
        ],
    }


def _part(part: Decimal, whole: Decimal) -> float | None:
    """Return part / whole with 15 digits; None if the whole is zero."""
    return number_or_null(average(part, whole) if whole else None)


def _figure(value: float | None) -> float | None:
    """Return a figure of the curve with 12 significant digits. Zero has no sign."""
    return None if value is None else float(f"{value:.12g}") + 0.0
