"""Services of adjusting entries: a person corrects a position, or the cash."""

from decimal import Decimal

from trading.core.account import AccountState
from trading.core.amounts import ZERO, money, quantity
from trading.core.events import CashAdjusted, PositionAdjusted
from trading.core.terms import AccountKind
from trading.exceptions import AdjustmentRefused, UnknownPosition
from trading.journal import Journal, open_journal, state_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account


def cash_adjust(*, account: Account, amount: Decimal, reason: str, by: str, seen: int | None = None) -> int:
    """Correct the cash by an amount, and return the event's number.

    seen: the number of the event by which it was decided; None for any. Raises AdjustmentRefused.
    """
    with open_journal(account.name) as journal:
        _require_unchanged(journal, seen)
        event = CashAdjusted(amount=money(amount), reason=reason, by=by)
        return journal.record(event, at_ns=engine_status().now_ns)


def position_adjust(
    *,
    account: Account,
    symbol: str,
    strategy: str,
    change: Decimal,
    price: Decimal,
    reason: str,
    by: str,
    seen: int | None = None,
) -> int:
    """Correct a position without cash, and return the event's number.

    change: added to the quantity at the price; with 0, what is held is given the price as its cost. seen: see
    `cash_adjust`. Raises AdjustmentRefused, UnknownPosition, NotTradable, NoRate, and the errors of the store.
    """
    now_ns, before = engine_status().now_ns, state_of(account)
    known = before.position(symbol, strategy)
    terms = market().terms(symbol) if known is None else known.terms
    rate, _ = market().rate(terms.currency, before.currency, now_ns=now_ns)
    heads = market().heads(symbol, before.currency)
    with open_journal(account.name) as journal:
        state = journal.state
        _require_unchanged(journal, seen)
        _require_possible(state, symbol, strategy, quantity(change))
        held = state.position(symbol, strategy)
        event = PositionAdjusted(
            symbol=symbol,
            strategy=strategy,
            quantity=quantity(change),
            price=price,
            rate=rate,
            terms=terms if held is None else held.terms,
            reason=reason,
            by=by,
            # The engine takes the symbol's prices, settlements and corporate actions from now on.
            commits=heads,
        )
        return journal.record(event, at_ns=now_ns)


def _require_unchanged(journal: Journal, seen: int | None) -> None:
    traded, newest = journal.state.traded, journal.state.number
    if seen is not None and seen > newest:
        raise AdjustmentRefused(f"there is no event {seen} yet, the last is {newest}: compare again")
    if seen is not None and traded > seen:
        raise AdjustmentRefused(
            f"positions or cash changed with event {traded}, after event {seen}: compare them again"
        )


def _require_possible(state: AccountState, symbol: str, strategy: str, change: Decimal) -> None:
    if state.orders_of(symbol):
        raise AdjustmentRefused(f"an order of {symbol} is open: cancel it, or wait until it has ended")
    position = state.position(symbol, strategy)
    held = ZERO if position is None else position.quantity
    if not held and not change:
        raise UnknownPosition(f"the account holds no {symbol}")
    if state.kind is AccountKind.CASH and held + change < 0:
        raise AdjustmentRefused("a cash account may not be short")
