"""Django responses made from finished answers."""

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

_BROWSED_ROWS = 100


def content_response(request: Request, content: PinnedContent, *, now_ns: int) -> HttpResponseBase:
    """Return the response for a content, in the client's format and encoding; an HTML page in the browsable API.

    The header `Link` has the next and previous page (RFC 8288). Raises the errors of `PinnedContent.rendered`.
    """
    if is_browsed(request):
        return _browsable_response(request, content, now_ns)
    encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
    finished = finished_answer(
        PinnedAnswer(content, Representation(request.accepted_renderer.format, encoding)),
        if_none_match=request.META.get("HTTP_IF_NONE_MATCH"),
        now_ns=now_ns,
    )
    headers = _headers(finished, request)
    response = HttpResponse(finished.body, status=finished.status, headers=headers)
    if finished.status == HTTPStatus.NOT_MODIFIED:
        del response.headers["Content-Type"]
    return response


def is_browsed(request: Request) -> bool:
    """Return whether the client asked for the browsable API."""
    return isinstance(request.accepted_renderer, BrowsableAPIRenderer)


def page_query(request: Request) -> str:
    """Return the query string. In the browsable API, add `limit=100` if it has neither `limit` nor `last`."""
    query: str = request.META["QUERY_STRING"]
    if not is_browsed(request) or {"limit", "last"} & set(QueryDict(query)):
        return query
    return "&".join(filter(None, (query, f"limit={_BROWSED_ROWS}")))


def _browsable_response(request: Request, content: PinnedContent, now_ns: int) -> Response:
    """Return the response of the browsable API, without an ETag."""
    answer = PinnedAnswer(content, Representation("json"))
    finished = finished_answer(answer, if_none_match=None, now_ns=now_ns)
    headers = _headers(finished, request)
    del headers["Content-Type"], headers["ETag"]
    return Response(orjson.loads(finished.body), headers=headers)


def _headers(finished: FinishedAnswer, request: Request) -> dict[str, str]:
    """Return the answer's headers, with `Link` instead of the cursors."""
    headers = dict(finished.headers)
    cursors = [(name, headers.pop(name)) for name in (NEXT, PREVIOUS) if name in headers]
    if cursors:
        headers["Link"] = ", ".join(_link(request, relation, cursor) for relation, cursor in cursors)
    return headers


def _link(request: Request, relation: str, cursor: str) -> str:
    parameters = parse_qsl(page_query(request), keep_blank_values=True)
    query = urlencode(
        [*((name, value) for name, value in parameters if name != "cursor"), ("cursor", cursor)]
    )
    return f'<{escape_uri_path(request.path)}?{query}>; rel="{relation}"'
