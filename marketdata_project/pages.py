"""Web pages: the dashboard, the list of endpoints, and the error codes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from marketdata_project.error_codes import ERROR_CODES, ErrorCode
from marketdata_project.guide_search import sections_of_code
from marketdata_project.guide_text import GuideSection
from ratelimit.credentials.browser_login import caller_of_browser
from stats.market_data.query import MARKET_CLASSES, MarketClass
from stats.rendering.page_links import PageLink
from store.datasets import CORRECTED, DATASETS
from store.declarations import Dataset
from store.exceptions import StorageError
from trades.instruments.catalogue import catalogue_first

# The number of newest rows in links to a dataset.
_ROWS = 100


@dataclass(frozen=True, slots=True)
class Branch:
    """A class of instruments. links: the newest rows of the datasets of its first symbol."""

    path: str
    instrument_class: str
    symbol: str | None
    links: list[PageLink]


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Answer `/` with the dashboard. Its scripts call the API with a login of their own."""
    return render(request, "dashboard.html", {"has_charts": settings.HAS_CHARTS})


@require_safe
def endpoint_list(request: HttpRequest) -> HttpResponse:
    """Answer `/endpoints` with links to the documentation; for who may read market data also to its pages, and to forms."""
    is_reader = _is_reader(request)
    context = {
        "base": request.build_absolute_uri("/").rstrip("/"),
        "is_reader": is_reader,
        "branches": _branches() if is_reader else [],
        "ingests": _links(DATASETS.values(), "ingest") if is_reader else [],
        "corrections": _links(CORRECTED, "corrections") if is_reader else [],
    }
    return render(request, "endpoints.html", context)


def _is_reader(request: HttpRequest) -> bool:
    try:
        caller = caller_of_browser(request, now=timezone.now())
    except DatabaseError:
        return False
    return caller is not None and "market:read" in caller.scopes


def _branches() -> list[Branch]:
    """Return a branch for each class of instruments; [] while the store cannot be used, so that the page opens."""
    try:
        return [
            _branch(market_class) for market_class in MARKET_CLASSES.values() if market_class.instrument_class
        ]
    except StorageError:
        return []


def _branch(market_class: MarketClass) -> Branch:
    first = next(iter(catalogue_first(market_class.instrument_class, 1)), None)
    symbol = None if first is None else first.symbol
    links = [
        PageLink(f"{reverse(f'{market_class.path}-{name}', kwargs={'symbol': symbol})}?last={_ROWS}", name)
        for name in (() if symbol is None else market_class.datasets)
    ]
    return Branch(market_class.path, market_class.instrument_class, symbol, links)


def _links(datasets: Iterable[Dataset], end: str) -> list[PageLink]:
    """Return links to the datasets' endpoints whose paths end so."""
    names = [dataset.name.replace("_", "-") for dataset in datasets]
    return [PageLink(reverse(f"{name}-{end}"), name) for name in names]


@require_safe
def errors(request: HttpRequest) -> HttpResponse:
    """Answer with the error codes, with `q=` those whose status, code or meaning has it.

    The `type` of an error response links to a row of this page.
    """
    text = request.GET.get("q", "").strip().lower()
    found = [
        each for each in _explained() if text in f"{each[0].status} {each[0].code} {each[0].meaning}".lower()
    ]
    return render(request, "errors.html", {"errors": found, "q": text})


@cache
def _explained() -> tuple[tuple[ErrorCode, tuple[GuideSection, ...]], ...]:
    """Return each error code with the sections of guides that explain it."""
    return tuple((error, sections_of_code(error.code)) for error in ERROR_CODES)
