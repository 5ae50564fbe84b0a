"""The versions of the API, and its deprecated paths, as data. The middleware marks deprecated answers.

Such an answer has the headers `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and `Link` with the relation
`successor-version` (RFC 5829).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from marketdata_project import __version__
from web.requests.parameters import single_parameters
from web.requests.wsgi_variables import REPEATABLE_ANSWER

# The fewest months from a deprecation to its sunset.
FEWEST_MONTHS = 18


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A deprecated path, or version, and its successor. It may be removed from `sunset` on. Days begin at midnight UTC."""

    path: str
    successor: str
    since: date
    sunset: date

    def headers(self, *, link: str = "") -> dict[str, str]:
        """Return the headers of an answer. link: the value of `Link` that the answer has without them."""
        successor = f'<{self.successor}>; rel="successor-version"'
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        return {
            "Deprecation": f"@{since.timestamp():.0f}",
            "Sunset": format_datetime(sunset, usegmt=True),
            "Link": f"{link}, {successor}" if link else successor,
        }


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the API: the paths that begin with `prefixes`. schema: the path of its OpenAPI document."""

    name: str
    about: str
    prefixes: tuple[str, ...]
    since: date
    schema: str
    deprecation: Deprecation | None = None


VERSIONS = (
    Version("v1", "The API of this service.", ("/api/v1/",), date(2026, 11, 29), "/api/v1/schema"),
    Version(
        "v2",
        "The wire format of Alpaca's API v2.",
        ("/api/v2/", "/api/v1beta1/", "/api/v1beta3/"),
        date(2026, 11, 29),
        "/api/v2/schema",
    ),
)


def version_of(name: str) -> Version:
    """Return a version by its name."""
    return next(each for each in VERSIONS if each.name == name)


# Without a version, for programs that were written before there were versions.
_UNVERSIONED = (
    "status", "portfolio", "risk", "risk/override", "performance", "trades", "signals", "config", "config/risk",
    "trading/start", "trading/stop", "trade/preview", "trade/execute",
)  # fmt: skip
DEPRECATIONS = tuple(
    Deprecation(f"/api/{name}", f"/api/v1/{name}", since=date(2026, 11, 29), sunset=date(2028, 11, 29))
    for name in _UNVERSIONED
)
_BY_PATH = {deprecation.path: deprecation for deprecation in DEPRECATIONS}


def is_unversioned(path: str) -> bool:
    """Return whether a decoded path is one of those without a version, with or without a slash at its end."""
    return path.removesuffix("/") in _BY_PATH


def deprecation_of(path: str) -> Deprecation | None:
    """Return the deprecation of a decoded path or of its version; None for all other paths."""
    of_version = (
        each.deprecation for each in VERSIONS if each.deprecation and path.startswith(each.prefixes)
    )
    return _BY_PATH.get(path.removesuffix("/")) or next(of_version, None)


@require_safe
def versions(request: HttpRequest) -> JsonResponse:
    """Answer with the version of this program, the versions of the API, and the deprecated paths."""
    single_parameters(request.GET, ())
    tables = {
        "version": __version__,
        "versions": [asdict(each) for each in VERSIONS],
        "deprecations": [asdict(each) for each in DEPRECATIONS],
    }
    return JsonResponse(tables)


class DeprecationMiddleware:
    """Adds the headers to the answers of deprecated paths."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        deprecation = deprecation_of(request.path_info)
        if deprecation is None:
            return response
        # The event loop would repeat the answer without the headers.
        request.META.pop(REPEATABLE_ANSWER, None)
        for name, value in deprecation.headers(link=response.headers.get("Link", "")).items():
            response.headers[name] = value
        return response
