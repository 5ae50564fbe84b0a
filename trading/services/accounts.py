"""Services of accounts: create, find, transfer, set up, start and stop, limits, overrides and the halt."""

import logging
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from django.conf import settings
from django.db import Error, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.services import event_record
from ratelimit.callers import ALL_ACCOUNTS, Caller
from trading.account_store import account_act
from trading.core.account import RUNNING, AccountState
from trading.core.amounts import money
from trading.core.configuration import RiskConfig
from trading.core.due import request_stop
from trading.core.events import (
    AccountOpened,
    HaltReleased,
    OverrideEnded,
    RiskConfigured,
    RiskOverridden,
    TradingStarted,
    Transferred,
)
from trading.core.matching import Record
from trading.core.terms import AccountKind
from trading.core.valuation import UnknownMark, equity_of, refusal_of
from trading.exceptions import (
    AccountExists,
    AccountNotValued,
    AccountRequired,
    InvalidTransfer,
    NoSuchAccount,
    OverrideTooHigh,
    PreconditionRequired,
    RiskVersionChanged,
    StrategyNameTaken,
    TradingHalted,
    UnknownModel,
)
from trading.lease import engine_status, require_engine
from trading.market.symbols import market
from trading.models import Account, EventRow, TargetModel
from web.requests.conditional import ANY_TAG

logger = logging.getLogger(__name__)

STOP_FILE = "STOP"
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


def account_create(*, name: str, kind: AccountKind, currency: str, by: str, config: RiskConfig) -> Account:
    """Open an account, stopped and without money. Raises AccountExists."""
    status = engine_status()

    def opening(state: AccountState, record: Record) -> None:
        record(AccountOpened(kind=kind, currency=currency))
        record(RiskConfigured(version=1, config=config, by=by))

    with transaction.atomic():
        try:
            with transaction.atomic():
                account = Account.objects.create(name=name, created_ns=status.now_ns)
        except IntegrityError:
            raise AccountExists(f"there is an account {name}") from None
        account_act(name, opening, at_ns=status.now_ns)
        account.refresh_from_db()
        return account


def accounts_of(caller: Caller) -> QuerySet[Account]:
    """Return the accounts that a caller may see, as a query."""
    accounts = Account.objects.order_by("name")
    return accounts if ALL_ACCOUNTS in caller.accounts else accounts.filter(name__in=caller.accounts)


def account_find(*, caller: Caller, name: str | None) -> Account:
    """Return an account that the caller may see: the named one, or its only one.

    Raises NoSuchAccount, AccountRequired.
    """
    accounts = accounts_of(caller)
    if name is not None:
        account = accounts.filter(name=name).first() if ACCOUNT_NAME.fullmatch(name) else None
        if account is None:
            raise NoSuchAccount(f"there is no account {name[:64]}")
        return account
    found = list(accounts[:2])
    if not found:
        raise NoSuchAccount("there is no account that the caller may see")
    if len(found) > 1:
        raise AccountRequired("the caller may see several accounts: name one with `account`")
    return found[0]


def account_transfer(*, name: str, transfer: str, amount: Decimal) -> None:
    """Pay money in (above zero) or out. transfer: its id; a transfer that was booked is not booked again.

    Raises NoSuchAccount, InvalidTransfer; AccountNotValued if the account cannot be valued.
    """
    now_ns = engine_status().now_ns
    booked = EventRow.objects.filter(account__name=name, name="transferred", body__contains=f'"{transfer}"')

    def pay(state: AccountState, record: Record) -> None:
        if not booked.exists():
            equity = transferable_equity(state, amount, now_ns=now_ns)
            record(Transferred(transfer=transfer, amount=money(amount), equity=equity))

    account_act(name, pay, at_ns=now_ns)


def transferable_equity(state: AccountState, amount: Decimal, *, now_ns: int) -> Decimal:
    """Return an account's equity if an amount can be paid in or out. Raises InvalidTransfer, AccountNotValued."""
    try:
        equity = equity_of(state, market().marks(state, now_ns=now_ns))
    except UnknownMark as error:
        raise AccountNotValued(f"the account cannot be valued: {error}") from None
    refusal = refusal_of(state, equity, amount)
    if refusal is not None:
        raise InvalidTransfer(refusal)
    return equity


def preferences_change(*, account: Account, changes: Mapping[str, Any]) -> None:
    """Change some of the account's preferences. changes: new values, by the names of `Preferences`.

    `heartbeat_seconds` begin now. Raises UnknownModel, StrategyNameTaken.
    """
    if "heartbeat_seconds" in changes:
        heartbeat(accounts=[account])

    def change(state: AccountState, record: Record) -> None:
        model = changes.get("model")
        if model is not None and not TargetModel.objects.filter(account=account, name=model).exists():
            raise UnknownModel(model)
        assigned = state.assignment
        if model is not None and assigned is not None and assigned.strategy.name == model:
            raise StrategyNameTaken(f"the account's strategy is called {model}, too")
        record(msgspec.structs.replace(state.preferences, **changes))

    account_act(account.name, change, at_ns=engine_status().now_ns)


def heartbeat(*, accounts: Iterable[Account]) -> None:
    """Note that the accounts' client lives."""
    Account.objects.filter(pk__in=[each.pk for each in accounts]).update(heartbeat_ns=engine_status().now_ns)


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
    """Release the oldest halt; others stay. The account stays stopped or running as it was.

    If the halt is of a drawdown that lasts, the high-water mark becomes the present equity.
    """

    def release(state: AccountState, record: Record) -> None:
        if state.halt is not None:
            record(HaltReleased(reason=reason, by=by))

    account_act(account.name, release, at_ns=engine_status().now_ns)


def is_stop_file_there() -> bool:
    """Return whether DATA_DIR has a file STOP, which stops all accounts."""
    return bool((settings.DATA_DIR / STOP_FILE).exists())
