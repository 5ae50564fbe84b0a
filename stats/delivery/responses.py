"""Finished answers as HTTP responses."""

from http import HTTPStatus

import orjson
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from stats.delivery.finished import Finished

_ROWS_OF_A_PAGE = 100


def finished_response(request: Request, finished: Finished) -> HttpResponseBase:
    """A finished answer as it is sent; for the browsable API the page around it."""
    browsed = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    return _page(finished) if browsed else _bytes(finished)


def page_query(request: Request) -> str:
    """The query string that is answered.

    On the browsable API one that does not say how many rows asks for as many as a person can look through.
    """
    asked: str = request.META["QUERY_STRING"]
    browsed = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    if not browsed or {"limit", "last"} & set(QueryDict(asked)):
        return asked
    return "&".join(filter(None, (asked, f"limit={_ROWS_OF_A_PAGE}")))


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
