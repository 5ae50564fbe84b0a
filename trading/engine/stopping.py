"""The file STOP stops all accounts; the orders of a client that has stayed away are cancelled."""

import logging
from collections.abc import Iterator, Mapping

from trading.core.account import STOPPED, STOPPING, AccountState
from trading.core.amounts import NS_PER_SECOND
from trading.core.due import ENGINE, request_cancels
from trading.core.matching import Record
from trading.models import Account
from trading.services.control import audit_stop, is_stop_file_there, trading_stop

logger = logging.getLogger(__name__)


def obey_file(states: Mapping[str, AccountState]) -> None:
    """Stop all accounts if DATA_DIR has a file STOP."""
    if not is_stop_file_there():
        return
    for name, state in list(states.items()):
        if state.status != STOPPING and (state.status != STOPPED or state.positions or state.orders):
            try:
                account = Account.objects.get(name=name)
                trading_stop(account=account, by="file", reason="the file STOP is there")
                audit_stop([name], actor="file", reason="the file STOP is there")
            except (
                Exception
            ):  # the other accounts are stopped all the same, and this one is tried again in a second
                logger.exception("the file STOP does not stop %s", name)


def silent_accounts(states: Mapping[str, AccountState], now_ns: int) -> Iterator[str]:
    """Yield the accounts with orders whose clients promised heartbeats and have stayed away."""
    for name, state in states.items():
        seconds = state.preferences.heartbeat_seconds
        if seconds is None or not any(order.may_be_cancelled for order in state.orders.values()):
            continue
        heard_ns = Account.objects.values_list("heartbeat_ns", flat=True).get(name=name)
        if heard_ns is None or now_ns - heard_ns > seconds * NS_PER_SECOND:
            yield name


def cancel_all(state: AccountState, record: Record) -> None:
    """Ask for the cancel of all orders of an account whose client has stayed away."""
    request_cancels(state.orders.values(), record, reason="heartbeat", by=ENGINE)
