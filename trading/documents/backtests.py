"""The documents of a backtest: what it was run with, what it assumed, and what came of it."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from store.timestamps import format_timestamp
from trading.core.account import AccountState
from trading.core.configuration import Zone
from trading.core.events import OrderAccepted, OrderRejected
from trading.core.orders import MOST
from trading.core.positions import Position
from trading.core.risk import LIMIT_OF_CHECK
from trading.core.terms import AccountKind, Side
from trading.documents.accounts import BacktestLimitsDocument
from trading.documents.fields import Currency, Direction, Filled, OrderId, Placed, Price, Quantity, Symbol
from trading.documents.figures import FiguresDocument
from trading.documents.ledger import ClosedTradeDocument
from trading.documents.orders import OrderCheckDocument
from web.documents import AnswerDocument, Instant, about, instant_or_null, like, number, number_or_null

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
