"""Alpaca's endpoints of the account: what it is worth now, and its configuration; the base of all about an account."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from dialects.alpaca.orders import AlpacaDocument, ExampleId, Number, id_of
from ratelimit.callers import Caller
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamp_or_epoch
from trading.api.account_view import ACCOUNT_READ, AccountView, account_answer
from trading.core.account import RUNNING
from trading.core.amounts import ONE, ZERO, exact, money
from trading.core.terms import AccountKind
from trading.core.valuation import UnknownMark, committed, loads_of, maintenance_of
from trading.exceptions import AccountRequired
from trading.models import Account
from trading.selectors import account_valued
from web.documents import AnswerDocument, Instant, about, like
from web.requests.exceptions import InvalidParameter


class AlpacaAccountView(AccountView, ViewSet):
    """An endpoint about the account of the caller's key, which has no other account."""

    common_parameters: ClassVar[Sequence[OpenApiParameter]] = ()
    renderer_classes = [JSONRenderer]

    def account(self, caller: Caller | None = None) -> Account:
        """Return the account. Raises PermissionDenied, NoSuchAccount."""
        try:
            return super().account(caller)
        except AccountRequired:
            message = "the key has several accounts: here a key stands for an account, so use a key of one"
            raise PermissionDenied(message, "forbidden") from None

    def instant(self, name: str) -> int | None:
        """Return a parameter as nanoseconds UTC; None without it. Raises InvalidParameter."""
        text = self.query.get(name)
        try:
            return None if text is None else parse_timestamp_or_epoch(text)
        except InvalidTimestamp as error:
            raise InvalidParameter(error.code, f"{name}: {error}") from None

    def whole_number(self, name: str, *, most: int, default: int) -> int:
        """Return a parameter that is a number from 1 to `most`. Raises InvalidParameter."""
        text = self.query.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
            raise InvalidParameter("invalid_number", f"{name} must be a whole number between 1 and {most:,}")
        return int(text)

    def flag(self, name: str) -> bool:
        """Return whether a parameter is true, as Python and JSON write it; False if it is absent. Raises InvalidParameter."""
        text = self.query.get(name, "false").lower()
        if text not in ("true", "false"):
            raise InvalidParameter("invalid_parameter", f"{name} must be true or false")
        return text == "true"


def parameter(name: str, text: str, **schema: Any) -> OpenApiParameter:
    """Return a parameter of the query. schema: of its values, if they are not any texts."""
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.QUERY, description=text)


class AlpacaAccount(AlpacaDocument, kw_only=True):
    """An account at current prices."""

    id: ExampleId
    account_number: Annotated[str, about("The account's id here.", "main")]
    currency: Annotated[str, like("USD")]
    created_at: Annotated[Instant, like("2025-01-02T14:00:00Z")]
    cash: Number
    equity: Annotated[str, about("The last known equity, if a position has no price.", "100099")]
    portfolio_value: Number
    last_equity: Annotated[str, about("At the beginning of the day.", "100000")]
    long_market_value: Number
    short_market_value: Number
    position_market_value: Number
    initial_margin: Annotated[str, about("The initial margin of positions and open orders.", "9549")]
    maintenance_margin: Number
    buying_power: Annotated[str, about("What can be bought of equities.", "181100")]
    non_marginable_buying_power: Number
    multiplier: Annotated[str, like("2")]
    shorting_enabled: Annotated[bool, like(True)]
    trading_blocked: Annotated[bool, about("Whether the account is stopped or halted.", False)]
    trade_suspended_by_user: Annotated[bool, about("Whether the account is stopped.", False)]
    status: Annotated[str, like("ACTIVE")]
    transfers_blocked: bool = False
    account_blocked: bool = False


class AlpacaConfiguration(AnswerDocument):
    """What an account may do."""

    max_margin_multiplier: Annotated[str, like("2")]
    no_shorting: bool
    suspend_trade: bool
    fractional_trading: bool = True
    trade_confirm_email: Annotated[str, like("none")] = "none"
    ptp_no_exception_entry: bool = False


class AlpacaAccountsViewSet(AlpacaAccountView):
    """The key's account."""

    access = {"retrieve": ACCOUNT_READ, "configuration": ACCOUNT_READ}
    answers = {"retrieve": AlpacaAccount, "configuration": AlpacaConfiguration}

    def retrieve(self, request: Request) -> Response:
        """Get the account."""
        account = self.account()
        return account_answer(_document(account), account.number)

    def configuration(self, request: Request) -> Response:
        """Get the account's configuration."""
        account = self.account()
        now = _document(account)
        document = AlpacaConfiguration(now.multiplier, not now.shorting_enabled, now.trade_suspended_by_user)
        return account_answer(document, account.number)


def _document(account: Account) -> AlpacaAccount:
    """Return the document of an account. A position without a price has no value and no margin."""
    valued = account_valued(account)
    state, marks = valued.state, valued.marks
    equity = state.equity if valued.equity is None else valued.equity
    values = [
        money(position.value(mark.price), mark.rate)
        for position in state.positions.values()
        if (mark := marks.get(position.symbol)) is not None
    ]
    initial = maintenance = ZERO
    with suppress(UnknownMark):
        maintenance = maintenance_of(state, marks)
        initial = sum((each.margin for each in loads_of(state, marks).values()), ZERO)
    free, multiplier = equity - initial, ONE / settings.TRADING_TERMS["equity"].initial_margin
    if state.kind is AccountKind.CASH:
        free, multiplier = state.cash - committed(state.orders.values()), ONE
    free = max(free, ZERO)
    return AlpacaAccount.of_amounts(
        state,
        id=id_of("account", account.name),
        account_number=account.name,
        # The state has a status of another meaning.
        status="ACTIVE",
        created_at=format_timestamp(account.created_ns),
        equity=equity,
        portfolio_value=equity,
        last_equity=state.day_equity,
        long_market_value=sum((each for each in values if each > 0), ZERO),
        short_market_value=sum((each for each in values if each < 0), ZERO),
        position_market_value=sum(values, ZERO),
        initial_margin=initial,
        maintenance_margin=maintenance,
        buying_power=exact(free, multiplier),
        non_marginable_buying_power=free,
        multiplier=multiplier,
        shorting_enabled=state.kind is AccountKind.MARGIN,
        trading_blocked=state.status != RUNNING or state.halt is not None,
        trade_suspended_by_user=state.status != RUNNING,
    )
