"""The JSON documents of trading: what clients see of orders, executions, positions, limits and the rest.

Amounts are JSON numbers with the decimals' own digits, of which the first 15 are exact. Instants are RFC 3339 texts in
UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from store.timestamps import format_timestamp
from trading.core.configuration import RiskConfig
from trading.core.events import BarPrint, Check, Executed, Print, Reference, RowRef
from trading.core.orders import Order
from trading.core.positions import ClosedTrade, Position
from trading.core.valuation import risk_of
from web.documents import number, number_or_null

# Backtests make documents without Django, which models need.
if TYPE_CHECKING:
    from trading.models import ExecutionRow, TransactionRow

Document = dict[str, Any]


def signal_document(order: Order) -> Document:
    """Return a signal: a strategy's order, in the words of strategies. entry: null for a market order.

    status, average_price, reason: what became of it; risk refused what is `rejected`.
    """
    terms = order.terms
    entry = terms.stop_price if terms.limit_price is None else terms.limit_price
    return {
        "id": order.id,
        "strategy": terms.strategy,
        "symbol": terms.symbol,
        "direction": "LONG" if terms.side.sign > 0 else "SHORT",
        "entry": number_or_null(entry),
        "stop": number_or_null(terms.stop_loss),
        "target": number_or_null(terms.take_profit),
        "at": format_timestamp(order.submitted_ns),
        "order_id": order.id,
        "quantity": number(terms.quantity),
        "status": order.state.value,
        "average_price": number_or_null(order.average_price),
        "reason": order.reason,
    }


def execution_document(row: ExecutionRow, event: Executed, order: Order, *, account: str) -> Document:
    """Return an execution. event: as it was recorded. order: the one that it filled."""
    return {
        "id": event.execution_id,
        "account": account,
        "order_id": event.order_id,
        "symbol": order.terms.symbol,
        "side": order.terms.side.value,
        "quantity": number(event.quantity),
        "price": number(event.price),
        "fee": number(event.fee),
        "slippage": number(event.slippage),
        "currency": order.instrument.currency,
        "rate": number(event.rate),
        "at": format_timestamp(row.at_ns),
        "state": row.state,
        "is_ambiguous": event.is_ambiguous,
        "print": print_document(event.print),
        "event": row.number,
    }


def print_document(printed: Print | BarPrint) -> Document:
    """Return the print, or the bar, of an execution: its row in the store, and its numbers."""
    names = ("price", "volume") if isinstance(printed, Print) else ("open", "high", "low", "close", "volume")
    return {
        **row_document(printed.ref),
        **{name: number(getattr(printed, name)) for name in names},
        "known_at": format_timestamp(printed.known_ns),
    }


def row_document(ref: RowRef) -> Document:
    """Return where a row is in the store."""
    return {
        "dataset": ref.dataset,
        "symbol": ref.symbol,
        "commit": ref.commit,
        "ordinal": ref.ordinal,
        "timestamp": format_timestamp(ref.timestamp_ns),
    }


def reference_document(reference: Reference) -> Document:
    """Return what the market looked like when an order was judged."""
    return {
        "symbol": reference.symbol,
        "price": number(reference.price),
        "rate": number(reference.rate),
        "bid": number_or_null(reference.bid),
        "ask": number_or_null(reference.ask),
        "last": number_or_null(reference.last),
        "at": format_timestamp(reference.at_ns),
        "rows": [row_document(ref) for ref in reference.refs],
    }


def check_document(check: Check) -> Document:
    """Return a check of an order. value, limit: null if it could not be evaluated, or has no number."""
    return {
        "name": check.name,
        "passed": check.is_passed,
        "value": number_or_null(check.value),
        "limit": number_or_null(check.limit),
        "unit": check.unit,
        "message": check.message,
    }


def config_document(config: RiskConfig) -> Document:
    """Return the limits of an account, with the names and units of `RiskConfig`."""
    values = msgspec.structs.asdict(config)
    return {
        name: number(value) if isinstance(value, Decimal) else value for name, value in values.items()
    } | {"fill": config.fill.value}


def position_document(position: Position, mark: Reference | None, *, is_stale: bool) -> Document:
    """Return a position. mark: None if the symbol has no price; then all that follows from it is null.

    value, pnl: in the instrument's currency; pnl_base: in the account's; pnl_r: in R, null without a protective stop
    at entry.
    """
    pnl, pnl_base, pnl_r = (None, None, None) if mark is None else risk_of(position, mark)
    return {
        "symbol": position.symbol,
        "strategy": position.strategy or None,
        "direction": position.direction,
        "quantity": number(abs(position.quantity)),
        "average_price": number_or_null(position.average_price),
        "mark": None if mark is None else number(mark.price),
        "marked_at": None if mark is None else format_timestamp(mark.at_ns),
        "is_stale": is_stale,
        "value": None if mark is None else number(position.value(mark.price)),
        "currency": position.terms.currency,
        "pnl": number_or_null(pnl),
        "pnl_base": number_or_null(pnl_base),
        "pnl_r": number_or_null(pnl_r),
        "opened_at": None if position.trade is None else format_timestamp(position.trade.opened_ns),
    }


def trade_document(trade: ClosedTrade) -> Document:
    """Return a closed trade. pnl, fees, income: in its currency; pnl_base: in the account's; pnl_r: in R."""
    return {
        "id": trade.id,
        "symbol": trade.symbol,
        "strategy": trade.strategy or None,
        "direction": trade.direction,
        "quantity": number(trade.quantity),
        "entry_price": number(trade.entry_price),
        "exit_price": number(trade.exit_price),
        "opened_at": format_timestamp(trade.opened_ns),
        "closed_at": format_timestamp(trade.closed_ns),
        "currency": trade.currency,
        "fees": number(trade.fees),
        "income": number(trade.income),
        "pnl": number(trade.pnl),
        "pnl_base": number(trade.pnl_base),
        "risk": number_or_null(trade.risk),
        "pnl_r": number_or_null(trade.r),
    }


def transaction_document(row: TransactionRow) -> Document:
    """Return what an event booked.

    amount: what the cash changed; balance: the cash after it. Debits of `entries` are above zero.
    """
    return {
        "event": row.number,
        "at": format_timestamp(row.at_ns),
        "kind": row.kind,
        "symbol": row.symbol or None,
        "currency": row.currency,
        "amount": number(Decimal(row.amount)),
        "balance": number(Decimal(row.balance)),
        "entries": [entry | {"amount": number(Decimal(entry["amount"]))} for entry in row.entries],
    }
