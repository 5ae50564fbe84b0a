"""Deprecated and removed paths, as data, and what replaces each. The middleware marks the answers of deprecated ones.

Such an answer has the headers `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and `Link` with the relation
`successor-version` (RFC 5829).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime

from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A deprecated path and its successor. It may be removed from `sunset` on. Days begin at midnight UTC."""

    path: str
    successor: str
    since: date
    sunset: date

    def headers(self, *, link: str = "") -> dict[str, str]:
        """Return the headers of an answer. link: the value of `Link` that the answer has without them."""
        successor = f'<{self.successor}>; rel="successor-version"'
        return {
            "Deprecation": f"@{_midnight(self.since).timestamp():.0f}",
            "Sunset": format_datetime(_midnight(self.sunset), usegmt=True),
            "Link": f"{link}, {successor}" if link else successor,
        }


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# Without a version, for programs that were written before there were versions.
_UNVERSIONED = (
    "status",
    "portfolio",
    "risk",
    "risk/override",
    "performance",
    "trades",
    "signals",
    "config",
    "config/risk",
    "trading/start",
    "trading/stop",
    "trade/preview",
    "trade/execute",
)
DEPRECATIONS = tuple(
    Deprecation(f"/api/{name}", f"/api/v1/{name}", since=date(2026, 12, 1), sunset=date(2028, 12, 1))
    for name in _UNVERSIONED
)
_BY_PATH = {deprecation.path: deprecation for deprecation in DEPRECATIONS}


def deprecation_of(path: str) -> Deprecation | None:
    """Return the deprecation of a decoded path, with or without a slash at its end; None for all other paths."""
    return _BY_PATH.get(path.removesuffix("/"))


# Removed paths as regular expressions, and what to use instead. Their answer is 410 `gone`, whatever the method.
REMOVED = {
    r"/api(/v1)?/risk/what-if": "run a backtest with other limits: POST /api/v1/backtests",
    r"/api/v1/accounts/[^/]+/reconcile": "compare a statement with GET /api/v1/accounts/{account}/positions",
    r"/api/v1/accounts/[^/]+/adjustments": "correct a position by an order, and the cash by a transfer",
    r"/api/v1/executions/[^/]+/bust": "reverse the execution by an order",
}


def instead_of(path: str) -> str | None:
    """Return what to use instead of a removed path, which is decoded; None for all other paths."""
    path = path.removesuffix("/")
    return next((instead for pattern, instead in REMOVED.items() if re.fullmatch(pattern, path)), None)


class DeprecationMiddleware:
    """Adds the headers to the answers of deprecated paths."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        deprecation = deprecation_of(request.path_info)
        if deprecation is None:
            return response
        for name, value in deprecation.headers(link=response.headers.get("Link", "")).items():
            response.headers[name] = value
        return response
