"""Whether an account trades, and whether the engine is there and sees the market."""

import time

import numpy as np
from django.db.models import Max

from store.exceptions import StorageError
from store.timestamps import SECOND_NS
from trades.stores import market_store
from trading.core.account import RUNNING, STOPPING, AccountState
from trading.core.configuration import Zone
from trading.documents import Document
from trading.journal import state_of
from trading.lease import EngineStatus, engine_status
from trading.market.hours import is_in_session
from trading.models import Account, LogProgress
from trading.reading.selectors import halt_document
from web.documents import instant_or_null

_PRICES = ("trades", "quotes", "bars")
HALTED, DEGRADED = "halted", "degraded"


def status_document(account: Account) -> Document:
    """Return an account's status. uptime_seconds: of the engine; null while it is away."""
    state, engine = state_of(account), engine_status()
    is_connected = is_connected_to_market(state, engine)
    return {
        "account": account.name,
        "engine": "running" if engine.is_alive else "away",
        "status": status_of(state, is_connected=is_connected),
        "connected": is_connected,
        "open_positions": len(state.positions),
        "dd_zone": state.zone.value,
        "uptime_seconds": (time.time_ns() - engine.started_ns) // SECOND_NS if engine.is_alive else None,
        "halt": halt_document(state),
        "queued": [_queued(book, opens_ns) for book, opens_ns in sorted(state.queued.items())],
    }


def status_of(state: AccountState, *, is_connected: bool) -> str:
    """Return running, stopped, stopping, halted or degraded.

    A running account is degraded while it is not connected.
    """
    if state.status == STOPPING:
        return STOPPING
    if state.halt is not None or state.zone is Zone.HALT:
        return HALTED
    return DEGRADED if state.status == RUNNING and not is_connected else state.status


def is_connected_to_market(state: AccountState, engine: EngineStatus) -> bool:
    """Return whether the engine works for the account, can read its symbols' logs, and has seen new prices of each.

    Outside of its session a symbol needs none. Within it, prices are new for the account's `stale_after_seconds`, and
    an order counts as one when it is accepted.
    """
    if not engine.is_alive or state.id in engine.document.get("failed_accounts", ()):
        return False
    symbols = state.symbols()
    broken = {log.partition(":")[2] for log in engine.document.get("broken", ())}
    try:
        return not symbols & broken and not _silent(state, symbols, engine.now_ns)
    except StorageError:
        return False


def _silent(state: AccountState, symbols: set[str], now_ns: int) -> bool:
    """Return whether a symbol was in session for as long as prices are new, and had none."""
    since_ns = now_ns - state.config.stale_after_seconds * SECOND_NS
    logs = LogProgress.objects.filter(symbol__in=symbols, dataset__in=_PRICES)
    seen_ns: dict[str, int] = dict(logs.values_list("symbol").annotate(seen=Max("newest_ns", default=0)))
    for order in state.orders.values():
        seen_ns[order.terms.symbol] = max(seen_ns.get(order.terms.symbol, 0), *order.states.values())
    old = [symbol for symbol in symbols if seen_ns.get(symbol, 0) <= since_ns]
    instants = np.array([since_ns, now_ns])
    return any(is_in_session(market_store().instrument(symbol), instants).all() for symbol in old)


def _queued(book: str, opens_ns: int | None) -> Document:
    symbol, _, strategy = book.partition("|")
    return {"symbol": symbol, "strategy": strategy or None, "opens_at": instant_or_null(opens_ns)}
