"""The documents of performance: the figures of a period or a backtest, and the drawdown curve."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from trading.core.configuration import FillRule
from trading.core.report import Grouping
from trading.documents.fields import AccountId, Currency
from web.documents import AnswerDocument, Date, Instant, about, like


class CurvePointDocument(AnswerDocument):
    """A point of the drawdown curve."""

    at: Annotated[Instant, like("2025-01-02T15:00:00Z")]
    equity: Annotated[float, like(100099.0)]
    high_water: Annotated[float, like(101613.03)]
    drawdown_pct: Annotated[float, like(1.49)]


class TradingFiguresDocument(AnswerDocument):
    """What was traded. Money is in the account's currency."""

    trades: Annotated[int, about("Closed in the period.", 125)]
    win_rate: Annotated[float | None, about("A fraction; null without trades.", 0.592)]
    total_r: Annotated[float, about("In R.", 14.2)]
    average_r: Annotated[float | None, like(0.116393442622951)]
    without_r: Annotated[int, about("Trades that `total_r` leaves out.", 3)]
    pnl: Annotated[float, about("Of the trades, less fees, in `currency`.", 4260.0)]
    profit_factor: Annotated[float | None, about("Gains over losses; null without losses.", 1.7)]
    executions: Annotated[int, like(250)]
    traded: Annotated[float, about("The value of what was bought and sold.", 2375000.0)]
    fees: Annotated[float, about("Of the executions.", 250.0)]
    turnover: Annotated[float | None, about("`traded` over the mean equity of the period.", 23.9)]


class DrawdownDocument(AnswerDocument):
    """The deepest drawdown."""

    begin: Annotated[
        Instant | None,
        about("The last point at the high-water mark; null: no drawdown.", "2025-01-14T15:02:11Z"),
    ] = None
    trough: Annotated[Instant | None, like("2025-01-15T19:40:02Z")] = None
    end: Annotated[Instant | None, about("null: it lasts.", "2025-01-17T14:31:00Z")] = None


class MeanExposureDocument(AnswerDocument):
    """The value of the positions, longs and shorts added up, over time."""

    mean_pct: Annotated[float | None, about("Per cent: of the equity.", 19.2)] = None
    largest_pct: Annotated[float, about("Per cent: of the equity.", 48.1)] = 0.0
    time_in_market: Annotated[
        float | None, about("The part of the time with positions, a fraction.", 0.31)
    ] = None


class PerformanceRowDocument(TradingFiguresDocument):
    """A day, a symbol or a strategy."""

    day: Annotated[Date | UnsetType, about("With `by=day`, as the three last fields: a UTC date.")] = UNSET
    symbol: Annotated[str | UnsetType, about("With `by=symbol`.")] = UNSET
    strategy: Annotated[str | UnsetType | None, about("With `by=strategy`.")] = UNSET
    equity: Annotated[float | UnsetType, about("At the day's end.")] = UNSET
    return_pct: Annotated[float | UnsetType | None, about("Per cent: of the day.")] = UNSET
    max_dd: Annotated[float | UnsetType, about("Per cent: at the day's deepest point.")] = UNSET


class FiguresDocument(TradingFiguresDocument, kw_only=True):
    """The figures of a period. The defaults are those of a period without a point of the equity."""

    begin: Annotated[
        Instant | None,
        about(
            "Of the period, or its first point if nothing was before it; null without.",
            "2025-01-02T14:00:00Z",
        ),
    ] = None
    end: Annotated[Instant, about("Of the period.", "2025-02-01T14:00:00Z")]
    return_pct: Annotated[float, about("Per cent: since `begin`, without transfers.", 4.26)] = 0.0
    annual_return_pct: Annotated[float | None, about("Per cent: for 365 days; null for less.")] = None
    volatility_pct: Annotated[
        float | None,
        about(
            "Per cent: the deviation of daily returns, for a year; null if the equity was below zero.", 9.4
        ),
    ] = None
    max_dd: Annotated[float, about("Per cent: of the high-water mark; at least 0.", 2.31)] = 0.0
    sharpe: Annotated[float | None, about("Of daily returns, for a year; null as `volatility_pct`.", 1.8)] = (
        None
    )
    sortino: Annotated[
        float | None, about("Of daily returns, for a year; null as `volatility_pct`.", 2.7)
    ] = None
    drawdown: DrawdownDocument = msgspec.field(default_factory=DrawdownDocument)
    exposure: MeanExposureDocument
    drawdown_curve: Annotated[list[CurvePointDocument], about("At most 1,000 points.")] = []
    by: Grouping | UnsetType = UNSET
    rows: Annotated[list[PerformanceRowDocument] | UnsetType, about("With `by`: a row for each.")] = UNSET


class PerformanceDocument(FiguresDocument, kw_only=True):
    """How an account did."""

    account: AccountId
    period_days: Annotated[int, about("The length of the period, rounded up.", 30)]
    currency: Currency
    fill_rules: Annotated[list[FillRule], about("By which limit orders filled in the period.", ["through"])]
