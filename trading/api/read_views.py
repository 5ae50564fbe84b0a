"""The endpoints that say what accounts are now."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.callers import Caller
from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trading.api.access import ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.read_filters import DEFAULT_LIMIT
from trading.core.report import Grouping
from trading.documents.accounts import (
    AccountDocument,
    AccountPositionsDocument,
    AccountStatusDocument,
    PortfolioDocument,
    RiskConfigDocument,
    RiskDocument,
)
from trading.documents.figures import PerformanceDocument
from trading.journal import state_of
from trading.models import Account
from trading.reading.performance import MOST_DAYS, Period, last_days, performance_document, period_between
from trading.reading.selectors import (
    account_valued,
    portfolio_document,
    positions_documents,
    risk_document,
)
from trading.reading.status import status_document
from trading.services.accounts import account_find, accounts_of
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet, parameters_form
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice, single_parameters

ACCOUNT = OpenApiParameter(
    "account",
    {"type": "string", "minLength": 1, "examples": ["main"]},
    OpenApiParameter.QUERY,
    description="The account's id. Default: the only account that the caller may see.",
)
ACCOUNT_ID = OpenApiParameter(
    "account",
    {"type": "string", "minLength": 1, "examples": ["main"]},
    OpenApiParameter.PATH,
    description="The account's id.",
)
_DAYS = OpenApiParameter(
    "days",
    {"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": 30},
    OpenApiParameter.QUERY,
    description="The length of the period, which ends now.",
)
_FROM, _TO = (
    OpenApiParameter(
        name,
        {"type": "string", "minLength": 1, "examples": ["2025-01-02T14:30:00Z"]},
        OpenApiParameter.QUERY,
        description=text,
    )
    for name, text in {
        "from": "The period's begin, in place of `days`. Default: the account's.",
        "to": "The period's end, which is not part of it. Default: now.",
    }.items()
)
_BY = OpenApiParameter(
    "by",
    {"type": "string", "enum": [each.value for each in Grouping]},
    OpenApiParameter.QUERY,
    description="What `rows` are of. Without it there are none.",
)
NO_STORE = {"Cache-Control": "no-store"}


def account_document(account: Account) -> AccountDocument:
    return AccountDocument.of(account, state_of(account))


def account_named(request: Request, name: str | None) -> Account:
    """Return the account that a caller names, or its only one. Raises NoSuchAccount, AccountRequired."""
    return account_find(caller=cast("Caller", request.user), name=name)


def account_answer(account: Account, document: Any, **options: Any) -> Response:
    """Return an answer about an account, with the number of the event after which it was read."""
    headers = {"X-Account-Event": str(account.number), **NO_STORE, **options.pop("headers", {})}
    return Response(msgspec.to_builtins(document), headers=headers, **options)


class AccountStateViewSet(ViewSet):
    """What an account is now."""

    access = {
        "status": ACCOUNT_READ,
        "portfolio": ACCOUNT_READ,
        "risk": ACCOUNT_READ,
        "performance": replace(ACCOUNT_READ, cost="period"),
        "config": ACCOUNT_READ,
    }
    query_serializer = parameters_form

    @extend_schema(
        operation_id="trading_status",
        summary="Whether an account trades",
        parameters=[ACCOUNT],
        responses={200: AccountStatusDocument},
    )
    def status(self, request: Request) -> Response:
        """The status of an account, and whether the engine is there and sees the market.

        A `running` account is `degraded` while it is not connected. A `stopping` one is closing its positions.
        """
        account = _account(request)
        return account_answer(account, status_document(account))

    @extend_schema(
        operation_id="portfolio",
        summary="Positions and drawdown",
        parameters=[ACCOUNT],
        responses={200: PortfolioDocument},
    )
    def portfolio(self, request: Request) -> Response:
        """The positions of an account at the prices of now, its drawdown and its exposure."""
        account = _account(request)
        return account_answer(account, portfolio_document(account))

    @extend_schema(
        operation_id="risk",
        summary="Limits and their use",
        parameters=[ACCOUNT],
        responses={200: RiskDocument},
    )
    def risk(self, request: Request) -> Response:
        """The drawdown zone, the risk level, and how much of each limit is used."""
        account = _account(request)
        return account_answer(account, risk_document(account))

    @extend_schema(
        operation_id="trading_config",
        summary="The limits of an account",
        parameters=[ACCOUNT],
        responses={200: RiskConfigDocument},
    )
    def config(self, request: Request) -> Response:
        """The limits, with their version as `ETag`, which `PUT /config/risk` needs as `If-Match`."""
        account = _account(request)
        document = RiskConfigDocument.of(account, state_of(account))
        return account_answer(account, document, headers={"ETag": f'"risk-{document.version}"'})

    @extend_schema(
        operation_id="performance",
        summary="How an account did",
        parameters=[ACCOUNT, _DAYS, _FROM, _TO, _BY],
        responses={200: PerformanceDocument},
    )
    def performance(self, request: Request) -> Response:
        """Figures of a period: trades that were closed in it, executions, exposure, and the drawdown curve."""
        values = single_parameters(request.GET, ("account", "days", "from", "to", "by", "format"))
        account = account_named(request, values.get("account"))
        by = Grouping(choice(values, "by", list(Grouping), "")) if "by" in values else None
        return account_answer(account, performance_document(account, _period(account, values), by))


def _account(request: Request) -> Account:
    return account_named(request, single_parameters(request.GET, ("account", "format")).get("account"))


def _period(account: Account, values: Mapping[str, str]) -> Period:
    """Return the period that `days`, or `from` and `to`, name. Raises InvalidParameter."""
    if "from" not in values and "to" not in values:
        return last_days(_days(values.get("days", "30")))
    if "days" in values:
        raise InvalidParameter("conflicting_parameters", "send days, or from and to, not both")
    since_ns, until_ns = (_instant(values.get(name)) for name in ("from", "to"))
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise InvalidParameter("invalid_range", "from must be before to")
    return period_between(account, since_ns, until_ns)


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else parse_timestamp_or_epoch(text)
    except InvalidTimestamp as error:
        raise InvalidParameter(error.code, str(error)) from error


def _days(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise InvalidParameter("invalid_number", f"days must be a whole number between 1 and {MOST_DAYS:,}")
    return int(text)


class NamedPagination(KeysetPagination):
    """Pages of what has a name, by it."""

    by = "name"
    sort_description = "By name."
    default_limit = DEFAULT_LIMIT


class AccountsViewSet(ListViewSet[Account]):
    """Accounts that the caller may see."""

    access = {"list": ACCOUNT_PAGE, "retrieve": ACCOUNT_READ}
    queryset = Account.objects.all()
    pagination_class = NamedPagination
    rows_name = "accounts"

    @extend_schema(operation_id="accounts", summary="List accounts", responses={200: AccountDocument})
    def list(self, request: Request) -> Response:
        """The accounts that the caller may see, by id."""
        accounts = self.paginate_queryset(accounts_of(cast("Caller", request.user)))
        return self.get_paginated_response(
            [account_document(account).as_json() for account in accounts or ()]
        )

    @extend_schema(
        operation_id="account",
        summary="Get an account",
        parameters=[ACCOUNT_ID],
        responses={200: AccountDocument},
    )
    def retrieve(self, request: Request, account: str) -> Response:
        """An account: information, balances of its ledger, preferences."""
        single_parameters(request.GET, ("format",))
        found = account_named(request, account)
        return account_answer(found, account_document(found))


class PositionsViewSet(ViewSet):
    """Positions of an account."""

    access = {"positions": ACCOUNT_READ}

    @extend_schema(
        operation_id="account_positions",
        summary="List positions",
        parameters=[ACCOUNT_ID],
        responses={200: AccountPositionsDocument},
    )
    def positions(self, request: Request, account: str) -> Response:
        """All positions of an account at the prices of now, by symbol and strategy."""
        single_parameters(request.GET, ("format",))
        found = account_named(request, account)
        positions = positions_documents(account_valued(found))
        return account_answer(found, AccountPositionsDocument(found.name, positions))
