"""The documents of what was traded and booked: executions, closed trades, transactions."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import UNSET, UnsetType

from store.timestamps import format_timestamp
from trading.core.events import BarPrint, Executed, Print
from trading.core.orders import Order
from trading.core.positions import ClosedTrade
from trading.core.terms import Side
from trading.documents.orders import (
    AccountId,
    Currency,
    Direction,
    ExecutionId,
    Fee,
    Filled,
    OrderId,
    Placed,
    Price,
    Quantity,
    Rate,
    Strategy,
    Symbol,
)
from web.documents import AnswerDocument, Instant, about, like, number, number_or_null

# Backtests make documents without Django, which models need.
if TYPE_CHECKING:
    from trading.models import ExecutionRow, TransactionRow


class ExecutionPrintDocument(AnswerDocument, kw_only=True):
    """The stored row that filled an order. A trade has a price; a bar has open, high, low and close."""

    dataset: Annotated[str, like("trades")]
    symbol: Symbol
    commit: Annotated[str, like("17-9f3a2c")]
    ordinal: Annotated[int, about("Of the row in its commit.", 4)]
    timestamp: Filled
    price: Annotated[float | UnsetType, like(189.98)] = UNSET
    open: float | UnsetType = UNSET
    high: float | UnsetType = UNSET
    low: float | UnsetType = UNSET
    close: float | UnsetType = UNSET
    volume: Annotated[float | None, about("Null of a bar without one.", 2500.0)]
    known_at: Annotated[Instant, about("When the engine could know it.", "2025-01-02T14:30:01.2Z")]

    @classmethod
    def of(cls, printed: Print | BarPrint) -> Self:
        """Return the document of a print, or of a bar."""
        ref = printed.ref
        names = (
            ("price", "volume") if isinstance(printed, Print) else ("open", "high", "low", "close", "volume")
        )
        amounts: dict[str, Any] = {name: number_or_null(getattr(printed, name)) for name in names}
        return cls(
            dataset=ref.dataset,
            symbol=ref.symbol,
            commit=ref.commit,
            ordinal=ref.ordinal,
            timestamp=format_timestamp(ref.timestamp_ns),
            known_at=format_timestamp(printed.known_ns),
            **amounts,
        )


class ExecutionDocument(AnswerDocument):
    """A fill of an order."""

    id: ExecutionId
    account: AccountId
    order_id: OrderId
    symbol: Symbol
    side: Side
    quantity: Quantity
    price: Price
    fee: Fee
    slippage: Annotated[float, about("How much worse the price is than the print's.", 0.0)]
    currency: Annotated[Currency, about("Of price and fee.")]
    rate: Annotated[Rate, about("From `currency` to the account's.")]
    at: Filled
    is_ambiguous: Annotated[bool, about("Filled by a bar, which does not tell the order of its prices.")]
    print: ExecutionPrintDocument
    event: Annotated[int, like(9)]

    @classmethod
    def of(cls, row: ExecutionRow, event: Executed, order: Order, *, account: str) -> Self:
        """Return the document of an execution. event: as it was recorded. order: the one that it filled."""
        return cls.of_attributes(
            event,
            id=event.execution_id,
            account=account,
            symbol=order.terms.symbol,
            side=order.terms.side,
            currency=order.instrument.currency,
            at=format_timestamp(row.at_ns),
            print=ExecutionPrintDocument.of(event.print),
            event=row.number,
        )


class ClosedTradeDocument(AnswerDocument):
    """A trade from flat to flat."""

    id: Annotated[str, like("6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22")]
    symbol: Symbol
    strategy: Strategy
    direction: Direction
    quantity: Quantity
    entry_price: Price
    exit_price: Annotated[float, like(191.98)]
    opened_at: Filled
    closed_at: Annotated[Instant, like("2025-01-02T15:30:01Z")]
    currency: Annotated[Currency, about("Of the instrument.")]
    fees: Annotated[float, like(2.0)]
    income: Annotated[float, about("Dividends, less those owed and fees for borrowing, in `currency`.", 0.0)]
    pnl: Annotated[float, about("With `income` and less fees, in `currency`.", 198.0)]
    pnl_base: Annotated[
        float,
        about(
            "What it changed the cash by, with the gain or loss of the currency on the money invested.", 198.0
        ),
    ]
    risk: Annotated[float | None, about("Between entry and protective stop.", 198.0)]
    pnl_r: Annotated[float | None, about("In R; null without a protective stop at entry.", 1.0)]

    @classmethod
    def of(cls, trade: ClosedTrade) -> Self:
        """Return the document of a closed trade."""
        return cls.of_attributes(trade, strategy=trade.strategy or None, pnl_r=number_or_null(trade.r))


class LedgerEntryDocument(AnswerDocument):
    """A line of the ledger. The entries of a transaction add up to zero in each currency."""

    account: Annotated[str, like("cash")]
    currency: Currency
    amount: Annotated[float, about("Debits are above zero.", -18999.0)]
    symbol: Annotated[str, like("")]


class TransactionDocument(AnswerDocument):
    """What an event booked."""

    event: Annotated[int, like(9)]
    at: Placed
    kind: Annotated[str, about("The event's name, such as executed, transferred, dividend_paid.", "executed")]
    symbol: Annotated[str | None, like("AAPL")]
    currency: Currency
    amount: Annotated[float, about("What the cash changed.", -18999.0)]
    balance: Annotated[float, about("The cash after it.", 81001.0)]
    entries: list[LedgerEntryDocument]

    @classmethod
    def of(cls, row: TransactionRow) -> Self:
        """Return the document of what an event booked."""
        return cls(
            event=row.number,
            at=format_timestamp(row.at_ns),
            kind=row.kind,
            symbol=row.symbol or None,
            currency=row.currency,
            amount=number(Decimal(row.amount)),
            balance=number(Decimal(row.balance)),
            entries=[
                LedgerEntryDocument(**{**entry, "amount": number(Decimal(entry["amount"]))})
                for entry in row.entries
            ],
        )


class LedgerLineDocument(AnswerDocument):
    """A line of the ledger, with the event that booked it."""

    event: Annotated[int, like(9)]
    at: Placed
    kind: Annotated[str, about("The event's name.", "executed")]
    account: Annotated[str, about("Of the ledger.", "cash")]
    currency: Currency
    amount: Annotated[float, about("Debits are above zero.", -18999.0)]
    symbol: Annotated[str, like("")]

    @classmethod
    def of_transaction(cls, booked: TransactionDocument) -> list[Self]:
        """Return the lines of a transaction."""
        return [
            cls(event=booked.event, at=booked.at, kind=booked.kind, **entry.as_json())
            for entry in booked.entries
        ]
