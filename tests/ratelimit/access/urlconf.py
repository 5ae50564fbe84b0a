"""A walk over the whole URLconf: every pattern with the names of its namespaces, its own, and its view."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from marketdata_project.anonymous_clients import DJANGO_SITES, PUBLIC_VIEWS
from web.endpoints import Access, access_of

# A value for every parameter of a path; a path of an object names one that is not there.
SAMPLES = {
    "guide": "limits",
    "dataset": "trades",
    "dataset_id": "0" * 64,
    "symbol": "AAPL",
    "format": "csv",
    "key": "999999999",
    "path": "manifest.json",
    "job": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "webhook": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "alert": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "delivery": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "source": "binance",
    "upload": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "account_id": "999999999",
    "account": "main",
    "model": "core",
    "order": "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11",
    "watchlist": "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11",
    "execution": "6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22",
    "activity_type": "FILL",
}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    namespaces: tuple[str, ...]
    pattern: str
    name: str | None
    view: Any
    path: str

    @property
    def implemented(self) -> frozenset[str]:
        """The methods that the view has, OPTIONS apart; HEAD is had with GET."""
        actions = getattr(self.view, "actions", None)
        # The hostile suite's own views are functions.
        names = actions if actions is not None else _methods_of(getattr(self.view, "view_class", None))
        found = {name.upper() for name in names}
        return frozenset(found | ({"HEAD"} if "GET" in found else set()))


def _methods_of(view_class: Any) -> list[str]:
    names = getattr(view_class, "http_method_names", ())
    return [name for name in names if name != "options" and hasattr(view_class, name)]


def routes(
    resolver: URLResolver | None = None, prefix: str = "", namespaces: tuple[str, ...] = ()
) -> Iterator[Route]:
    """Every view, with the path at which it is asked; Django's own sites apart."""
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern).removeprefix("^" if prefix else "")
        if isinstance(entry, URLPattern):
            path = f"/{prefix}{_sample(entry.pattern.regex.pattern)}"
            yield Route(namespaces, pattern, entry.name, entry.callback, path)
        elif entry.namespace not in DJANGO_SITES:
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            yield from routes(entry, pattern, inner)


def endpoints() -> list[Route]:
    """The API's own views: whatever is not declared to be public."""
    return [route for route in routes() if route.name not in PUBLIC_VIEWS]


def _declared() -> Iterator[tuple[tuple[str, str], Access]]:
    for route in endpoints():
        for method in route.implemented - {"HEAD"}:
            access = access_of(route.view, method)
            assert access is not None, route.pattern
            yield (route.name or "", method), access


def _sample(regex: str) -> str:
    [(text, parameters), *_] = normalize(regex)
    return text % {name: SAMPLES[name] for name in parameters}


# What each endpoint declares, by url name and method.
ACCESS = dict(_declared())
