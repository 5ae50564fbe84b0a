"""The endpoints that say what an account is now."""

import re
from collections.abc import Mapping
from dataclasses import replace

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trading.api.account_view import ACCOUNT_READ, AccountView, account_answer
from trading.core.valuation import Grouping
from trading.documents.accounts import (
    AccountStatusDocument,
    PortfolioDocument,
    RiskConfigDocument,
    RiskDocument,
)
from trading.documents.figures import PerformanceDocument
from trading.journal import state_of
from trading.models import Account
from trading.performance import MOST_DAYS, Period, last_days, performance_document, period_between
from trading.selectors import portfolio_document, risk_document, status_document
from trading.services.accounts import risk_tag
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

_DAYS = OpenApiParameter(
    "days",
    {"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": 30},
    OpenApiParameter.QUERY,
    description="The length of the period, which ends now.",
)
_FROM, _TO = (
    OpenApiParameter(
        name,
        {"type": "string", "minLength": 1, **examples},
        OpenApiParameter.QUERY,
        description=text,
    )
    for name, text, examples in (
        (
            "from",
            "The period's begin, in place of `days`. Default: the account's.",
            {"examples": ["2025-01-02T14:30:00Z"]},
        ),
        ("to", "The period's end, which is not part of it. Default: now.", {}),
    )
)
_BY = OpenApiParameter(
    "by",
    {"type": "string", "enum": [each.value for each in Grouping]},
    OpenApiParameter.QUERY,
    description="What `rows` are of. Without it there are none.",
)


class AccountStateViewSet(AccountView, ViewSet):
    """What an account is now."""

    access = {
        "status": ACCOUNT_READ,
        "portfolio": ACCOUNT_READ,
        "risk": ACCOUNT_READ,
        "performance": replace(ACCOUNT_READ, cost="period"),
        "config": ACCOUNT_READ,
    }
    answers = {
        "status": AccountStatusDocument,
        "portfolio": PortfolioDocument,
        "risk": RiskDocument,
        "performance": PerformanceDocument,
        "config": RiskConfigDocument,
    }
    parameters = {"performance": [_DAYS, _FROM, _TO, _BY]}

    def status(self, request: Request) -> Response:
        """Whether an account trades.

        The status of an account, and whether the engine is there and sees the market.

        A `running` account is `degraded` while it is not connected. A `stopping` one is closing its positions.
        """
        account = self.account()
        return account_answer(status_document(account), account.number)

    def portfolio(self, request: Request) -> Response:
        """Positions and drawdown.

        The positions of an account at the prices of now, its drawdown and its exposure.
        """
        account = self.account()
        return account_answer(portfolio_document(account), account.number)

    def risk(self, request: Request) -> Response:
        """Limits and their use. The drawdown zone, the risk level, and how much of each limit is used."""
        account = self.account()
        return account_answer(risk_document(account), account.number)

    def config(self, request: Request) -> Response:
        """The limits of an account.

        The limits, with their version as `ETag`, which `PUT /config/risk` needs as `If-Match`.
        """
        account = self.account()
        document = RiskConfigDocument.of(account, state_of(account))
        headers = {"ETag": risk_tag(document.version)}
        return account_answer(document, account.number, headers=headers)

    def performance(self, request: Request) -> Response:
        """How an account did.

        Figures of a period: trades that were closed in it, executions, exposure, and the drawdown curve.
        """
        account, values = self.account(), self.query
        by = Grouping(choice(values, "by", list(Grouping), "")) if "by" in values else None
        return account_answer(performance_document(account, _period(account, values), by), account.number)


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
