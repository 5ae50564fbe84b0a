"""Finished answers as HTTP responses."""

from http import HTTPStatus

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from stats.finished import Finished
from stats.services import bars_read


def bars_response(request: Request, *, now_ns: int) -> HttpResponseBase:
    """The answer to a request for bars, as bytes; for the browsable API as a page around it."""
    browsed = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    finished = bars_read(
        query_string=request.META["QUERY_STRING"],
        if_none_match=None if browsed else request.META.get("HTTP_IF_NONE_MATCH"),
        now_ns=now_ns,
    )
    assert finished is not None  # noqa: S101 only what must be held may be missing
    return _page(finished) if browsed else _bytes(finished)


def _page(finished: Finished) -> Response:
    """Made for one person, hence without a tag."""
    headers = {
        name: value for name, value in finished.headers.items() if name not in {"Content-Type", "ETag"}
    }
    return Response(orjson.loads(finished.body), headers=headers)


def _bytes(finished: Finished) -> HttpResponse:
    response = HttpResponse(finished.body, status=finished.status, headers=finished.headers)
    if finished.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    return response
