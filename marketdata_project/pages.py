"""The few pages for a person: what there is, and what the error codes mean."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketdata_project.error_codes import ERROR_CODES
from stats.market_data.navigation import links_beside
from stats.market_data.queries.classes import MARKET_CLASSES
from stats.rendering.query_form import Leading
from trades.instruments.catalogue import catalogue_first
from trades.storage.exceptions import StorageError

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1c2530; background: #fafbfc; }
main { max-width: 60rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { margin-top: 0; }
pre { background: #eef1f5; padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #dde2e8; }
tr:target { background: #fff3c4; }
"""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of the tree by one of its symbols, if it has any."""

    path: str
    symbol: str | None
    links: list[Leading]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """`/`: leads a browser to what there is, and who is logged in through the tree."""
    user = getattr(request, "user", None)
    is_staff = user is not None and user.is_active and getattr(user, "is_staff", False)
    context = {
        "base": request.build_absolute_uri("/").rstrip("/"),
        "is_staff": is_staff,
        "branches": _branches() if is_staff else [],
    }
    return render(request, "home.html", context)


def _branches() -> list[Branch]:
    """None while the store cannot be used: this page leads to what tells why."""
    try:
        symbols = {each: catalogue_first(each.instrument_class) for each in MARKET_CLASSES.values()}
    except StorageError:
        return []
    return [Branch(each.path, symbol, links_beside(each, symbol)) for each, symbol in symbols.items()]


@require_safe
def errors(request: HttpRequest) -> HttpResponse:
    """Every error code with its meaning; a problem's `type` points into this page."""
    return render(request, "errors.html", {"errors": ERROR_CODES})


@require_safe
def stylesheet(_request: HttpRequest) -> HttpResponse:
    """The pages' style."""
    return HttpResponse(_STYLE, content_type="text/css")
