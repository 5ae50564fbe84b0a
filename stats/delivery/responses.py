"""Django responses made from finished answers."""

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

import orjson
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from http_requests.compression import accepted_encoding
from stats.delivery.finished_answers import NEXT, PREVIOUS, FinishedAnswer, finished_answer
from stats.delivery.pinned_answer import PinnedAnswer, PinnedContent, Representation

# The default `limit` in the browsable API.
_ROWS_OF_A_PAGE = 100


def content_response(request: Request, content: PinnedContent, *, now_ns: int) -> HttpResponseBase:
    """The response for a content, in the client's format and encoding; an HTML page in the browsable API.

    The header `Link` has the next and previous page (RFC 8288). Raises the errors of `PinnedContent.rendered`.
    """
    if is_browsed(request):
        plain = PinnedAnswer(content, Representation("json"))
        return _page(_linked(finished_answer(plain, if_none_match=None, now_ns=now_ns), request))
    encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
    finished = finished_answer(
        PinnedAnswer(content, Representation(request.accepted_renderer.format, encoding)),
        if_none_match=request.META.get("HTTP_IF_NONE_MATCH"),
        now_ns=now_ns,
    )
    return _bytes(_linked(finished, request))


def is_browsed(request: Request) -> bool:
    """Whether the client asked for the browsable API."""
    return isinstance(request.accepted_renderer, BrowsableAPIRenderer)


def page_query(request: Request) -> str:
    """The query string to answer.

    In the browsable API a query without `limit` and `last` gets `limit=100`.
    """
    asked: str = request.META["QUERY_STRING"]
    if not is_browsed(request) or {"limit", "last"} & set(QueryDict(asked)):
        return asked
    return "&".join(filter(None, (asked, f"limit={_ROWS_OF_A_PAGE}")))


def _page(finished: FinishedAnswer) -> Response:
    """The response of the browsable API, without an ETag."""
    headers = {
        name: value for name, value in finished.headers.items() if name not in {"Content-Type", "ETag"}
    }
    return Response(orjson.loads(finished.body), headers=headers)


def _bytes(finished: FinishedAnswer) -> HttpResponse:
    response = HttpResponse(finished.body, status=finished.status, headers=finished.headers)
    if finished.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    return response


def _linked(finished: FinishedAnswer, request: Request) -> FinishedAnswer:
    """The answer with the header `Link` instead of the cursors."""
    headers = dict(finished.headers)
    links = list(_links(headers, request))
    if links:
        headers["Link"] = ", ".join(links)
    return FinishedAnswer(finished.status, headers, finished.body)


def _links(headers: dict[str, str], request: Request) -> Iterator[str]:
    for relation in (NEXT, PREVIOUS):
        cursor = headers.pop(relation, None)
        if cursor is not None:
            given = parse_qsl(page_query(request), keep_blank_values=True)
            query = urlencode(
                [*((name, value) for name, value in given if name != "cursor"), ("cursor", cursor)]
            )
            yield f'<{escape_uri_path(request.path)}?{query}>; rel="{relation}"'
