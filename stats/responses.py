"""Finished answers as HTTP responses: tags, freshness, versions."""

import time
from collections.abc import Callable

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from stats.caching.conditional import is_current
from stats.caching.entry import Entry
from stats.caching.tiers import Cached
from trades.storage.protocol import CommitId
from trades.timestamps import format_timestamp

_VARY = "Accept, Accept-Encoding, Authorization, X-API-Key"
_NANOSECONDS = 1_000_000_000
# A commit under way may still carry an instant that has just passed.
_SETTLED_SECONDS = 60
_IMMUTABLE_SECONDS = 31_536_000


def conditional_response(
    request: Request, etag: str, answer: Callable[[], Cached], *, commit: CommitId, as_of_ns: int | None
) -> HttpResponseBase:
    """304 if the client has the representation already; else the answer, from the cache or computed now."""
    is_page = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    if not is_page and is_current(request.META.get("HTTP_IF_NONE_MATCH"), etag):
        response: HttpResponseBase = HttpResponse(status=304)
        response.headers["X-Cache"] = "revalidated"
        response.headers.pop("Content-Type", None)
    else:
        cached = answer()
        response = _page(cached.entry) if is_page else _finished(cached.entry)
        response.headers["X-Cache"] = cached.outcome.value
        response.headers["Age"] = str(max(0, int(time.time() - cached.entry.computed_at)))
    if not is_page:
        response.headers["ETag"] = etag
    response.headers["Cache-Control"] = _cache_control(as_of_ns)
    response.headers["Vary"] = _VARY
    response.headers["X-Commit"] = f"trades={commit.token}"
    if as_of_ns is not None:
        response.headers["X-As-Of"] = format_timestamp(as_of_ns)
    return response


def _finished(entry: Entry) -> HttpResponse:
    return HttpResponse(entry.body, content_type=entry.content_type)


def _page(entry: Entry) -> Response:
    """The browsable API's page around the answer; made for one person, hence without a tag."""
    return Response(orjson.loads(entry.body))


def _cache_control(as_of_ns: int | None) -> str:
    if as_of_ns is None or as_of_ns > time.time_ns() - _SETTLED_SECONDS * _NANOSECONDS:
        return "private, no-cache"
    return f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
