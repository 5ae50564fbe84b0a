"""What the front counts of requests, whoever answers them: each by its route, or as one of no route."""

from time import perf_counter_ns
from typing import Any

from django.urls import ResolverMatch

from marketdata_project.front.refusals import Refusal
from metrics.declarations import FRONT_REFUSALS, REQUEST_SECONDS, REQUESTS, UNROUTED

# The WSGI variable that names a request's route.
ROUTE = "marketdata.route"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD = "other"
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


def route_of(match: ResolverMatch | None) -> str:
    """The name of a URL, of Django's own sites that of the site; UNROUTED for a path that has none."""
    if match is None:
        return UNROUTED
    from marketdata_project.access_table import DJANGO_SITES  # noqa: PLC0415 needs the apps

    sites = DJANGO_SITES.intersection(match.namespaces)
    return min(sites) if sites else match.url_name or UNROUTED


def count_answer(environ: dict[str, Any], status: int, *, began_ns: int) -> None:
    """Count an answer that was begun at a time of `perf_counter_ns`."""
    route = environ.get(ROUTE, UNROUTED)
    REQUEST_SECONDS.observe((perf_counter_ns() - began_ns) / 1e9, route)
    REQUESTS.add(route, _method(environ["REQUEST_METHOD"]), _CLASSES[status // 100])


def count_refusal(refusal: Refusal, *, method: str = "") -> None:
    """Count what was refused before Django; `method` is "" where it was not read."""
    FRONT_REFUSALS.add(refusal.code)
    REQUESTS.add(UNROUTED, _method(method), _CLASSES[refusal.status // 100])


def _method(method: str) -> str:
    return method if method in _METHODS else _OTHER_METHOD
