"""Services of accounts: create, find, transfer, and their preferences."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from ratelimit.callers import ALL_ACCOUNTS, Caller
from trading.account_store import account_act
from trading.core.account import AccountState
from trading.core.amounts import money
from trading.core.configuration import RiskConfig
from trading.core.events import AccountOpened, RiskConfigured, Transferred
from trading.core.matching import Record
from trading.core.terms import AccountKind
from trading.core.valuation import UnknownMark, equity_of, refusal_of
from trading.exceptions import (
    AccountExists,
    AccountNotValued,
    AccountRequired,
    InvalidTransfer,
    NoSuchAccount,
    StrategyNameTaken,
    UnknownModel,
)
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, EventRow, TargetModel

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
