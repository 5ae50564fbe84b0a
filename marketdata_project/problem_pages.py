"""Errors as web pages, for browsers: what happened, the nearest known page, and the ways back."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from marketdata_project.negotiation import is_program
from stats.market_data.navigation import nearest_path
from web.requests.nearest_name import nearest_of

_JSON, _HTML, _PAGE = "application/problem+json", "text/html", "text/html; charset=utf-8"
_MARKET_DATA = "/api/v1/market-data/"


def is_page_wanted(request: HttpRequest) -> bool:
    """Return whether the client prefers HTML to JSON, as browsers do; not for `*/*`, nor for a program."""
    return not is_program(request) and request.get_preferred_type([_JSON, "application/json", _HTML]) == _HTML


def problem_page(request: HttpRequest, body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    """Return the page of a problem. body: its JSON members. It can be rendered whatever failed."""
    nearest = nearest_page(request.path) if body["code"] == "not_found" else None
    page = render_to_string("problem.html", {"problem": body, "nearest": nearest}, request)
    return HttpResponse(page, status=body["status"], headers={**headers, "Content-Type": _PAGE})


def nearest_page(path: str) -> str | None:
    """Return the known path that is most similar to an unknown one; None if none is similar."""
    if path.startswith(_MARKET_DATA):
        return nearest_path(path)
    return nearest_of(path.rstrip("/"), _plain_paths())


@cache
def _plain_paths() -> tuple[str, ...]:
    """Return the paths of all pages that need no argument."""
    return tuple(sorted(set(_paths(get_resolver().url_patterns, ()))))


def _paths(patterns: list[URLPattern | URLResolver], namespaces: tuple[str, ...]) -> Iterator[str]:
    for each in patterns:
        if isinstance(each, URLResolver):
            inner = (*namespaces, each.namespace) if each.namespace else namespaces
            yield from _paths(each.url_patterns, inner)
        elif each.name:
            try:
                yield reverse(":".join((*namespaces, each.name)))
            except NoReverseMatch:
                continue
