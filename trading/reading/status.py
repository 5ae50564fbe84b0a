"""Whether an account trades, and whether the engine is there and works for it."""

import time
from typing import cast

from store.timestamps import SECOND_NS
from trading.core.account import RUNNING, STOPPING, AccountState
from trading.core.configuration import Zone
from trading.documents.accounts import AccountStatusDocument, HaltDocument, QueuedCloseDocument, Status
from trading.journal import state_of
from trading.lease import EngineStatus, engine_status
from trading.models import Account
from web.documents import instant_or_null


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
    """Return whether the engine works for the account, and can read its symbols' logs."""
    broken = {log.partition(":")[2] for log in engine.document.get("broken", ())}
    is_failed = state.id in engine.document.get("failed_accounts", ())
    return engine.is_alive and not is_failed and not state.symbols() & broken


def _queued(key: str, opens_ns: int | None) -> QueuedCloseDocument:
    symbol, _, strategy = key.partition("|")
    return QueuedCloseDocument(symbol, strategy or None, instant_or_null(opens_ns))
