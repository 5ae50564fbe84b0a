"""Whether an account trades, and whether the engine is there and sees the market."""

import time
from typing import cast

import numpy as np
from django.db.models import Max

from store.exceptions import StorageError
from store.timestamps import SECOND_NS
from trades.stores import market_store
from trading.core.account import RUNNING, STOPPING, AccountState
from trading.core.configuration import Zone
from trading.documents.accounts import AccountStatusDocument, HaltDocument, QueuedCloseDocument, Status
from trading.journal import state_of
from trading.lease import EngineStatus, engine_status
from trading.market.hours import is_in_session
from trading.models import Account, LogProgress
from web.documents import instant_or_null

_PRICES = ("trades", "quotes", "bars")


def status_document(account: Account) -> AccountStatusDocument:
    """Return an account's status."""
    state, engine = state_of(account), engine_status()
    is_connected = is_connected_to_market(state, engine)
    return AccountStatusDocument(
        account=account.name,
        engine="running" if engine.is_alive else "away",
        status=status_of(state, is_connected=is_connected),
        connected=is_connected,
        open_positions=len(state.positions),
        dd_zone=state.zone,
        uptime_seconds=(time.time_ns() - engine.started_ns) // SECOND_NS if engine.is_alive else None,
        halt=HaltDocument.of(state),
        queued=[_queued(key, opens_ns) for key, opens_ns in sorted(state.queued.items())],
    )


def status_of(state: AccountState, *, is_connected: bool) -> Status:
    """Return the status. A running account is degraded while it is not connected."""
    if state.status != STOPPING and (state.halt is not None or state.zone is Zone.HALT):
        return "halted"
    if state.status == RUNNING and not is_connected:
        return "degraded"
    return cast("Status", state.status)


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


def _queued(key: str, opens_ns: int | None) -> QueuedCloseDocument:
    symbol, _, strategy = key.partition("|")
    return QueuedCloseDocument(symbol, strategy or None, instant_or_null(opens_ns))
