"""Compares an account with a broker's statement. Nothing here writes."""

from contextlib import suppress
from decimal import Decimal

from store.timestamps import DAY_NS, format_timestamp
from trading.core.amounts import money
from trading.core.positions import Position
from trading.core.statement import BreakKind, Statement, StatementBreak, Tolerances, compare
from trading.core.terms import Side
from trading.documents import Document, number, number_or_null, order_document
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.symbols import market
from trading.models import Account
from trading.reading.selectors import ValuedAccount, account_valued, execution_documents

# The newest are told.
_MOST_EXECUTIONS = 100


def reconciliation_document(account: Account, statement: Statement, tolerances: Tolerances) -> Document:
    """Return the breaks between an account and a statement, and what may have caused them.

    orders, executions: those that are open, and those of the last day, in symbols with a break.
    """
    valued = account_valued(account)
    found = compare(valued.state, statement, tolerances)
    symbols = {each.symbol for each in found.breaks}
    orders = [each for each in valued.state.orders.values() if each.terms.symbol in symbols]
    filled = account.executions.filter(
        symbol__in=symbols, at_ns__gt=valued.now_ns - DAY_NS, number__lte=account.number
    )
    newest = filled.select_related("order").order_by("-number")[:_MOST_EXECUTIONS]
    return {
        "account": account.name,
        "currency": valued.state.currency,
        "event": account.number,
        "at": format_timestamp(valued.now_ns),
        "agreed": found.agreed,
        "breaks": [_break_document(each, valued) for each in found.breaks],
        "orders": [order_document(each, account=account.name) for each in orders],
        "executions": execution_documents(newest, account=account),
    }


def _break_document(found: StatementBreak, valued: ValuedAccount) -> Document:
    return {
        "kind": found.kind.value,
        "symbol": found.symbol or None,
        "ours": number(found.ours),
        "theirs": number(found.theirs),
        "difference": number(found.difference),
        "value": number_or_null(_value(found, valued)),
        "price": number_or_null(found.price),
        "positions": [_held_document(each) for each in found.held],
    }


def _held_document(position: Position) -> Document:
    return {
        "strategy": position.strategy or None,
        "quantity": number(position.quantity),
        "average_price": number_or_null(position.average_price),
    }


def _value(found: StatementBreak, valued: ValuedAccount) -> Decimal | None:
    """Return what a difference is worth in the account's currency; None without a price or a rate."""
    if found.kind is BreakKind.CASH:
        return found.difference
    with suppress(NoReferencePrice, NoRate, NotTradable):
        side = Side.SELL if found.theirs > 0 else Side.BUY
        mark = valued.marks.get(found.symbol) or market().reference(
            found.symbol, valued.state.currency, side=side, now_ns=valued.now_ns
        )
        terms = found.held[0].terms if found.held else market().terms(found.symbol)
        return money(found.value(mark.price, terms.multiplier), mark.rate)
    return None
