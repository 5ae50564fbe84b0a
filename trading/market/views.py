"""What the market says for a decision about an order."""

from contextlib import suppress

import msgspec

from store.timestamps import format_timestamp
from trading.core.acceptance import MarketView, closing_view, end_of
from trading.core.account import AccountState
from trading.core.orders import OrderTerms
from trading.core.positions import Position
from trading.exceptions import NotTradable
from trading.market.hours import last_session_end_ns, session_end_ns
from trading.market.market import Market


def market_view(
    market: Market,
    state: AccountState,
    order: OrderTerms,
    *,
    now_ns: int,
    decided_ns: int | None = None,
) -> MarketView:
    """Return what is needed to judge an order.

    decided_ns: the end of the bar that decided it; None for now. An order that bars fill has no end yet: a day order
    ends with the session of the first bar that may fill it, an immediate one with that bar. Raises NotTradable,
    NoReferencePrice, NoRate, and the errors of the store.
    """
    last_ns = last_session_end_ns(market.instrument(order.symbol))
    if last_ns is not None and now_ns >= last_ns:
        raise NotTradable(
            f"{order.symbol} has expired: its last session ended at {format_timestamp(last_ns)}"
        )
    bars_from_ns = market.bars_from_ns(order.symbol, now_ns if decided_ns is None else decided_ns)
    return MarketView(
        terms=market.terms(order.symbol),
        reference=market.reference(order.symbol, state.currency, side=order.side, now_ns=now_ns),
        marks=market.marks(state, now_ns=now_ns),
        heads=market.heads(order.symbol, state.currency),
        expires_ns=None
        if bars_from_ns is not None
        else end_of(
            order,
            state.config,
            now_ns=now_ns,
            session_end_ns=lambda: session_end_ns(market.instrument(order.symbol), now_ns),
        ),
        bars_from_ns=bars_from_ns,
        halt=_halt_of(market, order.symbol, now_ns),
    )


def position_closing_view(
    market: Market,
    position: Position,
    account_currency: str,
    *,
    now_ns: int,
    decided_ns: int | None = None,
) -> MarketView:
    """Return what is needed to close a position: see `closing_view`. decided_ns: see `market_view`."""
    terms = position.terms
    with suppress(NotTradable):
        now = market.terms(position.symbol)
        terms = msgspec.structs.replace(terms, tick=now.tick, tick_below_one=now.tick_below_one)
    mark = market.mark(position, account_currency, now_ns=now_ns)
    bars_from_ns = market.bars_from_ns(position.symbol, now_ns if decided_ns is None else decided_ns)
    view = closing_view(position, terms, mark, market.heads(position.symbol, account_currency), bars_from_ns)
    return msgspec.structs.replace(view, halt=_halt_of(market, position.symbol, now_ns))


def _halt_of(market: Market, symbol: str, now_ns: int) -> str | None:
    begun_ns = market.halted_from_ns(symbol, now_ns)
    if begun_ns is None:
        return None
    return f"trading in {symbol} has been halted since {format_timestamp(begun_ns)}: the order waits until it is resumed"
