"""How an account has done: its closed trades, and the curve of its equity."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import mean, stdev
from typing import NamedTuple

import msgspec

from store.timestamps import DAY_NS, format_timestamp
from trading.core.account import loss_percent
from trading.core.amounts import ZERO, ratio
from trading.core.events import RiskConfigured, decoded
from trading.documents import Document, number, number_or_null
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account, EquityRow, EventRow

MOST_DAYS = 3_660
# Each piece of a long curve gives its deepest point and its last one.
_CURVE_PIECES = 500
_TRADING_DAYS_A_YEAR = 252


class TradeResult(msgspec.Struct):
    """What counts of a `trading.core.positions.ClosedTrade`."""

    pnl_base: Decimal
    r: Decimal | None


class EquityPoint(NamedTuple):
    """What an account was worth after an event.

    drawdown: per cent below the high-water mark. growth: since the beginning, but for transfers.
    """

    at_ns: int
    equity: Decimal
    drawdown: Decimal
    growth: float


@dataclass(slots=True)
class TradeFigures:
    """Sums over closed trades. Amounts are in the account's currency. in_r: of trades whose R is known."""

    trades: int = 0
    wins: int = 0
    gained: Decimal = ZERO
    lost: Decimal = ZERO
    total_r: Decimal = ZERO
    in_r: int = 0

    def add(self, pnl: Decimal, r: Decimal | None) -> None:
        """Count a trade. A trade that gains nothing is no win."""
        self.trades += 1
        self.wins += pnl > 0
        self.gained += max(pnl, ZERO)
        self.lost -= min(pnl, ZERO)
        if r is not None:
            self.total_r, self.in_r = self.total_r + r, self.in_r + 1


def performance_document(account: Account, *, days: int) -> Document:
    """Return the figures of the last `days` times 24 hours, by the engine's clock.

    Trades count when they are closed. max_dd: the largest drawdown, in per cent of the high-water mark. sharpe: of
    daily returns, times the root of 252, with no risk-free rate; null if there are less than two returns or they are
    all equal.
    """
    until_ns = engine_status().now_ns
    since_ns = until_ns - days * DAY_NS
    figures, points = _figures(account, since_ns, until_ns), _points(account, since_ns, until_ns)
    return {
        "account": account.name,
        "period_days": days,
        "trades": figures.trades,
        "win_rate": _ratio_or_null(Decimal(figures.wins), Decimal(figures.trades)),
        "total_r": number(figures.total_r),
        "average_r": _ratio_or_null(figures.total_r, Decimal(figures.in_r)),
        "without_r": figures.trades - figures.in_r,
        "pnl": number(figures.gained - figures.lost),
        "currency": state_of(account).currency,
        "fill_rules": _fill_rules(account, since_ns, until_ns),
        "profit_factor": _ratio_or_null(figures.gained, figures.lost),
        "max_dd": number(max((point.drawdown for point in points), default=ZERO)),
        "sharpe": sharpe_ratio(daily_returns(points)),
        "drawdown_curve": [
            {
                "at": format_timestamp(point.at_ns),
                "equity": number(point.equity),
                "drawdown_pct": number(point.drawdown),
            }
            for point in thinned(points)
        ],
    }


def _fill_rules(account: Account, since_ns: int, until_ns: int) -> list[str]:
    """Return the rules by which limit orders filled in a period, in the order of time."""
    bodies = EventRow.objects.filter(account=account, name="risk_configured", at_ns__lte=until_ns)
    rules: list[str] = []
    for at_ns, body in bodies.order_by("number").values_list("at_ns", "body"):
        event = decoded(body)
        assert isinstance(event, RiskConfigured)  # noqa: S101 its name says so
        rules = [*(rules if at_ns > since_ns else ()), event.config.fill.value]
    return list(dict.fromkeys(rules))


def _figures(account: Account, since_ns: int, until_ns: int) -> TradeFigures:
    rows = account.trades.filter(closed_ns__gt=since_ns, closed_ns__lte=until_ns)
    decoder, figures = msgspec.json.Decoder(TradeResult), TradeFigures()
    for (document,) in rows.values_list("document").iterator():
        outcome = decoder.decode(document)
        figures.add(outcome.pnl_base, outcome.r)
    return figures


def _points(account: Account, since_ns: int, until_ns: int) -> list[EquityPoint]:
    """Return the points of a period in order, after the last one before it."""
    rows = EquityRow.objects.filter(account=account, at_ns__lte=until_ns)
    columns = ("at_ns", "equity", "high_water", "start_equity")
    before = rows.filter(at_ns__lte=since_ns).order_by("-at_ns", "-id").values_list(*columns)[:1]
    within = rows.filter(at_ns__gt=since_ns).order_by("at_ns", "id").values_list(*columns)
    return [_point(*row) for row in (*before, *within.iterator())]


def _point(at_ns: int, equity: str, high_water: str, start_equity: str) -> EquityPoint:
    worth, start = Decimal(equity), Decimal(start_equity)
    growth = float(worth / start) if start > 0 else 1.0
    return EquityPoint(at_ns, worth, loss_percent(Decimal(high_water), worth), growth)


def daily_returns(points: Iterable[EquityPoint]) -> list[float]:
    """Return the changes of growth from UTC date to UTC date, of the last point of each that has one."""
    closes = list({point.at_ns // DAY_NS: point.growth for point in points}.values())
    return [after / before - 1 for before, after in pairwise(closes) if before > 0]


def sharpe_ratio(returns: Sequence[float]) -> float | None:
    """Return the mean of daily returns over their sample deviation, for a year; None if that is not defined."""
    if len(returns) < 2 or not (deviation := stdev(returns)):
        return None
    return round(mean(returns) / deviation * math.sqrt(_TRADING_DAYS_A_YEAR), 6)


def thinned(points: Sequence[EquityPoint]) -> list[EquityPoint]:
    """Return at most a thousand points: of a longer curve, the deepest and the last one of each of 500 pieces."""
    if len(points) <= 2 * _CURVE_PIECES:
        return list(points)
    found: dict[int, EquityPoint] = {}
    for piece in range(_CURVE_PIECES):
        first, end = (len(points) * each // _CURVE_PIECES for each in (piece, piece + 1))
        deepest = max(range(first, end), key=lambda index: points[index].drawdown)
        found |= {deepest: points[deepest], end - 1: points[end - 1]}
    return list(found.values())


def _ratio_or_null(part: Decimal, whole: Decimal) -> float | None:
    return number_or_null(ratio(part, whole))
