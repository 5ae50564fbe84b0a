"""Documents of figures: of an account's performance, and of backtests."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from store.timestamps import format_timestamp
from trading.core.account import AccountState
from trading.core.configuration import FillRule, Zone
from trading.core.events import OrderAccepted, OrderRejected
from trading.core.orders import MOST
from trading.core.positions import Position
from trading.core.risk import LIMIT_OF_CHECK
from trading.core.terms import AccountKind, Side
from trading.core.valuation import Grouping
from trading.documents.accounts import BacktestLimitsDocument
from trading.documents.ledger import ClosedTradeDocument
from trading.documents.orders import (
    AccountId,
    Currency,
    Direction,
    Filled,
    OrderCheckDocument,
    OrderId,
    Placed,
    Price,
    Quantity,
    Symbol,
)
from web.documents import AnswerDocument, Date, Instant, about, instant_or_null, like, number, number_or_null


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


_Count = Annotated[int, like(12)]


class BacktestInputsDocument(AnswerDocument):
    """What decides a backtest, with the parameters that were not given: a body of `POST /backtests`."""

    strategy: Annotated[str, like("crossover")]
    symbols: Annotated[list[str], like(["DEMOA", "DEMOB"])]
    start: Annotated[Instant, like("2030-01-07T00:00:00Z")]
    end: Annotated[Instant, like("2030-01-12T00:00:00Z")]
    parameters: Annotated[
        dict[str, Any], about("Of the strategy.", {"interval": "1min", "fast": 10, "slow": 30})
    ]
    cash: Annotated[float, about("What the account begins with, in `currency`.", 100_000.0)]
    currency: Currency
    kind: AccountKind
    knowledge: Literal["then", "now"]
    as_of: Annotated[Instant | None, about("Later commits are not read; null: all are.")]
    risk: Annotated[
        Literal["none", "account"],
        about("`account`: all limits and zones of an account hold; `none`: of these only those in `config`."),
    ]
    config: Annotated[BacktestLimitsDocument, about("The limits that hold, and how orders fill.")]  # type: ignore[valid-type]
    fee_basis_points: Annotated[float | None, about("null: the fees of the instruments' class.")]
    slippage_basis_points: Annotated[float | None, about("null: the slippage of the instruments' class.")]


class BacktestSignalDocument(AnswerDocument):
    """An order by which the strategy opens a position."""

    at: Placed
    symbol: Symbol
    side: Side
    quantity: Quantity
    stop_loss: Annotated[float | None, like(188.0)]
    price: Annotated[float | None, about("By which it was judged; null if there was none.", 189.98)]
    order_id: OrderId
    refused: Annotated[str | None, about("Why it was refused.")]
    checks: Annotated[list[OrderCheckDocument], about("Those that it did not pass.")]

    @classmethod
    def of(cls, event: OrderAccepted | OrderRejected) -> Self:
        """Return the document of an order that was accepted or refused."""
        is_refused = isinstance(event, OrderRejected)
        failed = [each for each in event.checks if is_refused and not each.is_passed]
        return cls.of_attributes(
            event.order,
            at=format_timestamp(event.submitted_ns),
            price=None if event.reference is None else number(event.reference.price),
            order_id=event.order_id,
            refused=event.reason if isinstance(event, OrderRejected) else None,
            checks=[OrderCheckDocument.of(check) for check in failed],
        )


class BacktestRefusalDocument(AnswerDocument):
    """The orders that one check refused in one zone."""

    check: Annotated[str, about("The first that an order did not pass.", "symbol_exposure")]
    dd_zone: Annotated[Zone, like("CAUTION")]
    count: _Count
    first_at: Placed
    limit: Annotated[
        float | None, about("The limit in this zone; null: the check has no limit of its own.", 12.5)
    ]
    normal_limit: Annotated[float | None, about("The limit in the zone NORMAL.", 25.0)]
    unit: Annotated[str | None, about("Of both limits.", "percent of equity")]
    reason: Annotated[
        str,
        about(
            "Why the first of them was refused.",
            "symbol exposure 21 percent of equity would be over the limit of 12.5",
        ),
    ]

    @classmethod
    def of(cls, event: OrderRejected, state: AccountState) -> Self:
        """Return the document of an order that was refused in a state. Its count is 0."""
        failed = next((each for each in event.checks if not each.is_passed), None)
        check = _check_without_checks(event) if failed is None else failed.name
        limit = LIMIT_OF_CHECK.get(check)
        return cls(
            check=check,
            dd_zone=state.zone,
            count=0,
            first_at=format_timestamp(event.submitted_ns),
            limit=None if failed is None or limit is None else number_or_null(failed.limit),
            normal_limit=None if limit is None else number(Decimal(getattr(state.config, limit))),
            unit=None if failed is None or limit is None else failed.unit,
            reason=event.reason,
        )

    @property
    def sentence(self) -> str:
        """What was refused, by which check, since when, and by which limit."""
        why = self.reason
        if self.limit is not None:
            normal = "" if self.limit == self.normal_limit else f", {self.normal_limit:,g} in NORMAL"
            why = f"limit {self.limit:,g} {self.unit} in zone {self.dd_zone}{normal}"
        return f"{self.count:,} refused by {self.check} since {self.first_at} ({why})"


def _check_without_checks(event: OrderRejected) -> str:
    """Return what is named as the check of an order that could not be judged."""
    return "quantity" if event.order.quantity > MOST else "price"


class BacktestSignalsDocument(AnswerDocument):
    """The orders by which the strategy opened positions, and what became of them."""

    accepted: _Count
    refused: _Count
    refusals: Annotated[list[BacktestRefusalDocument], about("By check and zone, the oldest first.")]
    refused_by: Annotated[dict[str, int], about("By the check.", {"symbol_exposure": 12})]
    unfilled: _Count
    unfilled_by: Annotated[dict[str, int], about("By the reason; `working`: at the end.", {"expired": 12})]
    rows: Annotated[list[BacktestSignalDocument], about("The first ones.")]


class OpenPositionDocument(AnswerDocument):
    """A position that is open at the end."""

    symbol: Symbol
    direction: Direction
    quantity: Quantity
    average_price: Annotated[Price | None, like(189.98)]
    opened_at: Filled | None
    is_stale: Annotated[bool, about("The prices of the symbol ended before the run did.", False)]

    @classmethod
    def of(cls, position: Position, *, is_stale: bool) -> Self:
        """Return the document of a position."""
        opened_ns = None if position.trade is None else position.trade.opened_ns
        return cls.of_attributes(
            position,
            quantity=number(abs(position.quantity)),
            opened_at=instant_or_null(opened_ns),
            is_stale=is_stale,
        )


class BacktestDocument(AnswerDocument):
    """What a backtest says. The same inputs and the same stored rows give the same document."""

    notice: Annotated[
        str | None,
        about("Which orders were refused, or why nothing was traded; which corporate actions to know of."),
    ]
    inputs: BacktestInputsDocument
    strategy_sha256: Annotated[str | None, about("Of the strategy's file; null: it is shipped.")]
    assumptions: Annotated[list[str], like(["Instruments, calendars and fees are those declared today."])]
    performance: FiguresDocument
    signals: BacktestSignalsDocument
    trades: Annotated[list[ClosedTradeDocument], about("The first ones; `performance.trades` counts all.")]
    positions: list[OpenPositionDocument]
