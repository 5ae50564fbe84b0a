"""Services of control: start and stop trading, limits, overrides, and the halt."""

import logging
from collections.abc import Iterable
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import Error, transaction
from django.utils import timezone

from audit.services import event_record
from trading.account_store import account_act
from trading.core.account import RUNNING, AccountState
from trading.core.configuration import RiskConfig
from trading.core.due import request_stop
from trading.core.events import (
    HaltReleased,
    OverrideEnded,
    RiskConfigured,
    RiskOverridden,
    TradingStarted,
)
from trading.core.matching import Record
from trading.exceptions import OverrideTooHigh, PreconditionRequired, RiskVersionChanged, TradingHalted
from trading.lease import engine_status, require_engine
from trading.models import Account
from web.requests.conditional import ANY_TAG

logger = logging.getLogger(__name__)

STOP_FILE = "STOP"


def trading_start(*, account: Account, by: str) -> None:
    """Let the account open positions. Does nothing if it runs. Raises EngineUnavailable, TradingHalted."""
    now_ns = require_engine().now_ns

    def start(state: AccountState, record: Record) -> None:
        if state.halt is not None:
            raise TradingHalted(f"the account is halted: {state.halt.reason}")
        if is_stop_file_there():
            raise TradingHalted("the file STOP is in DATA_DIR: remove it to start trading")
        if state.status != RUNNING:
            record(TradingStarted(by=by))

    account_act(account.name, start, at_ns=now_ns)


def trading_stop(*, account: Account, by: str, reason: str = "") -> None:
    """Ask that all orders are cancelled and all positions closed; see `request_stop`. The engine does it."""
    account_act(account.name, partial(request_stop, by=by, reason=reason), at_ns=engine_status().now_ns)


def trading_stop_each(*, accounts: Iterable[Account], by: str, reason: str = "") -> None:
    """Stop all accounts, even if one of them cannot be stopped now. Raises what it raised."""
    errors = []
    for account in accounts:
        try:
            trading_stop(account=account, by=by, reason=reason)
        except Exception as error:  # noqa: BLE001 it is raised after the others were stopped
            errors.append(error)
    if errors:
        raise errors[0]


def audit_stop(accounts: Iterable[str], *, actor: str, reason: str) -> None:
    """Write an audit record of each account's stop.

    A stop that cannot be recorded is done: the account's events have it.
    """
    try:
        with transaction.atomic():
            for name in accounts:
                event_record(
                    at=timezone.now(),
                    actor=actor,
                    audit_class="trading",
                    event="trading.stopped",
                    subject=f"account:{name}",
                    detail={"reason": reason},
                )
    except Error:
        logger.exception("the stop is done, but not in the audit log")


def risk_tag(version: int) -> str:
    """Return the entity tag of the limits at a version."""
    return f'"risk-{version}"'


def risk_configure(*, account: Account, config: RiskConfig, tag: str | None, by: str) -> None:
    """Set the limits.

    tag: of the version that the caller has read, or ANY_TAG. Raises PreconditionRequired without one, RiskVersionChanged.
    """
    if tag is None:
        raise PreconditionRequired("send the ETag of GET /config in If-Match")

    def configure(state: AccountState, record: Record) -> None:
        current = state.risk_version
        if tag not in {ANY_TAG, risk_tag(current)}:
            raise RiskVersionChanged(f"the limits are at version {current}")
        record(RiskConfigured(version=current + 1, config=config, by=by))

    account_act(account.name, configure, at_ns=engine_status().now_ns)


def risk_override(*, account: Account, risk_level: Decimal, until_ns: int, reason: str, by: str) -> None:
    """Set the risk level until an instant.

    It may be lower at once, and at most the configured maximum. Raises OverrideTooHigh.
    """

    def override(state: AccountState, record: Record) -> None:
        most = state.config.max_risk_level
        if risk_level > most:
            raise OverrideTooHigh(f"the risk level is at most {most}")
        record(RiskOverridden(risk_level=risk_level, until_ns=until_ns, reason=reason, by=by))

    account_act(account.name, override, at_ns=engine_status().now_ns)


def override_end(*, account: Account, reason: str, by: str) -> None:
    """Let the risk level be the configured one again."""

    def end(state: AccountState, record: Record) -> None:
        if state.override is not None:
            record(OverrideEnded(reason=reason, by=by))

    account_act(account.name, end, at_ns=engine_status().now_ns)


def halt_release(*, account: Account, reason: str, by: str) -> None:
    """Release the oldest halt; others stay.

    That of a drawdown which lasts begins the high-water mark anew at the present equity.

    The account stays stopped or running as it was.
    """

    def release(state: AccountState, record: Record) -> None:
        if state.halt is not None:
            record(HaltReleased(reason=reason, by=by))

    account_act(account.name, release, at_ns=engine_status().now_ns)


def is_stop_file_there() -> bool:
    """Return whether DATA_DIR has a file STOP, which stops all accounts."""
    return bool((settings.DATA_DIR / STOP_FILE).exists())
