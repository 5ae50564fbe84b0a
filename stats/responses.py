"""Finished answers to conditional requests: tags, freshness, versions. As values, and as HTTP responses."""

import time
from http import HTTPStatus

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from stats.caching.conditional import is_current
from stats.caching.entry import Entry
from stats.caching.tiers import Cached
from stats.finished import Finished
from stats.ohlc import PinnedOhlc, ohlc_answer
from trades.timestamps import SECOND_NS, format_timestamp

_VARY = "Accept, Accept-Encoding, Authorization, X-API-Key"
# A commit under way may still carry an instant that has just passed.
_SETTLED_SECONDS = 60
_IMMUTABLE_SECONDS = 31_536_000


def finished_bars(
    pinned: PinnedOhlc, *, if_none_match: str | None, only_held: bool = False
) -> Finished | None:
    """304 if the client has the representation already; else the answer, from the cache or computed now.

    With `only_held` None instead of an answer that this process does not hold in memory.
    """
    etag = pinned.etag
    if is_current(if_none_match, etag):
        return Finished(
            HTTPStatus.NOT_MODIFIED, {"X-Cache": "revalidated", "ETag": etag, **_validity(pinned)}
        )
    cached = ohlc_answer.held(pinned) if only_held else ohlc_answer(pinned)
    if cached is None:
        return None
    entry = cached.entry
    headers = {"Content-Type": entry.content_type, **_origin(cached), "ETag": etag, **_validity(pinned)}
    return Finished(HTTPStatus.OK, headers, entry.body)


def bars_response(request: Request, pinned: PinnedOhlc) -> HttpResponseBase:
    """The answer to a request, as bytes; for the browsable API as a page around it."""
    if isinstance(request.accepted_renderer, BrowsableAPIRenderer):
        cached = ohlc_answer(pinned)
        return _page(cached.entry, {**_origin(cached), **_validity(pinned)})
    finished = finished_bars(pinned, if_none_match=request.META.get("HTTP_IF_NONE_MATCH"))
    assert finished is not None  # noqa: S101 only what must be held may be missing
    response = HttpResponse(finished.body, status=finished.status, headers=finished.headers)
    if finished.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    return response


def _page(entry: Entry, headers: dict[str, str]) -> Response:
    """Made for one person, hence without a tag."""
    return Response(orjson.loads(entry.body), headers=headers)


def _origin(cached: Cached) -> dict[str, str]:
    age = max(0, int(time.time() - cached.entry.computed_at))
    return {"X-Cache": cached.outcome.value, "Age": str(age)}


def _validity(pinned: PinnedOhlc) -> dict[str, str]:
    as_of_ns = pinned.query.as_of_ns
    headers = {"Cache-Control": "private, no-cache", "Vary": _VARY, "X-Commit": f"trades={pinned.head.token}"}
    if as_of_ns is not None:
        headers["X-As-Of"] = format_timestamp(as_of_ns)
        if as_of_ns < time.time_ns() - _SETTLED_SECONDS * SECOND_NS:
            headers["Cache-Control"] = f"private, max-age={_IMMUTABLE_SECONDS}, immutable"
    return headers
